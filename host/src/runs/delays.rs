//! Decides when a delay is recorded: an event that says that the host repeatedly failed to continue a run.
//!
//! **Invariant:** a delay is recorded as an event and as a state of the run. So pages, programs, notifications and
//! figures see it as they see every event and state, and a restarted host shows it too. The next step of the run ends
//! the delay. Replay skips it, because it is no action of the agent. While the journal cannot be written, no delay can
//! be recorded; `/readyz` reports that.

use holdshort_gate::command::Delay;

use super::failure::Failure;

/// The number of consecutive failures from which a delay is recorded. A single failure usually passes before a person
/// could look.
const FIRST: u32 = 2;

/// Up to this number of tries, a changed reason is recorded at once. After that it is not, because a reason that
/// changes at each try would fill the journal.
const CHANGES_UP_TO: u32 = 64;

/// The maximum length of a reason in bytes, for one line.
const REASON_BYTES_MAX: usize = 500;

/// The consecutive failures of one run.
pub(super) struct Delays {
    tries: u32,
    told_after: u32,
    told: bool,
    /// The last recorded reason.
    written: String,
}

impl Delays {
    /// The counter of a run without failures. Reviewers are notified at the failure `told_after`.
    pub(super) fn new(told_after: u32) -> Self {
        Self { tries: 0, told_after: told_after.max(FIRST), told: false, written: String::new() }
    }

    /// Counts a failure. Returns the delay to record: at the second failure, when the reason changes, when reviewers
    /// are to be notified, and at each power of two. Otherwise `None`.
    pub(super) fn failed(&mut self, failure: &Failure) -> Option<Delay> {
        self.tries = self.tries.saturating_add(1);
        let reason = on_one_line(&failure.to_string());
        let changed = reason != self.written && self.tries <= CHANGES_UP_TO;
        let told = !self.told && self.tries >= self.told_after;
        if self.tries < FIRST || !(told || changed || self.tries.is_power_of_two()) {
            return None;
        }
        Some(Delay { reason, tries: self.tries, told })
    }

    /// Notes that the journal has recorded a delay. A delay that could not be recorded is due again at the next failure.
    pub(super) fn recorded(&mut self, delay: Delay) {
        self.told |= delay.told;
        self.written = delay.reason;
    }
}

fn on_one_line(text: &str) -> String {
    let mut line = text.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    if line.len() > REASON_BYTES_MAX {
        line.truncate(line.floor_char_boundary(REASON_BYTES_MAX));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tries at which a delay is recorded, and the tries at which reviewers are notified.
    fn written(told_after: u32, tries: u32, reason: impl Fn(u32) -> String) -> (Vec<u32>, Vec<u32>) {
        let mut delays = Delays::new(told_after);
        let all = (1..=tries).filter_map(|number| {
            let delay = delays.failed(&Failure::Host(reason(number)))?;
            delays.recorded(delay.clone());
            Some(delay)
        });
        let all: Vec<Delay> = all.collect();
        (
            all.iter().map(|delay| delay.tries).collect(),
            all.iter().filter(|delay| delay.told).map(|delay| delay.tries).collect(),
        )
    }

    #[test]
    fn a_delay_is_written_when_it_begins_and_ever_more_seldom_and_told_once() {
        assert_eq!(written(5, 1, |_| "same".into()), (vec![], vec![]));
        assert_eq!(written(5, 40, |_| "same".into()), (vec![2, 4, 5, 8, 16, 32], vec![5]));
        assert_eq!(written(1, 40, |_| "same".into()).1, [2]);
    }

    #[test]
    fn another_reason_is_written_at_once_and_many_do_not_fill_the_journal() {
        assert_eq!(written(9, 8, |number| (number / 3).to_string()).0, [2, 3, 4, 6, 8]);
        let (flaps, told) = written(9, 100_000, |number| number.to_string());
        assert_eq!((flaps.len(), told), (63 + 10, vec![9]));
    }

    /// While the journal cannot be written, neither the notification nor a changed reason is lost.
    #[test]
    fn a_delay_that_could_not_be_recorded_is_due_again() {
        let mut delays = Delays::new(3);
        let failure = Failure::Host("full disk".into());
        let due: Vec<_> = (1..=40).map(|_| delays.failed(&failure)).collect();
        assert_eq!(due[0], None);
        for (delay, tries) in due[1..].iter().zip(2..) {
            assert_eq!(delay, &Some(Delay { reason: "full disk".into(), tries, told: tries >= 3 }));
        }
        delays.recorded(due[39].clone().unwrap());
        let due: Vec<_> = (41..=64).filter_map(|_| delays.failed(&failure)).collect();
        assert_eq!(due, [Delay { reason: "full disk".into(), tries: 64, told: false }]);
    }

    #[test]
    fn a_reason_is_one_line() {
        let mut delays = Delays::new(2);
        let failure = Failure::Host(format!("cannot:\n- one\n\n- {}", "ä".repeat(1_000)));
        assert!(delays.failed(&failure).is_none());
        let reason = delays.failed(&failure).unwrap().reason;
        assert!(reason.starts_with("cannot: - one - ä") && reason.len() <= REASON_BYTES_MAX + 3, "{reason}");
    }
}
