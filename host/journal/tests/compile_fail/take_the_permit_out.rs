//! The permit in an authority can be read but not taken out.
use holdshort_gate::Permit;
use holdshort_journal::Authorized;

fn apart(authorized: Authorized) -> Permit {
    *authorized
}

fn main() {}
