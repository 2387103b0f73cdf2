//! Child processes: started without a shell, in a clean environment, limited in time and output, and observable after
//! the host has died.
//!
//! A child writes to two files in a state folder, `NAME.out` and `NAME.err`, instead of to pipes. This has three
//! reasons: the host's death does not disturb the child; a process that the child leaves behind cannot keep the host
//! reading forever; and both files can be read afterwards.
//!
//! `NAME.err` is also a lock. The host locks it (`flock`) before it starts the child, and the child's standard error is
//! that same open file. So the lock lasts until the child and all its descendants have ended, even if the host dies
//! earlier. [`Children::wait_until_gone`] checks the lock. A process that closes its standard error (a daemon) gives up
//! the lock, and the host no longer notices it.

mod not_started;
mod reserve;
mod starter;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

pub use not_started::NotStarted;
pub use reserve::Reserve;

use super::bounds::Bounds;

/// The interval for checking output sizes and locks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the host waits for a locked file to become free. A new child that has nothing to do with the file can
/// hold the lock for a moment: between `fork` and `exec` it has copies of all open files of the host, and with
/// them their locks.
const PASSING: Duration = Duration::from_millis(250);

/// A program to run, and its limits.
#[derive(Clone, Debug)]
pub struct ChildCommand {
    /// The program and its arguments. There is no shell, so nothing is expanded.
    pub argv: Vec<String>,
    /// The working folder; by default the host's.
    pub folder: Option<PathBuf>,
    /// The complete environment; see [`environment`].
    pub environment: Vec<(String, String)>,
    /// The data on the program's standard input.
    pub stdin: Vec<u8>,
    /// The time limit. When it has passed, the host kills the process group.
    pub time_out: Duration,
    /// The maximum number of bytes of each output that are returned: its last bytes.
    pub kept_bytes_max: u64,
    /// The maximum size of each output. If an output grows larger, the host kills the process group.
    pub written_bytes_max: u64,
    /// The disk space that must stay free. If less is free, the host kills the process group.
    pub reserve: Option<Reserve>,
    /// The limits on memory and CPU; `None` for the operator's own programs.
    pub bounds: Option<Bounds>,
    /// Whether standard output goes to `NAME.err` too, so that both are read in the order of writing.
    pub merged: bool,
    /// The treatment of processes that are left in the process group when the child exits.
    pub leftovers: Leftovers,
}

/// The treatment of processes that a child leaves behind when it exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// The host kills the processes, because the child was started only to look something up.
    Kill,
    /// The processes continue, because the child may have had the purpose to start them.
    Leave,
}

/// The end of a child, and its output.
#[derive(Debug)]
pub struct ChildEnd {
    pub how: ExitKind,
    /// The standard output; empty with [`ChildCommand::merged`].
    pub stdout: ChildOutput,
    pub stderr: ChildOutput,
    /// Whether a process that the child started still holds the lock.
    pub lingers: bool,
}

/// The ways in which a child ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The child exited with this status.
    Exited(i32),
    /// A signal that the host did not send ended the child.
    Signalled(i32),
    /// The host killed the child at its time limit.
    TimedOut,
    /// The host killed the child because of too much output.
    WroteTooMuch,
    /// The host killed the child because less disk space was free than [`ChildCommand::reserve`] demands.
    FilledDisk,
    /// The operating system did not report how the child ended.
    Lost(String),
}

/// The end of a child's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildOutput {
    /// The last bytes, at most [`ChildCommand::kept_bytes_max`].
    pub bytes: Vec<u8>,
    /// The total number of bytes.
    pub written_bytes: u64,
}

impl ChildOutput {
    /// Whether the beginning of the output is missing in `bytes`.
    pub fn is_cut(&self) -> bool {
        self.written_bytes > self.bytes.len() as u64
    }

    /// The last `chars_max` characters as text, for messages.
    pub fn tail(&self, chars_max: usize) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.trim();
        let skip = text.chars().count().saturating_sub(chars_max);
        let tail: String = text.chars().skip(skip).collect();
        if skip > 0 || self.is_cut() { format!("…{tail}") } else { tail }
    }
}

