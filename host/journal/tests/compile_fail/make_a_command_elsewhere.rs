//! Only the gate defines commands: a command of other code could produce any event.
use holdshort_gate::{Command, Event, Refused, RunId, Subject, Time};

struct ClearEverything;

impl Command for ClearEverything {
    type About = RunId;
    type Output = ();

    fn decide(self, _: &Subject, _: Time) -> Result<(Vec<Event>, ()), Refused> {
        Ok((Vec::new(), ()))
    }
}

fn main() {}
