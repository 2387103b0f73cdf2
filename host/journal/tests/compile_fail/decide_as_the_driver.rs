//! Only the desk records people's decisions. The driver, which records the steps of agents, cannot decide.
use holdshort_gate::CallId;
use holdshort_gate::command::Decide;
use holdshort_journal::Driver;

fn decide(driver: &Driver, call: &CallId, decision: Decide) {
    let _ = driver.submit(call, decision);
}

fn main() {}
