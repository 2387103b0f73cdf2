//! The engine of the process: its settings, and the components that it makes ready to run.
//!
//! **Invariant:** the engine of a host has no compiler. A child ([`Reader`]) compiles the code, and the host reads it
//! through wasmtime's cache.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use holdshort_gate::Digest;
use wasmtime::component::{Component, ComponentExportIndex, Linker};
use wasmtime::{Cache, CacheConfig, Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::TABLE_ELEMENTS_MAX;
use super::load::{EngineError, LoadError};
use super::manifest::{Entry, Manifest};
use super::problem::cause;
use super::program::{Compiled, Program};
use super::reader::Reader;
use super::source::ComponentSource;
use super::threads::Threads;
use super::ticker::Ticker;
use super::{imports, wasi_link};

/// The size of the stack that a guest and the host functions that it calls use together. [`WASM_STACK_BYTES`] is
/// the maximum for the guest. Python needs this much. Other agents do not touch most of the stack, so it costs
/// nothing for them.
const STACK_BYTES: usize = 1024 * 1024;
const WASM_STACK_BYTES: usize = 512 * 1024;

/// The maximum number of core instances of one guest; the next two constants limit memories and tables. The pool
/// reserves these numbers for each guest, so one guest cannot use up those of another. Python components have
/// some forty core instances and ten tables; others have fewer. In a composition of components, each component
/// has one memory.
const CORE_INSTANCES_PER_GUEST: u32 = 64;
const MEMORIES_PER_GUEST: u32 = 4;
const TABLES_PER_GUEST: u32 = 16;

/// After a guest, this much of each memory is zeroed and kept for the next guest; only the rest is returned to the
/// system. Returning memory would interrupt every core. If the kernel can tell which pages were written, only
/// these are zeroed.
const MEMORY_KEPT_BYTES: usize = 256 * 1024;
const TABLE_KEPT_BYTES: usize = 16 * 1024;

/// A part of the error that wasmtime gives if an engine without a compiler does not find a component in its cache. Any
/// other error is caused by the component.
const NO_COMPILER: &str = "not configured with a compiler";

/// Runs components. A process has one engine, and a clone is cheap.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    engine: wasmtime::Engine,
    reader: Reader,
    ticker: Option<Arc<Ticker>>,
    threads: Threads,
    /// The programs that were compiled for a simulation.
    kept: Option<Mutex<HashMap<Digest, Program>>>,
}

impl Engine {
    /// Starts the engine and its ticker. At most `guests_max` guests can exist at once: address space is reserved for
    /// them, but no memory. At most `threads_max` of them can compute at once, each on a thread of its own.
    pub fn new(reader: Reader, guests_max: u32, threads_max: usize) -> Result<Self, EngineError> {
        let engine = match reader.compiled() {
            Some(folder) => pooled(&mut without_compiler(folder)?, guests_max),
            None => pooled(&mut config(), guests_max),
        };
        let engine = engine.map_err(failed)?;
        let ticker = Some(Arc::new(Ticker::start(&engine).map_err(EngineError::Ticker)?));
        let threads = Threads::new(threads_max);
        Ok(Self(Arc::new(Inner { engine, reader, ticker, threads, kept: None })))
    }

    /// Makes an engine for tests with many short hosts, in which events always come in the same order. So guests are
    /// never interrupted (CPU limits have no effect), guests have no threads of their own, and each component is
    /// compiled only once, in this process.
    pub fn for_simulation(cache: &Path, guests_max: u32) -> Result<Self, EngineError> {
        let mut config = config();
        config.cache(Some(self::cache(cache)?));
        let (engine, kept) = (pooled(&mut config, guests_max).map_err(failed)?, Some(Mutex::default()));
        Ok(Self(Arc::new(Inner { engine, reader: Reader::in_process(), ticker: None, threads: Threads::none(), kept })))
    }

