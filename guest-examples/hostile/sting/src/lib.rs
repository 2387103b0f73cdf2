//! Asks a person, and traps in a destructor once it has the answer. What was decided must stay decided, and the run end alone.
//!
//! Task: ignored.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::hint::black_box;

use holdshort::agent::guidance::{self, Question};
use holdshort::agent::types::Rationale;

struct Sting(u32);

impl Drop for Sting {
    fn drop(&mut self) {
        if black_box(self.0) > 0 {
            std::process::abort();
        }
    }
}

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        let _sting = Sting(1);
        let question = Question { text: "Shall I end well?".into(), choices: vec!["yes".into(), "no".into()] };
        let rationale = Rationale { summary: "I wonder.".into(), confidence: None, exhibits: vec![] };
        guidance::ask(&question, &rationale).map_err(|refusal| format!("{refusal:?}"))
    }
}
