//! Follows one run over HTTP and prints its events and its agent's log on stderr.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use holdshort_gate::{CallState, Event, RunState};
use serde_json::Value;

use super::args::{CallId, RunName};
use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::api::approvals::Approval;
use crate::api::history::{EventPage, Line, LogPage, RunEvent};
use crate::api::runs::{AgentResult, Run};
use crate::api::shapes::Moment;
use crate::review::sentences;
use crate::review::terminal;

/// Events or log lines per request.
const PAGE: u32 = 100;
/// The interval between requests: shorter than a person notices.
const PAUSE: Duration = Duration::from_millis(100);

/// A run that the command watches after it has started the run.
pub(super) struct RunWatch<'a> {
    pub(super) client: &'a Client,
    pub(super) run: RunName,
    pub(super) output: &'a Output,
    /// Set by Ctrl-C: it ends the watching, not the run.
    pub(super) interrupted: &'a AtomicBool,
}

impl RunWatch<'_> {
    /// Follows the run until it ends and returns its row; `None` if the watching was interrupted. Calls `on_hold` for
    /// each held call. The host is polled, so the host keeps nothing open for this watching. A failed request ends the
    /// watching and never the run.
    pub(super) fn until_over(
        &self,
        mut on_hold: impl FnMut(&CallId) -> Result<(), Failure>,
    ) -> Result<Option<Value>, Failure> {
        let mut seen = LastPrinted::default();
        let mut progress = None;
        loop {
            // The state is read first, so that the events after it contain everything that an ended
            // run wrote.
            let answer = self.client.run(&self.run)?;
            let row = client::read::<Run>(&answer)?;
            loop {
                let news = self.news(&seen)?;
                if news.is_empty() {
                    break;
                }
                progress = None;
                for (_, new) in &news {
                    match new {
                        NewEntry::Event(event) => {
                            seen.event = event.seq;
                            self.tell(event, &mut on_hold)?;
                        }
                        NewEntry::Line(line) => {
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

    /// The next events and log lines; there may be more. Events are read first: when an event can
    /// be read, the log lines before it can be read too.
    fn news(&self, seen: &LastPrinted) -> Result<Vec<(Moment, NewEntry)>, Failure> {
        let page = |what: &str, after: u64| {
            let query = [("after", after.to_string()), ("limit", PAGE.to_string())];
            self.client.get::<Value>(&format!("/runs/{}/{what}", self.run), &query)
        };
        let events = client::read::<EventPage>(&page("events", seen.event)?)?;
        let lines = client::read::<LogPage>(&page("logs", seen.line)?)?;
        // If one of the two pages ends early, entries of the other page may be later than entries that are not loaded
        // yet. Such later entries are left out now, and requested again.
        let last_event = events.next.and(events.events.last()).map(|event| event.at);
        let last_line = lines.next.and(lines.lines.last()).map(|line| line.at);
        let until = last_event.into_iter().chain(last_line).min();
        let events = events.events.into_iter().map(|event| (event.at, NewEntry::Event(event)));
        let lines = lines.lines.into_iter().map(|line| (line.at, NewEntry::Line(line)));
        let mut news: Vec<_> = events.chain(lines).filter(|(at, _)| until.is_none_or(|until| *at <= until)).collect();
        news.sort_by_key(|(at, _)| *at);
        Ok(news)
    }

    /// Prints a log line as the agent's words.
    fn repeat(&self, line: &Line) {
        let label = format!("{} says ({}): ", self.run, line.level);
        self.output.aside(&terminal::said(&label, &line.message, self.output.columns()));
    }

    /// Prints an event, or passes a held call to `on_hold`. Of the events of the run itself, only a
    /// delay is printed. Unimportant events and unknown kinds are skipped.
    fn tell(&self, event: &RunEvent, on_hold: &mut impl FnMut(&CallId) -> Result<(), Failure>) -> Result<(), Failure> {
        if let Some(delayed @ Event::RunDelayed { .. }) = event.known() {
            let (label, columns) = (format!("{} ", self.run), self.output.columns());
            self.output.aside(&terminal::row(&label, &sentences::sentence(&delayed), columns));
            return Ok(());
        }
        let call = event.data.get("call").and_then(Value::as_u64).and_then(|call| u32::try_from(call).ok());
        let Some(call) = call else { return Ok(()) };
        let id = CallId { run: self.run.clone(), call };
        if matches!(event.kind.as_str(), "call-held" | "call-reheld" | "call-revised") {
            // The call may have been decided meanwhile.
            let detail = client::read::<Approval>(&self.client.approval(&id)?)?;
            return if detail.state == CallState::Held { on_hold(&id) } else { Ok(()) };
        }
        let known = event.known().filter(is_news);
        if let Some(known) = &known {
            let columns = self.output.columns();
            self.output.aside(&terminal::row(&format!("{id} "), &sentences::sentence(known), columns));
            if let Event::EffectSucceeded { receipt, .. } = known {
                self.output.aside(&terminal::value(receipt, columns));
            }
            // The hint comes only after the host's lookup, because the lookup may find the outcome.
            if matches!(known, Event::EffectLookedUp { .. }) {
                self.output.note(&format!("resolve it: holdshort runs resolve {id} done|not-done|abandon|send-again"));
            }
        }
        Ok(())
    }
}

/// The numbers of the last printed event and log line.
#[derive(Default)]
struct LastPrinted {
    event: u64,
    line: u64,
}

/// A new entry of a run.
enum NewEntry {
    Event(RunEvent),
    Line(Line),
}

/// Whether an event is printed. Held calls are shown with their content instead.
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

/// The text of the progress animation for a run.
fn doing(row: &Run) -> String {
    match row.waiting_for {
        Some(call) => format!("{}.{call} is held", row.id),
        None => format!("{} is {}", row.id, row.state),
    }
}

/// Prints the result of an ended run, alone on stdout, and returns the exit code.
pub(super) fn finish(answer: &Value, output: &Output) -> Result<Exit, Failure> {
    let row = client::read::<Run>(answer)?;
    let exit = if row.state == RunState::Finished { Exit::Done } else { Exit::RunEnded };
    if output.json {
        output.json(answer)?;
        return Ok(exit);
    }
    match row.result {
        Some(AgentResult::Ok(text)) => output.returned(&text)?,
        Some(AgentResult::Err(text)) => output.note(&format!("{} failed, as its agent reports: {text}", row.id)),
        None => {
            let why = row.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            output.note(&format!("{} is {}{why}", row.id, row.state));
        }
    }
    Ok(exit)
}
