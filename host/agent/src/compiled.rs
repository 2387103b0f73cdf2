//! The folder of compiled components. It is wasmtime's cache: children compile the entries, and the host only reads
//! them.
//!
//! The host's engine has no compiler. If the cache lacks a component, the host gets an error and does not compile the
//! component. wasmtime names an entry by a hash of the component and the engine's settings, which include the
//! compiler's settings. So the host's engine looks for another name than the name that the child's engine gives to the
//! entry, and therefore the child renames the entry. When the host's engine reads the entry, wasmtime still compares
//! the settings in the entry with the settings of the engine.
//! ```text
//! compiled/modules/wasmtime-48.0.8/NAME     an entry, and NAME.stats with its last use
//! compiled/manifests/BUILD/DIGEST           the manifest, as this build of the program read it
//! compiled/new-…/                           a child's working folder
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

use super::source::ComponentSource;

/// The folder of wasmtime's entries. It has a subfolder for each version of wasmtime.
const ENTRIES: &str = "modules";
const MANIFESTS: &str = "manifests";
/// The prefix of children's working folders.
const NEW: &str = "new-";
/// The maximum size of all entries together, without the newest entry. Beyond it, the least recently used entries are
/// removed. The entry of a large Python agent has 12 MB.
const BYTES_MAX: u64 = 1 << 30;

/// The cache folder.
#[derive(Clone, Debug)]
pub(super) struct CompiledCache {
    pub(super) folder: PathBuf,
}

impl CompiledCache {
    /// Creates the folder so that only the host's user has access. Any other user who could write here could run code
    /// as the host. Also removes the working folders of interrupted children.
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

    /// A working folder for a child, removed on drop.
    pub(super) fn new_folder(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(NEW).tempdir_in(&self.folder)
    }

    /// Moves a child's entry into the cache. Removes the entries of other wasmtime versions, and the
    /// least recently used entries beyond the size limit.
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

    /// The stored manifest of a component, as the given build read it.
    pub(super) fn manifest(&self, build: &str, digest: &Digest) -> Option<Vec<u8>> {
        fs::read(self.folder.join(MANIFESTS).join(build).join(file_name(digest))).ok()
    }

    /// Stores the manifest of a component, and removes the manifests of other builds.
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

/// Renames the entry that this child compiled to the name for which `engine` looks. The error is `NotFound` if wasmtime
/// wrote no entry.
pub(super) fn rename_entry(folder: &Path, engine: &wasmtime::Engine, component: ComponentSource<'_>) -> io::Result<()> {
    let version = fs::read_dir(folder.join(ENTRIES))?.next().ok_or(io::ErrorKind::NotFound)??.path();
    let entries = fs::read_dir(&version)?.filter_map(Result::ok);
    // An entry is the file without an extension. Statistics and unfinished files have one.
    let entry = entries.map(|entry| entry.path()).find(|path| path.extension().is_none());
    fs::rename(entry.ok_or(io::ErrorKind::NotFound)?, version.join(entry_name(engine, component)?))
}

/// The name that wasmtime 48 gives to a component's entry: the Base64 of a SHA-256. The hash covers what the standard
/// library's `Hash` writes for the engine's settings and the component, and then for two missing options (debug
/// information and intrinsics). With a wrong name the engine would not find the entry; tests check this.
pub(super) fn entry_name(engine: &wasmtime::Engine, component: ComponentSource<'_>) -> io::Result<String> {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        /// Not used: the digest is taken from the hasher itself.
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Sha(Sha256::new());
    let nothing = (None::<Cow<'_, [u8]>>, None::<&str>);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    // `Hash` writes the length before the bytes.
    hasher.write_usize(usize::try_from(component.length()?).unwrap_or(usize::MAX));
    component.pieces(|piece| hasher.write(piece))?;
    nothing.hash(&mut hasher);
    Ok(URL_SAFE_NO_PAD.encode(hasher.0.finalize()))
}

/// Removes the least recently used entries until the other entries fit into [`BYTES_MAX`]. The entry `newest` is
/// neither removed nor counted.
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
        // An error is ignored, because wasmtime has perhaps not written this file yet.
        drop(fs::remove_file(path.with_extension("stats")));
        all -= bytes;
    }
    Ok(())
}
