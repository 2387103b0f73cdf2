//! A run's events as steps of a timeline. Consecutive events of one call form one step, and so do
//! consecutive routine calls.

use std::collections::BTreeMap;

use holdshort_gate::{CallNumber, Event, RecordedEvent, RunId, Seq, Time};

use super::frame::{ErrorPage, ShownTime};
use crate::api::Api;
use crate::review::{Text, sentences};

/// The maximum number of events on a page.
pub(super) const EVENTS: usize = 100;
/// A page also ends after this many bytes of sentences.
const BYTES: usize = 24 * 1024;
/// The number of events per read of the journal.
const CHUNK: usize = 32;

/// A page of the timeline.
#[derive(Debug, Default)]
pub(super) struct TimelinePage {
    pub(super) steps: Vec<Step>,
    /// The last event of the page.
    pub(super) last: Seq,
    /// Whether more events follow.
    pub(super) more: bool,
    events: usize,
    bytes: usize,
}

/// Consecutive events of one subject.
#[derive(Debug)]
pub(super) enum Step {
    /// An event of the run itself.
    Run(Line),
    /// Consecutive events of one consequential call.
    Call(CallNumber, Vec<Line>),
    /// Consecutive routine calls, with a count for each function.
    Routine(BTreeMap<String, usize>, Vec<Line>),
}

/// One event.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) when: ShownTime,
    pub(super) call: Option<CallNumber>,
    pub(super) text: Text,
    /// The beginning of the connector's report.
    pub(super) receipt: Option<Text>,
}

impl TimelinePage {
    /// Reads the events after `after`, a few per read, because a journal may be long.
    pub(super) async fn read(api: &Api, run: &RunId, after: Seq) -> Result<Self, ErrorPage> {
        let now = api.journal().now();
        let mut timeline = Self { last: after, more: true, ..Self::default() };
        while timeline.more && !timeline.full() {
            let read = api.journal().events(run, timeline.last, CHUNK.min(EVENTS - timeline.events)).await?;
            timeline.more = read.more;
            for recorded in &read.events {
                if timeline.full() {
                    timeline.more = true;
                    break;
                }
                timeline.add(recorded, now);
            }
        }
        Ok(timeline)
    }

    fn full(&self) -> bool {
        self.events >= EVENTS || self.bytes >= BYTES
    }

    fn add(&mut self, recorded: &RecordedEvent, now: Time) {
        let event = &recorded.event;
        let receipt = if let Event::EffectSucceeded { receipt, .. } = event {
            Some(Text::line(&sentences::short(&receipt.to_string())))
        } else {
            None
        };
        let text = Text::line(&sentences::sentence(event));
        let line = Line { when: ShownTime::new(recorded.at, now), call: event.call(), text, receipt };
        self.last = recorded.seq;
        self.events += 1;
        self.bytes += line.text.to_string().len();
        match (event, self.steps.last_mut()) {
            (Event::RoutineReturned { capability, .. }, Some(Step::Routine(counts, lines))) => {
                *counts.entry(name(capability)).or_default() += 1;
                lines.push(line);
            }
            (Event::RoutineReturned { capability, .. }, _) => {
                self.steps.push(Step::Routine(BTreeMap::from([(name(capability), 1)]), vec![line]));
            }
            (_, Some(Step::Call(number, lines))) if line.call == Some(*number) => lines.push(line),
            (_, _) => self.steps.push(match line.call {
                Some(number) => Step::Call(number, vec![line]),
                None => Step::Run(line),
            }),
        }
    }
}

impl Step {
    /// A summary such as `12 routine calls: repository.log ×3, …`.
    pub(super) fn note(&self) -> Text {
        let Self::Routine(counts, lines) = self else { return Text::default() };
        let each: Vec<String> = counts.iter().map(|(name, count)| format!("{name} ×{count}")).collect();
        let calls = if lines.len() == 1 { "1 routine call".into() } else { format!("{} routine calls", lines.len()) };
        Text::line(&format!("{calls}: {}", each.join(", ")))
    }
}

/// The names of interface and function, without package and version. The event's own line has the full name.
fn name(capability: &holdshort_gate::Capability) -> String {
    let interface = capability.interface().rsplit('/').next().unwrap_or_default();
    format!("{}.{}", interface.split('@').next().unwrap_or_default(), capability.function())
}
