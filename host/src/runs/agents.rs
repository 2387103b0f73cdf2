//! The agents that this host can run: found by name for a new run, by digest for one that goes on.

mod error;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use holdshort_gate::{Capability, Digest};
use holdshort_journal::Journal;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::catalogue::{BindError, Bindings, BoundOffer, Catalogue};
use super::live::LiveAgent;
use crate::agent::{Engine, Kept, LoadError, Manifest, Problem, Program, Reader, Source};

pub use error::AgentError;

/// An agent that can be started: read and compiled by a child, and every import tied to what serves it.
/// Its code is not in this process before a run needs it: what nobody runs costs the host no more than its manifest.
pub struct Loaded {
    /// What it asks for.
    pub manifest: Arc<Manifest>,
    pub(super) bindings: Bindings,
}

/// A configured agent.
#[derive(Clone)]
pub struct AgentInfo {
    /// Its name.
    pub name: String,
    /// Whether a run of it can begin.
    pub state: AgentState,
}

/// Whether a run of an agent can begin.
#[derive(Clone)]
pub enum AgentState {
    /// Its file is being read, or its turn to be read has not come.
    Loading,
    /// A new run would execute this.
    Ready(Arc<Loaded>),
    /// It cannot be run, for this reason.
    Failed(String),
}

/// Where a component comes from.
enum Origin {
    /// A configured file, with its time and size.
    File(PathBuf, (SystemTime, u64)),
    /// The journal, which has the component of every run.
    Journal(Digest),
}

/// Finds and keeps agents. A cheap handle.
#[derive(Clone)]
pub(super) struct Agents(Arc<Inner>);

struct Inner {
    engine: Engine,
    catalogue: Arc<Catalogue>,
    configured: BTreeMap<String, PathBuf>,
    cache: Mutex<Cache>,
    reading: Semaphore,
}

/// At most this many agents that were loaded are kept, beside the configured ones; and as many programs, of no more bytes of code together
/// than these, beside those that run. What is not kept is loaded again, programs from wasmtime's cache on disk.
const LOADED_MAX: usize = 32;
const PROGRAM_BYTES_MAX: usize = 256 << 20;
/// How many components are read at a time. Each may use the memory and the cores that its limits allow.
const READING_MAX: usize = 2;
/// How many imports are named that are in the way of one agent.
const PROBLEMS_MAX: usize = 20;
/// How long a component that could not be read is refused without another try. Reading it may take all that its limits allow.
const REFUSED_FOR: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Cache {
    loaded: HashMap<Digest, Arc<Loaded>>,
    /// Code that runs, or ran lately.
    programs: HashMap<Digest, Program>,
    /// Components that could not be read, when that was, and why.
    refused: HashMap<Digest, (Instant, String)>,
    /// Components that are being read: who else wants one waits for the same turn.
    turns: HashMap<Digest, Weak<tokio::sync::Mutex<()>>>,
    /// What a file held when it was last read, so that starting a run does not read it again.
    files: HashMap<PathBuf, (SystemTime, u64, Arc<Loaded>)>,
    /// Why an agent could not be loaded when that was last tried.
    failed: HashMap<String, String>,
}

impl Agents {
    pub(super) fn new(engine: Engine, catalogue: Arc<Catalogue>, configured: BTreeMap<String, PathBuf>) -> Self {
        let reading = Semaphore::new(READING_MAX);
        Self(Arc::new(Inner { engine, catalogue, configured, cache: Mutex::default(), reading }))
    }

    /// An agent in memory, which from now on is on the agents' threads alone.
    pub(super) fn take_to_threads(&self, agent: LiveAgent) -> Kept<LiveAgent> {
        self.0.engine.threads().keep(agent)
    }

