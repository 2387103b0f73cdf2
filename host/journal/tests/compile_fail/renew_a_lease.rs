//! The right to drive a run comes from the journal; a task cannot change a lease to get the right back.
use holdshort_journal::Lease;

fn renew(lease: &mut Lease) {
    lease.epoch += 1;
}

fn main() {}
