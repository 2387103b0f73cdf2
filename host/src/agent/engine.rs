//! One engine per process: settings, the cache of compiled components, and compiling.

use std::collections::HashMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use holdshort_gate::{Capability, Digest, FunctionType};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::{Cache, CacheConfig, Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::guest::{Guest, Start};
use super::instance::State;
use super::limits::TABLE_ELEMENTS_MAX;
use super::load::{EngineError, LoadError};
use super::manifest::{Entry, Manifest};
use super::threads::Threads;
use super::ticker::Ticker;
use super::{imports, wasi};

/// The stack of one guest with the host functions that it calls, and the part of it that is the guest's own. Python needs this much; others do not touch it, so it costs them nothing.
const STACK_BYTES: usize = 1024 * 1024;
const WASM_STACK_BYTES: usize = 512 * 1024;

/// What one guest may have, and what the pool has for each: so nobody takes another's. Python components have some forty core instances and ten tables,
/// others a handful; a memory is one of each component that an agent is composed of.
const CORE_INSTANCES_PER_GUEST: u32 = 64;
const MEMORIES_PER_GUEST: u32 = 4;
const TABLES_PER_GUEST: u32 = 16;

/// What of a guest's memory and tables is wiped in place for the next one instead of being given back to the system, which interrupts every core.
/// Where the kernel can tell, only pages that were written are wiped.
const MEMORY_KEPT_BYTES: usize = 256 * 1024;
const TABLE_KEPT_BYTES: usize = 16 * 1024;

/// What the host decides about its engine.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Where compiled components are kept; nowhere if `None`. Made with permissions for this user alone, because what lies there is run.
    pub cache: Option<PathBuf>,
    /// How many guests may be live at once. Address space is set aside for them, no memory.
    pub guests_max: u32,
    /// How many of them may compute at once, each on a thread of its own.
    pub threads_max: usize,
}

/// Compiles components and runs them. One per process; cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    engine: wasmtime::Engine,
    ticker: Option<Ticker>,
    threads: Threads,
    /// What a simulation has compiled.
    kept: Option<Mutex<HashMap<Digest, Program>>>,
}

impl Engine {
    /// Starts the engine and its ticker.
    pub fn new(settings: &EngineSettings) -> Result<Self, EngineError> {
        let engine = Self::engine(settings)?;
        let ticker = Some(Ticker::start(&engine).map_err(EngineError::Ticker)?);
        let threads = Threads::new(settings.threads_max);
        Ok(Self(Arc::new(Inner { engine, ticker, threads, kept: None })))
    }

    /// An engine for tests with many short-lived hosts, in which everything happens in the same order each time: its guests are never interrupted,
    /// so that no limit on CPU time holds, they have no threads of their own, and it compiles a component once and for all.
    pub fn for_simulation(settings: &EngineSettings) -> Result<Self, EngineError> {
        let (engine, kept) = (Self::engine(settings)?, Some(Mutex::default()));
        Ok(Self(Arc::new(Inner { engine, ticker: None, threads: Threads::none(), kept })))
    }

