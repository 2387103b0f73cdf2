//! An endpoint on a real port over a journal in memory, and calls in every state.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort::analysis::review_load::Directory;
use holdshort::api::driver::{AgentInfo, AgentState, Figures, OfferedCapability, ReviseError, StartError};
use holdshort::api::{Api, ApiParts, Driver, Limits, Reviewers, SessionCookie, serve};
use holdshort::isolate::{self, Isolate};
use holdshort::policy::isolated::Reader;
use holdshort::policy::load::Source;
use holdshort::policy::{Defaults, People, PolicySetup};
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::command::{
    AttemptOutcome, CancelRun, Choice, CreateRun, CreateRunOnce, Decide, Expire, Finish, FirstVerdict, Propose,
    Resolve, Revision, Start,
};
use holdshort_gate::{
    Action, AgentName, Call, Command, Consequence, Digest, EffectClass, Event, ExhibitRef, FunctionType, Mismatch,
    Phase, Proposal, RefusalReason, Requirement, Resolution, ReviewerName, Reviewers as Who, RunId, RunLimits, Time,
    WitType,
};
use holdshort_journal::{Fence, Flushed, Journal, Position, SubmitError};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Reply, Request, get};
use crate::schema::Schema;

/// The exhibit of every proposal. It is markup, which a client must not render as a page.
pub const EXHIBIT: &[u8] = b"<script>alert('+1 line')</script>\n\xff";

pub struct World {
    pub journal: Journal,
    pub at: SocketAddr,
    pub schema: Schema,
    pub clock: Arc<AtomicU64>,
    runs: AtomicU32,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<std::io::Result<()>>>,
}

/// A call: the id of its approval, and the digest that a decision must name.
pub struct Held {
    pub id: String,
    pub run: RunId,
    pub digest: Digest,
}

/// The properties of a held call.
#[derive(Clone)]
pub struct How {
    pub who: Who,
    pub quorum: u32,
    pub four_eyes: bool,
    pub expires_at: Option<Time>,
    pub class: EffectClass,
}

impl How {
    pub const PLAIN: Self =
        Self { who: Who::Any, quorum: 1, four_eyes: false, expires_at: None, class: EffectClass::Idempotent };
}

/// A decision without a message, by a reviewer who has just signed in.
pub fn decide(reviewer: &'static str, clearance: Digest, choice: Choice) -> Decide {
    let signed_in_at = Time(u64::MAX);
    Decide { reviewer: reviewer.into(), stands_for: None, signed_in_at, clearance, choice, message: None }
}

fn function() -> FunctionType {
    let text = || Some(Box::new(WitType::String));
    FunctionType {
        params: vec![("text".into(), WitType::String)],
        result: Some(WitType::Result { ok: text(), err: text() }),
    }
}

fn action(text: &Value) -> Result<Action, Mismatch> {
    let capability = "acme:mail/send@1.0.0#send".parse().unwrap();
    Action::new(Digest::of(b"component"), capability, &function(), &json!({ "text": text }))
}

pub fn proposal(text: &str, how: &How) -> Proposal {
    let exhibit = ExhibitRef {
        whose: None,
        title: "the message".into(),
        media: "text/plain".into(),
        digest: Digest::of(EXHIBIT),
        bytes: EXHIBIT.len().try_into().unwrap(),
    };
    let How { who, quorum, four_eyes, expires_at, class } = how.clone();
    Proposal {
        action: action(&json!(text)).unwrap(),
        summary: format!("send {text}"),
        exhibits: vec![exhibit],
        similar_calls: Vec::new(),
        preconditions: Value::Null,
        facts: json!({ "recipients": 1 }),
        consequence: Some(Consequence::Medium),
        connector: "test".into(),
        class,
        requirement: Requirement {
            four_eyes,
            expires_at,
            grantors: Who::Named(vec!["alice".into()]),
            ..Requirement::plain(who, quorum, 60_000)
        },
        policy: PolicyRecord {
            determining: vec!["hold-everything".into()],
            ..PolicyRecord::new(Digest::of(b"policy"))
        },
    }
}

/// Stands in for the driver: it types arguments and writes to the same journal. The endpoint needs no more of the
/// driver.
struct Typist {
    journal: Journal,
    started: AtomicU32,
}

fn create(agent: &AgentName, task: &str, started_by: &ReviewerName) -> CreateRun {
    CreateRun {
        agent: agent.clone(),
        component: Digest::of(b"component"),
        task: task.into(),
        started_by: started_by.clone(),
        limits: RunLimits { cpu_ms: 1_000, memory_bytes: 1 << 20, held_calls: 5, calls: 10, journal_bytes: 1 << 20 },
        seed: Digest::of(b"seed"),
    }
}

