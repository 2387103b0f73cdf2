//! Calls with an argument of 128 MiB. The host must refuse it before it copies it; then this agent ends alone.
//!
//! Task: how many MiB; empty for 128. The pages are fresh and never touched, so only the host's own reading of them would cost memory.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::alloc::{Layout, alloc};
use std::slice;

use holdshort::agent::workspace;

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let mib: usize = task.trim().parse().unwrap_or(128);
        let layout = Layout::array::<u8>(mib << 20).map_err(|error| error.to_string())?;
        // SAFETY: none is needed; what is there is new and full of zeros, which are text, and nobody frees it.
        let path = unsafe {
            let room = alloc(layout);
            if room.is_null() {
                return Err(format!("there are no {mib} MiB"));
            }
            str::from_utf8_unchecked(slice::from_raw_parts(room, layout.size()))
        };
        let answer = workspace::read_file(path);
        Ok(format!("the host took {mib} MiB: {answer:?}"))
    }
}
