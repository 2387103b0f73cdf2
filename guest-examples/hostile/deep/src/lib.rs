//! Recurses without end. The host's own stack must not run out: the run ends alone, as trapped.
//!
//! Task: how many levels to be content with; empty for no end.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::hint::black_box;

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let levels: u64 = task.trim().parse().unwrap_or(u64::MAX);
        Ok(format!("came back from level {}", down(levels)))
    }
}

#[inline(never)]
fn down(levels: u64) -> u64 {
    if black_box(levels) == 0 {
        return 0;
    }
    // The addition after the call keeps the compiler from making a loop of it.
    black_box(down(levels - 1)) + 1
}
