//! A connector that is given a permit whose start is not known to be on disk does not perform.
use holdshort_gate::Permit;
use holdshort_journal::Authorized;

trait Perform {
    fn perform(&self, authorized: Authorized);
}

fn hurry(connector: &dyn Perform, permit: Permit) {
    connector.perform(permit);
}

fn main() {}
