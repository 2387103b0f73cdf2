//! The remote systems of three connectors, one of each effect class, and what really happened there. No crash of a host
//! rolls this back.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort::connectors::descriptor::{DeclaredFacts, Effect as ConnectorEffect, Precondition};
use holdshort::connectors::{
    Attempt, CannotPreview, Exhibit, Finding, Inquiry, Perform, Preview, Previewed, Routine, RoutineCall, Unavailable,
};
use holdshort_gate::command::{AttemptOutcome, Finish};
use holdshort_gate::{Action, AgentName, CallNumber, Consequence, Digest, EffectClass, EffectKey, RunId};
use holdshort_journal::{Authorized, Fence, Journal, SubmitError};
use holdshort_words::{quote_value, say};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::weather::{Life, lock};
use crate::world::World;

/// An effect that happened outside, with the clearance that allowed it.
#[derive(Clone, Debug)]
pub struct Effect {
    pub run: RunId,
    pub call: CallNumber,
    pub attempt: u32,
    pub clearance: Digest,
    pub action: Digest,
    pub key: EffectKey,
    pub kind: Kind,
}

/// The three remote systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Email,
    Deploy,
    Pay,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Email, Self::Deploy, Self::Pay];

    pub fn function(self) -> &'static str {
        match self {
            Self::Email => "send-email",
            Self::Deploy => "deploy",
            Self::Pay => "transfer-funds",
        }
    }

    fn class(self) -> EffectClass {
        match self {
            Self::Email => EffectClass::OneShot,
            Self::Deploy => EffectClass::Reconcilable,
            Self::Pay => EffectClass::Idempotent,
        }
    }

    pub fn receipt(self, action: &Action, key: &EffectKey) -> Value {
        let arguments = action.arguments();
        match self {
            Self::Email => json!({ "sent": arguments["message"], "message-id": key.0, "accepted-by": "the far end" }),
            Self::Deploy => json!({ "deployed": arguments["release"], "commit": "c0ffee", "previous": null }),
            Self::Pay => {
                let balance = json!({ "minor-units": "1", "currency": "EUR" });
                json!({ "transferred": arguments["transfer"], "transaction": key.0, "source-balance": balance })
            }
        }
    }
}

/// Everything outside.
#[derive(Default)]
pub struct Outside {
    /// The effects that happened, in order.
    pub effects: Vec<Effect>,
    /// Requests that were sent and arrive later, whether or not a host waits for the reply.
    under_way: Vec<(u64, Effect)>,
    /// The facts that previews find. A clearance rests on them.
    facts: BTreeMap<Kind, u64>,
}

impl Outside {
    /// A request reaches the remote system. The idempotent system recognises a key that it has seen.
    fn happen(&mut self, effect: Effect) {
        if effect.kind.class() != EffectClass::Idempotent || self.find(&effect.key).is_none() {
            self.effects.push(effect);
        }
    }

    pub fn arrive(&mut self, now: u64) -> usize {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.under_way).into_iter().partition(|(at, _)| *at <= now);
        self.under_way = later;
        let arrived = due.len();
        due.into_iter().for_each(|(_, effect)| self.happen(effect));
        arrived
    }

    pub fn find(&self, key: &EffectKey) -> Option<&Effect> {
        self.effects.iter().find(|effect| effect.key == *key)
    }

    pub fn is_under_way(&self, key: &EffectKey) -> bool {
        self.under_way.iter().any(|(_, effect)| effect.key == *key)
    }

    pub fn facts_change(&mut self, kind: Kind) {
        *self.facts.entry(kind).or_default() += 1;
    }

    fn fact(&self, kind: Kind) -> u64 {
        self.facts.get(&kind).copied().unwrap_or_default()
    }
}

/// A host's connector to one remote system.
pub struct Connector {
    pub world: Arc<World>,
    pub life: Arc<Life>,
    pub journal: Journal,
    pub kind: Kind,
}

const FACT: &[Precondition] = &[Precondition::same("fact")];

impl Preview for Connector {
    fn effect(&self) -> ConnectorEffect {
        ConnectorEffect {
            connector: match self.kind {
                Kind::Email => "one-shot",
                Kind::Deploy => "reconcilable",
                Kind::Pay => "idempotent",
            },
            class: self.kind.class(),
            evidence: "the far end's own list",
            facts: DeclaredFacts::Fixed(&[]),
            preconditions: FACT,
        }
    }

    fn preview<'a>(&'a self, _: &'a AgentName, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        async move {
            self.life.goes_on().await;
            let weather = &self.world.weather;
            weather.saw("previews");
            sleep(Duration::from_millis(weather.below(20))).await;
            self.life.goes_on().await;
            if weather.strikes(60) {
                weather.saw("preview unavailable");
                return Err(CannotPreview::Unavailable("not just now".into()));
            }
            if weather.strikes(60) {
                weather.saw("preview impossible");
                return Err(CannotPreview::Impossible("the far end knows no such thing".into()));
            }
            let fact = lock(&self.world.outside).fact(self.kind);
            let exhibit = Exhibit::words("the test", say!("the fact"), "text/plain", fact.to_string().into_bytes());
            Ok(Previewed {
                summary: say!("{} {}", self.kind.function(), action.canonical_arguments().len()),
                exhibits: vec![exhibit],
                preconditions: json!({ "fact": fact }),
                facts: Value::Null,
                consequence: Consequence::High,
            })
        }
        .boxed()
    }
}

