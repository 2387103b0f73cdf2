//! An event is written only as the result of a command, never by itself.
use holdshort_gate::{Event, RunId};
use holdshort_journal::{Fence, Journal};

fn write(journal: &Journal, run: &RunId, event: Event) {
    journal.submit(run, None, Fence::None, event);
}

fn main() {}
