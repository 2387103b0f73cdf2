//! A permit for one call cannot be turned into a permit for another call.
use holdshort_gate::Permit;

fn another(permit: Permit) -> Permit {
    Permit { call: 2, ..permit }
}

fn main() {}
