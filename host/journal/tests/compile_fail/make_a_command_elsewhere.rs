//! What may happen to a call is said in the gate alone: a command of one's own could yield anything.
use holdshort_gate::{Command, Event, Refused, Subject, Time};

struct ClearEverything;

impl Command for ClearEverything {
    type Out = ();

    fn decide(self, _: &Subject, _: Time) -> Result<(Vec<Event>, ()), Refused> {
        Ok((Vec::new(), ()))
    }
}

fn main() {}
