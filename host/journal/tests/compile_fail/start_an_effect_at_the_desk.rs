//! Only the dispatcher starts effects. The desk, at which people decide, has no way to start one.
use holdshort_gate::CallId;
use holdshort_gate::command::Start;
use holdshort_journal::Desk;

fn start(desk: &Desk, call: &CallId, start: Start) {
    let _ = desk.submit(call, start);
}

fn main() {}
