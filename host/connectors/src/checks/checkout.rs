//! A fresh checkout of one commit, removed on drop.
//!
//! The checkout is a separate repository with only the objects that the commit reaches. If it borrowed the original
//! repository's objects, the commit's code could read every other branch, and files deleted from all branches.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::bounds::{Bounds, lower};
use crate::child::{ChildCommand, Children, ExitKind, Leftovers, Reserve};
use crate::confined::Folders;
use crate::git::revision::Resolved;
use crate::git::{self, CommitId, Git, GitError};
use holdshort_common::reference::ReferenceName;

/// The time limit for a checkout. It is enough for a large tree on a slow disk.
const CHECKOUT_MAX: Duration = Duration::from_secs(300);
/// Git's limits for a checkout. They are higher than the limits for looking at a commit, because a
/// history can have ten million objects.
const BOUNDS: Bounds = Bounds { memory_bytes: 4 << 30, cpu: Duration::from_secs(900) };
/// The maximum number of files and folders. The largest known source trees have half as many.
const ENTRIES_MAX: usize = 1_000_000;
/// The maximum total size of the files. If the disk has less free space, the maximum is lower.
const FILES_BYTES_MAX: u64 = 8 << 30;
/// A message repeats at most this many characters of git's error output.
const COMPLAINT_CHARS_MAX: usize = 500;

/// Why a checkout was not made.
#[derive(Debug)]
pub(super) enum NotMade {
    /// The commit is too large, so every further try would fail too. The text names the limit.
    TooLarge(String),
    /// The host could not make the checkout this time. A further try may succeed.
    Failed(io::Error),
}

impl From<io::Error> for NotMade {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<GitError> for NotMade {
    fn from(error: GitError) -> Self {
        if error.is_permanent() { Self::TooLarge(error.to_string()) } else { Self::Failed(io::Error::other(error)) }
    }
}

/// A folder with the files of a commit, a home folder, and a folder for temporary files.
#[derive(Debug)]
pub(super) struct Checkout {
    name: String,
    /// Removes the folder on drop.
    _removed: RemovedOnDrop,
    folders: Folders,
}

impl Checkout {
    /// Makes a checkout in `scratch`.
    pub(super) async fn make(
        git: &Git,
        resolved: &Resolved,
        scratch: &Path,
        children: &Children,
    ) -> Result<Self, NotMade> {
        let commit = resolved.commit();
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = random.iter().fold("check-".to_owned(), |name, byte| name + &format!("{byte:02x}"));
        let folder = std::path::absolute(scratch)?.join(&name);
        // From here on, dropping `checkout` removes the folder, also after an error or a cancellation.
        let checkout = Self { _removed: RemovedOnDrop(folder.clone()), folders: Folders::make(folder)?, name };
        let format = format!("--object-format={}", if commit.as_str().len() == 64 { "sha256" } else { "sha1" });
        checkout.measure(git, commit).await?;
        // Without a template, git installs no hooks. The new repository's configuration names no filters.
        checkout.git(children, &["init", "--quiet", "--template=", &format], Vec::new()).await?;
        checkout.copy(git, resolved, children).await?;
        checkout.git(children, &["checkout", "--quiet", "--detach", commit.as_str()], Vec::new()).await?;
        if let Some(name) = resolved.reference().filter(|name| name.branch().is_some()).map(ReferenceName::as_str) {
            checkout.git(children, &["symbolic-ref", "HEAD", name], Vec::new()).await?;
        }
        Ok(checkout)
    }

    /// The name of this checkout. No other checkout of this host or of an earlier host has the same
    /// name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The checkout's folders.
    pub(super) fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Copies the commit, the objects that it reaches, and the tags of these commits from the original repository. If
    /// the original is incomplete (a shallow or partial clone), the copy is incomplete too.
    async fn copy(&self, git: &Git, resolved: &Resolved, children: &Children) -> Result<(), NotMade> {
        let own = self.folders.tree().join(".git");
        let original = std::path::absolute(git.common_folder().await?)?;
        if original.join("shallow").exists() {
            std::fs::copy(original.join("shallow"), own.join("shallow"))?;
        }
        // The copy gets the tags, because builds derive their version from tags (`git describe`).
        // It also gets the branch by which the commit was found.
        let commit = resolved.commit();
        let mut references = git.tags(commit).await?;
        if let Some(name) = resolved.reference().filter(|name| name.branch().is_some()) {
            references.extend_from_slice(format!("{commit} {name}\n").as_bytes());
        }
        std::fs::write(own.join("packed-refs"), &references)?;
        let lines = references.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let ids = lines.filter_map(|line| line.split(|byte| *byte == b' ').next());
        let wanted = ids.chain([commit.as_str().as_bytes()]).flat_map(|id| [id, b"\n"]).flatten().copied().collect();
        let borrowed = own.join("objects/info/alternates");
        std::fs::create_dir_all(own.join("objects/info"))?;
        std::fs::write(&borrowed, format!("{}\n", original.join("objects").display()))?;
        let pack = own.join("objects/pack/pack").to_string_lossy().into_owned();
        let command = ["pack-objects", "--quiet", "--revs", "--missing=allow-any", "--delta-base-offset", &pack];
        self.git(children, &command, wanted).await?;
        Ok(std::fs::remove_file(borrowed)?)
    }

