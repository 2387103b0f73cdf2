//! Takes memory without end, a MiB at a time, and touches it. The host must refuse more at its limit; then this agent traps.
//!
//! Task: how many MiB to be content with; empty for all there is.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::hint::black_box;

const MIB: usize = 1 << 20;

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let enough: usize = task.trim().parse().unwrap_or(usize::MAX);
        let mut hoard = Vec::new();
        while hoard.len() < enough {
            // When the host refuses more memory, the allocator gives up with a trap.
            hoard.push(black_box(vec![1u8; MIB]));
        }
        Ok(format!("held {} MiB", hoard.len()))
    }
}
