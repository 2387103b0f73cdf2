//! The files that the operator gives to an agent: `workspace.list-files`,
//! `workspace.read-file` and `workspace.read-bytes`.
//!
//! A file is opened through [`relative`](super::relative), so no file outside is reachable. For the agent, links,
//! devices and pipes do not exist.
//!
//! **Invariant:** previews and permits name the agent of the run, and each agent reads and attaches only files of
//! its own workspace.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::AgentName;
use rustix::fs::Dir;
use rustix::io::Errno;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::descriptor::{Class, Descriptor};
use super::relative::{NotWithin, SpelledPath, open, spelled, walk};
use super::{Routine, RoutineCall, Unavailable, quote};
use holdshort_common::aside;

/// The maximum size of a file read as text.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The maximum size of a file read as bytes. On its way to the agent, a file takes some 40 times its size in
/// the host's memory.
const RAW_BYTES_MAX: u64 = 256 * 1024;
/// The maximum number of listed files and folders.
const ENTRIES_MAX: usize = 10_000;
/// The maximum number of bytes that are hashed for one list. Hashing them takes some seconds of CPU time.
const LISTED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The maximum size of a list. It is the maximum for every routine answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The size of a file's list entry besides its path: digest, size and field names.
const LISTED_FILE_BYTES: usize = 128;
/// The maximum nesting of folders.
const DEPTH_MAX: usize = 64;

/// The connector.
pub const DESCRIPTOR: Descriptor = Descriptor {
    section: "[agents.NAME]",
    interface: Some("holdshort:agent/workspace@0.1.0"),
    functions: &["list-files", "read-file", "read-bytes"],
    class: Class::Routine,
};

/// The folders of all agents.
#[derive(Clone, Debug)]
pub struct Workspace {
    folders: BTreeMap<AgentName, PathBuf>,
}

/// An agent's configured folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("[agents.{agent}]: the workspace `{}` cannot be read: {source}", .path.display())]
pub struct NoFolder {
    agent: AgentName,
    path: PathBuf,
    source: io::Error,
}

/// Why there is no answer: an error for the agent, or a failure of the host.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("this agent has no workspace; ask the operator for one")]
    NoWorkspace,
    #[error(transparent)]
    NotWithin(#[from] NotWithin),
    #[error("there is no file `{0}` in the workspace; see `list-files`")]
    NoFile(String),
    #[error("`{0}` is not a file: folders, symbolic links and devices cannot be read")]
    NotAFile(String),
    #[error("`{0}` is not UTF-8 text; use `read-bytes` to read the file")]
    NotText(String),
    #[error("`{path}` is {bytes} bytes, more than the {max} bytes that can be read at once")]
    TooLarge { path: String, bytes: u64, max: u64 },
    #[error(
        "the workspace is too large for a list: read single files. The limits of a list are {ENTRIES_MAX} files and folders, {DEPTH_MAX} levels of folders, {LISTED_BYTES_MAX} bytes in the files, and {ANSWER_BYTES_MAX} bytes of its own"
    )]
    TooMuch,
    #[error("`{0}` is not a function of `workspace`, or its arguments do not fit the function")]
    NotOurs(String),
    /// A failure of the host. The agent does not see it.
    #[error("the workspace cannot be read: {0}")]
    Host(#[from] io::Error),
}

impl From<Errno> for NoAnswer {
    fn from(errno: Errno) -> Self {
        Self::Host(errno.into())
    }
}

/// A question of an agent.
enum Question {
    List,
    Text(SpelledPath),
    Bytes(SpelledPath),
}

impl Workspace {
    /// Makes a workspace for each agent in `folders`. Each folder must exist now: if a folder were misspelled, a run
    /// would wait without a visible reason.
    pub fn open(folders: BTreeMap<AgentName, PathBuf>) -> Result<Self, NoFolder> {
        for (agent, path) in &folders {
            std::fs::read_dir(path).map_err(|source| NoFolder { agent: agent.clone(), path: path.clone(), source })?;
        }
        Ok(Self { folders })
    }

