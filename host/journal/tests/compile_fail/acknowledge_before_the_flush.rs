//! The outcome that `decide` returns is no proof that the decision is on disk, so it acknowledges nothing.
use holdshort_gate::Command;
use holdshort_gate::command::{Decide, DecisionOutcome};
use holdshort_gate::{Subject, Time};
use holdshort_journal::Flushed;

fn acknowledge(_: Flushed<DecisionOutcome>) {}

fn hurry(decide: Decide, subject: &Subject) {
    let (_, outcome) = decide.decide(subject, Time(0)).unwrap();
    acknowledge(outcome);
}

fn main() {}
