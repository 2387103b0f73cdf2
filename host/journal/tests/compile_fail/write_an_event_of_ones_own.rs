//! The journal accepts only commands, and writes the events that a command returns. Code cannot submit an event.
use holdshort_gate::{Event, RunId};
use holdshort_journal::{Fence, Journal};

fn write(journal: &Journal, run: &RunId, event: Event) {
    journal.submit(run, None, Fence::None, event);
}

fn main() {}
