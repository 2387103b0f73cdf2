//! What an agent did is written with the lease of its run, which a newer task takes away. The driver has no way to write
//! it without the lease.
use holdshort_gate::RunId;
use holdshort_gate::command::Propose;
use holdshort_journal::Driver;

fn propose(driver: &Driver, run: &RunId, proposal: Propose) {
    let _ = driver.submit(run, proposal);
}

fn main() {}
