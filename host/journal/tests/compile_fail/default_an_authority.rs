//! There is no authority to begin with.
use holdshort_journal::Authorized;

fn main() {
    let _: Authorized = Default::default();
}
