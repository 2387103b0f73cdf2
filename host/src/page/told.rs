//! A run's events as steps that read like a story: what happened to one call stands together, and routine calls in a row are one step.
//!
//! **Invariant:** A page of a run's story ends after a number of events or of bytes, so neither a long run nor a wordy agent makes it heavy. A
//! part of a text is shown only where the page says so, with a link to the whole.

use std::collections::BTreeMap;

use holdshort_gate::{CallNumber, Event, Recorded, RunId, Seq, Time};

use super::frame::{Trouble, When};
use crate::api::Api;
use crate::review::{Text, story};

/// Events on one page of a timeline.
pub(super) const EVENTS: usize = 100;
/// Bytes of sentences after which a page ends, so that it stays light.
const BYTES: usize = 24 * 1024;
/// Events that are read at a time.
const CHUNK: usize = 32;

/// A page of a run's story.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) steps: Vec<Step>,
    /// The number of the last event that is told.
    pub(super) last: Seq,
    /// Whether there is more after it.
    pub(super) more: bool,
    events: usize,
    bytes: usize,
}

/// What belongs together.
#[derive(Debug)]
pub(super) enum Step {
    /// Something that happened to the run.
    Run(Line),
    /// What happened to a consequential call, without a break.
    Call(CallNumber, Vec<Line>),
    /// Calls that hold nothing up, how many of which function.
    Routine(BTreeMap<String, usize>, Vec<Line>),
}

/// One event.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) when: When,
    pub(super) call: Option<CallNumber>,
    pub(super) text: Text,
    /// The beginning of what was done, as the connector reports it.
    pub(super) receipt: Option<Text>,
}

impl Told {
    /// What comes after an event. Events are read a few at a time: a journal may be long.
    pub(super) async fn read(api: &Api, run: &RunId, after: Seq) -> Result<Self, Trouble> {
        let now = api.journal().now();
        let mut told = Self { last: after, more: true, ..Self::default() };
        while told.more && !told.full() {
            let read = api.journal().events(run, told.last, CHUNK.min(EVENTS - told.events)).await?;
            told.more = read.more;
            for recorded in &read.events {
                if told.full() {
                    told.more = true;
                    break;
                }
                told.add(recorded, now);
            }
        }
        Ok(told)
    }

    fn full(&self) -> bool {
        self.events >= EVENTS || self.bytes >= BYTES
    }

    fn add(&mut self, recorded: &Recorded, now: Time) {
        let event = &recorded.event;
        let receipt = if let Event::EffectSucceeded { receipt, .. } = event {
            Some(Text::line(&story::short(&receipt.to_string())))
        } else {
            None
        };
        let text = Text::line(&story::sentence(event));
        let line = Line { when: When::new(recorded.at, now), call: event.call(), text, receipt };
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
    /// `12 routine calls: repository.log ×3, …`
    pub(super) fn note(&self) -> Text {
        let Self::Routine(counts, lines) = self else { return Text::default() };
        let each: Vec<String> = counts.iter().map(|(name, count)| format!("{name} ×{count}")).collect();
        let calls = if lines.len() == 1 { "1 routine call".into() } else { format!("{} routine calls", lines.len()) };
        Text::line(&format!("{calls}: {}", each.join(", ")))
    }
}

/// A function without package and version, which stand in the line itself.
fn name(capability: &holdshort_gate::Capability) -> String {
    let interface = capability.interface().rsplit('/').next().unwrap_or_default();
    format!("{}.{}", interface.split('@').next().unwrap_or_default(), capability.function())
}