    /// Checks the total size of the commit's files before any file is written.
    async fn measure(&self, git: &Git, commit: &CommitId) -> Result<(), NotMade> {
        let (bytes_free, files_free) = Reserve::half(self.folders.all())?.room()?;
        let (bytes_max, files_max) = (FILES_BYTES_MAX.min(bytes_free), files_free.min(ENTRIES_MAX as u64));
        let too_large = |what: String| Err(NotMade::TooLarge(what));
        match git.tree_size(commit, ENTRIES_MAX).await? {
            None => too_large(format!("the commit has more than {ENTRIES_MAX} files and folders")),
            Some(it) if it.entries > files_max => too_large(format!(
                "the commit has {} files and folders, but there is room for only {files_max}",
                it.entries
            )),
            Some(it) if it.bytes > bytes_max => too_large(format!(
                "the files of the commit take {} bytes, but there is room for only {bytes_max}",
                it.bytes
            )),
            Some(_) => Ok(()),
        }
    }

    /// Runs git in the checkout. If git reaches a limit, the error is final, because a further try would reach
    /// the same limit.
    async fn git(&self, children: &Children, arguments: &[&str], stdin: Vec<u8>) -> Result<(), NotMade> {
        let quiet =
            ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false"];
        // The variable with the path of an index is left out, because the checkout has an index of its own. References
        // are kept in files, because `copy` writes one such file itself.
        let files = ("GIT_DEFAULT_REF_FORMAT".to_owned(), "files".to_owned());
        let environment =
            git::environment().into_iter().filter(|(name, _)| name != "GIT_INDEX_FILE").chain([files]).collect();
        let order = ChildCommand {
            argv: quiet.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect(),
            folder: Some(self.folders.tree()),
            environment,
            stdin,
            time_out: CHECKOUT_MAX,
            kept_bytes_max: 16 * 1024,
            written_bytes_max: 1024 * 1024,
            reserve: Some(Reserve::half(self.folders.all())?),
            bounds: Some(BOUNDS),
            merged: true,
            leftovers: Leftovers::Kill,
        };
        let name = format!("{}-git", self.name);
        let ended = children.run(&name, order).await;
        children.forget(&name).await;
        let ended = ended.map_err(io::Error::other)?;
        let command = arguments.first().unwrap_or(&"");
        let said = ended.stderr.tail(COMPLAINT_CHARS_MAX);
        let signal = if let ExitKind::Signalled(signal) = ended.how { Some(signal) } else { None };
        let limit = match ended.how {
            ExitKind::Exited(0) => return Ok(()),
            ExitKind::FilledDisk => Some("half of the disk space that is free".into()),
            ExitKind::TimedOut => Some(format!("{} seconds", CHECKOUT_MAX.as_secs())),
            ExitKind::Exited(_) | ExitKind::Signalled(_) | ExitKind::WroteTooMuch | ExitKind::Lost(_) => {
                git::limit_of(signal, &said, BOUNDS).map(|limit| limit.to_string())
            }
        };
        let failed = || NotMade::Failed(io::Error::other(format!("`git {command}` failed ({:?}): {said}", ended.how)));
        Err(limit.map_or_else(failed, |limit| NotMade::TooLarge(format!("`git {command}` takes more than {limit}"))))
    }
}

/// A folder that is removed on drop.
#[derive(Debug)]
struct RemovedOnDrop(PathBuf);

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        let folder = self.0.clone();
        // The removal has a thread of its own: a build can leave tens of thousands of files, and the thread that drops
        // the value may be a runtime thread, which must not block.
        let removal = std::thread::Builder::new().spawn(move || remove(&folder));
        if let Err(error) = removal {
            tracing::warn!(path = %self.0.display(), %error, "a checkout could not be removed");
        }
    }
}

/// Creates `scratch` (0700) and removes the checkouts in it.
pub(super) fn empty(scratch: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(scratch)?;
    for entry in std::fs::read_dir(scratch)? {
        let entry = entry?;
        // Other files stay, because an operator may have configured a folder that is also used for
        // something else.
        if entry.file_name().to_string_lossy().starts_with("check-") {
            remove(&entry.path());
        }
    }
    Ok(())
}

/// Removes everything that a check has left, with the programs `chmod` and `rm`. They walk a tree
/// of any depth with a limited number of open files; recursion in the host would overflow its
/// stack. `chmod` first makes unreadable folders readable.
fn remove(folder: &Path) {
    for argv in [["chmod", "-R", "u+rwX", "--"], ["rm", "-r", "-f", "--"]] {
        let [program, arguments @ ..] = argv;
        let mut command = Command::new(program);
        let started = command.args(arguments).arg(folder).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        // The programs that remove a checkout get a low priority, because a check can leave any number of files.
        let ended = started.and_then(|mut child| {
            drop(lower(Some(child.id())));
            child.wait()
        });
        if let Err(error) = ended {
            tracing::warn!(program, %error, "the program that removes checkouts cannot be run");
        }
    }
    if folder.exists() {
        tracing::warn!(path = %folder.display(), "a checkout could not be removed");
    }
}
