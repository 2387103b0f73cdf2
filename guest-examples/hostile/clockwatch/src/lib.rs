//! Looks at the clock until an hour has passed, without ever waiting. Time must stand still for it while it computes, and its CPU limit end it.
//!
//! Task: ignored.

wit_bindgen::generate!({
    world: "clockwatch",
    path: ["../../fixtures/wasi/io.wit", "../../fixtures/wasi/clocks.wit"],
    inline: "
        package acme:clockwatch;

        world clockwatch {
            import wasi:clocks/monotonic-clock@0.2.12;
            export run: func(task: string) -> result<string, string>;
        }
    ",
    generate_all,
});

use wasi::clocks::monotonic_clock::now;

const HOUR_NS: u64 = 60 * 60 * 1_000_000_000;

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        let start = now();
        while now() - start < HOUR_NS {}
        Ok("an hour has passed".into())
    }
}
