//! Reads components in child processes: their manifests and their compiled code. The author of a component
//! determines how much time and memory the reading takes. So only a child reads the component, within limits, and
//! the host gets the result.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use holdshort_gate::Digest;

use super::compiled::{CompiledCache, entry_name};
use super::load::{EngineError, LoadError, NoManifest};
use super::manifest::Manifest;
use super::source::ComponentSource;
use holdshort_common::isolate::{Fault, Input, Isolate, Limits};

/// The maximum number of manifests that are kept in memory. A manifest that is not kept is read again when
/// it is needed.
const KNOWN_MAX: usize = 256;

/// The limits for reading a component.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// The maximum size of the component's file.
    pub component_mib: u64,
    /// The limits of the child that reads and compiles the component.
    pub child: Limits,
}

/// Reads components. A clone is cheap.
#[derive(Clone)]
pub struct Reader(Arc<Inner>);

struct Inner {
    /// The means to start children, and the identifier of this build. `None` for tests, which read in
    /// their own process.
    isolate: Option<(Isolate, String)>,
    limits: ReadLimits,
    compiled: Option<CompiledCache>,
    known: Mutex<HashMap<Digest, Arc<Manifest>>>,
}

impl Reader {
    /// Makes a reader that uses children. It creates the folder `compiled` for code and manifests.
    pub fn isolated(isolate: Isolate, limits: ReadLimits, compiled: &Path) -> Result<Self, EngineError> {
        let explain = |source| EngineError::Cache { path: compiled.to_owned(), source };
        Self::new(isolate, limits, Some(CompiledCache::open(compiled).map_err(explain)?))
    }

    /// Makes a reader that uses children and stores nothing.
    pub fn forgetful(isolate: Isolate, limits: ReadLimits) -> Result<Self, EngineError> {
        Self::new(isolate, limits, None)
    }

    fn new(isolate: Isolate, limits: ReadLimits, compiled: Option<CompiledCache>) -> Result<Self, EngineError> {
        let build = isolate.build().map_err(EngineError::Program)?;
        Ok(Self(Arc::new(Inner { isolate: Some((isolate, build)), limits, compiled, known: Mutex::default() })))
    }

    /// Makes a reader that works in this process, for tests with their own components. A hostile
    /// component could harm the process.
    pub fn in_process() -> Self {
        let child = Limits { settings: "load", memory_mib: 0, cpu_seconds: 0, seconds: 0, file_mib: 0 };
        let limits = ReadLimits { component_mib: u64::MAX >> 20, child };
        Self(Arc::new(Inner { isolate: None, limits, compiled: None, known: Mutex::default() }))
    }

    /// The folder with the code that children have compiled; `None` if this process compiles.
    pub(super) fn compiled(&self) -> Option<&Path> {
        self.0.compiled.as_ref().map(|compiled| compiled.folder.as_path())
    }

    /// Refuses a component by its size before it is loaded into memory.
    pub fn check_size(&self, bytes: u64) -> Result<(), LoadError> {
        let mib_max = self.0.limits.component_mib;
        if bytes > mib_max << 20 { Err(LoadError::TooLarge { bytes, mib_max }) } else { Ok(()) }
    }

    /// The manifest of a component, without compiling it.
    pub fn manifest(&self, bytes: &[u8]) -> Result<Arc<Manifest>, LoadError> {
        self.check_size(bytes.len() as u64)?;
        let digest = Digest::of(bytes);
        if let Some(known) = self.known(&digest) {
            return Ok(known);
        }
        let manifest = match &self.0.isolate {
            None => Manifest::read(bytes)?,
            Some((isolate, _)) => {
                let answer = isolate.ask(&["manifest".as_ref()], Input::Bytes(bytes), &self.0.limits.child)?;
                parsed(&answer, digest)?
            }
        };
        Ok(self.keep(manifest))
    }

    /// Reads the manifest and compiles the component. The code is stored under the name for which `engine` looks. A
    /// component with problems is not compiled.
    pub(super) fn compile(
        &self,
        component: ComponentSource<'_>,
        digest: &Digest,
        engine: &wasmtime::Engine,
    ) -> Result<Arc<Manifest>, LoadError> {
        let unread = |error: std::io::Error| LoadError::Fault(Fault::Ended(error.to_string()));
        self.check_size(component.length().map_err(unread)?)?;
        let (Some((isolate, build)), Some(compiled)) = (&self.0.isolate, &self.0.compiled) else {
            let mut bytes = Vec::new();
            component.pieces(|piece| bytes.extend_from_slice(piece)).map_err(unread)?;
            return self.manifest(&bytes);
        };
        let not_kept =
            |error: std::io::Error| LoadError::NotKept { path: compiled.folder.clone(), cause: error.to_string() };
        let folder = compiled.new_folder().map_err(not_kept)?;
        let work = ["compile".as_ref(), folder.path().as_os_str()];
        let answer = isolate.ask(&work, component.input(), &self.0.limits.child)?;
        let manifest = parsed(&answer, *digest)?;
        if manifest.problems.is_empty() {
            let name = entry_name(engine, component).map_err(unread)?;
            compiled.take(folder.path(), &name).map_err(not_kept)?;
        }
        compiled.keep_manifest(build, &manifest.digest, &answer).map_err(not_kept)?;
        Ok(self.keep(manifest))
    }

    /// The manifest of a component, if this process has read it, or an earlier process of the same build.
    pub fn known(&self, digest: &Digest) -> Option<Arc<Manifest>> {
        let known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        known.or_else(|| {
            let (_, build) = self.0.isolate.as_ref()?;
            let kept = self.0.compiled.as_ref()?.manifest(build, digest)?;
            Some(self.keep(parsed(&kept, *digest).ok()?))
        })
    }

    fn keep(&self, manifest: Manifest) -> Arc<Manifest> {
        let manifest = Arc::new(manifest);
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(manifest.digest, manifest.clone());
        manifest
    }
}

/// A child's answer: the manifest of the component with this digest, or an error.
fn parsed(answer: &[u8], digest: Digest) -> Result<Manifest, LoadError> {
    let read: Result<Manifest, NoManifest> =
        serde_json::from_slice(answer).map_err(|_| Fault::Ended("the process gave no answer".into()))?;
    let manifest =
        read.map_err(|NoManifest { text, of_the_bytes }| LoadError::ReportedByChild { text, of_the_bytes })?;
    if manifest.digest == digest {
        Ok(manifest)
    } else {
        Err(Fault::Ended("the process read different bytes".into()).into())
    }
}
