//! Counts what a run uses, and compares it with the run's limits.
//!
//! Replay counts again, so a run in memory knows its counts without the journal, and always stops at the same call.

use std::time::Duration;

use holdshort_gate::command::RunEnd;
use holdshort_gate::{CallNumber, RefusalReason, RunLimits};
use serde_json::Value;

/// One run's counts.
pub(super) struct Tally {
    limits: RunLimits,
    /// The number of the last call.
    pub(super) calls: CallNumber,
    /// The number of the last timer.
    pub(super) timers: u32,
    /// The number of held calls; known once the run is live.
    pub(super) held: u32,
    /// The bytes of the calls' arguments, results and evidence.
    bytes: u64,
    /// The CPU time for bringing the run back after its earlier long sleeps.
    earlier: Duration,
}

/// The limit of the total CPU time for bringing a run back, as a multiple of the run's CPU limit. Each replay costs the
/// CPU time that the run had used so far. Without a limit, a run that computes a little and sleeps often would keep the
/// host busy for ever.
const LIVES: u32 = 10;

/// The journal's bytes per call besides arguments and result: digests, names, times.
const CALL_BYTES: u64 = 300;

impl Tally {
    /// The counts at the start.
    pub(super) fn new(limits: RunLimits) -> Self {
        Self { limits, calls: 0, timers: 0, held: 0, bytes: 0, earlier: Duration::ZERO }
    }

    /// Counts a call. If the run may not make the call, returns how the run ends.
    pub(super) fn call(&mut self, arguments: &Value) -> Result<CallNumber, RunEnd> {
        self.one_more()?;
        self.bytes = self.bytes.saturating_add(CALL_BYTES).saturating_add(weight(arguments));
        if self.bytes > self.limits.journal_bytes {
            let max = self.limits.journal_bytes;
            return Err(RunEnd::Trapped(format!(
                "the host calls of the agent take more than {max} bytes in the journal"
            )));
        }
        self.calls += 1;
        Ok(self.calls)
    }

    /// Counts a timer. If the run may not sleep again, returns how the run ends.
    pub(super) fn timer(&mut self) -> Result<u32, RunEnd> {
        self.one_more()?;
        self.timers += 1;
        Ok(self.timers)
    }

    fn one_more(&self) -> Result<(), RunEnd> {
        if self.calls.saturating_add(self.timers) < self.limits.calls {
            return Ok(());
        }
        Err(RunEnd::Trapped(format!("the agent made more than {} host calls", self.limits.calls)))
    }

    /// Counts the result of a call.
    pub(super) fn returned(&mut self, result: &Value) {
        self.bytes = self.bytes.saturating_add(weight(result));
    }

    /// Takes over the counts of the replay when the run becomes live.
    pub(super) fn went_live(&mut self, held: u32, evidence_bytes: u64) {
        self.held = held;
        self.shown(evidence_bytes);
    }

    /// Counts the evidence of a call.
    pub(super) fn shown(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Counts the CPU time of one replay up to this sleep.
    pub(super) fn brought_back(&mut self, used: Duration) {
        self.earlier = self.earlier.saturating_add(used);
    }

    /// Whether a run that has used this CPU time may sleep so long that it is parked and replayed. If not, returns how
    /// the run ends.
    pub(super) fn may_come_back(&self, used: Duration) -> Result<(), RunEnd> {
        too_often(&self.limits, self.earlier.saturating_add(used)).map_or(Ok(()), Err)
    }

    /// The reason why the next call cannot be held, if there is one.
    pub(super) fn refuse_to_hold(&self) -> Option<RefusalReason> {
        self.limits.refuse_to_hold(self.held)
    }
}

/// How a run ends if its replays took too much CPU time in total; `None` if it may go on.
pub(super) fn too_often(limits: &RunLimits, lives: Duration) -> Option<RunEnd> {
    let max = Duration::from_millis(limits.cpu_ms).saturating_mul(LIVES);
    let reason = || {
        format!(
            "the agent slept or waited too often: after each wait the host replays the run, and the replays have together taken more than {} ms of CPU time",
            max.as_millis()
        )
    };
    (lives > max).then(|| RunEnd::Trapped(reason()))
}

/// The approximate length of a value as JSON, as the journal stores it.
pub(super) fn weight(value: &Value) -> u64 {
    let byte = |byte: u8| match byte {
        0..0x20 => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    let quoted = |text: &str| 2 + text.bytes().map(byte).sum::<u64>();
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => quoted(text),
        Value::Array(items) => items.iter().map(|item| 1 + weight(item)).sum::<u64>() + 2,
        Value::Object(fields) => fields.iter().map(|(name, field)| quoted(name) + 2 + weight(field)).sum::<u64>() + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tally(calls: u32, journal_bytes: u64) -> Tally {
        Tally::new(RunLimits { cpu_ms: 1, memory_bytes: 1, held_calls: 1, calls, journal_bytes })
    }

    #[test]
    fn a_value_weighs_about_what_its_text_does() {
        for value in [
            json!(null),
            json!("text"),
            json!({"a": [1, 2, {"b": "c"}], "d": "e".repeat(1000)}),
            json!(["x", "y\u{1}\n", "\\"]),
            json!("\u{1}\u{2}\u{3}".repeat(500)),
            json!("\"\\".repeat(500)),
        ] {
            let (text, weight) = (value.to_string().len() as u64, weight(&value));
            assert!(weight.abs_diff(text) <= text / 2 + 20, "{value}: {weight} instead of {text}");
        }
    }

    fn reason(refused: Result<u32, RunEnd>) -> String {
        match refused {
            Err(RunEnd::Trapped(reason)) => reason,
            Err(RunEnd::Finished(_) | RunEnd::Diverged { .. }) | Ok(_) => panic!("it went on"),
        }
    }

    #[test]
    fn calls_and_sleeps_are_counted_together() {
        let mut tally = tally(3, 1_000);
        assert_eq!(tally.call(&json!({})).ok(), Some(1));
        assert_eq!(tally.timer().ok(), Some(1));
        assert_eq!(tally.call(&json!({})).ok(), Some(2));
        assert_eq!(reason(tally.timer()), "the agent made more than 3 host calls");
        assert_eq!(reason(tally.call(&json!({}))), "the agent made more than 3 host calls");
    }

    #[test]
    fn arguments_and_results_are_counted_together() {
        let mut tally = tally(10, 1_000);
        let half = json!("x".repeat(300));
        assert_eq!(tally.call(&half).ok(), Some(1));
        tally.returned(&half);
        assert_eq!(
            reason(tally.call(&json!({}))),
            "the host calls of the agent take more than 1000 bytes in the journal"
        );
    }

    #[test]
    fn evidence_counts_and_so_do_earlier_lives() {
        let mut evident = tally(10, 1_000);
        evident.went_live(1, 900);
        assert!(evident.refuse_to_hold().is_some());
        assert_eq!(
            reason(evident.call(&json!({}))),
            "the host calls of the agent take more than 1000 bytes in the journal"
        );

        let (mut sleeper, life) = (tally(10, 1_000), Duration::from_millis(1));
        let lives =
            (0..).take_while(|_| sleeper.may_come_back(life).map(|()| sleeper.brought_back(life)).is_ok()).count();
        assert_eq!(lives, LIVES as usize);
    }
}
