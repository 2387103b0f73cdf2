//! An event is written as what follows from a command, never by itself.
use holdshort_gate::{Event, RunId};
use holdshort_journal::{Fence, Journal};

fn write(journal: &Journal, run: &RunId, event: Event) {
    journal.submit(run, None, Fence::None, event);
}

fn main() {}