    /// Makes an engine with the host's settings in a child, to load the code that the child has compiled. The child
    /// runs no guest, so this engine has no ticker to interrupt one. With `pool`, it reserves address space for one
    /// guest and refuses a component that does not fit, as the host does.
    pub(super) fn of_child(folder: &Path, pool: bool) -> Result<Self, EngineError> {
        let mut config = without_compiler(folder)?;
        if pool {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(self::pool(1)));
        }
        let engine = wasmtime::Engine::new(&config).map_err(failed)?;
        Ok(Self(Arc::new(Inner {
            engine,
            reader: Reader::in_process(),
            ticker: None,
            threads: Threads::none(),
            kept: None,
        })))
    }

    /// Reads a component's manifest. If this build has not read the component before, a child also compiles it, which
    /// can take half a minute. Call this function on a thread that may block.
    pub fn read(&self, component: ComponentSource<'_>, digest: &Digest) -> Result<Arc<Manifest>, LoadError> {
        let known = self.0.reader.known(digest);
        known.map_or_else(|| self.0.reader.compile(component, digest, &self.0.engine), Ok)
    }

    /// The reader of components.
    pub fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// Makes a component ready to run. The code comes from the cache. If the cache lacks it, a child compiles
    /// the component again.
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
        let component = self.component(bytes)?;
        let no_run = || LoadError::NoRunExport { exports: "nothing of that name".into() };
        let run = entry(&component, manifest.entry).ok_or_else(no_run)?;
        let cause = |error: wasmtime::Error| LoadError::Link { cause: cause(&error) };
        let mut linker = Linker::new(&self.0.engine);
        wasi_link::link(&mut linker).map_err(cause)?;
        imports::link(&mut linker, &manifest.imports).map_err(cause)?;
        let instance = linker.instantiate_pre(&component).map_err(cause)?;
        let shared =
            |import: &super::manifest::Import| (Arc::new(import.capability.clone()), Arc::new(import.ty.clone()));
        let imports = manifest.imports.iter().map(shared).collect();
        let image = component.image_range();
        let bytes = (image.end as usize).saturating_sub(image.start as usize);
        Ok(Program(Arc::new(Compiled {
            ticker: self.0.ticker.clone(),
            instance,
            run,
            entry: manifest.entry,
            imports,
            bytes,
        })))
    }

    /// Makes a component from its bytes. An engine without a compiler takes the code from the cache. If the cache lacks
    /// it, a child compiles the component.
    fn component(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        let engine = &self.0.engine;
        let failed = |error: wasmtime::Error| LoadError::Compile { cause: cause(&error) };
        let missed = |error: &wasmtime::Error| error.to_string().contains(NO_COMPILER);
        match (Component::from_binary(engine, bytes), self.0.reader.compiled()) {
            (Err(error), Some(folder)) if missed(&error) => {
                self.0.reader.compile(ComponentSource::Bytes(bytes), &Digest::of(bytes), engine)?;
                let component = Component::from_binary(engine, bytes);
                component.map_err(|error| LoadError::NotKept { path: folder.into(), cause: cause(&error) })
            }
            (component, _) => component.map_err(failed),
        }
    }

    /// The threads for guests.
    pub fn threads(&self) -> &Threads {
        &self.0.threads
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }
}

/// The settings that decide what a guest can observe. Replay depends on all of them.
fn config() -> Config {
    let mut config = Config::new();
    // With these settings, floating-point operations give the same results on every machine.
    config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
    // These features are off: with some of them two runs could differ, and agents do not need the others. Threads,
    // garbage collection and asynchronous components are not even compiled into the host.
    config.concurrency_support(false).wasm_memory64(false);
    config.epoch_interruption(true);
    config.max_wasm_stack(WASM_STACK_BYTES).async_stack_size(STACK_BYTES);
    // Traps have no backtrace, because each backtrace takes time, and agents are built without function names.
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
            // This also finds any other version 0.2.x, because the lookup matches compatible versions.
            let interface = component.get_export_index(None, "wasi:cli/run@0.2.0")?;
            component.get_export_index(Some(&interface), "run")
        }
    }
}

/// Compiles a component into the cache in `folder`. Returns the size of the compiled code in memory.
pub(super) fn compile_into(bytes: &[u8], folder: &Path) -> Result<u64, LoadError> {
    let failed = |error: wasmtime::Error| LoadError::Compile { cause: cause(&error) };
    let not_kept = |cause: String| LoadError::NotKept { path: folder.into(), cause };
    let mut config = config();
    config.cache(Some(cache(folder).map_err(|error| not_kept(error.to_string()))?));
    let engine = wasmtime::Engine::new(&config).map_err(failed)?;
    let image = Component::from_binary(&engine, bytes).map_err(failed)?.image_range();
    Ok((image.end as usize - image.start as usize) as u64)
}

/// The settings of an engine without a compiler. It finds code only in the cache.
fn without_compiler(folder: &Path) -> Result<Config, EngineError> {
    let mut config = config();
    config.enable_compiler(false).cache(Some(cache(folder)?));
    Ok(config)
}

/// wasmtime's cache in a folder. Frequently used entries are not compressed a second time, because the host would do
/// this work, and an agent's author determines how much it is.
fn cache(folder: &Path) -> Result<Cache, EngineError> {
    let mut cache = CacheConfig::new();
    cache.with_directory(folder).with_optimized_compression_usage_counter_threshold(u64::MAX);
    Cache::new(cache).map_err(failed)
}

fn failed(error: wasmtime::Error) -> EngineError {
    EngineError::Engine { cause: format!("{error:#}") }
}

/// Makes an engine with a pool for guests' memory. If the machine's limit on address space is too low for the pool,
/// memory is allocated on demand, which costs some microseconds per start.
fn pooled(config: &mut Config, guests_max: u32) -> wasmtime::Result<wasmtime::Engine> {
    let on_demand = config.clone();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(guests_max)));
    wasmtime::Engine::new(config).or_else(|error| {
        tracing::warn!(
            error = format!("{error:#}"),
            "cannot make a memory pool for agents; memory is allocated on demand"
        );
        wasmtime::Engine::new(&on_demand)
    })
}
