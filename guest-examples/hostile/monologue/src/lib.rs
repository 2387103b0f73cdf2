//! Answers with a result of 64 MiB. The host must not take it; the run ends alone.
//!
//! Task: how many MiB; empty for 64. The pages are fresh and never touched, so only the host's own reading of them would cost memory.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::alloc::{Layout, alloc};

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let mib: usize = task.trim().parse().unwrap_or(64);
        let layout = Layout::array::<u8>(mib << 20).map_err(|error| error.to_string())?;
        // SAFETY: what is there is new and full of zeros, which are text.
        unsafe {
            let room = alloc(layout);
            if room.is_null() {
                return Err(format!("there are no {mib} MiB"));
            }
            Ok(String::from_raw_parts(room, layout.size(), layout.size()))
        }
    }
}