    pub(super) fn list(&self) -> Vec<AgentInfo> {
        let cache = self.0.cache();
        let state = |name, path| match (cache.files.get(path), cache.failed.get(name)) {
            (_, Some(why)) => AgentState::Failed(why.clone()),
            (Some((.., loaded)), None) => AgentState::Ready(loaded.clone()),
            (None, None) => AgentState::Loading,
        };
        self.0
            .configured
            .iter()
            .map(|(name, path)| AgentInfo { name: name.clone(), state: state(name, path) })
            .collect()
    }

    /// The agent that a new run of `name` executes. Its bytes are in the journal before this returns.
    pub(super) async fn by_name(&self, journal: &Journal, name: &str) -> Result<Arc<Loaded>, AgentError> {
        let path = self.0.configured.get(name).ok_or_else(|| AgentError::Unknown {
            name: name.into(),
            known: self.0.configured.keys().cloned().collect(),
        })?;
        let loaded = self.by_path(journal, path).await;
        let mut cache = self.0.cache();
        match &loaded {
            Ok(_) => drop(cache.failed.remove(name)),
            Err(error) => drop(cache.failed.insert(name.into(), error.to_string())),
        }
        loaded
    }

    async fn by_path(&self, journal: &Journal, path: &Path) -> Result<Arc<Loaded>, AgentError> {
        let explain = |source| AgentError::Load { path: path.display().to_string(), source };
        let stamp = stamp(path)?;
        if let Some(loaded) = self.0.unchanged(path, stamp) {
            return Ok(loaded);
        }
        self.0.engine.reader().check_size(stamp.1).map_err(explain)?;
        self.to_the_end(journal, Origin::File(path.into(), stamp)).await
    }

    /// An agent whose code is in memory.
    pub(super) fn in_memory(&self, digest: &Digest) -> Option<(Arc<Loaded>, Program)> {
        let cache = self.0.cache();
        cache.loaded.get(digest).cloned().zip(cache.programs.get(digest).cloned())
    }

    /// The agent that an existing run executes, whatever its file holds by now, with its code.
    pub(super) async fn by_digest(
        &self,
        journal: &Journal,
        digest: &Digest,
    ) -> Result<(Arc<Loaded>, Program), AgentError> {
        let loaded = match self.0.known(digest, &digest.to_string()) {
            Some(known) => known?,
            None => self.to_the_end(journal, Origin::Journal(*digest)).await?,
        };
        let (agents, journal, of) = (self.clone(), journal.clone(), loaded.clone());
        let load = tokio::spawn(async move { agents.program(&journal, &of).await });
        Ok((loaded, load.await??))
    }

    /// The code of an agent, loaded once for all who want it.
    async fn program(&self, journal: &Journal, loaded: &Loaded) -> Result<Program, AgentError> {
        let digest = loaded.manifest.digest;
        let turn = self.0.turn(&digest);
        let _turn = turn.lock().await;
        if let Some(program) = self.0.cache().programs.get(&digest) {
            return Ok(program.clone());
        }
        let bytes = journal.blob(&digest).await?.ok_or(AgentError::Missing(digest))?;
        let (engine, manifest) = (self.0.engine.clone(), loaded.manifest.clone());
        let program = journal.blocking(move || engine.compile(&bytes, &manifest)).await?;
        let program = program.map_err(|source| AgentError::Load { path: digest.to_string(), source })?;
        self.0.cache().keep_program(digest, program.clone());
        Ok(program)
    }

    /// What the component of an existing run asks for.
    pub(super) async fn manifest(&self, journal: &Journal, digest: &Digest) -> Result<Arc<Manifest>, AgentError> {
        let loaded = self.0.cache().loaded.get(digest).cloned();
        match loaded {
            Some(loaded) => Ok(loaded.manifest.clone()),
            None => manifest(journal, self.0.engine.reader(), *digest).await,
        }
    }

