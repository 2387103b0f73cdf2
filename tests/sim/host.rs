//! One host over the disk of a world, connected as the command line connects it: driver, dispatcher, policy, and a real
//! agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use holdshort::agent::{Engine, Import, functions};
use holdshort::connectors::guidance::Guidance;
use holdshort::effects::{Effects, Performers};
use holdshort::policy::{CallQuestion, Judgement, Policy, Verdict};
use holdshort::runs::{Catalogue, DisplayLimit, DriverSettings, Offer, OfferedFunction, RequiredType, Runs};
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Action, Digest, Requirement, Reviewers, RunLimits};
use holdshort_journal::{Journal, ManualWriter};
use tokio::time::sleep;

use crate::outside::{Connector, EmptyFolder, Kind};
use crate::weather::{Life, lock};
use crate::world::World;

/// The first agent makes the calls of its task, and the second sleeps.
pub const AGENTS: [&str; 2] = ["scripted", "clock"];

/// The handles of a running host. Everything of the host lives in the runtime, and ends with the runtime.
#[derive(Clone)]
pub struct Host {
    pub world: Arc<World>,
    pub life: Arc<Life>,
    pub journal: Journal,
    pub runs: Runs,
    pub effects: Effects,
}

/// All worlds share one engine, so that each component is compiled once.
fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let start = || {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim-compiled");
        Engine::for_simulation(&cache, 64).unwrap()
    };
    ENGINE.get_or_init(start).clone()
}

fn package() -> Vec<Import> {
    static PACKAGE: OnceLock<Vec<Import>> = OnceLock::new();
    PACKAGE.get_or_init(|| functions().unwrap()).clone()
}

fn component(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/built").join(name).with_extension("wasm")
}

impl Host {
    /// Starts a host where the last host of this world ended.
    pub async fn start(world: Arc<World>, life: Arc<Life>) -> Self {
        let weather = world.weather.clone();
        let (journal, writer) = Journal::simulated(&world.disk, Arc::new(move || weather.now())).unwrap();
        tokio::spawn(write(world.clone(), life.clone(), writer));
        let (mut catalogue, mut performers) = (Catalogue::default(), Performers::default());
        for import in package() {
            let acts = Kind::ALL.into_iter().find(|kind| kind.function() == import.capability.function());
            let offer: Offer = match (acts, import.capability.function()) {
                (Some(kind), _) => {
                    let (world, life, journal) = (world.clone(), life.clone(), journal.clone());
                    let connector = Arc::new(Connector { world, life, journal, kind });
                    performers.insert(import.capability.clone(), connector.clone());
                    Offer::Consequential { connector, refusal: None }
                }
                (None, "ask") => Offer::Consequential { connector: Arc::new(Guidance), refusal: None },
                (None, "log") if import.capability.interface().contains("/log@") => Offer::Log,
                (None, _) => Offer::Routine(Arc::new(EmptyFolder(world.clone()))),
            };
            catalogue.offer(import.capability, OfferedFunction { offer, required: RequiredType::Exactly(import.ty) });
        }
        let runs = Runs::new(journal.roles().driver, engine(), catalogue, Arc::new(Rules(world.clone())), settings());
        for agent in world.agents {
            // The disk may be full. Then no agent can be loaded yet.
            while runs.load(&(*agent).into()).await.is_err() {
                sleep(Duration::from_secs(1)).await;
            }
        }
        let effects = Effects::new(journal.roles().dispatcher, performers, runs.refresher());
        tokio::spawn(effects.clone().run());
        tokio::spawn(runs.clone().run());
        Self { world, life, journal, runs, effects }
    }
}

/// Writes to the journal as the world's disk does: each transaction takes time, and the host may die before or after
/// it.
async fn write(world: Arc<World>, life: Arc<Life>, mut writer: ManualWriter) {
    let weather = &world.weather;
    loop {
        writer.submitted().await;
        sleep(weather.latency()).await;
        life.goes_on().await;
        if weather.strikes(150) {
            weather.saw("crash: before a transaction");
            life.die().await;
        }
        writer.write();
        if weather.strikes(150) {
            weather.saw("crash: after a transaction");
            life.die().await;
        }
    }
}

fn settings() -> DriverSettings {
    let (cpu_ms, memory_bytes, held_calls, calls) = (60_000, 64 << 20, 100, 1_000);
    DriverSettings {
        limits: RunLimits { cpu_ms, memory_bytes, held_calls, calls, journal_bytes: 1 << 30 },
        linger: Duration::from_secs(2),
        instances_max: 6,
        told_after_tries: 6,
        task_bytes_max: 64 << 10,
        arguments_max_bytes: 256 << 10,
        display_limit: DisplayLimit { bytes_max: 64 << 10, lines_max: 400 },
        agents: AGENTS.map(|name| (name.into(), component(name))).into_iter().collect::<BTreeMap<_, _>>(),
    }
}

/// A policy that always gives the same verdict on the same action. Different actions get verdicts of every kind.
struct Rules(Arc<World>);

impl Policy for Rules {
    fn judge(&self, question: &CallQuestion<'_>) -> Judgement {
        let weather = &self.0.weather;
        weather.saw("policy asked");
        // A replay does not ask the policy: a proposed call that is on disk is never evaluated again.
        self.0.read();
        // Only the agent `clock` may propose the same action twice.
        if *question.agent == AGENTS[0] && lock(&self.0.book).actions.contains(&question.action.digest()) {
            weather.wrong(format!("policy is asked again about {}", question.action.canonical_arguments()));
        }
        let draw = lots(question.action);
        let verdict = match draw(0, 20) {
            0 => Verdict::Refuse("never that".into()),
            1..4 => Verdict::Clear,
            _ => Verdict::Hold,
        };
        let within = [None, None, Some(30_000), Some(600_000), Some(7_200_000)];
        let who = if draw(1, 4) == 0 { Reviewers::Named(vec!["ann".into(), "bob".into()]) } else { Reviewers::Any };
        let quorum = if draw(2, 3) == 0 { 2 } else { 1 };
        let requirement = Requirement {
            four_eyes: draw(3, 4) == 0,
            expires_at: within[draw(4, 5)].map(|ms| question.now.plus_ms(ms)),
            ..Requirement::plain(who, quorum, [5_000, 60_000, 3_600_000][draw(5, 3)])
        };
        let record = PolicyRecord { determining: vec!["rules".into()], ..PolicyRecord::new(Digest::of(b"rules")) };
        Judgement { verdict, requirement, record }
    }
}

/// Numbers that depend only on the action.
fn lots(action: &Action) -> impl Fn(usize, usize) -> usize + use<> {
    let digest = Digest::of(action.canonical_arguments().as_bytes());
    move |place, below| usize::from(digest.bytes()[place]) % below
}
