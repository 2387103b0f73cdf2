//! An agent's steps are recorded with the lease of its run, and a newer task takes this lease away. The driver cannot
//! record such a step without a lease.
use holdshort_gate::RunId;
use holdshort_gate::command::Propose;
use holdshort_journal::Driver;

fn propose(driver: &Driver, run: &RunId, proposal: Propose) {
    let _ = driver.submit(run, proposal);
}

fn main() {}