    fn engine(settings: &EngineSettings) -> Result<wasmtime::Engine, EngineError> {
        let cause = |error: wasmtime::Error| EngineError::Engine { cause: format!("{error:#}") };
        let mut config = config();
        if let Some(folder) = &settings.cache {
            make_private(folder).map_err(|source| EngineError::Cache { path: folder.clone(), source })?;
            let mut cache = CacheConfig::new();
            cache.with_directory(folder);
            config.cache(Some(Cache::new(cache).map_err(cause)?));
        }
        let mut pooled = config.clone();
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings.guests_max)));
        // A machine that limits address space cannot make the pool; on demand, starting a guest takes some microseconds more.
        let engine = wasmtime::Engine::new(&pooled).or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "no pool for agents' memory; allocating on demand");
            wasmtime::Engine::new(&config)
        });
        engine.map_err(cause)
    }

    /// Compiles a component, or fetches it from the cache. Takes up to half a minute for a large one: call it where blocking is allowed.
    pub fn compile(&self, bytes: &[u8], manifest: &Manifest) -> Result<Program, LoadError> {
        if !manifest.problems.is_empty() {
            return Err(LoadError::Problems(manifest.problems.clone()));
        }
        let Some(kept) = &self.0.kept else { return self.compile_now(bytes, manifest) };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = kept.get(&manifest.digest) {
            return Ok(program.clone());
        }
        let program = self.compile_now(bytes, manifest)?;
        kept.insert(manifest.digest, program.clone());
        Ok(program)
    }

    fn compile_now(&self, bytes: &[u8], manifest: &Manifest) -> Result<Program, LoadError> {
        let engine = &self.0.engine;
        let component = Component::from_binary(engine, bytes)
            .map_err(|error| LoadError::Compile { cause: format!("{error:#}") })?;
        let no_run = || LoadError::NoRunExport { exports: "nothing of that name".into() };
        let run = entry(&component, manifest.entry).ok_or_else(no_run)?;
        let cause = |error: wasmtime::Error| LoadError::Link { cause: format!("{error:#}") };
        let mut linker = Linker::new(engine);
        wasi::link(&mut linker).map_err(cause)?;
        imports::link(&mut linker, &manifest.imports).map_err(cause)?;
        let instance = linker.instantiate_pre(&component).map_err(cause)?;
        let shared =
            |import: &super::manifest::Import| (Arc::new(import.capability.clone()), Arc::new(import.ty.clone()));
        let imports = manifest.imports.iter().map(shared).collect();
        Ok(Program(Arc::new(Compiled { engine: self.clone(), instance, run, entry: manifest.entry, imports })))
    }

    /// The threads that its guests run on.
    pub fn threads(&self) -> &Threads {
        &self.0.threads
    }

    pub(super) fn ticker(&self) -> Option<&Ticker> {
        self.0.ticker.as_ref()
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }
}

/// A compiled component, ready to be started any number of times. Cheap to clone.
#[derive(Clone)]
pub struct Program(Arc<Compiled>);

pub(super) struct Compiled {
    pub(super) engine: Engine,
    pub(super) instance: InstancePre<State>,
    pub(super) run: ComponentExportIndex,
    pub(super) entry: Entry,
    pub(super) imports: Vec<(Arc<Capability>, Arc<FunctionType>)>,
}

impl Program {
    /// A guest at its beginning. Nothing of it runs before [`Guest::next`].
    pub fn start(&self, start: Start) -> Guest {
        Guest::new(self.0.clone(), start)
    }
}

/// Every setting that decides what a guest can see is fixed here; all of them are part of what replay relies on.
fn config() -> Config {
    let mut config = Config::new();
    // The same bits on every machine.
    config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
    // What could make two runs differ, or what agents have no use for. Threads, garbage collection and asynchronous components are not compiled in either.
    config.concurrency_support(false).wasm_memory64(false);
    config.epoch_interruption(true);
    config.max_wasm_stack(WASM_STACK_BYTES).async_stack_size(STACK_BYTES);
    // A backtrace names functions of a build without names; its cost is paid by every trap.
    config.wasm_backtrace_max_frames(None);
    config
}

fn pool(guests: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(guests)
        .total_stacks(guests)
        .max_memories_per_component(MEMORIES_PER_GUEST)
        .total_memories(guests.saturating_mul(MEMORIES_PER_GUEST))
        .max_core_instances_per_component(CORE_INSTANCES_PER_GUEST)
        .total_core_instances(guests.saturating_mul(CORE_INSTANCES_PER_GUEST))
        .max_tables_per_component(TABLES_PER_GUEST)
        .total_tables(guests.saturating_mul(TABLES_PER_GUEST))
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

fn entry(component: &Component, entry: Entry) -> Option<ComponentExportIndex> {
    match entry {
        Entry::Run => component.get_export_index(None, "run"),
        Entry::WasiCli => {
            // Any 0.2.x: the lookup matches versions.
            let interface = component.get_export_index(None, "wasi:cli/run@0.2.0")?;
            component.get_export_index(Some(&interface), "run")
        }
    }
}

/// Whoever can write here can have the host run their code, so nobody else may.
fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}
