//! An agent in memory: its instance, and the replay position.
//!
//! All of this runs on the agents' threads and counts as the run's CPU time: the agent's code, the conversion of its
//! values to JSON, the digests of its calls, and replay. The agent continues without the host's threads as long as the
//! journal has the answers, so a replayed call or a log line costs no change of threads. Then a `Need` says what the
//! agent waits for.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::command::RunEnd;
use holdshort_gate::{Action, Answer, CallNumber, Capability, Digest, RefusalReason, Run, Time};
use serde_json::Value;

use super::agents::LoadedAgent;
use super::catalogue::BoundOffer;
use super::cursor::{Cursor, ReplayedCall, ReplayedSleep, describe, describe_sleep};
use super::failure::Failure;
use super::slots::InstanceSlot;
use super::tally::Tally;
use crate::agent::{Guest, HostCall, Meter, Step, Trap, log_line};
use crate::kill;

/// The maximum bytes of log lines that are handed over at once.
const LINES_BYTES_MAX: usize = 64 * 1024;

/// One agent in memory.
pub(super) struct LiveAgent {
    loaded: Arc<LoadedAgent>,
    component: Digest,
    guest: Guest,
    /// `None` once the journal is replayed.
    cursor: Option<Cursor>,
    tally: Tally,
    /// The capability of the open consequential call.
    open: Option<Arc<Capability>>,
    /// How long a sleep is spent in memory. A longer sleep parks the run.
    linger: Duration,
    lines: Vec<AgentLogLine>,
    lines_bytes: usize,
    /// The last field, so that the instance is dropped before its slot is free for the next run.
    _slot: InstanceSlot,
}

/// A line of the agent's log. It is the agent's text, so it must be escaped wherever it is shown.
pub(super) struct AgentLogLine {
    pub(super) level: String,
    pub(super) text: String,
}

/// The next thing that an agent needs from the host in order to go on.
pub(super) enum Need {
    /// The agent needs nothing: it has log lines to hand over.
    Nothing,
    /// The answer to a routine call.
    Routine(CallNumber, Action),
    /// The verdict on a consequential call, and then its answer. If the call must not be held, the reason is given.
    Consequential(CallNumber, Action, Option<RefusalReason>),
    /// The answer to a recorded call.
    Answer(CallNumber),
    /// The end of a sleep.
    Time(Sleep),
    /// The record of the run's end.
    End(RunEnd),
    /// The journal says that the run has ended.
    Over,
}

/// A sleep that is not over.
pub(super) struct Sleep {
    pub(super) timer: u32,
    pub(super) until: Time,
    /// Whether the journal already has this timer.
    pub(super) is_set: bool,
    /// How the run ends if the sleep would park it but its replays already took too much CPU time.
    pub(super) too_often: Option<RunEnd>,
}

/// A reply of the host to what the agent needs.
pub(super) enum Reply {
    /// No reply, because the agent needed none.
    Nothing,
    /// The result of a routine call, with the time of its delivery.
    Result(Value, Time),
    /// The answer to a consequential call, with the time of its record.
    Answer(Answer, Time),
    /// The sleep is over.
    Woken(Time),
}

impl LiveAgent {
    /// An agent at its beginning, before the first event of its history.
    pub(super) fn new(
        run: &Run,
        loaded: Arc<LoadedAgent>,
        (guest, cursor): (Guest, Cursor),
        tally: Tally,
        linger: Duration,
        slot: InstanceSlot,
    ) -> Self {
        guest.replay(true);
        let (component, lines) = (run.component, Vec::new());
        Self {
            loaded,
            component,
            guest,
            cursor: Some(cursor),
            tally,
            open: None,
            linger,
            lines,
            lines_bytes: 0,
            _slot: slot,
        }
    }

    /// The counter of the agent's CPU time.
    pub(super) fn meter(&self) -> Meter {
        self.guest.meter().clone()
    }

    /// Counts a held call, and the evidence stored for a call.
    pub(super) fn proposed(&mut self, held: bool, evidence_bytes: u64) {
        self.tally.held += u32::from(held);
        self.tally.shown(evidence_bytes);
    }

