//! Runs one git process: with limits, input, output and timing, and a message if it ends early.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::{Git, GitError, LOOK_MAX, environment};
use crate::bounds::Bounds;

/// The limits of each git process. A tree of a few small objects can unfold to any size, and git knows the size only
/// after it has read the tree.
pub const BOUNDS: Bounds = Bounds { memory_bytes: 1 << 30, cpu: Duration::from_secs(45) };
/// An output is read up to this size even if a smaller part is kept, so that its total size is
/// known.
const OUTPUT_BYTES_MAX: usize = 64 << 20;
/// The part of git's error output that is kept.
const COMPLAINT_BYTES_MAX: usize = 4 * 1024;

/// The limit that a process reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    #[error("{0} bytes of output")]
    OutputBytes(u64),
    #[error("{0} MiB of memory")]
    MemoryMib(u64),
    #[error("{0} seconds of CPU time")]
    Cpu(u64),
    #[error("the depth of folders that git supports")]
    Depth,
}

/// A command's output and exit status.
#[derive(Debug)]
pub struct GitOutput {
    pub status: i32,
    /// The first bytes of the command's output.
    pub bytes: Vec<u8>,
    /// The total size of the command's output.
    pub bytes_all: u64,
    /// The command's error output.
    pub complaint: String,
}

impl GitOutput {
    /// Whether `bytes` is the complete output.
    pub fn is_whole(&self) -> bool {
        self.bytes_all == self.bytes.len() as u64
    }

    /// The output as text, with U+FFFD for bytes outside UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Git {
    /// Runs a command that changes nothing, and keeps the first `bytes_max` bytes of its output.
    pub async fn look(&self, arguments: &[&str], bytes_max: usize) -> Result<GitOutput, GitError> {
        self.look_at(arguments, Vec::new(), bytes_max).await
    }

    /// Like [`look`](Self::look), for a command with input.
    pub async fn look_at(&self, arguments: &[&str], input: Vec<u8>, bytes_max: usize) -> Result<GitOutput, GitError> {
        let named = || arguments.join(" ").chars().take(200).collect::<String>();
        let _turn = self.turns.take().await;
        let mut child = self.start(arguments, Stdio::piped())?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let run = async {
            let (output, complaint) = (read_start(stdout, bytes_max), read_start(stderr, COMPLAINT_BYTES_MAX));
            let (stdout, stderr, ()) = tokio::try_join!(output, complaint, feed(stdin, input))?;
            Ok((stdout, stderr, child.wait().await?))
        };
        let ((bytes, bytes_all), (complaint, _), status) = timeout(LOOK_MAX, run)
            .await
            .map_err(|_| GitError::TimedOut { command: named() })?
            .map_err(GitError::NotRun)?;
        let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
        let command = || arguments.first().copied().unwrap_or_default().to_owned();
        if bytes_all > most(bytes_max) {
            return Err(GitError::TooLarge { command: command(), limit: Limit::OutputBytes(most(bytes_max)) });
        }
        let ended_by = limit_of(status.signal(), &complaint, BOUNDS).filter(|_| !status.success());
        if let Some(limit) = ended_by {
            return Err(GitError::TooLarge { command: command(), limit });
        }
        if complaint.contains("not a git repository") {
            return Err(GitError::NotARepository(self.repository.clone()));
        }
        let failed = |complaint| GitError::Failed { command: named(), complaint };
        let status = status.code().ok_or_else(|| failed(format!("the git process ended with {status}")))?;
        Ok(GitOutput { status, bytes, bytes_all, complaint })
    }

    /// Like [`look`](Self::look), for a command that must succeed.
    pub async fn read(&self, arguments: &[&str], bytes_max: usize) -> Result<GitOutput, GitError> {
        self.read_of(arguments, Vec::new(), bytes_max).await
    }

    /// Like [`look_at`](Self::look_at), for a command that must succeed.
    pub async fn read_of(&self, arguments: &[&str], input: Vec<u8>, bytes_max: usize) -> Result<GitOutput, GitError> {
        let looked = self.look_at(arguments, input, bytes_max).await?;
        if looked.status != 0 {
            let command = arguments.first().copied().unwrap_or_default().to_owned();
            let complaint = match looked.complaint.as_str() {
                "" => format!("exit status {}", looked.status),
                said => said.to_owned(),
            };
            return Err(GitError::Failed { command, complaint });
        }
        Ok(looked)
    }

    /// Starts a command within [`BOUNDS`]. It ends when its handle is dropped.
    pub(super) fn start(&self, arguments: &[&str], complaints: Stdio) -> Result<Child, GitError> {
        let folder = self.folder().ok_or_else(|| GitError::NotARepository(self.repository.clone()))?;
        let mut command = Command::new("git");
        command.args(self.argv(arguments).iter().skip(1)).env_clear().envs(environment());
        command.envs(self.objects.iter().map(|folder| ("GIT_OBJECT_DIRECTORY", folder)));
        command.current_dir(folder).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(complaints);
        let child = command.spawn().map_err(GitError::NotRun)?;
        BOUNDS.set(child.id()).map_err(GitError::NotRun)?;
        Ok(child)
    }
}

/// The maximum number of bytes that are read from an output of which `bytes_max` bytes are kept.
fn most(bytes_max: usize) -> u64 {
    bytes_max.max(OUTPUT_BYTES_MAX) as u64
}

/// The limit that ended a process, by its signal or by git's messages about memory and stack.
pub fn limit_of(signal: Option<i32>, complaint: &str, bounds: Bounds) -> Option<Limit> {
    const OUT_OF_MEMORY: [&str; 3] = ["ut of memory", "Cannot allocate memory", "unable to create thread"];
    if signal == Some(Signal::XCPU.as_raw()) {
        return Some(Limit::Cpu(bounds.cpu.as_secs()));
    }
    if signal == Some(Signal::SEGV.as_raw()) || complaint.contains("exceeded maximum allowed tree depth") {
        return Some(Limit::Depth);
    }
    OUT_OF_MEMORY.iter().any(|words| complaint.contains(words)).then_some(Limit::MemoryMib(bounds.memory_bytes >> 20))
}

/// Writes a process's input. A process that ends early has not read all of it, and its exit status
/// gives the reason.
async fn feed(stdin: Option<ChildStdin>, input: Vec<u8>) -> std::io::Result<()> {
    if let Some(mut stdin) = stdin {
        drop(stdin.write_all(&input).await);
    }
    Ok(())
}

/// Reads to the end or up to [`most`], keeps the first `bytes_max` bytes, and counts all. If the
/// host stops reading, the process ends because it can no longer write.
async fn read_start(from: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> std::io::Result<(Vec<u8>, u64)> {
    let (mut kept, mut count, mut buffer) = (Vec::new(), 0, vec![0; 64 * 1024]);
    let Some(mut from) = from else { return Ok((kept, count)) };
    loop {
        let read = from.read(&mut buffer).await?;
        count += read as u64;
        let room = bytes_max.saturating_sub(kept.len()).min(read);
        kept.extend(buffer.iter().take(room));
        if read == 0 || count > most(bytes_max) {
            return Ok((kept, count));
        }
    }
}
