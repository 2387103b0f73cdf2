//! A permit cannot be read back from storage.
use holdshort_gate::Permit;

fn main() {
    let _: Permit = serde_json::from_str("{}").unwrap();
}
