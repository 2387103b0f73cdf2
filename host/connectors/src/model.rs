//! Questions of agents to language models: `model.complete`.
//!
//! The operator names the models, each with its server, its secret and its limits; an agent chooses by name. The host
//! tries again when the server is busy. Whatever else the server says is the agent's answer, so an agent that is wrong
//! does not keep the host busy. [`openai`] and [`anthropic`] are the two forms of requests and answers.
//!
//! **Invariant:** the secret is in the request that the host sends, and nowhere else: it is removed from answers and
//! from errors.

mod answer;
mod anthropic;
mod budget;
mod openai;
mod request;
mod send;
mod uncertainty;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use holdshort_common::outbound::Addresses;
use holdshort_gate::AgentName;
use serde_json::Value;
use ureq::http::Uri;

pub use self::answer::Price;
use self::answer::{Answer, Problem};
pub use self::budget::{Budget, Cap, Spending, Spent};
use self::request::Request;
use self::send::{NoReply, Reply, Sender};
pub use self::uncertainty::Uncertainty;
use self::uncertainty::of_samples;
use super::descriptor::{Class, Descriptor};
use super::http::Credential;
use super::{Routine, RoutineCall, Unavailable};
use crate::secret::Mask;

/// The connector.
pub const DESCRIPTOR: Descriptor = Descriptor {
    section: "[models.NAME]",
    interface: Some("holdshort:agent/model@0.1.0"),
    functions: &["complete"],
    class: Class::Routine,
};

/// The model that answers an agent which names none.
pub const DEFAULT: &str = "default";

/// How often a request is tried in total, and the first pause; each further one is twice as long.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// A server may ask for a longer pause, but not for more than this: then the agent decides.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The form of a server's requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    OpenAi,
    Anthropic,
}

/// The operator's settings for a model.
#[derive(Clone)]
pub struct Model {
    pub api: Api,
    /// The address of the server, without the last part of the path, which the form of the requests determines.
    pub url: String,
    /// The server's name for the model.
    pub model: String,
    pub credential: Option<Credential>,
    /// The addresses that the server may have.
    pub addresses: Addresses,
    /// The time limit for one attempt.
    pub time_out: Duration,
    /// The maximum size of an answer's text and of the arguments of its tool calls together.
    pub answer_bytes_max: u64,
    /// The prices of its tokens, if they are counted.
    pub price: Option<Price>,
    pub uncertainty: Uncertainty,
}

/// Asks the operator's models.
pub struct Models {
    models: BTreeMap<String, Arc<Model>>,
    /// The workspaces, for images.
    folders: BTreeMap<AgentName, PathBuf>,
    mask: Arc<Mask>,
    budget: Option<(Budget, Arc<dyn Spending>)>,
}

impl Models {
    /// Asks these models and no others, within this budget.
    pub fn new(
        models: BTreeMap<String, Model>,
        folders: BTreeMap<AgentName, PathBuf>,
        budget: Option<(Budget, Arc<dyn Spending>)>,
        mask: Arc<Mask>,
    ) -> Self {
        models.values().filter_map(|model| model.credential.as_ref()).for_each(|credential| credential.mask(&mask));
        let models = models.into_iter().map(|(name, model)| (name, Arc::new(model))).collect();
        Self { models, folders, mask, budget }
    }

    fn named(&self, name: Option<&str>) -> Result<&Arc<Model>, Problem> {
        let found = match (name, self.models.first_key_value()) {
            (Some(name), _) => self.models.get(name),
            (None, Some((_, only))) if self.models.len() == 1 => Some(only),
            (None, _) => self.models.get(DEFAULT),
        };
        found.ok_or_else(|| {
            let named = name.map_or_else(|| "the request names no model".into(), |name| format!("no model `{name}`"));
            let known = self.models.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Problem::Invalid(format!("{named}; this host has {known}"))
        })
    }

    async fn complete(&self, call: RoutineCall<'_>) -> Result<Answer, Problem> {
        let request = Request::read(call.action)?;
        let model = self.named(request.model.as_deref())?;
        let request = request.with_files(self.folders.get(call.agent)).await?;
        let sender = Sender::new(model.clone(), self.mask.clone(), &request).await?;
        let answer = match model.uncertainty {
            Uncertainty::Samples(count) => sampled(&sender, model, count).await,
            Uncertainty::Off | Uncertainty::Logprobs => one(&sender, model).await,
        };
        let priced = |answer: Answer| Answer { usage: answer.usage.priced(model.price), ..answer };
        answer.map(priced).map_err(|problem| problem.priced(model.price))
    }
}

