//! Never ends. The host must stop it at its CPU limit, and other runs must not notice.
//!
//! Task: how many millions of steps to take before ending after all; empty for no end.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::hint::black_box;

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let millions: u64 = task.trim().parse().unwrap_or(u64::MAX);
        let mut sum = 0u64;
        for step in 0..millions.saturating_mul(1_000_000) {
            // Without the black box the compiler would do all steps at once.
            sum = black_box(sum.wrapping_add(step));
        }
        Ok(format!("ended after {millions} million steps"))
    }
}
