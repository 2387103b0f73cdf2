//! Reads outside of its workspace. Each attempt must be answered with an error, and none with a file.
//!
//! Task: ignored. The result has a line for each path, `PATH: refused` or `PATH: FOUND …`.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use holdshort::agent::workspace;

const PATHS: [&str; 16] = [
    "/etc/passwd",
    "../holdshort.toml",
    "../.holdshort/token",
    "x/../../holdshort.toml",
    "./../holdshort.toml",
    "link-out",
    "folder-out/holdshort.toml",
    "link-to-link",
    "..",
    ".",
    "",
    "..\\holdshort.toml",
    "%2e%2e/holdshort.toml",
    "report.txt\0/../../holdshort.toml",
    "/proc/self/environ",
    "file:///etc/passwd",
];

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        let line = |path: &str| match workspace::read_file(path) {
            Ok(text) => format!("{path:?}: FOUND {text}"),
            Err(_) => format!("{path:?}: refused"),
        };
        let listed = match workspace::list_files() {
            Ok(files) => files.into_iter().map(|file| file.path).collect::<Vec<_>>().join(" "),
            Err(error) => error,
        };
        Ok(PATHS.map(line).join("\n") + "\nlisted: " + &listed)
    }
}