impl Driver for Typist {
    fn start<'a>(
        &'a self,
        agent: &'a AgentName,
        task: &'a str,
        by: &'a ReviewerName,
        request: Option<holdshort_gate::Request>,
    ) -> BoxFuture<'a, Result<Flushed<RunId>, StartError>> {
        async move {
            match agent.as_str() {
                "release" => {
                    let id = RunId(format!("z-started-{}", self.started.fetch_add(1, Ordering::Relaxed)));
                    let create = create(agent, task, by);
                    Ok(match request {
                        Some(request) => {
                            self.journal.submit(&id, None, Fence::None, CreateRunOnce { request, create }).await?
                        }
                        None => self.journal.submit(&id, None, Fence::None, create).await?,
                    })
                }
                "broken" => Err(StartError::CannotLoad("`broken.wasm` is not a component".into())),
                "wordy" => Err(StartError::TaskTooLong { bytes: task.len(), bytes_max: 1 }),
                "late" => Err(StartError::Busy("no more runs just now".into())),
                _ => Err(StartError::UnknownAgent { name: agent.clone(), known: vec!["release".into()] }),
            }
        }
        .boxed()
    }

    fn revise<'a>(
        &'a self,
        _: &'a RunId,
        call: &'a Call,
        _: &'a ReviewerName,
        arguments: &'a Value,
    ) -> BoxFuture<'a, Result<Revision, ReviseError>> {
        async move {
            let old = call.proposal().expect("only held calls are revised");
            let action = Action::new(old.action.component(), old.action.capability().clone(), &function(), arguments)?;
            assert_eq!(call.phase, Phase::Held, "a connector looks for nobody who is too late");
            match arguments["text"].as_str() {
                Some("impossible") => Err(ReviseError::Impossible("there is no such address".into())),
                Some("forbidden") => Err(ReviseError::Forbidden("policy says no".into())),
                Some("away") => Err(ReviseError::Unavailable("the connector cannot look just now".into())),
                Some("evident") => {
                    let mut exhibits = old.exhibits.clone();
                    let digest = Digest::of(b"what nobody has seen");
                    exhibits.push(ExhibitRef {
                        whose: None,
                        title: "more".into(),
                        media: "text/plain".into(),
                        digest,
                        bytes: 20,
                    });
                    Ok(Revision { proposal: Proposal { action, exhibits, ..old.clone() } })
                }
                _ => Ok(Revision { proposal: Proposal { action, ..old.clone() } }),
            }
        }
        .boxed()
    }

    fn function<'a>(&'a self, _: &'a Call) -> BoxFuture<'a, Result<FunctionType, ReviseError>> {
        async { Ok(function()) }.boxed()
    }

    fn check_ok_value<'a>(&'a self, _: &'a Call, value: &'a Value) -> BoxFuture<'a, Result<Value, ReviseError>> {
        async move { Ok(WitType::String.normalise(value)?) }.boxed()
    }

    fn default_receipt(&self, _: &RunId, call: &Call) -> Option<Value> {
        (call.proposal()?.class == EffectClass::Idempotent).then(|| json!("found it"))
    }

    fn if_lost(&self, call: &Call) -> Option<String> {
        Some(format!("the host looks for what `{}` has done", call.proposal()?.connector))
    }

    fn figures(&self) -> Figures {
        Figures { live_runs: 2, instances_started: 7, events_replayed: 40, events_recalled: 11 }
    }

    fn agents(&self) -> Vec<AgentInfo> {
        let capability =
            |name: &str, consequential| OfferedCapability { capability: name.parse().unwrap(), consequential };
        let capabilities =
            vec![capability("acme:mail/send@1.0.0#send", true), capability("acme:mail/list@1.0.0#list", false)];
        let ready = AgentState::Ready { component: Digest::of(b"component"), capabilities };
        let failed = AgentState::Failed("it is nested too deep".into());
        let agents = [("release", ready), ("broken", failed), ("large", AgentState::Loading)];
        agents.map(|(name, state)| AgentInfo { name: name.into(), state }).into()
    }
}

