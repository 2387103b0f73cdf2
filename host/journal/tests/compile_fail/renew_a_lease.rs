//! Leave to drive a run is taken from the journal, not taken back by hand from whoever has it now.
use holdshort_journal::Lease;

fn renew(lease: &mut Lease) {
    lease.epoch += 1;
}

fn main() {}
