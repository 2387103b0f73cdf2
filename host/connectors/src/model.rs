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
use holdshort_common::aside;
use holdshort_common::outbound::Addresses;
use holdshort_gate::AgentName;
use serde_json::Value;
use ureq::http::Uri;

pub use self::answer::Price;
use self::answer::{Answer, Finish, Problem, Usage};
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
        let sender = Sender::new(model.clone(), self.mask.clone(), &request)?;
        let answer = match model.uncertainty {
            Uncertainty::Samples(count) => sampled(&sender, count).await,
            Uncertainty::Off | Uncertainty::Logprobs => one(&sender).await,
        };
        let answer = answer.and_then(|answer| match model.price.is_some() || self.budget.is_some() {
            true if !answer.usage.is_stated => {
                let why =
                    "the model's server does not say how many tokens the answer took, so its cost could not be counted";
                Err(Problem::Malformed(why.into(), answer.usage))
            }
            true | false => Ok(answer),
        });
        let priced = |answer: Answer| Answer { usage: answer.usage.priced(model.price), ..answer };
        answer.map(priced).map_err(|problem| problem.priced(model.price))
    }
}

/// One answer. It is read with a low priority, because a reply can be long.
async fn one(sender: &Sender) -> Result<Answer, Problem> {
    let (api, bytes_max) = (sender.model().api, sender.model().answer_bytes_max);
    let reply = ask(sender).await.map_err(|problem| problem.checked(sender.mask()))?;
    let read = aside::for_agents(move || api.answer(&reply)).await;
    let read = read.map_err(|error| Problem::Unavailable(error.to_string()))?;
    let checked = read.and_then(|answer| answer.checked(sender.mask(), bytes_max));
    checked.map_err(|problem| problem.checked(sender.mask()))
}

/// The first of several answers to the same question, with what the others say of it. All of them are paid for, also if
/// the first cannot be used.
async fn sampled(sender: &Sender, count: u32) -> Result<Answer, Problem> {
    let others = join_all((1..count).map(|_| one(sender)));
    let (first, others) = tokio::join!(one(sender), others);
    let (mut taken, mut compared) = (Vec::new(), Some(Vec::new()));
    for other in others {
        taken.extend(other.as_ref().map_or_else(Problem::usage, |other| Some(other.usage)));
        // Without each of the answers, and with one that was cut, there is no figure.
        compared = compared.zip(other.ok().filter(|other| !matches!(other.finish, Finish::Length))).map(
            |(mut compared, other)| {
                compared.push(other);
                compared
            },
        );
    }
    let all = |usage: Usage| taken.iter().fold(usage, |usage, other| usage.and(*other));
    match first {
        Ok(first) => {
            let compared = compared.filter(|_| !matches!(first.finish, Finish::Length));
            let uncertainty = compared.and_then(|compared| of_samples(&first, &compared));
            Ok(Answer { usage: all(first.usage), uncertainty, ..first })
        }
        Err(Problem::Malformed(why, usage)) => Err(Problem::Malformed(why, all(usage))),
        Err(problem) if !taken.is_empty() => {
            // Only this problem says what was paid.
            Err(Problem::Malformed(problem.into_why(), all(Usage { is_stated: true, ..Usage::default() })))
        }
        Err(problem) => Err(problem),
    }
}

/// Asks until there is an answer or a reason that another attempt would not change.
async fn ask(sender: &Sender) -> Result<Reply, Problem> {
    let (mut left, mut pause, mut renewed) = (TRIES, PAUSE, false);
    loop {
        left -= 1;
        let (why, wait) = match sender.send().await {
            Ok(reply) if reply.is_ok() => return Ok(reply),
            Ok(reply) if !renewed && sender.renew(&reply).await => {
                renewed = true;
                (reply.told(), None)
            }
            Ok(reply) if reply.is_busy() => (reply.told(), reply.retry_after),
            Ok(reply) => return Err(Problem::Refused(reply.told())),
            Err(NoReply::Failed(why)) => (why, None),
            Err(NoReply::Unavailable(why)) => return Err(Problem::Unavailable(why)),
            Err(NoReply::Refused(why)) => return Err(Problem::Refused(why)),
            Err(NoReply::TooLong) => return Err(too_long(sender.model().answer_bytes_max)),
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
