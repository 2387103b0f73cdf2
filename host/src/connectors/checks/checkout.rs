//! A fresh checkout of one commit, removed when it is dropped.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::connectors::child::{Children, How, Leftovers, Order};
use crate::connectors::git::revision::Resolved;
use crate::connectors::git::{self, Git};
use crate::reference::ReferenceName;

/// How long a checkout may take: a large tree on a slow disk.
const CHECKOUT_MAX: Duration = Duration::from_secs(300);
/// How much of git's complaints is told.
const COMPLAINT_CHARS_MAX: usize = 500;

/// A folder with the files of a commit in it, a home and a place for temporary files.
#[derive(Debug)]
pub(super) struct Checkout {
    name: String,
    folder: PathBuf,
}

impl Checkout {
    /// Makes one in `scratch`.
    pub(super) async fn make(git: &Git, resolved: &Resolved, scratch: &Path, children: &Children) -> io::Result<Self> {
        let commit = resolved.commit();
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = random.iter().fold("check-".to_owned(), |name, byte| name + &format!("{byte:02x}"));
        // From here on the folder goes with the value, also when something fails or the run is cancelled.
        let checkout = Self { folder: std::path::absolute(scratch)?.join(&name), name };
        for folder in [checkout.folder.clone(), checkout.home(), checkout.temporary(), checkout.tree()] {
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        let format = format!("--object-format={}", if commit.as_str().len() == 64 { "sha256" } else { "sha1" });
        // No template, so no hooks; a new configuration, so no filters.
        checkout.git(children, &["init", "--quiet", "--template=", &format]).await?;
        let common = std::path::absolute(git.common_folder().await.map_err(io::Error::other)?)?;
        let own = checkout.tree().join(".git");
        let info = own.join("objects/info");
        std::fs::create_dir_all(&info)?;
        std::fs::write(info.join("alternates"), format!("{}\n", common.join("objects").display()))?;
        // A shallow repository says here where its history ends.
        if common.join("shallow").exists() {
            std::fs::copy(common.join("shallow"), own.join("shallow"))?;
        }
        // The tags, because builds take their version from them (`git describe`), and the branch that the commit was found by.
        let mut references = git.tags().await.map_err(io::Error::other)?;
        let branch = resolved.reference().filter(|name| name.branch().is_some());
        if let Some(name) = branch {
            references.extend_from_slice(format!("{commit} {name}\n").as_bytes());
        }
        std::fs::write(own.join("packed-refs"), references)?;
        checkout.git(children, &["checkout", "--quiet", "--detach", commit.as_str()]).await?;
        if let Some(name) = branch.map(ReferenceName::as_str) {
            checkout.git(children, &["symbolic-ref", "HEAD", name]).await?;
        }
        Ok(checkout)
    }

    /// Unlike any other checkout's, of this host or an earlier one.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The commit's files.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// An empty home folder.
    pub(super) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// A folder for temporary files, so that they go too.
    pub(super) fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    async fn git(&self, children: &Children, arguments: &[&str]) -> io::Result<()> {
        let quiet =
            ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false"];
        // Here the index is the checkout's own, and its references are in files, of which one is written by hand.
        let files = ("GIT_DEFAULT_REF_FORMAT".to_owned(), "files".to_owned());
        let environment =
            git::environment().into_iter().filter(|(name, _)| name != "GIT_INDEX_FILE").chain([files]).collect();
        let order = Order {
            argv: quiet.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect(),
            folder: Some(self.tree()),
            environment,
            stdin: Vec::new(),
            time_out: CHECKOUT_MAX,
            kept_bytes_max: 16 * 1024,
            written_bytes_max: 1024 * 1024,
            merged: true,
            leftovers: Leftovers::Kill,
        };
        let name = format!("{}-git", self.name);
        let ended = children.run(&name, order).await;
        children.forget(&name).await;
        let ended = ended.map_err(io::Error::other)?;
        if ended.how == How::Exited(0) {
            return Ok(());
        }
        let command = arguments.first().unwrap_or(&"");
        let said = ended.stderr.tail(COMPLAINT_CHARS_MAX);
        Err(io::Error::other(format!("`git {command}` failed ({:?}): {said}", ended.how)))
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let folder = self.folder.clone();
        // On a thread of its own, because a build's folder holds ten thousands of files and this may be a task's thread.
        let removal = std::thread::Builder::new().spawn(move || remove(&folder));
        if let Err(error) = removal {
            tracing::warn!(path = %self.folder.display(), %error, "a checkout could not be removed");
        }
    }
}

/// Makes `scratch` (0700) and removes what is in it.
pub(super) fn empty(scratch: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(scratch)?;
    for entry in std::fs::read_dir(scratch)? {
        let entry = entry?;
        // Nothing but checkouts, should somebody have named a folder of theirs.
        if entry.file_name().to_string_lossy().starts_with("check-") {
            remove(&entry.path());
        }
    }
    Ok(())
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %folder.display(), %error, "a checkout could not be removed");
    }
}