    /// Goes on with a reply until the agent needs something. Returns its log lines and the need.
    pub(super) fn go_on(&mut self, reply: Reply) -> BoxFuture<'_, Result<(Vec<AgentLogLine>, Need), Failure>> {
        let meter = self.meter();
        let work = async move {
            self.reply(reply)?;
            let need = self.play().await?;
            self.lines_bytes = 0;
            Ok((std::mem::take(&mut self.lines), need))
        };
        async move { meter.count(work).await }.boxed()
    }

    fn reply(&mut self, reply: Reply) -> Result<(), Failure> {
        match reply {
            Reply::Nothing => {}
            Reply::Result(result, at) => self.answer(&result, at)?,
            Reply::Answer(answer, at) => self.answer_open(&answer, at)?,
            Reply::Woken(at) => self.guest.wake(at),
        }
        Ok(())
    }

    fn answer_open(&mut self, answer: &Answer, at: Time) -> Result<(), Failure> {
        let open = self.open.take();
        let bound = open.as_ref().and_then(|open| self.loaded.bindings.get(&**open));
        let Some((_, form)) = bound.and_then(|bound| bound.offer.consequential()) else {
            return Err(Failure::Host("an answer arrived, but no call waits for an answer".into()));
        };
        let result = form.result(answer);
        self.answer(&result, at)
    }

    async fn play(&mut self) -> Result<Need, Failure> {
        loop {
            self.go_live().await?;
            let Some(step) = self.next().await else { return Ok(Need::Nothing) };
            let need = match step {
                Step::Call(call) => self.call(call).await?,
                Step::Sleep { until } => self.sleep(until).await?,
                Step::Output { level, text } => self.say(level.into(), text),
                Step::Finished(result) => Some(self.end(RunEnd::Finished(result)).await?),
                Step::Trapped(trap) => Some(self.trapped(&trap).await?),
            };
            if let Some(need) = need {
                return Ok(need);
            }
        }
    }

    /// The guest's next step; `None` if it takes time and there are lines to hand over meanwhile.
    async fn next(&mut self) -> Option<Step> {
        let has_said = !self.lines.is_empty();
        let mut next = std::pin::pin!(self.guest.next());
        std::future::poll_fn(|cx| match next.as_mut().poll(cx) {
            Poll::Ready(step) => Poll::Ready(Some(step)),
            Poll::Pending if has_said => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Ends replay if the journal ends here. From then on the CPU limit holds and log lines are kept.
    async fn go_live(&mut self) -> Result<(), Failure> {
        if let Some(cursor) = &mut self.cursor
            && cursor.at_end().await?
        {
            self.tally.went_live(cursor.held, cursor.evidence_bytes);
            self.cursor = None;
            self.guest.replay(false);
        }
        Ok(())
    }

    async fn call(&mut self, HostCall { capability, ty, arguments }: HostCall) -> Result<Option<Need>, Failure> {
        let loaded = self.loaded.clone();
        let bound = loaded.bindings.get(&*capability).ok_or_else(|| Failure::NotOffered((*capability).clone()))?;
        if let BoundOffer::Log = bound.offer {
            let text = |name| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let need = self.say(text("level"), log_line(text("message")));
            // The agent gets no value and no new time, because a log line is no call.
            self.guest.answer(&Value::Null, Time(0))?;
            return Ok(need);
        }
        let number = match self.tally.call(&arguments) {
            Ok(number) => number,
            Err(end) => return self.end(end).await.map(Some),
        };
        let action = Action::new(self.component, (*capability).clone(), &ty, &arguments)?;
        let replayed = match &mut self.cursor {
            Some(cursor) => cursor.call(number, &action).await?,
            None => ReplayedCall::New,
        };
        match (replayed, bound.offer.consequential()) {
            (ReplayedCall::Returned(result, at), _) => self.answer(&result, at).map(|()| None),
            (ReplayedCall::Over, _) => Ok(Some(Need::Over)),
            (ReplayedCall::Other { recorded }, _) => {
                Ok(Some(diverged(format!("call {number}"), recorded, describe(number, &action))))
            }
            (ReplayedCall::Answered(answer, at), Some((_, form))) => {
                self.answer(&form.result(&answer), at).map(|()| None)
            }
            (ReplayedCall::Open, Some(_)) => {
                self.open = Some(capability);
                Ok(Some(Need::Answer(number)))
            }
            (ReplayedCall::New, _) if bound.offer.routine(&action).is_some() => Ok(Some(Need::Routine(number, action))),
            (ReplayedCall::New, Some(_)) => {
                self.open = Some(capability);
                Ok(Some(Need::Consequential(number, action, self.tally.refuse_to_hold())))
            }
            (ReplayedCall::Answered(..) | ReplayedCall::Open | ReplayedCall::New, None) => {
                Err(Failure::Reclassified((*capability).clone()))
            }
        }
    }

    fn answer(&mut self, result: &Value, at: Time) -> Result<(), Failure> {
        self.tally.returned(result);
        kill::point("before-answer");
        self.guest.answer(result, at)?;
        kill::point("after-answer");
        Ok(())
    }

    async fn sleep(&mut self, until: Time) -> Result<Option<Need>, Failure> {
        let timer = match self.tally.timer() {
            Ok(timer) => timer,
            Err(end) => return self.end(end).await.map(Some),
        };
        let slept = match &mut self.cursor {
            Some(cursor) => cursor.sleep(timer, until).await?,
            None => ReplayedSleep::New,
        };
        let sleep = |is_set, too_often| Some(Need::Time(Sleep { timer, until, is_set, too_often }));
        Ok(match slept {
            ReplayedSleep::Woken { at, asked_at } => {
                if is_long(asked_at, until, self.linger) {
                    self.tally.brought_back(self.guest.meter().used());
                }
                self.guest.wake(at);
                None
            }
            ReplayedSleep::Over => Some(Need::Over),
            ReplayedSleep::Other { recorded } => {
                Some(diverged(format!("timer {timer}"), recorded, describe_sleep(timer, until)))
            }
            ReplayedSleep::Asleep => sleep(true, None),
            ReplayedSleep::New => sleep(false, self.tally.may_come_back(self.guest.meter().used()).err()),
        })
    }

    async fn trapped(&mut self, trap: &Trap) -> Result<Need, Failure> {
        if trap.is_hosts() {
            return Err(Failure::Host(trap.to_string()));
        }
        self.end(RunEnd::Trapped(trap.to_string())).await
    }

    /// How the end of the run is recorded. If the journal says that the run went on from here, the run has diverged.
    async fn end(&mut self, end: RunEnd) -> Result<Need, Failure> {
        let recorded = match &mut self.cursor {
            Some(cursor) => cursor.rest().await?,
            None => None,
        };
        let Some(recorded) = recorded else { return Ok(Need::End(end)) };
        let found = match end {
            RunEnd::Finished(_) => "nothing more: it returned".to_owned(),
            RunEnd::Trapped(reason) => format!("nothing more: {reason}"),
            RunEnd::Diverged { found, .. } => found,
        };
        Ok(diverged("the end".into(), recorded, found))
    }

    /// Keeps a line for the log. A replayed line is dropped, because it was logged the first time.
    fn say(&mut self, level: String, text: String) -> Option<Need> {
        if self.cursor.is_some() {
            return None;
        }
        self.lines_bytes += size_of::<AgentLogLine>() + level.len() + text.len();
        self.lines.push(AgentLogLine { level, text });
        (self.lines_bytes > LINES_BYTES_MAX).then_some(Need::Nothing)
    }
}

fn diverged(place: String, recorded: String, found: String) -> Need {
    Need::End(RunEnd::Diverged { place, recorded, found })
}

/// Whether a sleep is too long for waiting in memory.
pub(super) fn is_long(from: Time, until: Time, linger: Duration) -> bool {
    Duration::from_micros(until.0.saturating_sub(from.0)) > linger
}
