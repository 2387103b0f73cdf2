//! An authority is never read back from anywhere.
use holdshort_journal::Authorized;

fn main() {
    let _: Authorized = serde_json::from_str("{}").unwrap();
}
