//! Follows one run over HTTP and says what happens in it, and what its agent says, beside the results.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use holdshort_gate::Event;
use jiff::Timestamp;
use serde_json::Value;

use super::args::{CallId, RunName};
use super::client::{self, ApprovalDetail, Client, EventPage, LogLine, LogPage, RunRow};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::review::story;
use crate::review::terminal;

/// Events, or lines of the agent's log, of one request.
const PAGE: u32 = 100;
/// How often the host is asked for news: faster than a person notices.
const PAUSE: Duration = Duration::from_millis(100);

/// A run, seen by whoever started it.
pub(super) struct Watch<'a> {
    pub(super) client: &'a Client,
    pub(super) run: RunName,
    pub(super) output: &'a Output,
    /// Ends the watching, not the run.
    pub(super) interrupted: &'a AtomicBool,
}

impl Watch<'_> {
    /// Follows the run until it is over, and returns its row; none if the watching was interrupted. `on_hold` is called for each call that waits.
    /// It asks at intervals and keeps nothing open at the host. A request that fails ends the watching and never the run.
    pub(super) fn until_over(
        &self,
        mut on_hold: impl FnMut(&CallId) -> Result<(), Failure>,
    ) -> Result<Option<Value>, Failure> {
        let mut seen = Seen::default();
        let mut progress = None;
        loop {
            // Asked first, so that whatever an ended run wrote is among the events that follow.
            let answer = self.client.run(&self.run)?;
            let row = client::read::<RunRow>(&answer)?;
            loop {
                let news = self.news(&seen)?;
                if news.is_empty() {
                    break;
                }
                progress = None;
                for (_, new) in &news {
                    match new {
                        New::Event(event) => {
                            seen.event = event.seq;
                            self.tell(event, &mut on_hold)?;
                        }
                        New::Line(line) => {
                            seen.line = line.number;
                            self.repeat(line);
                        }
                    }
                }
            }
            if row.is_over() {
                return Ok(Some(answer));
            }
            if self.interrupted.load(Ordering::Relaxed) {
                return Ok(None);
            }
            progress.get_or_insert_with(|| self.output.progress(&doing(&row)));
            thread::sleep(PAUSE);
        }
    }

    /// What comes next of what happened and of what the agent said, as it came; there may be more.
    /// Events are asked for first: the lines that were said before them are there by then.
    fn news(&self, seen: &Seen) -> Result<Vec<(Timestamp, New)>, Failure> {
        let page = |what: &str, after: u64| {
            let query = [("after", after.to_string()), ("limit", PAGE.to_string())];
            self.client.get::<Value>(&format!("/runs/{}/{what}", self.run), &query)
        };
        let events = client::read::<EventPage>(&page("events", seen.event)?)?;
        let lines = client::read::<LogPage>(&page("logs", seen.line)?)?;
        // Where one page ends early, what is later on the other one may belong behind what is not there yet: it is asked for again.
        let last_event = events.next.and(events.events.last()).map(|event| at(&event.at));
        let last_line = lines.next.and(lines.lines.last()).map(|line| at(&line.at));
        let until = last_event.into_iter().chain(last_line).min();
        let events = events.events.into_iter().map(|event| (at(&event.at), New::Event(event)));
        let lines = lines.lines.into_iter().map(|line| (at(&line.at), New::Line(line)));
        let mut news: Vec<_> = events.chain(lines).filter(|(at, _)| until.is_none_or(|until| *at <= until)).collect();
        news.sort_by_key(|(at, _)| *at);
        Ok(news)
    }

    /// Says what the agent said, as its words.
    fn repeat(&self, line: &LogLine) {
        let label = format!("{} says ({}): ", self.run, line.level);
        self.output.aside(&terminal::said(&label, &line.message, self.output.columns()));
    }

    /// Says what an event means, or hands a hold to whoever decides.
    /// Events of the run itself, those that are no news, and those of kinds that this program does not know yet are passed over.
    fn tell(
        &self,
        event: &client::Event,
        on_hold: &mut impl FnMut(&CallId) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if let Some(delayed @ Event::RunDelayed { .. }) = event.known() {
            let (label, columns) = (format!("{} ", self.run), self.output.columns());
            self.output.aside(&terminal::row(&label, &story::sentence(&delayed), columns));
            return Ok(());
        }
        let call = event.data.get("call").and_then(Value::as_u64).and_then(|call| u32::try_from(call).ok());
        let Some(call) = call else { return Ok(()) };
        let id = CallId { run: self.run.clone(), call };
        if matches!(event.kind.as_str(), "call-held" | "call-reheld" | "call-revised") {
            // What was held a moment ago may be decided by now.
            let detail = client::read::<ApprovalDetail>(&self.client.approval(&id)?)?;
            return if detail.state == "held" { on_hold(&id) } else { Ok(()) };
        }
        let known = event.known().filter(is_news);
        if let Some(known) = &known {
            let columns = self.output.columns();
            self.output.aside(&terminal::row(&format!("{id} "), &story::sentence(known), columns));
            if let Event::EffectSucceeded { receipt, .. } = known {
                self.output.aside(&terminal::value(receipt, columns));
            }
            // Not before the host has looked: it settles what it can by itself.
            if matches!(known, Event::EffectLookedUp { .. }) {
                self.output.note(&format!("settle it: holdshort runs resolve {id} done|not-done|abandon|send-again"));
            }
        }
        Ok(())
    }
}

/// The numbers of the last event and the last line that were told.
#[derive(Default)]
struct Seen {
    event: u64,
    line: u64,
}

/// Something new in a run.
enum New {
    /// Something happened.
    Event(client::Event),
    /// The agent said something.
    Line(LogLine),
}

/// A point in time, to put what happened in order. One that this program cannot read is the earliest, so that it holds nothing up.
fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp::MIN)
}

/// Whether whoever watches needs to be told; the calls that hold short are shown whole instead.
fn is_news(event: &Event) -> bool {
    matches!(
        event,
        Event::CallRefused { .. }
            | Event::DecisionMade { .. }
            | Event::CallExpired { .. }
            | Event::EffectPostponed { .. }
            | Event::EffectSucceeded { .. }
            | Event::EffectFailed { .. }
            | Event::EffectInDoubt { .. }
            | Event::EffectLookedUp { .. }
            | Event::EffectResolved { .. }
    )
}

/// What the sign of life says while nothing happens.
fn doing(row: &RunRow) -> String {
    match row.waiting_for {
        Some(call) => format!("{}.{call} holds short", row.id),
        None => format!("{} is {}", row.id, row.state),
    }
}

/// Prints what a run that is over returned, alone on stdout, and says how the program ends.
pub(super) fn finish(answer: &Value, output: &Output) -> Result<Exit, Failure> {
    let row = client::read::<RunRow>(answer)?;
    let exit = if row.state == "finished" { Exit::Done } else { Exit::RunEnded };
    if output.json {
        output.json(answer)?;
        return Ok(exit);
    }
    let result = row.result.as_ref();
    let said = |arm: &str| result.and_then(|result| result.get(arm)).and_then(Value::as_str);
    match (said("ok"), said("err")) {
        (Some(text), _) => output.returned(text)?,
        (None, Some(text)) => output.note(&format!("{} failed, as its agent reports: {text}", row.id)),
        (None, None) => {
            let why = row.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            output.note(&format!("{} is {}{why}", row.id, row.state));
        }
    }
    Ok(exit)
}
