//! The agents that this host can run: found by name for a new run, by digest for one that goes on.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use holdshort_gate::{Capability, Digest};
use holdshort_journal::{Journal, ReadError, SubmitError};

use super::catalogue::{BindError, Bindings, BoundOffer, Catalogue};
use super::live::LiveAgent;
use crate::agent::{Engine, Kept, LoadError, Manifest, Problem, Program};

/// An agent that can be started: compiled, and every import tied to what serves it.
pub struct Loaded {
    /// What it asks for.
    pub manifest: Manifest,
    pub(super) program: Program,
    pub(super) bindings: Bindings,
}

/// Why an agent cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No agent of this name is configured.
    #[error("there is no agent `{name}`; {}", known_names(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The file cannot be read.
    #[error("the agent's file `{path}` cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not an agent.
    #[error("`{path}`: {source}")]
    Load {
        /// The file, or the digest of a component in the journal.
        path: String,
        /// Why.
        source: LoadError,
    },
    /// It imports what it may not have.
    #[error("`{path}` cannot run here:\n{}", bullets(.problems))]
    Imports {
        /// The file, or the digest of a component in the journal.
        path: String,
        /// Each import that is in the way, with what to do.
        problems: Vec<String>,
    },
    /// The journal does not hold the component of a run.
    #[error("the journal does not hold the component {0}")]
    Missing(Digest),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The component cannot be kept.
    #[error(transparent)]
    Write(#[from] SubmitError),
    /// The host is shutting down.
    #[error("the host is shutting down")]
    ShuttingDown,
}

fn known_names(names: &[String]) -> String {
    if names.is_empty() { "none is configured".into() } else { format!("known: {}", names.join(", ")) }
}

fn bullets(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("- {problem}")).collect::<Vec<_>>().join("\n")
}

/// A configured agent.
#[derive(Clone)]
pub struct AgentInfo {
    /// Its name.
    pub name: String,
    /// What a new run would execute; nothing while its file has not been read, or cannot be.
    pub loaded: Option<Arc<Loaded>>,
}

/// Finds and keeps agents.
pub(super) struct Agents {
    engine: Engine,
    catalogue: Arc<Catalogue>,
    configured: BTreeMap<String, PathBuf>,
    cache: Mutex<Cache>,
}

/// At most this many compiled agents are kept; more are compiled again, from wasmtime's cache on disk.
const LOADED_MAX: usize = 32;

#[derive(Default)]
struct Cache {
    loaded: HashMap<Digest, Arc<Loaded>>,
    /// What a file held when it was last read, so that starting a run does not read it again.
    files: HashMap<PathBuf, (SystemTime, u64, Digest)>,
}

impl Agents {
    pub(super) fn new(engine: Engine, catalogue: Arc<Catalogue>, configured: BTreeMap<String, PathBuf>) -> Self {
        Self { engine, catalogue, configured, cache: Mutex::default() }
    }

    /// An agent in memory, which from now on is on the agents' threads alone.
    pub(super) fn take_to_threads(&self, agent: LiveAgent) -> Kept<LiveAgent> {
        self.engine.threads().keep(agent)
    }

    pub(super) fn list(&self) -> Vec<AgentInfo> {
        let cache = self.cache();
        let loaded = |path| cache.files.get(path).and_then(|(.., digest)| cache.loaded.get(digest).cloned());
        self.configured.iter().map(|(name, path)| AgentInfo { name: name.clone(), loaded: loaded(path) }).collect()
    }

    /// The agent that a new run of `name` executes. Its bytes are in the journal before this returns.
    pub(super) async fn by_name(&self, journal: &Journal, name: &str) -> Result<Arc<Loaded>, AgentError> {
        let path = self.configured.get(name).ok_or_else(|| AgentError::Unknown {
            name: name.into(),
            known: self.configured.keys().cloned().collect(),
        })?;
        let stamp = stamp(path)?;
        if let Some(loaded) = self.unchanged(path, stamp) {
            return Ok(loaded);
        }
        let bytes = tokio::fs::read(path).await.map_err(|source| AgentError::File { path: path.clone(), source })?;
        let digest = Digest::of(&bytes);
        let loaded = match self.cached(&digest) {
            Some(loaded) => loaded,
            None => self.load(path.display().to_string(), bytes.clone()).await?,
        };
        drop(journal.put_blob(bytes).await?);
        self.cache().files.insert(path.clone(), (stamp.0, stamp.1, digest));
        self.keep(&loaded);
        Ok(loaded)
    }

    /// The agent that an existing run executes, whatever its file holds by now.
    pub(super) async fn by_digest(&self, journal: &Journal, digest: &Digest) -> Result<Arc<Loaded>, AgentError> {
        if let Some(loaded) = self.cached(digest) {
            return Ok(loaded);
        }
        let bytes = journal.blob(digest).await?.ok_or(AgentError::Missing(*digest))?;
        let loaded = self.load(digest.to_string(), bytes).await?;
        self.keep(&loaded);
        Ok(loaded)
    }

    async fn load(&self, path: String, bytes: Vec<u8>) -> Result<Arc<Loaded>, AgentError> {
        let (engine, catalogue) = (self.engine.clone(), self.catalogue.clone());
        let work = move || {
            let explain = |source| AgentError::Load { path: path.clone(), source };
            let manifest = Manifest::read(&bytes).map_err(explain)?;
            let bindings = match (catalogue.bind(&manifest), &manifest.problems[..]) {
                (Ok(bindings), []) => bindings,
                (bound, problems) => return Err(imports(path, bound.err(), problems)),
            };
            let program = engine.compile(&bytes, &manifest).map_err(explain)?;
            Ok(Arc::new(Loaded { manifest, program, bindings }))
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| AgentError::ShuttingDown)?
    }

    fn unchanged(&self, path: &Path, (modified, bytes): (SystemTime, u64)) -> Option<Arc<Loaded>> {
        let cache = self.cache();
        let (then, size, digest) = cache.files.get(path)?;
        (*then == modified && *size == bytes).then(|| cache.loaded.get(digest).cloned()).flatten()
    }

    fn cached(&self, digest: &Digest) -> Option<Arc<Loaded>> {
        self.cache().loaded.get(digest).cloned()
    }

    fn keep(&self, loaded: &Arc<Loaded>) {
        let mut cache = self.cache();
        if cache.loaded.len() >= LOADED_MAX {
            let unused =
                cache.loaded.iter().find(|(_, loaded)| Arc::strong_count(loaded) == 1).map(|(digest, _)| *digest);
            unused.map(|digest| cache.loaded.remove(&digest));
        }
        cache.loaded.insert(loaded.manifest.digest, loaded.clone());
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(path: &Path) -> Result<(SystemTime, u64), AgentError> {
    let explain = |source| AgentError::File { path: path.into(), source };
    let metadata = std::fs::metadata(path).map_err(explain)?;
    Ok((metadata.modified().map_err(explain)?, metadata.len()))
}

fn imports(path: String, unbound: Option<Vec<BindError>>, problems: &[Problem]) -> AgentError {
    let problems = problems.iter().map(ToString::to_string);
    AgentError::Imports { path, problems: problems.chain(unbound.iter().flatten().map(ToString::to_string)).collect() }
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
