//! Breaks the rules of WebAssembly. The host must end this run alone, as trapped.
//!
//! Task: `panic` (also if empty), `unreachable`, `divide` (by zero) or `memory` (a write far outside).
//! With `after` in front, such as `after panic`, it makes a routine call first.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::hint::black_box;

use holdshort::agent::workspace;

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let task = task.trim();
        let how = task.strip_prefix("after").map_or(task, |rest| {
            // The answer does not matter; that a call was journaled does.
            let _ = workspace::list_files();
            rest.trim()
        });
        match how {
            "" | "panic" => panic!("this agent panics on purpose"),
            "unreachable" => std::process::abort(),
            // The core library panics before the division; that is a trap all the same.
            "divide" => Ok(format!("{}", black_box(1) / black_box(0))),
            "memory" => {
                let far = black_box(usize::MAX - 7) as *mut u64;
                // SAFETY: none; the sandbox is what is tested.
                unsafe { far.write_volatile(1) };
                Ok("wrote outside of the memory".into())
            }
            _ => Err(format!("`{how}` is not `panic`, `unreachable`, `divide` or `memory`")),
        }
    }
}
