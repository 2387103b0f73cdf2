//! An authority can be looked into, not taken apart.
use holdshort_gate::Permit;
use holdshort_journal::Authorized;

fn apart(authorized: Authorized) -> Permit {
    *authorized
}

fn main() {}