impl Perform for Connector {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            self.life.goes_on().await;
            let weather = &self.world.weather;
            self.world.check_start(&authorized);
            if weather.strikes(60) {
                weather.saw("crash: started, not sent");
                self.life.die().await;
            }
            sleep(Duration::from_millis(if weather.strikes(20) { weather.below(90_000) } else { weather.below(100) }))
                .await;
            self.life.goes_on().await;
            let fact = lock(&self.world.outside).fact(self.kind);
            if authorized.preconditions() != &json!({ "fact": fact }) {
                weather.saw("facts changed");
                return Attempt::FactsChanged(say!("{} is now {}", quote_value(authorized.preconditions()), fact));
            }
            if weather.strikes(15) {
                weather.saw("declined");
                return Attempt::NotDone("the far end declines".into());
            }
            if weather.strikes(25) {
                weather.saw("put off");
                let again_in = Duration::from_millis(1_000 + weather.below(600_000));
                return Attempt::Postponed("the far end is busy".into(), again_in);
            }
            let receipt = self.kind.receipt(authorized.action(), authorized.key());
            let effect = Effect {
                run: authorized.run().clone(),
                call: authorized.call(),
                attempt: authorized.attempt(),
                clearance: authorized.clearance(),
                action: authorized.action().digest(),
                key: authorized.key().clone(),
                kind: self.kind,
            };
            self.act(effect, receipt).await
        }
        .boxed()
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async move {
            self.life.goes_on().await;
            let weather = &self.world.weather;
            sleep(Duration::from_millis(weather.below(50))).await;
            self.life.goes_on().await;
            if weather.strikes(20) {
                weather.saw("crash: in a lookup");
                self.life.die().await;
            }
            if weather.strikes(5) || self.kind.class() == EffectClass::OneShot {
                weather.saw("lookup cannot tell");
                return Finding::Unknown { evidence: "it keeps no list".into() };
            }
            let outside = lock(&self.world.outside);
            let evidence = say!("its list");
            if outside.find(&inquiry.key).is_some() {
                weather.saw("lookup: happened");
                let receipt = self.kind.receipt(&inquiry.action, &inquiry.key);
                Finding::Happened { receipt, evidence }
            } else if outside.is_under_way(&inquiry.key) {
                weather.saw("lookup: may be under way");
                Finding::Unknown { evidence: "not yet in its list".into() }
            } else {
                weather.saw("lookup: did not happen");
                Finding::DidNotHappen { evidence }
            }
        }
        .boxed()
    }

    fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        Some(self.kind.receipt(&inquiry.action, &inquiry.key))
    }
}

impl Connector {
    /// Sends the request. Every failure of the request or of its reply can happen here.
    async fn act(&self, effect: Effect, receipt: Value) -> Attempt {
        let weather = &self.world.weather;
        let done = Attempt::Done(receipt.clone());
        if weather.strikes(40) {
            weather.saw("arrives late");
            let at = weather.true_now() + weather.below(60_000_000);
            lock(&self.world.outside).under_way.push((at, effect));
            if weather.below(2) == 0 {
                weather.saw("crash: under way");
                self.life.die().await;
            }
            return Attempt::Unknown("no reply in time".into());
        }
        let place = (effect.run.clone(), effect.call, effect.attempt);
        lock(&self.world.outside).happen(effect);
        weather.saw("effects");
        match weather.strikes(5).then(|| weather.below(4)) {
            Some(0) => {
                weather.saw("crash: done, not known");
                self.life.die().await;
            }
            Some(1) => {
                weather.saw("lost replies");
                return Attempt::Unknown("the reply was lost".into());
            }
            Some(2) => {
                weather.saw("connectors that fail");
                // Panics without the message that `panic!` prints.
                resume_unwind(Box::new("in the middle of it"));
            }
            Some(_) => drop(tokio::spawn(reply_again(self.world.clone(), self.journal.clone(), place, receipt))),
            None => {}
        }
        done
    }
}

/// A reply that comes twice. The second reply changes nothing, even if it is written first.
async fn reply_again(
    world: Arc<World>,
    journal: Journal,
    (run, call, attempt): (RunId, CallNumber, u32),
    receipt: Value,
) {
    sleep(Duration::from_millis(world.weather.below(1_000))).await;
    let finish = Finish { attempt, outcome: AttemptOutcome::Happened(receipt), evidence: None };
    match journal.submit(&run, Some(call), Fence::None, finish).await {
        Err(SubmitError::Refused(_)) => world.weather.saw("second reply refused"),
        Err(_) => {}
        Ok(_) => world.weather.saw("second reply was first"),
    }
}

/// Answers every routine call with an empty list, sometimes after a delay.
pub struct EmptyFolder(pub Arc<World>);

impl Routine for EmptyFolder {
    fn answer<'a>(&'a self, _: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async {
            self.0.weather.saw("routine calls");
            if self.0.weather.strikes(30) {
                return Err(Unavailable("not just now".into()));
            }
            Ok(json!({ "ok": [] }))
        }
        .boxed()
    }
}