/// The state of a child's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockState {
    /// There is no file: no child of this name was started, or its files were removed.
    None,
    /// The file exists and nothing holds its lock: the child has ended, or did not start.
    Gone,
    /// The child or a process that it started still runs.
    Running,
}

/// The environment of a child: `PATH`, the host's variables in `names`, and the variables in `own`. The child gets no
/// other variables of the host.
pub fn environment(names: &[String], own: &[(&str, String)]) -> Vec<(String, String)> {
    let inherited = ["PATH"].into_iter().chain(names.iter().map(String::as_str));
    let inherited = inherited.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    inherited.chain(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))).collect()
}

/// The state folder of child processes.
#[derive(Clone, Debug)]
pub struct Children {
    folder: PathBuf,
}

impl Children {
    /// Uses `folder`, and creates it (0700) if it is missing.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Runs a child to its end. `name` consists of letters, digits, `-` and `_`. Only one child of a name runs
    /// at a time.
    ///
    /// Dropping the future kills the child's process group, so that no process continues without limits.
    pub async fn run(&self, name: &str, order: ChildCommand) -> Result<ChildEnd, NotStarted> {
        let files = Files::lock(&self.out(name), &self.err(name), order.merged).await?;
        let mut group = spawn(&order, &files).await?;
        // From here on only the child's copies of the open file hold the lock.
        drop(files);
        feed(&mut group.child, &order.stdin);
        let how = self.watch(name, &mut group, &order).await;
        if order.leftovers == Leftovers::Kill {
            group.kill();
        }
        group.done = true;
        let lingers = self.wait_until_gone(name, PASSING).await == LockState::Running;
        let stdout =
            if order.merged { ChildOutput::default() } else { read_end(&self.out(name), order.kept_bytes_max) };
        let stderr = read_end(&self.err(name), order.kept_bytes_max);
        Ok(ChildEnd { how, stdout, stderr, lingers })
    }

    /// Waits up to `patience` until no process of the child `name` runs.
    pub async fn wait_until_gone(&self, name: &str, patience: Duration) -> LockState {
        let deadline = Instant::now() + patience;
        loop {
            match File::open(self.err(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return LockState::None,
                Err(_) => {}
                Ok(file) if file.try_lock().is_ok() => return LockState::Gone,
                Ok(_) => {}
            }
            if Instant::now() >= deadline {
                return LockState::Running;
            }
            sleep(LOOK_EVERY.min(patience)).await;
        }
    }

    /// Removes a child's files, unless one of its processes still runs.
    pub async fn forget(&self, name: &str) {
        if self.wait_until_gone(name, PASSING).await == LockState::Gone {
            for path in [self.out(name), self.err(name)] {
                if let Err(error) = std::fs::remove_file(&path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    tracing::warn!(path = %path.display(), %error, "a child's output could not be removed");
                }
            }
        }
    }

    /// The end of the standard error of the child `name` or, if this is empty, of its standard output; for messages.
    pub fn said(&self, name: &str, chars_max: usize) -> String {
        let bytes_max = 4 * chars_max as u64;
        // If both streams are merged, only the file for standard error exists.
        let files = [self.err(name), self.out(name)].into_iter().filter(|path| path.exists());
        files.map(|path| read_end(&path, bytes_max).tail(chars_max)).find(|said| !said.is_empty()).unwrap_or_default()
    }

    /// The lock file of the child `name`, for messages.
    pub fn lock_path(&self, name: &str) -> PathBuf {
        self.err(name)
    }

    async fn watch(&self, name: &str, group: &mut Group, order: &ChildCommand) -> ExitKind {
        let deadline = Instant::now() + order.time_out;
        loop {
            match timeout(LOOK_EVERY, group.child.wait()).await {
                Ok(Ok(status)) => return ended(status),
                Ok(Err(error)) => return ExitKind::Lost(error.to_string()),
                Err(_) => {}
            }
            let size = |path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            let too_much = size(self.out(name)).max(size(self.err(name))) > order.written_bytes_max;
            let over = if too_much {
                ExitKind::WroteTooMuch
            } else if order.reserve.as_ref().is_some_and(Reserve::is_used) {
                ExitKind::FilledDisk
            } else if Instant::now() >= deadline {
                ExitKind::TimedOut
            } else {
                continue;
            };
            group.kill();
            return group.child.wait().await.map_or_else(|error| ExitKind::Lost(error.to_string()), |_| over);
        }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.out"))
    }

    fn err(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.err"))
    }
}

/// The two output files; the second is locked.
struct Files {
    out: File,
    err: File,
    err_path: PathBuf,
}

impl Files {
    async fn lock(out_path: &Path, err_path: &Path, merged: bool) -> Result<Self, NotStarted> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| NotStarted::Files { path, source }
        };
        // The files are opened in append mode. So opening a file does not erase an earlier attempt's output, which is
        // erased only under the lock, and two merged streams do not overwrite each other.
        let open = |path: &Path| OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let err = open(err_path).map_err(failed(err_path))?;
        let deadline = Instant::now() + PASSING;
        loop {
            match err.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(failed(err_path)(source)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(NotStarted::Busy(err_path.to_owned()));
                }
                Err(TryLockError::WouldBlock) => sleep(LOOK_EVERY).await,
            }
        }
        err.set_len(0).map_err(failed(err_path))?;
        let out = if merged { err.try_clone() } else { open(out_path) }.map_err(failed(out_path))?;
        out.set_len(0).map_err(failed(out_path))?;
        Ok(Self { out, err, err_path: err_path.to_owned() })
    }
}

