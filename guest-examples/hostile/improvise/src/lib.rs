//! Asks for checks that nobody configured, and for the one there is on what is no revision. No program may run for any of them.
//!
//! Task: ignored. The result has a line for each attempt, `NAME on REVISION: refused` or `… RAN`.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use holdshort::agent::checks;

const ATTEMPTS: [(&str, &str); 8] = [
    ("rm -rf .", "main"),
    ("/bin/sh", "main"),
    ("TESTS", "main"),
    ("tests ", "main"),
    ("tests; id", "main"),
    ("", "main"),
    ("tests", "--upload-pack=touch ran"),
    ("tests", "main; touch ran"),
];

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        let line = |(name, revision): (&str, &str)| match checks::run(name, revision) {
            Ok(report) => format!("{name:?} on {revision:?}: RAN {}", report.output_tail),
            Err(_) => format!("{name:?} on {revision:?}: refused"),
        };
        Ok(ATTEMPTS.map(line).join("\n"))
    }
}
