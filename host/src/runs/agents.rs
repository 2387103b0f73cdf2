//! The agents that this host can run: found by name for a new run, and by digest for an existing one.

mod error;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use holdshort_gate::{AgentName, Capability, Digest};
use holdshort_journal::{Driver, Journal};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::catalogue::{BindError, Bindings, Catalogue};
use crate::agent::{ComponentSource, Engine, ImportProblem, Kept, LoadError, Manifest, Program, Reader};

pub use error::AgentError;

/// An agent that can be started: a child process has read and compiled it, and each import is bound to what this host
/// offers for it. The code is loaded only when a run needs it, so an unused agent costs only its manifest.
pub struct LoadedAgent {
    pub manifest: Arc<Manifest>,
    pub(super) bindings: Bindings,
}

/// A configured agent.
#[derive(Clone)]
pub struct AgentInfo {
    pub name: AgentName,
    pub state: AgentState,
}

/// Whether a run of the agent can start.
#[derive(Clone)]
pub enum AgentState {
    /// The agent's file is being read, or waits to be read.
    Loading,
    /// A new run would execute this agent.
    Ready(Arc<LoadedAgent>),
    /// The agent cannot run, for this reason.
    Failed(String),
}

/// The origin of a component.
enum ComponentOrigin {
    /// A configured file, with its modification time and its size in bytes.
    File(PathBuf, (SystemTime, u64)),
    /// The journal, which stores the component of every run.
    Journal(Digest),
}

/// Finds and caches agents. Cheap to clone.
#[derive(Clone)]
pub(super) struct Agents(Arc<Inner>);

struct Inner {
    engine: Engine,
    catalogue: Arc<Catalogue>,
    configured: BTreeMap<AgentName, PathBuf>,
    cache: Mutex<Cache>,
    reading: Semaphore,
}

/// The maximum number of cached agents, and of cached programs. Agents of configured files and running programs stay in
/// the cache beyond this number. Others are loaded again when needed, programs from wasmtime's cache on disk.
const LOADED_MAX: usize = 32;
/// The maximum bytes of cached programs. Running programs stay in the cache beyond this number.
const PROGRAM_BYTES_MAX: usize = 256 << 20;
/// The maximum number of components that are read at the same time. Each read may use all the memory and cores that its
/// limits allow.
const READING_MAX: usize = 2;
/// The maximum number of refused imports that an error lists.
const PROBLEMS_MAX: usize = 20;
/// How long an unreadable component is refused without another try, because each try may use all that its limits allow.
const REFUSED_FOR: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Cache {
    loaded: HashMap<Digest, Arc<LoadedAgent>>,
    /// Programs that are running or were used recently.
    programs: HashMap<Digest, Program>,
    /// Unreadable components, with time and reason.
    refused: HashMap<Digest, (Instant, String)>,
    /// A lock for each component being read. Callers that need the same component wait for its lock.
    turns: HashMap<Digest, Weak<tokio::sync::Mutex<()>>>,
    /// The agent of each file when last read, with the file's modification time and size. Starting a run does not read
    /// an unchanged file again.
    files: HashMap<PathBuf, (SystemTime, u64, Arc<LoadedAgent>)>,
    /// The last load error of an agent.
    failed: HashMap<AgentName, String>,
}

impl Agents {
    pub(super) fn new(engine: Engine, catalogue: Arc<Catalogue>, configured: BTreeMap<AgentName, PathBuf>) -> Self {
        let reading = Semaphore::new(READING_MAX);
        Self(Arc::new(Inner { engine, catalogue, configured, cache: Mutex::default(), reading }))
    }

    /// Moves a running agent to the agents' threads, where it stays.
    pub(super) fn take_to_threads<T: Send + 'static>(&self, agent: T) -> Kept<T> {
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

