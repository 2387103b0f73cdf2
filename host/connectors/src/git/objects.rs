//! Runs git on a repository's objects, and on no other part of the repository.
//!
//! **Invariant:** a diff or a log of two commits depends on the commits alone. Git reads the objects from a folder of
//! the host's own without configuration, references, attributes, replacements, grafts or index. So no other file of the
//! repository's folder, and no `.gitattributes` of a commit, changes a diff or a log. Only the list of commits at which
//! a shallow clone ends is copied.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Git, GitError};

/// The objects of one repository. The folder that git runs in is removed with the last clone of
/// this value.
#[derive(Clone, Debug)]
pub struct Objects {
    git: Git,
    _folder: Arc<TempDir>,
    is_shallow: bool,
    is_partial: bool,
}

impl Objects {
    /// The objects that `git`'s repository has now.
    pub async fn of(git: &Git) -> Result<Self, GitError> {
        let common = git.common_folder().await?;
        let common = std::path::absolute(&common).unwrap_or(common);
        let format = git.read(&["rev-parse", "--show-object-format"], 64).await?.text();
        let (repository, turns) = (git.repository().to_owned(), git.turns.clone());
        let made = tokio::task::spawn_blocking(move || {
            let shallow = read_if_there(&common.join("shallow"))?;
            let objects = common.join("objects");
            let is_partial = has_promises(&objects)?;
            let folder = folder(format.trim(), &shallow)?;
            let git = Git { repository, git_dir: folder.path().to_owned(), objects: Some(objects), turns };
            Ok(Self { git, _folder: Arc::new(folder), is_shallow: !shallow.is_empty(), is_partial })
        });
        made.await.map_err(io::Error::other).flatten().map_err(GitError::NoFolder)
    }

    /// Git on these objects.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// The same objects with one turn, which is taken now and kept for all commands (see [`Git::in_turn`]).
    pub async fn in_turn(&self) -> Self {
        Self { git: self.git.in_turn().await, ..self.clone() }
    }

    /// Whether the history ends at commits whose parents are missing.
    pub fn is_shallow(&self) -> bool {
        self.is_shallow
    }

    /// Whether another repository stores some of the objects.
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }
}

/// An empty repository. `format` is git's name of a hash function.
fn folder(format: &str, shallow: &[u8]) -> io::Result<TempDir> {
    let folder = TempDir::with_prefix("holdshort-git-")?;
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text);
    fs::create_dir(folder.path().join("refs"))?;
    write("HEAD", b"ref: refs/heads/none\n")?;
    if format != "sha1" {
        let config =
            format!("[core]\nbare = true\nrepositoryformatversion = 1\n[extensions]\nobjectformat = {format}\n");
        write("config", config.as_bytes())?;
    }
    if !shallow.is_empty() {
        write("shallow", shallow)?;
    }
    Ok(folder)
}

fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Whether a pack is marked as coming from another repository, which has the missing objects, as in a partial clone.
fn has_promises(objects: &Path) -> io::Result<bool> {
    let packs = match fs::read_dir(objects.join("pack")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        packs => packs?,
    };
    for pack in packs {
        if pack?.path().extension().is_some_and(|ending| ending == "promisor") {
            return Ok(true);
        }
    }
    Ok(false)
}
