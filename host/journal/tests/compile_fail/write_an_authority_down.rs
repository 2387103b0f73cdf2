//! An authority cannot be written down, to be used later or elsewhere.
use holdshort_journal::Authorized;

fn keep(authorized: Authorized) -> String {
    serde_json::to_string(&authorized).unwrap()
}

fn main() {}