    /// The agent for a new run of `name`. The component's bytes are in the journal when this returns.
    pub(super) async fn by_name(&self, journal: &Driver, name: &AgentName) -> Result<Arc<LoadedAgent>, AgentError> {
        let path = self.0.configured.get(name).ok_or_else(|| AgentError::Unknown {
            name: name.clone(),
            known: self.0.configured.keys().cloned().collect(),
        })?;
        let loaded = self.by_path(journal, path).await;
        let mut cache = self.0.cache();
        match &loaded {
            Ok(_) => drop(cache.failed.remove(name)),
            Err(error) => drop(cache.failed.insert(name.clone(), error.to_string())),
        }
        loaded
    }

    async fn by_path(&self, journal: &Driver, path: &Path) -> Result<Arc<LoadedAgent>, AgentError> {
        let explain = |source| AgentError::Load { path: path.display().to_string(), source };
        let stamp = stamp(path)?;
        if let Some(loaded) = self.0.unchanged(path, stamp) {
            return Ok(loaded);
        }
        self.0.engine.reader().check_size(stamp.1).map_err(explain)?;
        self.load_detached(journal, ComponentOrigin::File(path.into(), stamp)).await
    }

    /// An agent and its code, if both are in memory.
    pub(super) fn in_memory(&self, digest: &Digest) -> Option<(Arc<LoadedAgent>, Program)> {
        let cache = self.0.cache();
        cache.loaded.get(digest).cloned().zip(cache.programs.get(digest).cloned())
    }

    /// The agent of an existing run with its code. It is found by digest, so the present content of the agent's file
    /// does not matter.
    pub(super) async fn by_digest(
        &self,
        journal: &Driver,
        digest: &Digest,
    ) -> Result<(Arc<LoadedAgent>, Program), AgentError> {
        let loaded = match self.0.known(digest, &digest.to_string()) {
            Some(known) => known?,
            None => self.load_detached(journal, ComponentOrigin::Journal(*digest)).await?,
        };
        let (agents, journal, of) = (self.clone(), journal.clone(), loaded.clone());
        let load = tokio::spawn(async move { agents.program(&journal, &of).await });
        Ok((loaded, load.await??))
    }

    /// The code of an agent, loaded once for all callers.
    async fn program(&self, journal: &Journal, loaded: &LoadedAgent) -> Result<Program, AgentError> {
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

    /// The manifest of an existing run's component.
    pub(super) async fn manifest(&self, journal: &Journal, digest: &Digest) -> Result<Arc<Manifest>, AgentError> {
        let loaded = self.0.cache().loaded.get(digest).cloned();
        match loaded {
            Some(loaded) => Ok(loaded.manifest.clone()),
            None => manifest(journal, self.0.engine.reader(), *digest).await,
        }
    }

    /// Loads a component in a task of its own. If the caller stops waiting, the load goes on, and the next caller finds
    /// its result.
    async fn load_detached(&self, journal: &Driver, origin: ComponentOrigin) -> Result<Arc<LoadedAgent>, AgentError> {
        let (agents, journal) = (self.clone(), journal.clone());
        let load = tokio::spawn(async move { agents.load(&journal, origin).await });
        load.await?
    }

    /// Loads a component once for all callers. The bytes are read only when the caller has the lock, because many
    /// callers may wait.
    async fn load(&self, journal: &Driver, origin: ComponentOrigin) -> Result<Arc<LoadedAgent>, AgentError> {
        let _slot = self.0.reading.acquire().await.map_err(|_| AgentError::ShuttingDown)?;
        let (digest, file) = match &origin {
            ComponentOrigin::Journal(digest) => (*digest, None),
            ComponentOrigin::File(path, _) => {
                let (path, opened) = (path.clone(), path.clone());
                let read = journal.blocking(move || {
                    let file = File::open(opened)?;
                    Ok((ComponentSource::File(&file).digest()?, Some(file)))
                });
                read.await?.map_err(|source| AgentError::File { path, source })?
            }
        };
        let name = match &origin {
            ComponentOrigin::Journal(digest) => digest.to_string(),
            ComponentOrigin::File(path, _) => path.display().to_string(),
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
                    let component = file.as_ref().map_or(ComponentSource::Bytes(&bytes), ComponentSource::File);
                    (here.0.read(name, component, &digest), file)
                };
                let (loaded, file) = journal.blocking(read).await?;
                self.0.keep(&digest, &loaded);
                (loaded?, file)
            }
        };
        if let (ComponentOrigin::File(path, stamp), Some(file)) = (origin, file) {
            put_file(journal, &path, file, digest).await?;
            self.0.cache().files.insert(path, (stamp.0, stamp.1, loaded.clone()));
        }
        Ok(loaded)
    }
}

