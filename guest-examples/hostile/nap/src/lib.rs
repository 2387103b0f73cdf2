//! Sleeps for a nanosecond, again and again. It uses next to no CPU time, so the host must count its sleeps.
//!
//! Task: how many; empty for no end.

wit_bindgen::generate!({
    world: "nap",
    path: ["../../fixtures/wasi/io.wit", "../../fixtures/wasi/clocks.wit"],
    inline: "
        package acme:nap;

        world nap {
            import wasi:clocks/monotonic-clock@0.2.12;
            export run: func(task: string) -> result<string, string>;
        }
    ",
    generate_all,
});

use wasi::clocks::monotonic_clock::subscribe_duration;

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let count: u64 = task.trim().parse().unwrap_or(u64::MAX);
        for _ in 0..count {
            subscribe_duration(1).block();
        }
        Ok(format!("slept {count} times"))
    }
}
