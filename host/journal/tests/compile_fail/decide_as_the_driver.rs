//! What people decide is written at the desk. The driver, which writes what agents do, has no way to decide.
use holdshort_gate::CallId;
use holdshort_gate::command::Decide;
use holdshort_journal::Driver;

fn decide(driver: &Driver, call: &CallId, decision: Decide) {
    let _ = driver.submit(call, decision);
}

fn main() {}