/// The policies in force. Only backtests and explanations evaluate them: these tests write their calls without asking
/// policy.
const POLICIES: &str = "// Ours.
@id(\"short\") @why(\"it says little\")
permit (principal, action == Action::\"call\", resource is acme::mail::send::Send)
when { resource.arguments.text == \"short\" };

@id(\"everybody\") permit (principal, action == Action::\"decide\", resource);
";

/// The types, people and groups to which policies can refer here: one function and four people.
fn setting(cpu_seconds: u64) -> PolicySetup {
    let capability = "acme:mail/send@1.0.0#send".parse().unwrap();
    let names = |names: &[&'static str]| names.iter().map(|name| ReviewerName::from(*name)).collect::<Vec<_>>();
    let groups = [("team".to_owned(), names(&["alice", "bob"]))].into();
    let people = People::new(names(&["alice", "bob", "carol", "olga"]), groups);
    let base = Defaults::new(|_| Requirement::plain(Who::Any, 1, 60_000));
    let source = Source { path: "rules/ours.cedar".into(), text: POLICIES.into() };
    let limits = isolate::Limits { settings: "policy", memory_mib: 512, cpu_seconds, seconds: 60, file_mib: 0 };
    let reader = Reader::isolated(Isolate::of(Path::new(env!("CARGO_BIN_EXE_holdshort"))), limits);
    PolicySetup::new(vec![source], [(capability, function())].into_iter().collect(), people, base, reader).unwrap()
}

impl World {
    pub async fn new() -> Self {
        Self::with(Limits::STANDARD).await
    }

    pub async fn with(limits: Limits) -> Self {
        Self::judging_for(10, limits).await
    }

    /// A world whose backtests may use this much CPU time.
    pub async fn judging_for(cpu_seconds: u64, limits: Limits) -> Self {
        Self::made_of(cpu_seconds, limits, |at| SessionCookie::new(false, at.port())).await
    }

    /// A world without TLS, in which each session has its own host name.
    pub async fn with_names() -> Self {
        Self::made_of(10, Limits::STANDARD, |at| SessionCookie::new(false, at.port()).with_names()).await
    }

    async fn made_of(cpu_seconds: u64, limits: Limits, cookie: impl Fn(SocketAddr) -> SessionCookie) -> Self {
        let clock = Arc::new(AtomicU64::new(1_767_225_600_000_000));
        let now = clock.clone();
        let journal = Journal::in_memory(Arc::new(move || Time(now.fetch_add(1, Ordering::Relaxed)))).unwrap();
        let _ = journal.put_blob(EXHIBIT.to_vec()).await.unwrap();
        let hash = |name: &'static str| (name.into(), Digest::of(format!("token-of-{name}").as_bytes()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let api = Api::new(ApiParts {
            desk: journal.roles().desk,
            driver: Arc::new(Typist { journal: journal.clone(), started: AtomicU32::new(0) }),
            reviewers: Reviewers::new(["alice", "bob", "carol", "olga"].map(hash)).unwrap(),
            allowed_hosts: vec!["holdshort.test".into(), at.to_string()],
            allowed_origins: vec!["http://holdshort.test".into(), format!("http://{at}")],
            policy_setup: setting(cpu_seconds),
            pages: holdshort::page::pages(),
            cookie: cookie(at),
            limits,
            targets_gone: Arc::default(),
            known: Directory {
                groups: [("finance".to_owned(), vec!["alice".into()])].into(),
                types: [("acme:mail/send@1.0.0#send".parse().unwrap(), function())].into_iter().collect(),
                policies: vec!["never-\"needed\"".into()],
            },
            unconfined: false,
        });
        let (stop, stopped) = oneshot::channel();
        let server = Some(tokio::spawn(serve(listener, api, stopped)));
        let reply = get("/openapi.json").send(at).await;
        let schema = Schema(reply.json());
        schema.check(&get("/openapi.json"), &reply);
        Self { journal, at, schema, clock, runs: AtomicU32::new(0), stop: Some(stop), server }
    }

    /// Sends a request and checks the answer against the schema.
    pub async fn ask(&self, request: &Request) -> Reply {
        let reply = request.send(self.at).await;
        self.schema.check(request, &reply);
        reply
    }

    /// Shuts the host down. Fails if that takes longer than open requests may take.
    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        let server = self.server.take().unwrap();
        tokio::time::timeout(Duration::from_secs(15), server).await.expect("shuts down").unwrap().unwrap();
    }

    pub async fn submit<C: Command>(
        &self,
        run: &RunId,
        call: Option<u32>,
        command: C,
    ) -> Result<Flushed<C::Output>, SubmitError> {
        self.journal.submit(run, call, Fence::None, command).await
    }

    /// A run that Olga started.
    pub async fn run(&self) -> RunId {
        let run = RunId(format!("run-{:04}", self.runs.fetch_add(1, Ordering::Relaxed)));
        let _ = self.submit(&run, None, create(&"release".into(), "write to them", &"olga".into())).await.unwrap();
        run
    }

    pub async fn proposed(&self, proposed: FirstVerdict) -> Held {
        let run = self.run().await;
        let _ = self.submit(&run, None, Propose { call: 1, proposed }).await.unwrap();
        let digest = self.digest(&run).await.unwrap_or(Digest::of(b"none"));
        Held { id: format!("{run}.1"), run, digest }
    }

    pub async fn digest(&self, run: &RunId) -> Option<Digest> {
        self.journal.subject(run, Some(1)).await.unwrap().unwrap().call.unwrap().clearance
    }

    pub async fn held(&self, how: &How) -> Held {
        self.proposed(FirstVerdict::Hold(Box::new(proposal("hello", how)))).await
    }

    pub async fn decided(&self, how: &How, reviewer: &'static str, choice: Choice) -> Held {
        let held = self.held(how).await;
        let decide = decide(reviewer, held.digest, choice);
        let _ = self.submit(&held.run, Some(1), decide).await.unwrap();
        held
    }

    async fn started(&self, how: &How) -> Held {
        let held = self.decided(how, "alice", Choice::Approve).await;
        let _ = self.submit(&held.run, Some(1), Start { perform_within_ms: 1_000 }).await.unwrap();
        held
    }

    pub async fn finished(&self, how: &How, outcome: AttemptOutcome) -> Held {
        let held = self.started(how).await;
        let _ = self.submit(&held.run, Some(1), Finish { attempt: 1, outcome, evidence: None }).await.unwrap();
        held
    }

    pub async fn in_doubt(&self, how: &How) -> Held {
        self.finished(how, AttemptOutcome::Unknown("the reply was lost".into())).await
    }

    /// A new call in the phase with this name. If a decision was needed, Alice made it.
    pub async fn call(&self, phase: &str) -> Held {
        let plain = &How::PLAIN;
        let question = &How { class: EffectClass::Question, ..How::PLAIN };
        let held = match phase {
            "refused" => {
                let action = Box::new(action(&json!("hello")).unwrap());
                self.proposed(FirstVerdict::Refuse(action, RefusalReason::Forbidden("never".into()), None)).await
            }
            "cleared" => self.proposed(FirstVerdict::Clear(Box::new(proposal("hello", plain)))).await,
            "held" => self.held(plain).await,
            "approved" => self.decided(plain, "alice", Choice::Approve).await,
            "started" => self.started(plain).await,
            "in-doubt" => self.in_doubt(plain).await,
            "succeeded" => self.finished(plain, AttemptOutcome::Happened(json!("sent"))).await,
            "failed" => self.finished(plain, AttemptOutcome::DidNotHappen("no such address".into())).await,
            "unresolved" => {
                let held = self.in_doubt(plain).await;
                let resolve =
                    Resolve { attempt: 1, by: "alice".into(), resolution: Resolution::Abandon, message: None };
                let _ = self.submit(&held.run, Some(1), resolve).await.unwrap();
                held
            }
            "rejected" => self.decided(plain, "alice", Choice::Reject).await,
            "answered" => self.decided(question, "alice", Choice::Respond(json!("yes"))).await,
            "expired" => {
                let soon = Time(self.clock.load(Ordering::Relaxed) + 1_000_000);
                let held = self.held(&How { expires_at: Some(soon), ..How::PLAIN }).await;
                self.clock.fetch_add(2_000_000, Ordering::Relaxed);
                let _ = self.submit(&held.run, Some(1), Expire).await.unwrap();
                held
            }
            "cancelled" => {
                let held = self.held(plain).await;
                let _ = self.submit(&held.run, None, CancelRun { by: "olga".into(), reason: None }).await.unwrap();
                held
            }
            other => panic!("no phase {other}"),
        };
        let subject = self.journal.subject(&held.run, Some(1)).await.unwrap().unwrap();
        assert_eq!(subject.call.unwrap().phase.state().as_str(), phase);
        held
    }

    /// All events that are written, so that a test can compare before and after.
    pub async fn written(&self) -> Vec<(RunId, Event)> {
        let feed = self.journal.feed(Position(0), usize::MAX >> 1).await.unwrap();
        feed.into_iter().map(|entry| (entry.run, entry.recorded.event)).collect()
    }
}
