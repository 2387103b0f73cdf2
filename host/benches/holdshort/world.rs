//! A host in this process. Its connector appends a line to a file, flushes it, and remembers when it was called.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort::agent::{Engine, ReadLimits, Reader, functions};
use holdshort::api::driver::{AgentInfo, Driver, ReviseError, StartError};
use holdshort::api::{Api, ApiParts, Limits, Reviewers, SessionCookie, serve};
use holdshort::config::Approval;
use holdshort::connectors::descriptor::{DeclaredFacts, Effect};
use holdshort::connectors::{
    Attempt, CannotPreview, Finding, Inquiry, Perform, Preview, Previewed, Routine, RoutineCall, Unavailable,
};
use holdshort::effects::{Effects, Performers};
use holdshort::isolate::{self, Isolate};
use holdshort::policy::HoldEverything;
use holdshort::runs::{Catalogue, DisplayLimit, DriverSettings, Figures, Offer, OfferedFunction, RequiredType, Runs};
use holdshort_gate::command::Revision;
use holdshort_gate::{
    Action, AgentName, Call, Capability, Consequence, Digest, EffectClass, FunctionType, ReviewerName, RunId,
    RunLimits, Time,
};
use holdshort_journal::{Authorized, Clock, Flushed, Opened};
use holdshort_words::say;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The token of the only reviewer.
pub const TOKEN: &str = "the-bench-and-nobody-else";

/// A host that is measured. It ends when this value is dropped.
pub struct World {
    pub at: SocketAddr,
    pub connector: Arc<LineConnector>,
    runs: Runs,
    stop: Option<oneshot::Sender<()>>,
    // Everything of the host runs in this runtime. Dropping the world ends the runtime.
    runtime: Option<Runtime>,
}

/// The file of an example agent's built component.
pub fn component(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/built").join(name).with_extension("wasm")
}

pub fn limits() -> RunLimits {
    RunLimits {
        cpu_ms: 60_000,
        memory_bytes: 64 << 20,
        held_calls: 1_000_000,
        calls: 1_000_000,
        journal_bytes: 1 << 40,
    }
}

impl World {
    /// A host whose journal is in `folder`. Runs that wait stay in memory for `linger`.
    pub fn open(folder: &Path, linger: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let connector = Arc::new(LineConnector::new(&folder.join("effects")));
        let (at, runs, stop) = runtime.block_on(host(folder, linger, &connector));
        Self { at, connector, runs, stop: Some(stop), runtime: Some(runtime) }
    }

    /// The number of runs with a task. Each may have an instance too.
    pub fn live(&self) -> usize {
        self.runs.figures().live_runs
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            // Tasks are dropped where they wait, as if the host were killed.
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }
}

async fn host(
    folder: &Path,
    linger: Duration,
    connector: &Arc<LineConnector>,
) -> (SocketAddr, Runs, oneshot::Sender<()>) {
    let roles = Opened::at(&folder.join("journal.db"), clock()).unwrap();
    let child =
        isolate::Limits { settings: "load", memory_mib: 2_048, cpu_seconds: 180, seconds: 600, file_mib: 1_024 };
    let read_limits = ReadLimits { component_mib: 128, child };
    let isolate = Isolate::of(Path::new(env!("CARGO_BIN_EXE_holdshort")));
    let engine =
        Engine::new(Reader::isolated(isolate, read_limits, &folder.join("compiled")).unwrap(), 512, 256).unwrap();
    let (catalogue, performers) = offers(connector);
    let policy = HoldEverything(Approval {
        reviewers: holdshort_gate::Reviewers::Any,
        quorum: 1,
        four_eyes: false,
        grantors: Vec::new(),
        expires_after_ms: None,
        start_within_ms: 600_000,
    });
    let agents = ["many-calls", "scripted"].map(|name| (name.into(), component(name)));
    let settings = DriverSettings {
        limits: limits(),
        linger,
        instances_max: 512,
        told_after_tries: 6,
        task_bytes_max: 64 << 10,
        arguments_max_bytes: 256 << 10,
        display_limit: DisplayLimit { bytes_max: 64 << 10, lines_max: 400 },
        agents: BTreeMap::from(agents),
    };
    let runs = Runs::new(roles.driver, engine, catalogue, Arc::new(policy), settings);
    let effects = Effects::new(roles.dispatcher, performers, runs.refresher());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let api = Api::new(ApiParts {
        desk: roles.desk,
        driver: Arc::new(BenchDriver(runs.clone())),
        reviewers: Reviewers::new([("bench".into(), Digest::of(TOKEN.as_bytes()))]).unwrap(),
        allowed_hosts: vec![at.to_string()],
        allowed_origins: Vec::new(),
        policy_setup: crate::policy::policy_setup(""),
        pages: holdshort::page::pages(),
        cookie: SessionCookie::new(false, at.port()),
        limits: Limits::STANDARD,
        targets_gone: Arc::default(),
        known: holdshort::analysis::review_load::Directory::default(),
        unconfined: false,
    });
    tokio::spawn(effects.run());
    tokio::spawn(runs.clone().run());
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(serve(listener, api, stopped));
    (at, runs, stop)
}

pub fn clock() -> Clock {
    Arc::new(|| {
        #[allow(clippy::disallowed_methods, reason = "the bench stands where the command line would")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Time(u64::try_from(since.as_micros()).unwrap())
    })
}