    /// Answers from the folder of the run's own agent. A call cannot name another agent's folder.
    async fn result(&self, call: RoutineCall<'_>) -> Result<Value, NoAnswer> {
        let (action, folder) = (call.action, self.folders.get(call.agent).ok_or(NoAnswer::NoWorkspace)?.clone());
        let question = match (action.capability().function(), action.arguments().get("path").and_then(Value::as_str)) {
            ("list-files", _) => Question::List,
            ("read-file", Some(path)) => Question::Text(path.parse()?),
            ("read-bytes", Some(path)) => Question::Bytes(path.parse()?),
            _ => return Err(NoAnswer::NotOurs(action.capability().to_string())),
        };
        let work = aside::for_files(move || {
            let top: OwnedFd = File::open(&folder)?.into();
            match question {
                Question::List => list(&top),
                Question::Text(path) => String::from_utf8(read(&top, &path, FILE_BYTES_MAX)?)
                    .map(Value::from)
                    .map_err(|_| NoAnswer::NotText(path.as_str().to_owned())),
                Question::Bytes(path) => Ok(STANDARD.encode(read(&top, &path, RAW_BYTES_MAX)?).into()),
            }
        });
        work.await.map_err(io::Error::other)?
    }
}

impl Routine for Workspace {
    /// The answer, or the reason why the host must try again. An error of the agent is an answer. After a failure of
    /// the disk, the call is retried.
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async move {
            match self.result(call).await {
                Ok(value) => Ok(json!({ "ok": value })),
                Err(error @ NoAnswer::Host(_)) => Err(Unavailable(quote(error).into())),
                Err(why) => Ok(json!({ "err": why.to_string() })),
            }
        }
        .boxed()
    }
}

/// Reads a file. Its properties are read from the open file, because the name could lead to another file by then.
fn read(top: &OwnedFd, path: &SpelledPath, max: u64) -> Result<Vec<u8>, NoAnswer> {
    let owned = || path.as_str().to_owned();
    let opened = match walk(top, path.names()) {
        Ok(opened) => opened,
        // A name that is too long for any file counts as a missing file.
        Err(Errno::NOENT | Errno::NAMETOOLONG) => return Err(NoAnswer::NoFile(owned())),
        // The path contains a link, or a file in place of a folder, or names a socket.
        Err(Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => return Err(NoAnswer::NotAFile(owned())),
        Err(errno) => return Err(errno.into()),
    };
    let file = File::from(opened);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(NoAnswer::NotAFile(owned()));
    }
    let mut bytes = Vec::new();
    // One byte more than permitted is read. So a file that grows while it is read is noticed.
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(NoAnswer::TooLarge { path: owned(), bytes: metadata.len().max(bytes.len() as u64), max });
    }
    Ok(bytes)
}

/// Lists all files or none, because an agent would take a partial list for the complete one. Files are sorted by path
/// and have digests, so two equal workspaces have equal lists. As soon as a limit is exceeded, the work stops.
fn list(top: &OwnedFd) -> Result<Value, NoAnswer> {
    let (mut files, mut entries, mut bytes_left) = (BTreeMap::new(), 0, LISTED_BYTES_MAX);
    let mut answer_bytes = 0;
    // Folders are remembered by name and are not kept open, because a workspace can have more folders than a process
    // can have open files.
    let mut folders: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    while let Some(at) = folders.pop() {
        let folder = match walk(top, at.iter().map(Vec::as_slice)) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if [&b"."[..], b".."].contains(&name) {
                continue;
            }
            let opened = match open(&folder, name) {
                Ok(opened) => opened,
                // The name is a link or a socket, or was removed after the folder was read. For the agent it
                // does not exist.
                Err(Errno::LOOP | Errno::NXIO | Errno::NOENT) => continue,
                Err(errno) => return Err(errno.into()),
            };
            entries += 1;
            if entries > ENTRIES_MAX || at.len() >= DEPTH_MAX {
                return Err(NoAnswer::TooMuch);
            }
            let path: Vec<Vec<u8>> = at.iter().cloned().chain([name.to_owned()]).collect();
            let joined = path.iter().map(|name| spelled(name)).collect::<Vec<_>>().join("/");
            let file = File::from(opened);
            let kind = file.metadata()?.file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                answer_bytes += LISTED_FILE_BYTES + joined.len();
                if answer_bytes > ANSWER_BYTES_MAX {
                    return Err(NoAnswer::TooMuch);
                }
                let (bytes, sha256) = digest(file, bytes_left)?;
                bytes_left -= bytes;
                let listed = json!({ "path": joined, "bytes": bytes.to_string(), "sha256": sha256 });
                files.insert(joined, listed);
            }
        }
    }
    Ok(files.into_values().collect::<Vec<_>>().into())
}

/// The number and the digest of the bytes that were read. Both are of the same bytes even if the file changes meanwhile;
/// the size in the file's metadata could be another one.
fn digest(mut file: File, bytes_max: u64) -> Result<(u64, String), NoAnswer> {
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            let digits = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok((bytes, digits));
        }
        bytes += read as u64;
        if bytes > bytes_max {
            return Err(NoAnswer::TooMuch);
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
