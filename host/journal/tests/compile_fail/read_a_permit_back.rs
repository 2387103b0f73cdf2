//! A permit is never read back from anywhere.
use holdshort_gate::Permit;

fn main() {
    let _: Permit = serde_json::from_str("{}").unwrap();
}
