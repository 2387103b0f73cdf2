//! The folder of compiled components: wasmtime's cache, which children fill and the host only reads.
//!
//! The host's engine has no compiler, so what it does not find in its cache is an error and never compiled by it. wasmtime names an entry by a hash of
//! the component and of the engine's settings, the compiler's among them. The name that an engine without a compiler looks for is therefore
//! another one than that under which an engine with a compiler keeps its work: a child gives its entry that other name. When wasmtime reads the entry, it
//! compares the settings in it with the engine's own, as for any other.
//!
//! ```text
//! compiled/modules/wasmtime-48.0.8/NAME     an entry, and NAME.stats, by which wasmtime tells when it was used
//! compiled/manifests/BUILD/DIGEST           what this build of the program read of the component
//! compiled/new-…/                           where a child works
//! ```

use std::borrow::Cow;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdshort_gate::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::source::Source;

/// Where wasmtime keeps entries, below a cache's folder; one folder for each version of wasmtime.
const ENTRIES: &str = "modules";
const MANIFESTS: &str = "manifests";
/// What the names of children's folders begin with.
const NEW: &str = "new-";
/// Above this size of all entries the oldest go, but for the newest one. A large Python agent takes 12 MB.
const BYTES_MAX: u64 = 1 << 30;

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) folder: PathBuf,
}

impl Compiled {
    /// Makes the folder, for this user alone: whoever can write here can have the host run their code. What interrupted children left goes.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with(NEW) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// A folder for a child to work in, which goes with the value.
    pub(super) fn new_folder(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(NEW).tempdir_in(&self.folder)
    }

    /// Takes the entry of this name from the folder in which a child has worked. The oldest ones go if there are too many, and those of other versions of wasmtime.
    pub(super) fn take(&self, from: &Path, name: &str) -> io::Result<()> {
        let version = fs::read_dir(from.join(ENTRIES))?.next().ok_or(io::ErrorKind::NotFound)??.file_name();
        let entries = self.folder.join(ENTRIES);
        fs::create_dir_all(entries.join(&version))?;
        fs::rename(from.join(ENTRIES).join(&version).join(name), entries.join(&version).join(name))?;
        for other in fs::read_dir(&entries)?.filter_map(Result::ok).filter(|other| other.file_name() != version) {
            fs::remove_dir_all(other.path())?;
        }
        forget_oldest(&entries.join(&version), name)
    }

    /// What was kept of a component's manifest.
    pub(super) fn manifest(&self, build: &str, digest: &Digest) -> Option<Vec<u8>> {
        fs::read(self.folder.join(MANIFESTS).join(build).join(file_name(digest))).ok()
    }

    /// Keeps what this build of the program read of a component. What other builds have read goes.
    pub(super) fn keep_manifest(&self, build: &str, digest: &Digest, json: &[u8]) -> io::Result<()> {
        let (manifests, folder) = (self.folder.join(MANIFESTS), self.folder.join(MANIFESTS).join(build));
        fs::create_dir_all(&folder)?;
        for other in fs::read_dir(&manifests)?.filter_map(Result::ok).filter(|other| other.file_name() != build) {
            fs::remove_dir_all(other.path())?;
        }
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        io::Write::write_all(&mut file, json)?;
        file.persist(folder.join(file_name(digest))).map_err(|error| error.error)?;
        Ok(())
    }
}

fn file_name(digest: &Digest) -> String {
    digest.to_string().replace(':', "-")
}

/// Gives the one entry in the folder in which this child has compiled the name that `engine` looks for. None is there if it could not be written.
pub(super) fn rename_entry(folder: &Path, engine: &wasmtime::Engine, component: Source<'_>) -> io::Result<()> {
    let version = fs::read_dir(folder.join(ENTRIES))?.next().ok_or(io::ErrorKind::NotFound)??.path();
    let entries = fs::read_dir(&version)?.filter_map(Result::ok);
    // The statistics beside an entry, and files that are being written, have an extension.
    let entry = entries.map(|entry| entry.path()).find(|path| path.extension().is_none());
    fs::rename(entry.ok_or(io::ErrorKind::NotFound)?, version.join(entry_name(engine, component)?))
}

/// The name that wasmtime 48 gives to the entry of a component: the Base64 of a SHA-256 of what the standard library's `Hash` makes of the engine's settings,
/// the component, no debug information and no intrinsics. Were it another one, the engine would not find the entry, which tests notice.
pub(super) fn entry_name(engine: &wasmtime::Engine, component: Source<'_>) -> io::Result<String> {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        /// Nobody asks for it.
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Sha(Sha256::new());
    let nothing = (None::<Cow<'_, [u8]>>, None::<&str>);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    // Bytes are hashed with their number before them.
    hasher.write_usize(usize::try_from(component.length()?).unwrap_or(usize::MAX));
    component.pieces(|piece| hasher.write(piece))?;
    nothing.hash(&mut hasher);
    Ok(URL_SAFE_NO_PAD.encode(hasher.0.finalize()))
}

/// Removes the entries that were used longest ago, until the rest is small enough; never the one of this name.
fn forget_oldest(folder: &Path, newest: &str) -> io::Result<()> {
    let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
        let path = entry.path();
        if path.extension().is_none() && entry.file_name() != newest {
            let used = fs::metadata(path.with_extension("stats")).or_else(|_| entry.metadata())?.modified()?;
            entries.push((used, entry.metadata()?.len(), path));
        }
    }
    entries.sort();
    let mut all: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in entries {
        if all <= BYTES_MAX {
            break;
        }
        fs::remove_file(&path)?;
        // wasmtime may not have written it yet.
        drop(fs::remove_file(path.with_extension("stats")));
        all -= bytes;
    }
    Ok(())
}
