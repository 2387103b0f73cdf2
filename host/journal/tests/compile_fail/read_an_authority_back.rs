//! An authority cannot be read back from storage.
use holdshort_journal::Authorized;

fn main() {
    let _: Authorized = serde_json::from_str("{}").unwrap();
}
