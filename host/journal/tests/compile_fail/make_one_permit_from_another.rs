//! A permit for one call is not turned into one for another.
use holdshort_gate::Permit;

fn another(permit: Permit) -> Permit {
    Permit { call: 2, ..permit }
}

fn main() {}
