//! A permit cannot be copied, so a legal start gives only one permit.
use holdshort_gate::Permit;

fn twice(permit: Permit) -> (Permit, Permit) {
    (permit.clone(), permit)
}

fn main() {}