/// A child that leads its own process group. If the value is dropped before the child ends, the group is killed.
struct Group {
    child: Child,
    id: Option<rustix::process::Pid>,
    done: bool,
}

impl Group {
    fn kill(&self) {
        if let Some(id) = self.id {
            // This fails only if the group is empty.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.done {
            self.kill();
        }
    }
}

async fn spawn(order: &ChildCommand, files: &Files) -> Result<Group, NotStarted> {
    let Some((program, arguments)) = order.argv.split_first() else {
        return Err(NotStarted::EmptyCommand);
    };
    let copy =
        |file: &File| file.try_clone().map_err(|source| NotStarted::Files { path: files.err_path.clone(), source });
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(order.environment.iter().map(|(name, value)| (name, value)));
    command.process_group(0).stdout(copy(&files.out)?).stderr(copy(&files.err)?);
    command.stdin(if order.stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
    if let Some(folder) = &order.folder {
        command.current_dir(folder);
    }
    let started = starter::start(command).await;
    let bound = |child: Child| order.bounds.map_or(Ok(()), |bounds| bounds.set(child.id())).map(|()| child);
    let child = started.and_then(bound).map_err(|source| NotStarted::Program { program: program.clone(), source })?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    Ok(Group { child, id, done: false })
}

/// Writes the child's input in the background, so that a child that does not read its input cannot block the host.
fn feed(child: &mut Child, input: &[u8]) {
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        tokio::spawn(async move {
            // An error is ignored: a child that closes its input early does not want the rest, and its exit status
            // gives the result.
            let _ = stdin.write_all(&input).await;
        });
    }
}

fn ended(status: ExitStatus) -> ExitKind {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitKind::Exited(code),
        (None, Some(signal)) => ExitKind::Signalled(signal),
        (None, None) => ExitKind::Lost(status.to_string()),
    }
}

fn read_end(path: &Path, bytes_max: u64) -> ChildOutput {
    let read = || {
        let mut file = File::open(path)?;
        let written_bytes = file.metadata()?.len();
        file.seek(SeekFrom::Start(written_bytes.saturating_sub(bytes_max)))?;
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(ChildOutput { bytes, written_bytes })
    };
    read().unwrap_or_else(|error: io::Error| {
        tracing::warn!(path = %path.display(), %error, "a child's output could not be read");
        // The file cannot be read. The length 1 marks the output as incomplete, so that it is not taken for
        // an empty output.
        ChildOutput { bytes: Vec::new(), written_bytes: 1 }
    })
}

#[cfg(test)]
mod tests;
