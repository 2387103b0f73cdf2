//! An authority cannot be serialised, so it cannot be used later or by another process.
use holdshort_journal::Authorized;

fn keep(authorized: Authorized) -> String {
    serde_json::to_string(&authorized).unwrap()
}

fn main() {}