    /// Loads a component even if nobody waits for it any more: whoever stops waiting finds it the next time.
    async fn to_the_end(&self, journal: &Journal, origin: Origin) -> Result<Arc<Loaded>, AgentError> {
        let (agents, journal) = (self.clone(), journal.clone());
        let load = tokio::spawn(async move { agents.load(&journal, origin).await });
        load.await?
    }

    /// Loads a component once for all who want it. Its bytes are in memory only in its turn, because many may be waiting.
    async fn load(&self, journal: &Journal, origin: Origin) -> Result<Arc<Loaded>, AgentError> {
        let _place = self.0.reading.acquire().await.map_err(|_| AgentError::ShuttingDown)?;
        let (digest, file) = match &origin {
            Origin::Journal(digest) => (*digest, None),
            Origin::File(path, _) => {
                let (path, opened) = (path.clone(), path.clone());
                let read = journal.blocking(move || {
                    let file = File::open(opened)?;
                    Ok((Source::File(&file).digest()?, Some(file)))
                });
                read.await?.map_err(|source| AgentError::File { path, source })?
            }
        };
        let name = match &origin {
            Origin::Journal(digest) => digest.to_string(),
            Origin::File(path, _) => path.display().to_string(),
        };
        let turn = self.0.turn(&digest);
        let _turn = turn.lock().await;
        let (loaded, file) = match (self.0.known(&digest, &name), file) {
            (Some(known), file) => (known?, file),
            (None, file) => {
                let bytes = match &file {
                    Some(_) => Vec::new(),
                    None => journal.blob(&digest).await?.ok_or(AgentError::Missing(digest))?,
                };
                let here = self.clone();
                let read = move || {
                    let component = file.as_ref().map_or(Source::Bytes(&bytes), Source::File);
                    (here.0.read(name, component, &digest), file)
                };
                let (loaded, file) = journal.blocking(read).await?;
                self.0.keep(&digest, &loaded);
                (loaded?, file)
            }
        };
        if let (Origin::File(path, stamp), Some(file)) = (origin, file) {
            put_file(journal, &path, file, digest).await?;
            self.0.cache().files.insert(path, (stamp.0, stamp.1, loaded.clone()));
        }
        Ok(loaded)
    }
}

/// What a component asks for, as it was read before; else a child reads its bytes, which are in the journal.
/// So whoever decides on a call or performs it needs neither the bytes nor the compiled code of a component that was read once, only its types.
pub async fn manifest(journal: &Journal, reader: &Reader, digest: Digest) -> Result<Arc<Manifest>, AgentError> {
    let (kept, reader) = (reader.clone(), reader.clone());
    if let Some(known) = journal.blocking(move || kept.known(&digest)).await? {
        return Ok(known);
    }
    let bytes = journal.blob(&digest).await?.ok_or(AgentError::Missing(digest))?;
    let read = journal.blocking(move || reader.manifest(&bytes)).await?;
    read.map_err(|source| AgentError::Load { path: digest.to_string(), source })
}

