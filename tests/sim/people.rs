//! The people around a host: they start runs, look, decide (late, twice, on another call, against each other), resolve
//! and cancel.

use std::time::Duration;

use holdshort_gate::command::{CancelRun, Choice, Decide, Resolve, Revision};
use holdshort_gate::{
    Call, CallNumber, Command, Digest, EffectClass, Phase, RecordedChoice, Refused, Resolution, RunId,
};
use holdshort_journal::{Fence, Flushed, SubmitError};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::book::Place;
use crate::host::{AGENTS, Host};
use crate::weather::lock;

pub const PEOPLE: [&str; 4] = ["olga", "ann", "bob", "carl"];

/// What a reviewer wants to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mind {
    Approve,
    Reject,
    Edit,
    Respond,
}

/// How a reviewer makes a decision.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// How long the reviewer thinks after they have looked.
    pub thinks_ms: u64,
    /// Whether the reply is lost, so that the reviewer sends the decision once more.
    pub sends_twice: bool,
}

impl Host {
    /// A reviewer looks at a call and decides on what they saw. The call may have changed meanwhile.
    pub async fn decide(self, (run, number): Place, who: &'static str, mind: Mind, manner: Manner) {
        let Some(call) = self.look(&run, number, who).await else { return };
        let Some(clearance) = call.clearance else { return };
        sleep(Duration::from_millis(manner.thinks_ms)).await;
        self.decide_on((run, number), &call, clearance, who, mind, manner.sends_twice).await;
    }

    /// A reviewer decides with a clearance that they noted earlier. It may be the clearance of another call or of an
    /// earlier revision.
    pub async fn decide_on(
        &self,
        place: Place,
        call: &Call,
        clearance: Digest,
        who: &'static str,
        mind: Mind,
        twice: bool,
    ) {
        let (run, number) = place.clone();
        let weather = &self.world.weather;
        let choice = match mind {
            Mind::Approve => Choice::Approve,
            Mind::Reject => Choice::Reject,
            Mind::Respond => Choice::Respond(json!("yes")),
            // The endpoint does the same with a question: it sends the edit without new arguments, whatever the
            // reviewer wrote.
            Mind::Edit if call.is_question() => {
                let Some(proposal) = call.proposal().cloned() else { return };
                Choice::Edit(Box::new(Revision { proposal }))
            }
            Mind::Edit => {
                let edited = edited(call, weather.below(1_000_000));
                match self.runs.revise(&run, call, &who.into(), &edited).await {
                    Ok(revision) => Choice::Edit(Box::new(revision)),
                    Err(_) => return weather.saw("edits refused by the host"),
                }
            }
        };
        let message = (weather.below(2) == 0).then(|| format!("says {who}"));
        let verdict = match &choice {
            Choice::Approve | Choice::Grant(_) => RecordedChoice::Approve,
            Choice::Reject => RecordedChoice::Reject,
            Choice::Respond(answer) => RecordedChoice::Respond(answer.clone()),
            Choice::Edit(revision) => RecordedChoice::Edit(revision.proposal.action.digest()),
        };
        let decide = Decide {
            reviewer: who.into(),
            stands_for: None,
            signed_in_at: self.journal.now(),
            clearance,
            choice,
            message,
        };
        if twice {
            // Sends the first decision without waiting for its answer.
            drop(self.journal.submit(&run, Some(number), Fence::None, decide.clone()));
            weather.saw("decisions sent twice");
        }
        let answer = self.submit(&run, Some(number), decide).await;
        match answer {
            Ok(outcome) => {
                weather.saw(format!("acknowledged {mind:?}"));
                if outcome.repeated {
                    weather.saw("acknowledged again");
                }
                lock(&self.world.told).decisions.push((place, who.into(), clearance, verdict));
            }
            Err(SubmitError::Refused(why)) => weather.saw(format!("refused: {}", name(&why))),
            Err(_) => weather.saw("decisions not written"),
        }
    }

    /// A call as a reviewer sees it now.
    async fn look(&self, run: &RunId, number: CallNumber, who: &'static str) -> Option<Call> {
        let call = self.journal.subject(run, Some(number)).await.ok()??.call?;
        let shown = (who.into(), call.clearance?);
        lock(&self.world.told).shown.insert(shown, call.action().digest());
        Some(call)
    }