/// The stored manifest of a component; if there is none, a child process makes it from the bytes in the journal. So
/// deciding on a call, or performing it, needs neither the bytes nor the code of a component that was read once.
pub async fn manifest(journal: &Journal, reader: &Reader, digest: Digest) -> Result<Arc<Manifest>, AgentError> {
    let (kept, reader) = (reader.clone(), reader.clone());
    if let Some(known) = journal.blocking(move || kept.known(&digest)).await? {
        return Ok(known);
    }
    let bytes = journal.blob(&digest).await?.ok_or(AgentError::Missing(digest))?;
    let read = journal.blocking(move || reader.manifest(&bytes)).await?;
    read.map_err(|source| AgentError::Load { path: digest.to_string(), source })
}

/// Stores a component in the journal. Fails if the file no longer has the content that was read.
async fn put_file(journal: &Driver, path: &Path, mut file: File, digest: Digest) -> Result<(), AgentError> {
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
        Err(explain(std::io::Error::other("the file changed while the host read it; try again")))
    }
}

impl Inner {
    fn read(
        &self,
        path: String,
        component: ComponentSource<'_>,
        digest: &Digest,
    ) -> Result<Arc<LoadedAgent>, AgentError> {
        let explain = |source| AgentError::Load { path: path.clone(), source };
        let manifest = self.engine.read(component, digest).map_err(explain)?;
        let bindings = match (self.catalogue.bind(&manifest), &manifest.problems[..]) {
            (Ok(bindings), []) => bindings,
            (bound, problems) => return Err(imports(path, bound.err(), problems)),
        };
        Ok(Arc::new(LoadedAgent { manifest, bindings }))
    }

    /// The cached result for a component, unless a refusal is so old that the component should be read again.
    fn known(&self, digest: &Digest, path: &str) -> Option<Result<Arc<LoadedAgent>, AgentError>> {
        let cache = self.cache();
        if let Some(loaded) = cache.loaded.get(digest) {
            return Some(Ok(loaded.clone()));
        }
        let (_, why) = cache.refused.get(digest).filter(|(then, _)| then.elapsed() < REFUSED_FOR)?;
        Some(Err(AgentError::Load {
            path: path.into(),
            source: LoadError::ReportedByChild { text: why.clone(), of_the_bytes: true },
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

    fn unchanged(&self, path: &Path, (modified, bytes): (SystemTime, u64)) -> Option<Arc<LoadedAgent>> {
        let cache = self.cache();
        let (then, size, loaded) = cache.files.get(path)?;
        (*then == modified && *size == bytes).then(|| loaded.clone())
    }

    fn keep(&self, digest: &Digest, loaded: &Result<Arc<LoadedAgent>, AgentError>) {
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
    /// Caches a program. Drops other programs beyond the limits, unless they are running.
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

/// The error that lists the refused imports, at most `PROBLEMS_MAX` of them.
fn imports(path: String, unbound: Option<Vec<BindError>>, problems: &[ImportProblem]) -> AgentError {
    let problems = problems.iter().map(ToString::to_string);
    let all: Vec<String> = problems.chain(unbound.iter().flatten().map(ToString::to_string)).collect();
    let mut told: Vec<String> = all.iter().take(PROBLEMS_MAX).cloned().collect();
    if all.len() > told.len() {
        told.push(format!("and {} more", all.len() - told.len()));
    }
    AgentError::Imports { path, problems: told }
}

impl LoadedAgent {
    /// The capabilities of this agent; the flag is true for consequential ones.
    pub fn capabilities(&self) -> impl Iterator<Item = (&Capability, bool)> {
        self.bindings.iter().map(|(capability, bound)| (capability, bound.offer.consequential().is_some()))
    }
}
