//! The work of a child on a component. The child's stack is smaller than the host's. So a component that is nested too
//! deep overflows the child's stack, and never the host's.

use std::io::{Error, ErrorKind};
use std::path::Path;

use super::compiled::rename_entry;
use super::engine::{self, Engine};
use super::load::{LoadError, NoManifest};
use super::manifest::Manifest;
use super::problem::cause;
use super::source::ComponentSource;
use holdshort_common::isolate;

/// Reads the manifest of a component.
pub fn manifest(bytes: &[u8]) -> Result<Manifest, NoManifest> {
    Ok(Manifest::read(bytes)?)
}

/// Reads the manifest and compiles the component into `folder`, under the name for which a host's engine looks. At
/// the end the child loads the code as the host will load it. So code that cannot be loaded is found here, and not
/// in the host.
pub fn compile(bytes: &[u8], folder: &Path, image_mib_max: u64) -> Result<Manifest, NoManifest> {
    let manifest = Manifest::read(bytes)?;
    if !manifest.problems.is_empty() {
        return Ok(manifest);
    }
    let image_bytes = engine::compile_into(bytes, folder)?;
    if image_bytes > image_mib_max << 20 {
        return Err(LoadError::CodeTooLarge { bytes: image_bytes, mib_max: image_mib_max }.into());
    }
    let engine = |pool| Engine::of_child(folder, pool).map_err(|error| LoadError::Compile { cause: cause(&error) });
    let without = engine(false)?;
    rename_entry(folder, without.wasmtime(), ComponentSource::Bytes(bytes)).map_err(|error| not_kept(folder, error))?;
    without.compile(bytes, &manifest)?;
    // The child's memory limit is lifted now, because the next step needs more address space: it tests whether a guest
    // fits into the pool.
    let lifted = isolate::without_memory_limit();
    lifted.map_err(|error| LoadError::Compile { cause: error.to_string() })?;
    // If the machine limits address space so much that there is no pool, the host has no pool either, and this test
    // is left out.
    if let Ok(pooled) = engine(true) {
        pooled.compile(bytes, &manifest)?;
    }
    Ok(manifest)
}

/// The error for a missing entry. wasmtime does not report why it wrote none. So a file of similar size is written
/// here, and the error of this write is taken for the reason.
fn not_kept(folder: &Path, error: Error) -> LoadError {
    let probe = || std::fs::write(folder.join("probe"), [0; 64 << 10]).err();
    let error = if error.kind() == ErrorKind::NotFound { probe().unwrap_or(error) } else { error };
    LoadError::NotKept { path: folder.parent().unwrap_or(folder).into(), cause: error.to_string() }
}
