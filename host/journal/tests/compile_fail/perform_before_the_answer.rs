//! A start that was only submitted is no authority: the start may not be on disk yet.
use holdshort_gate::RunId;
use holdshort_gate::command::Start;
use holdshort_journal::{Authorized, Fence, Journal};

fn perform(_: Authorized) {}

fn hurry(journal: &Journal, run: &RunId) {
    perform(journal.submit(run, Some(1), Fence::None, Start { perform_within_ms: 1_000 }));
}

fn main() {}
