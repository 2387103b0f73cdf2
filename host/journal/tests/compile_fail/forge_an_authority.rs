//! A permit is not yet an authority, and only the journal can turn it into one.
use holdshort_gate::Permit;
use holdshort_journal::{Authorized, Flushed};

fn forge(permit: Permit) -> Authorized {
    Flushed(permit)
}

fn main() {}
