//! A connector does not accept a permit without the proof that its start is on disk.
use holdshort_gate::Permit;
use holdshort_journal::Authorized;

trait Perform {
    fn perform(&self, authorized: Authorized);
}

fn hurry(connector: &dyn Perform, permit: Permit) {
    connector.perform(permit);
}

fn main() {}