fn offers(connector: &Arc<LineConnector>) -> (Catalogue, Performers) {
    let (mut catalogue, mut performers) = (Catalogue::default(), Performers::default());
    // The two agents also import functions that they never call. These need an offer too, or the host refuses the
    // agents.
    for import in functions().unwrap() {
        let offer: Offer = match import.capability.function() {
            "send-email" => {
                performers.insert(import.capability.clone(), connector.clone());
                Offer::Consequential { connector: connector.clone(), refusal: None }
            }
            "deploy" | "transfer-funds" | "ask" => Offer::Consequential { connector: connector.clone(), refusal: None },
            "log" if import.capability.interface().contains("/log@") => Offer::Log,
            _ => Offer::Routine(Arc::new(EmptyFolder)),
        };
        catalogue.offer(import.capability, OfferedFunction { offer, required: RequiredType::Exactly(import.ty) });
    }
    (catalogue, performers)
}

/// Answers every routine call with an empty list.
struct EmptyFolder;

impl Routine for EmptyFolder {
    fn answer<'a>(&'a self, _: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async { Ok(json!({ "ok": [] })) }.boxed()
    }
}

/// Appends a line for each effect, and flushes it.
pub struct LineConnector {
    /// The lock lets one thread flush at a time. Threads that flush one file at the same time wait again and again for
    /// each other's pages.
    file: Arc<Mutex<File>>,
    previewed: Mutex<Instant>,
    entered: Mutex<Instant>,
    /// The bytes of the last previewed arguments.
    arguments: Mutex<usize>,
    /// The function that is called when an effect begins.
    on_entered: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl LineConnector {
    fn new(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        let (previewed, entered) = (Mutex::new(Instant::now()), Mutex::new(Instant::now()));
        let (arguments, on_entered) = (Mutex::new(0), Mutex::new(None));
        Self { file: Arc::new(Mutex::new(file)), previewed, entered, arguments, on_entered }
    }

    /// The time of the last preview, at which a call reached the host.
    pub fn previewed(&self) -> Instant {
        *self.previewed.lock().unwrap()
    }

    /// The time at which the last effect began.
    pub fn entered(&self) -> Instant {
        *self.entered.lock().unwrap()
    }

    pub fn argument_bytes(&self) -> usize {
        *self.arguments.lock().unwrap()
    }

    pub fn on_entered(&self, tell: impl Fn() + Send + 'static) {
        *self.on_entered.lock().unwrap() = Some(Box::new(tell));
    }
}

impl Preview for LineConnector {
    fn effect(&self) -> Effect {
        Effect {
            connector: "line",
            class: EffectClass::OneShot,
            evidence: "none",
            facts: DeclaredFacts::Fixed(&[]),
            preconditions: &[],
        }
    }

    fn preview<'a>(&'a self, _: &'a AgentName, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        *self.previewed.lock().unwrap() = Instant::now();
        *self.arguments.lock().unwrap() = action.canonical_arguments().len();
        async {
            Ok(Previewed {
                summary: say!("append a line to a file"),
                exhibits: Vec::new(),
                preconditions: Value::Null,
                facts: Value::Null,
                consequence: Consequence::High,
            })
        }
        .boxed()
    }
}

impl Perform for LineConnector {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        *self.entered.lock().unwrap() = Instant::now();
        if let Some(tell) = &*self.on_entered.lock().unwrap() {
            tell();
        }
        let file = self.file.clone();
        let work = move || {
            let line = format!("{} {}.{}\n", authorized.key(), authorized.run(), authorized.call());
            let mut file = file.lock().unwrap();
            file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).unwrap();
            drop(file);
            let sent = &authorized.action().arguments()["message"];
            Attempt::Done(json!({ "sent": sent, "message-id": authorized.key().0, "accepted-by": "a file" }))
        };
        tokio::task::spawn_blocking(work).map(|attempt| attempt.unwrap()).boxed()
    }

    fn lookup<'a>(&'a self, _: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async { Finding::Unknown { evidence: "the bench does not look".into() } }.boxed()
    }

    fn receipt(&self, _: &Inquiry) -> Option<Value> {
        None
    }
}

/// Connects the API with the runs. Functions that this bench does not use return nothing.
struct BenchDriver(Runs);

impl Driver for BenchDriver {
    fn start<'a>(
        &'a self,
        agent: &'a AgentName,
        task: &'a str,
        by: &'a ReviewerName,
        request: Option<holdshort_gate::Request>,
    ) -> BoxFuture<'a, Result<Flushed<RunId>, StartError>> {
        let failed = |error: holdshort::runs::StartError| StartError::Busy(error.to_string());
        async move { self.0.start(agent, task, by, request).await.map_err(failed) }.boxed()
    }

    fn revise<'a>(
        &'a self,
        run: &'a RunId,
        call: &'a Call,
        editor: &'a ReviewerName,
        to: &'a Value,
    ) -> BoxFuture<'a, Result<Revision, ReviseError>> {
        self.0.revise(run, call, editor, to).boxed()
    }

    fn function<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<FunctionType, ReviseError>> {
        self.0.function(call).boxed()
    }

    fn check_ok_value<'a>(&'a self, call: &'a Call, value: &'a Value) -> BoxFuture<'a, Result<Value, ReviseError>> {
        self.0.check_ok_value(call, value).boxed()
    }

    fn default_receipt(&self, _: &RunId, _: &Call) -> Option<Value> {
        None
    }

    fn if_lost(&self, _: &Call) -> Option<String> {
        None
    }

    fn figures(&self) -> Figures {
        self.0.figures()
    }

    fn agents(&self) -> Vec<AgentInfo> {
        Vec::new()
    }
}

/// The number of performed effects, counted in the connector's file.
pub fn effects(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("effects")).unwrap().lines().count()
}

/// The capability of the routine calls that the example agent makes.
pub fn list_files() -> Capability {
    let found = functions().unwrap().into_iter().find(|import| import.capability.function() == "list-files");
    found.unwrap().capability
}

/// The client's own runtime, on the thread that measures.
pub fn client() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
