//! `holdshort run --script`: tests an agent without people and services. A script plays the reviewers and the systems
//! outside, on a journal that is removed at the end.
//!
//! **Invariant:** no connector of the configuration is opened, and nobody is notified: the host is made with
//! [`Host::scripted`], which gets the connectors of the script and no others.

mod connectors;
mod file;
mod outcomes;
mod play;
pub(super) mod record;
mod report;
mod steps;
mod values;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdshort_gate::{AgentName, Digest, ReviewerName};
use holdshort_journal::Opened;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::file::Decision;
use self::play::{Need, Play};
use self::steps::Steps;
use super::approvals::decide::{add, decision as body};
use super::approvals::show::Page;
use super::args::{CallId, RunName};
use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::host::{self, Host};
use super::output::Output;
use super::session::Session;
use super::{inspect, logging, run};
use crate::api::decisions::DecisionAnswer;
use crate::config::{self, Config};

/// The interval between looks at the journal.
const PAUSE: Duration = Duration::from_millis(5);

/// The reviewers of a script: the local operator, and those that the script names.
struct Reviewers<'a> {
    session: &'a Session,
    others: BTreeMap<ReviewerName, Client>,
}

/// Runs the agent under a script, prints the result, and fails if anything differs from the script.
pub(super) fn run(
    path: &Path,
    task: Option<&str>,
    agent: &AgentName,
    config: Config,
    output: &Output,
) -> Result<Exit, Failure> {
    logging::begin("error", output.json);
    let (mut file, text) = steps::read(path)?;
    let Some(task) = task.map(str::to_owned).or_else(|| file.task.take()) else {
        return Err(Failure::new(Exit::Usage, format!("{}: the script has no task", path.display()))
            .hint("write `task = \"…\"` at its beginning, or give `--task`"));
    };
    let scratch = tempfile::Builder::new().prefix("holdshort-script-").tempdir().map_err(|error| failed(&error))?;
    host::keep_private(&config, output)?;
    let state = config.state.clone();
    let mut config = scratch_config(config, &scratch);
    let component = config.agents.get(agent).map(|agent| agent.component.clone()).unwrap_or_default();
    let manifest = inspect::check(&component, &config)?;
    let steps = Steps::check((file, &text), path, &manifest, &inspect::catalogue(&config)?)?;
    let tokens = add_reviewers(&steps, &mut config)?;
    host::keep_private(&config, output)?;
    let opened: Opened = host::open_journal(&config)?;
    let play = Arc::new(Play::new(steps, opened.journal.clone()));
    let connectors = connectors::connectors(&play, &config)?;
    let session = Session::start(Host::scripted(config, opened, connectors, state)?, agent, output)?;
    let others = tokens.into_iter().map(|(name, token)| (name, Client::new(session.client.base(), &token)));
    let reviewers = Reviewers { session: &session, others: others.collect() };
    let run = run::start(&session.client, agent, &task)?;
    let exit = reviewers.review(&play, &run)?;
    let played = session.block_on(play.played());
    drop(play);
    session.stop()?;
    let passed = report::print(&played, path, output)?;
    Ok(exit.unwrap_or(if passed { Exit::Done } else { Exit::Different }))
}

/// The configuration with all files of the host in a scratch folder, and without people to notify. What is offered to
/// agents stays, because it classifies calls. A project without a repository may be one later, so its agent is offered
/// the interfaces that need one.
fn scratch_config(mut config: Config, scratch: &TempDir) -> Config {
    let state = scratch.path().join("state");
    let repository = scratch.path().join("repository");
    config.journal = state.join(config::defaults::JOURNAL_FILE);
    config.token_file = state.join("token");
    config.operator_file = state.join(config::defaults::OPERATOR_FILE);
    config.payments.path = state.join("payments.db");
    config.state = state;
    config.source = None;
    config.notify.clear();
    config.checks.clear();
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let git = config::Deploy::Git;
    let deployment = config::Deployment { repository: repository.clone(), targets: BTreeMap::new(), connector: git };
    config.deployment.get_or_insert(deployment);
    config.repository.get_or_insert(repository);
    config
}

/// Gives every reviewer a token of this run, also those whom only the script names.
fn add_reviewers(steps: &Steps, config: &mut Config) -> Result<BTreeMap<ReviewerName, String>, Failure> {
    let named = steps.all.iter().flat_map(|step| &step.decisions).filter_map(|decision| decision.by.clone());
    let others = named.filter(|name| *name != config.operator).collect::<std::collections::BTreeSet<_>>();
    let mut tokens = BTreeMap::new();
    for name in config.reviewers.iter().map(|reviewer| reviewer.name.clone()).chain(others) {
        let random = getrandom::u64().and_then(|high| Ok((high, getrandom::u64()?)));
        let (high, low) = random.map_err(|error| failed(&error))?;
        tokens.insert(name, format!("{high:016x}{low:016x}"));
    }
    let reviewer = |(name, token): (&ReviewerName, &String)| config::Reviewer {
        name: name.clone(),
        token_sha256: Digest::of(token.as_bytes()),
        email: None,
    };
    config.reviewers = tokens.iter().map(reviewer).collect();
    Ok(tokens)
}

impl Reviewers<'_> {
    /// Decides as the script says, until the run is over or the script has failed. Returns an exit code if the user
    /// interrupts it.
    fn review(&self, play: &Play, run: &RunName) -> Result<Option<Exit>, Failure> {
        let interrupted = self.session.interrupted();
        loop {
            match self.session.block_on(play.need()).map_err(|error| failed(&error))? {
                Need::End => return Ok(None),
                Need::Nothing if interrupted.load(Ordering::Relaxed) => return Ok(Some(Exit::Interrupted)),
                Need::Nothing => std::thread::sleep(PAUSE),
                Need::Decision(call, step, decision) => {
                    let id = CallId { run: run.clone(), call };
                    if let Err(failure) = self.decide(&id, &decision) {
                        let expected = "a decision that the host accepts".to_owned();
                        self.session.block_on(play.differs(step, expected, failure.message));
                    }
                }
                Need::Resolution(call, attempt, kind, words) => {
                    let path = format!("/runs/{run}/calls/{call}/resolution");
                    let resolution = json!({ "type": kind, "attempt": attempt, "message": words });
                    self.session.client.post::<Value>(&path, &resolution)?;
                }
            }
        }
    }

    /// Sends one decision on what is held now.
    fn decide(&self, id: &CallId, Decision { approve: _, reject, answer, edit, by }: &Decision) -> Result<(), Failure> {
        let client = by.as_ref().and_then(|by| self.others.get(by)).unwrap_or(&self.session.client);
        let page = Page::open(id, None, true, client)?;
        let (digest, action) = (page.verified.digest, &page.verified.proposal.action);
        let body = match (reject, answer, edit) {
            (Some(guidance), ..) => body("reject", digest, Some(guidance)),
            (_, Some(Value::String(words)), _) => body("respond", digest, Some(words)),
            (_, Some(answer), _) => {
                let mut body = body("respond", digest, None);
                add(&mut body, "answer", answer.clone());
                body
            }
            (.., Some(edit)) => {
                let mut body = body("edit", digest, None);
                add(&mut body, "arguments", action.edited(values::edited(action.arguments(), edit)));
                body
            }
            _ => body("approve", digest, None),
        };
        let _: DecisionAnswer = client::read(&client.decide(id, &body)?)?;
        Ok(())
    }
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