    /// Sends a command. If it was not written, it is sent again, as a client does after a 503.
    async fn submit<C: Command + Clone>(
        &self,
        run: &RunId,
        call: Option<CallNumber>,
        command: C,
    ) -> Result<Flushed<C::Output>, SubmitError> {
        let mut tries = 0;
        loop {
            let answer = self.journal.submit(run, call, Fence::None, command.clone()).await;
            match answer {
                Err(SubmitError::NotWritten(_) | SubmitError::Unknown(_)) if tries < 3 => tries += 1,
                answer => return answer,
            }
            sleep(Duration::from_millis(700)).await;
        }
    }

    /// A person resolves an effect in doubt, in most cases after they have looked at the remote system.
    pub async fn resolve(self, (run, number): Place, who: &'static str) {
        let weather = &self.world.weather;
        let Some(call) = self.look(&run, number, who).await else { return };
        if !matches!(call.phase, Phase::InDoubt { .. }) {
            return;
        }
        let class = call.proposal().map(|proposal| proposal.class);
        let key = self.journal.effect_key(&run, number);
        let happened = lock(&self.world.outside).find(&key).is_some();
        let resolution = match weather.below(6) {
            0..3 if class == Some(EffectClass::Idempotent) || weather.strikes(4) => Resolution::SendAgain,
            0..5 if happened => Resolution::Done(self.effects.receipt(&run, &call).unwrap()),
            0..5 => Resolution::NotDone,
            _ => Resolution::Abandon,
        };
        let attempt = if weather.strikes(10) { call.attempts + 1 } else { call.attempts };
        let message = Some(format!("{who} has looked"));
        let resolve = Resolve { attempt, by: who.into(), resolution: resolution.clone(), message };
        match self.submit(&run, Some(number), resolve).await {
            Ok(_) => {
                weather.saw(match resolution {
                    Resolution::Done(_) => "settled: done",
                    Resolution::NotDone => "settled: not done",
                    Resolution::Abandon => "settled: nobody will know",
                    Resolution::SendAgain => "sent again",
                });
                lock(&self.world.told).resolutions.push(((run, number), attempt, who.into(), resolution));
            }
            Err(SubmitError::Refused(why)) => weather.saw(format!("not settled: {}", name(&why))),
            Err(_) => weather.saw("decisions not written"),
        }
    }

    /// A person starts a run. The lines of its task differ from those of every other run, so that every call is a
    /// different action.
    pub async fn begin(self, number: u64) {
        let weather = &self.world.weather;
        let who = weather.one_of(&PEOPLE);
        let (agent, task) = match number % 2 {
            0 if self.world.agents.len() > 1 => {
                (AGENTS[1], "ask sleep=20 random ask sleep=90000 wall list ask".to_owned())
            }
            _ => (AGENTS[0], (0..6).map(|line| self.line(number, line) + "\n").collect()),
        };
        match self.runs.start(&agent.into(), &task, &who.into(), None).await {
            Ok(run) => {
                weather.saw("runs started");
                lock(&self.world.told).runs.push(run.clone());
            }
            Err(_) => weather.saw("runs not started"),
        }
    }

    fn line(&self, run: u64, line: u64) -> String {
        let id = format!("{run}-{line}");
        match self.world.weather.below(8) {
            0 | 1 => format!("email ann@example.com {id}"),
            2 | 3 => format!("deploy main production {id}"),
            4 | 5 => format!("pay operating acme-{id} {} EUR", 1 + self.world.weather.below(9)),
            6 => format!("ask which {id}"),
            _ => format!("list\nlog {id}\npay operating bolt-{id} 5 EUR"),
        }
    }

    /// A person cancels a run.
    pub async fn end(self, run: RunId) {
        let cancel = CancelRun { by: "olga".into(), reason: Some("enough".into()) };
        match self.journal.submit(&run, None, Fence::None, cancel).await {
            Ok(_) => {
                self.world.weather.saw("runs cancelled");
                // Cancelling a cancelled run succeeds too: the person is told that the run is cancelled.
                lock(&self.world.told).cancelled.push(run);
            }
            Err(_) => self.world.weather.saw("runs not cancelled"),
        }
    }
}

/// Other arguments for the same function, different from all arguments before.
fn edited(call: &Call, number: u64) -> Value {
    let mut arguments = call.action().arguments().clone();
    let text = match call.action().capability().function() {
        "send-email" => arguments.pointer_mut("/message/subject"),
        "deploy" => arguments.pointer_mut("/release/notes"),
        _ => arguments.pointer_mut("/transfer/reference"),
    };
    if let Some(text) = text {
        *text = json!(format!("{}, edited {number}", text.as_str().unwrap_or_default()));
    }
    arguments
}

/// The kind of a refusal, without its details.
fn name(why: &Refused) -> String {
    format!("{why:?}").split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()
}
