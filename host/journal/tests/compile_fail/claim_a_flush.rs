//! Only the journal can make the proof that something is on disk.
use holdshort_gate::Permit;
use holdshort_journal::{Authorized, Flushed};

fn claim(permit: Permit) -> Authorized {
    Flushed::after_commit(permit)
}

fn main() {}
