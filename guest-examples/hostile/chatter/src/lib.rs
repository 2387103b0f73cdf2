//! Writes log lines without end. They are no calls that are journaled, so the host's other limits must stop it, and its disk must not fill.
//!
//! Task: ignored.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use holdshort::agent::log::{self, Level};

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        for number in 0u64.. {
            log::log(Level::Error, &format!("{number} {}", "chatter ".repeat(500)));
        }
        Ok("said everything".into())
    }
}