/// Keeps a component in the journal, if its file holds what was read of it.
async fn put_file(journal: &Journal, path: &Path, mut file: File, digest: Digest) -> Result<(), AgentError> {
    let explain = |source| AgentError::File { path: path.into(), source };
    let read = move || {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = journal.blocking(read).await?.map_err(explain)?;
    if *journal.put_blob(bytes).await? == digest {
        Ok(())
    } else {
        Err(explain(std::io::Error::other("it was changed while it was read; try again")))
    }
}

impl Inner {
    fn read(&self, path: String, component: Source<'_>, digest: &Digest) -> Result<Arc<Loaded>, AgentError> {
        let explain = |source| AgentError::Load { path: path.clone(), source };
        let manifest = self.engine.read(component, digest).map_err(explain)?;
        let bindings = match (self.catalogue.bind(&manifest), &manifest.problems[..]) {
            (Ok(bindings), []) => bindings,
            (bound, problems) => return Err(imports(path, bound.err(), problems)),
        };
        Ok(Arc::new(Loaded { manifest, bindings }))
    }

    /// What came of a component before, unless it is to be tried again.
    fn known(&self, digest: &Digest, path: &str) -> Option<Result<Arc<Loaded>, AgentError>> {
        let cache = self.cache();
        if let Some(loaded) = cache.loaded.get(digest) {
            return Some(Ok(loaded.clone()));
        }
        let (_, why) = cache.refused.get(digest).filter(|(then, _)| then.elapsed() < REFUSED_FOR)?;
        Some(Err(AgentError::Load {
            path: path.into(),
            source: LoadError::Told { text: why.clone(), of_the_bytes: true },
        }))
    }

    fn turn(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let turns = &mut self.cache().turns;
        turns.retain(|_, turn| turn.strong_count() > 0);
        turns.get(digest).and_then(Weak::upgrade).unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(*digest, Arc::downgrade(&turn));
            turn
        })
    }

    fn unchanged(&self, path: &Path, (modified, bytes): (SystemTime, u64)) -> Option<Arc<Loaded>> {
        let cache = self.cache();
        let (then, size, loaded) = cache.files.get(path)?;
        (*then == modified && *size == bytes).then(|| loaded.clone())
    }

    fn keep(&self, digest: &Digest, loaded: &Result<Arc<Loaded>, AgentError>) {
        let mut cache = self.cache();
        cache.refused.retain(|_, (then, _)| then.elapsed() < REFUSED_FOR);
        match loaded {
            Ok(loaded) => {
                if cache.loaded.len() >= LOADED_MAX {
                    let unused = cache.loaded.iter().find(|(_, loaded)| Arc::strong_count(loaded) == 1);
                    unused.map(|(digest, _)| *digest).map(|digest| cache.loaded.remove(&digest));
                }
                cache.loaded.insert(*digest, loaded.clone());
            }
            Err(AgentError::Load { source, .. }) if source.is_of_the_bytes() => {
                cache.refused.insert(*digest, (Instant::now(), source.to_string()));
            }
            Err(_) => {}
        }
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// Keeps a program, and of those that do not run no more than there is room for.
    fn keep_program(&mut self, digest: Digest, program: Program) {
        let mut room = PROGRAM_BYTES_MAX.saturating_sub(program.bytes());
        let mut places = LOADED_MAX - 1;
        self.programs.retain(|_, kept| {
            let fits = places > 0 && kept.bytes() <= room;
            if fits {
                (places, room) = (places - 1, room - kept.bytes());
            }
            fits || kept.is_running()
        });
        self.programs.insert(digest, program);
    }
}

fn stamp(path: &Path) -> Result<(SystemTime, u64), AgentError> {
    let explain = |source| AgentError::File { path: path.into(), source };
    let metadata = std::fs::metadata(path).map_err(explain)?;
    Ok((metadata.modified().map_err(explain)?, metadata.len()))
}

/// All imports that are in the way, but no more than a person goes through at a time.
fn imports(path: String, unbound: Option<Vec<BindError>>, problems: &[Problem]) -> AgentError {
    let problems = problems.iter().map(ToString::to_string);
    let all: Vec<String> = problems.chain(unbound.iter().flatten().map(ToString::to_string)).collect();
    let mut told: Vec<String> = all.iter().take(PROBLEMS_MAX).cloned().collect();
    if all.len() > told.len() {
        told.push(format!("and {} more", all.len() - told.len()));
    }
    AgentError::Imports { path, problems: told }
}

impl Loaded {
    /// The capabilities of this agent with their class.
    pub fn capabilities(&self) -> impl Iterator<Item = (&Capability, bool)> {
        let consequential = |offer: &BoundOffer| match offer {
            BoundOffer::Consequential(..) => true,
            BoundOffer::Log | BoundOffer::Routine(_) => false,
        };
        self.bindings.iter().map(move |(capability, bound)| (capability, consequential(&bound.offer)))
    }
}
