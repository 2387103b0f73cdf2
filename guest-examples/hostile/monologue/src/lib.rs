//! Answers with a result of 64 MiB. The host must not take it; the run ends alone.
//!
//! Task: how many MiB; empty for 64.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let mib: usize = task.trim().parse().unwrap_or(64);
        Ok("x".repeat(mib * 1024 * 1024))
    }
}