/// One answer.
async fn one(sender: &Sender, model: &Model) -> Result<Answer, Problem> {
    let answer = model.api.answer(&ask(sender).await?)?;
    if answer.bytes() > model.answer_bytes_max { Err(too_long(model.answer_bytes_max)) } else { Ok(answer) }
}

/// The first of several answers to the same question, with what the others say of it. All of them are paid for.
async fn sampled(sender: &Sender, model: &Model, count: u32) -> Result<Answer, Problem> {
    let others = join_all((1..count).map(|_| one(sender, model)));
    let (first, others) = tokio::join!(one(sender, model), others);
    let mut first = first?;
    let (mut measured, mut failed) = (Vec::new(), false);
    for other in others {
        match other {
            Ok(other) => measured.push(other),
            Err(problem) => {
                failed = true;
                first.usage = first.usage.and(problem.usage());
            }
        }
    }
    first.usage = measured.iter().fold(first.usage, |usage, other| usage.and(other.usage));
    first.uncertainty = if failed { None } else { of_samples(&first, &measured) };
    Ok(first)
}

/// Asks until there is an answer or a reason that another attempt would not change.
async fn ask(sender: &Sender) -> Result<Reply, Problem> {
    let (mut left, mut pause) = (TRIES, PAUSE);
    loop {
        left -= 1;
        let (why, wait) = match sender.send().await {
            Ok(reply) if reply.is_ok() => return Ok(reply),
            Ok(reply) if reply.is_busy() => (reply.told(), reply.retry_after),
            Ok(reply) => return Err(Problem::Refused(reply.told())),
            Err(NoReply::Failed(why)) => (why, None),
            Err(NoReply::TimedOut(why)) => return Err(Problem::Unavailable(why)),
            Err(NoReply::Refused(why)) => return Err(Problem::Refused(why)),
            Err(NoReply::TooLong) => return Err(too_long(sender.answer_bytes_max())),
        };
        if left == 0 {
            return Err(Problem::Unavailable(format!("{why}; the host tried {TRIES} times")));
        }
        match wait {
            Some(wait) if wait > PAUSE_MAX => {
                return Err(Problem::Unavailable(format!("{why}; it may be asked again in {} s", wait.as_secs())));
            }
            wait => tokio::time::sleep(wait.unwrap_or(pause).max(pause)).await,
        }
        pause *= 2;
    }
}

fn too_long(bytes_max: u64) -> Problem {
    Problem::TooLong(format!("the answer has more than {bytes_max} bytes; ask for less, or set `max-tokens`"))
}

impl Api {
    /// The address of one request.
    fn uri(self, model: &Model) -> Result<Uri, Problem> {
        let path = match self {
            Self::OpenAi => "chat/completions",
            Self::Anthropic => "messages",
        };
        let uri = format!("{}/{path}", model.url.trim_end_matches('/'));
        uri.parse().map_err(|_| Problem::Invalid(format!("`{uri}` is no URL")))
    }

    fn body(self, model: &Model, request: &Request) -> Result<Value, Problem> {
        match self {
            Self::OpenAi => Ok(openai::body(model, request)),
            Self::Anthropic => anthropic::body(model, request),
        }
    }

    fn answer(self, reply: &Reply) -> Result<Answer, Problem> {
        match self {
            Self::OpenAi => openai::answer(reply),
            Self::Anthropic => anthropic::answer(reply),
        }
    }
}

impl Routine for Models {
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async move {
            if let Some((budget, spending)) = &self.budget {
                let spent = spending.spent(call.run, call.agent).await.map_err(Unavailable)?;
                if let Some(why) = budget.reached(&spent) {
                    return Ok(Problem::OverBudget(why).into_json());
                }
            }
            Ok(self.complete(call).await.map_or_else(Problem::into_json, Answer::into_json))
        }
        .boxed()
    }

    fn reads_the_journal(&self) -> bool {
        self.budget.is_some()
    }
}
