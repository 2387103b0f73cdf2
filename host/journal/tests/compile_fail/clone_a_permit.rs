//! A permit cannot be copied. A `Start` command that succeeds returns one permit, and there is no second one.
use holdshort_gate::Permit;

fn twice(permit: Permit) -> (Permit, Permit) {
    (permit.clone(), permit)
}

fn main() {}
