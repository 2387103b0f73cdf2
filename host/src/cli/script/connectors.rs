//! The connectors of a script. They answer from its steps, and reach nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, pending};
use holdshort_gate::{Action, AgentName};
use holdshort_journal::Authorized;
use serde_json::{Value, json};

use super::outcomes::{Found, Outcome};
use super::play::Play;
use super::steps::{Step, ok_type};
use super::values;
use crate::cli::exit::Failure;
use crate::cli::host::HostConnectors;
use crate::cli::host::registry::{self, ConfiguredConnector};
use crate::config::{CapabilityPattern, Config};
use crate::connectors::descriptor::{Class, Effect};
use crate::connectors::{
    Attempt, CannotPreview, Finding, Inquiry, Perform, Preview, Previewed, Routine, RoutineCall, Unavailable, http,
};
use crate::effects::Performers;
use crate::runs::Offer;
use holdshort_words::{reread, say};

/// The connectors for all capabilities of a configuration. None of its own connectors is opened.
pub(super) fn connectors(play: &Arc<Play>, config: &Config) -> Result<HostConnectors, Failure> {
    let mut performers = Performers::default();
    let offer = |patterns: &[CapabilityPattern], served: ConfiguredConnector<'_>| -> Result<Offer, Failure> {
        let effect = match served.descriptor.class {
            Class::Log => return Ok(Offer::Log),
            Class::Routine => return Ok(Offer::Routine(Arc::new(Scripted { play: play.clone(), requests: None }))),
            Class::Consequential(effect) => effect,
        };
        let by_call = served.descriptor == http::DESCRIPTOR;
        let connector = Arc::new(Acting { play: play.clone(), effect });
        for pattern in patterns {
            match pattern {
                CapabilityPattern::Function(capability) => performers.insert(capability.clone(), connector.clone()),
                CapabilityPattern::Interface(interface) => {
                    performers.insert_interface(interface.clone(), connector.clone())
                }
            }
        }
        if by_call {
            let hosts = config.http.iter().map(|(name, host)| (name.clone(), registry::http_host(host))).collect();
            let routine = Arc::new(Scripted { play: play.clone(), requests: Some(hosts) });
            return Ok(Offer::ByCall { routine, connector });
        }
        Ok(Offer::Consequential { connector, refusal: served.refusal })
    };
    Ok(HostConnectors { catalogue: registry::catalogue(config, offer)?, performers })
}

/// Answers routine calls.
struct Scripted {
    play: Arc<Play>,
    /// The hosts for HTTP requests, if it answers requests: their methods decide which requests are routine.
    requests: Option<BTreeMap<String, http::Host>>,
}

impl Routine for Scripted {
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async {
            let step = self.play.step(call.action, false).await;
            match step.and_then(|step| Some((step, step.outcome.as_ref()?))) {
                Some((_, Outcome::Returns(result))) => Ok(result.clone()),
                Some((step, Outcome::Done(ok))) => Ok(json!({ "ok": receipt(step, ok, call.action) })),
                // The script has failed, and its run is about to be stopped.
                _ => pending().await,
            }
        }
        .boxed()
    }

    fn answers(&self, action: &Action) -> bool {
        self.requests.as_ref().is_none_or(|hosts| http::is_routine(hosts, action))
    }
}

/// Previews and performs consequential calls.
struct Acting {
    play: Arc<Play>,
    effect: Effect,
}

/// The receipt for an action, from the part that the step writes.
fn receipt(step: &Step, ok: &Value, action: &Action) -> Value {
    let filled = ok_type(&step.ty).map(|ty| values::filled(ty, ok, &step.ty, Some(action.arguments())));
    filled.and_then(Result::ok).unwrap_or_default()
}

impl Acting {
    async fn open(&self) -> (&Step, &Outcome) {
        match self.play.outcome().await {
            Some(outcome) => outcome,
            None => pending().await,
        }
    }
}

impl Preview for Acting {
    fn effect(&self) -> Effect {
        self.effect
    }

    fn preview<'a>(&'a self, _: &'a AgentName, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        async {
            let Some(step) = self.play.step(action, true).await else { return pending().await };
            if let Some(Outcome::Impossible(reason)) = &step.outcome {
                return Err(CannotPreview::Impossible(reread(reason)));
            }
            Ok(Previewed {
                summary: say!("{}, answered by a script", action.capability().clone()),
                exhibits: Vec::new(),
                preconditions: Value::Null,
                facts: step.facts.clone(),
                consequence: step.consequence,
            })
        }
        .boxed()
    }
}

impl Perform for Acting {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            let (step, outcome) = self.open().await;
            match outcome {
                Outcome::Done(ok) => Attempt::Done(receipt(step, ok, authorized.action())),
                Outcome::NotDone(reason) => Attempt::NotDone(reread(reason)),
                Outcome::InDoubt(reason, _) => Attempt::Unknown(reread(reason)),
                Outcome::Returns(_) | Outcome::Impossible(_) => pending().await,
            }
        }
        .boxed()
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async {
            let (step, outcome) = self.open().await;
            let evidence = say!("the script says so");
            let Outcome::InDoubt(_, found) = outcome else { return Finding::Unknown { evidence } };
            match found {
                Found::Done(ok) => Finding::Happened { receipt: receipt(step, ok, &inquiry.action), evidence },
                Found::NotDone => Finding::DidNotHappen { evidence },
                Found::ByReviewer(..) => Finding::Unknown { evidence },
            }
        }
        .boxed()
    }

    fn receipt(&self, _: &Inquiry) -> Option<Value> {
        None
    }
}
