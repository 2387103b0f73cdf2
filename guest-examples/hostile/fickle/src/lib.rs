//! Tries to be another in every replay: asks a person a question made of everything that could differ from one time to the next, twice.
//! The host must give it nothing that differs; what still did would stop the run as diverged.
//!
//! Task: ignored. The result is both questions; the second has the first in it, made anew.

wit_bindgen::generate!({
    world: "fickle",
    path: ["../../fixtures/wasi/io.wit", "../../fixtures/wasi/clocks.wit", "../../fixtures/wasi/random.wit", "../../../wit"],
    inline: "
        package acme:fickle;

        world fickle {
            import holdshort:agent/guidance@0.1.0;
            import wasi:clocks/monotonic-clock@0.2.12;
            import wasi:clocks/wall-clock@0.2.12;
            import wasi:random/insecure-seed@0.2.12;
            import wasi:random/random@0.2.12;
            export run: func(task: string) -> result<string, string>;
        }
    ",
    generate_all,
});

use std::collections::HashSet;
use std::hint::black_box;

use holdshort::agent::guidance::{self, Question};
use holdshort::agent::types::Rationale;
use wasi::clocks::{monotonic_clock, wall_clock};
use wasi::random::{insecure_seed, random};

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        let first = ask(mood())?;
        ask(format!("{first}; {}", mood()))
    }
}

/// Clocks, randomness, the order of a hash set, where things lie, what a NaN is made of.
fn mood() -> String {
    let order: Vec<u32> = HashSet::<u32>::from_iter(0..10).into_iter().collect();
    let nan = (black_box(0.0_f64) / black_box(0.0)).to_bits();
    let wall = wall_clock::now();
    let clocks = (monotonic_clock::now(), wall.seconds, wall.nanoseconds);
    let randoms = (random::get_random_u64(), insecure_seed::insecure_seed());
    format!("{clocks:?} {randoms:?} {order:?} {:p} {nan:x}", Box::new(0))
}

fn ask(text: String) -> Result<String, String> {
    let rationale = Rationale { summary: "I have changed my mind.".into(), confidence: None, exhibits: vec![] };
    let question = Question { text: text.clone(), choices: vec![] };
    guidance::ask(&question, &rationale).map_err(|refusal| format!("{refusal:?}"))?;
    Ok(text)
}
