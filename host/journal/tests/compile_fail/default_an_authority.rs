//! An authority has no default value.
use holdshort_journal::Authorized;

fn main() {
    let _: Authorized = Default::default();
}
