//! A permit is not yet an authority, and outside the journal nothing makes it one.
use holdshort_gate::Permit;
use holdshort_journal::{Authorized, Flushed};

fn forge(permit: Permit) -> Authorized {
    Flushed(permit)
}

fn main() {}
