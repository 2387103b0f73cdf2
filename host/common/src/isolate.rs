//! Reads untrusted bytes in a child process of this program, so that a stack overflow, exhausted memory or an endless
//! loop ends the child and not the host.
//!
//! The host writes the bytes to the child's standard input and reads one line of JSON from its standard output. The
//! child limits itself before it reads the first byte ([`confine`]); the host watches the wall clock and limits the
//! output ([`Isolate::ask`]). Any early end is a [`Fault`], which names the setting that would allow more.
//!
//! The child limits the memory, CPU time and stack that the bytes can cost. The child has the rights of the host's
//! user. This is safe, because the child only reads components. It does not run them; the host runs them later,
//! confined by wasmtime.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit};

/// The maximum length of a child's answer. The largest permitted manifest is smaller than this.
pub const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// At most this many bytes of a child's standard error are kept. They contain the message with which the standard
/// library ends the child. The host compares the message with known ones and never shows it.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;
/// The number that is added to the niceness of a child. With this number a child gets a tenth of the CPU time of a busy
/// host thread, so it still progresses on a busy machine.
const NICER: i32 = 10;
/// The maximum number of a child's threads. It is small because each thread takes address space, which is limited.
const THREADS_MAX: usize = 4;
/// The maximum number of open files of a child. A child needs its three streams, and a cache entry with the entry's
/// folder.
const FILES_MAX: u64 = 32;
/// The interval for checking whether a child that answered has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The address space that a child's threads reserve for stacks and heaps, and mostly do not use.
const SET_ASIDE_BYTES: u64 = 256 << 20;

/// The limits of a child, and their settings' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The common prefix of the settings, such as `load` in `load-memory-mib`.
    pub settings: &'static str,
    /// The memory, in addition to the program itself.
    pub memory_mib: u64,
    /// The CPU time of all threads together.
    pub cpu_seconds: u64,
    /// The wall-clock time, including waiting for a core.
    pub seconds: u64,
    /// The largest file that the child may write, in MiB; 0 if it may write none.
    pub file_mib: u64,
}

/// How a child ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(
        "reading the file takes more than {0} MiB of memory; if you trust the author, raise `{1}-memory-mib` in the section `[limits]`"
    )]
    Memory(u64, &'static str),
    #[error(
        "reading the file takes more than {0} seconds of CPU time; if you trust the author, raise `{1}-cpu-seconds` in the section `[limits]`"
    )]
    Cpu(u64, &'static str),
    #[error(
        "reading the file takes more than {0} seconds; if you trust the author, raise `{1}-seconds` in the section `[limits]`"
    )]
    Time(u64, &'static str),
    #[error(
        "the compiled code is larger than {0} MiB; if you trust the author, raise `{1}-compiled-mib` in the section `[limits]`"
    )]
    File(u64, &'static str),
    #[error("the nesting is too deep to be read; use fewer levels")]
    Stack,
    #[error("the description of the imports is longer than {} MiB; use fewer and shorter names", ANSWER_BYTES_MAX >> 20)]
    Answer,
    #[error("the process that read the file crashed ({0}); make the file again with current tools")]
    Ended(String),
    #[error("cannot start the process that reads the file: {0}")]
    Start(#[source] io::Error),
}

impl Fault {
    /// Whether the bytes are the cause, so that the same bytes would fail again. The bytes are not the cause if the
    /// child did not start.
    pub fn is_of_the_bytes(&self) -> bool {
        !matches!(self, Self::Start(_))
    }
}

/// What a child reads.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Bytes in the host's memory.
    Bytes(&'a [u8]),
    /// A file that the child reads itself, so that the host does not hold a file that it may refuse.
    File(&'a File),
}

/// Starts child processes that run a program of this package.
#[derive(Clone, Debug)]
pub struct Isolate {
    program: PathBuf,
}

impl Isolate {
    /// Uses this program, which has the subcommand `isolated`.
    pub fn of(program: &Path) -> Self {
        Self { program: program.to_owned() }
    }

    /// An identifier of this build of the program. Another build may read the same bytes differently.
    pub fn build(&self) -> io::Result<String> {
        use std::os::unix::fs::MetadataExt;
        let program = std::fs::metadata(&self.program)?;
        Ok(format!(
            "{}-{:x}-{:x}{:08x}",
            env!("CARGO_PKG_VERSION"),
            program.len(),
            program.mtime(),
            program.mtime_nsec()
        ))
    }

    /// Runs a child with `work` (the arguments of the hidden subcommand) on `input`, and returns its answer. The method
    /// blocks until the child has ended.
    pub fn ask(&self, work: &[&OsStr], input: Input<'_>, limits: &Limits) -> Result<Vec<u8>, Fault> {
        let deadline = Instant::now() + Duration::from_secs(limits.seconds);
        let mut child = self.spawn(work, input, limits).map_err(Fault::Start)?;
        let (stdin, Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(Fault::Start(io::Error::other("the child process has no streams")));
        };
        thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            // A child that ends early leaves input unread; its exit status gives the reason.
            if let (Some(mut stdin), Input::Bytes(bytes)) = (stdin, input) {
                scope.spawn(move || drop(stdin.write_all(bytes)));
            }
            scope.spawn(move || drop(tell.send(answer(stdout))));
            let complaint = scope.spawn(move || complaint(stderr));
            let answer = told.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let fault = match &answer {
                Ok(answer) if answer.len() as u64 > ANSWER_BYTES_MAX => Some(Fault::Answer),
                Ok(_) => None,
                Err(_) => Some(Fault::Time(limits.seconds, limits.settings)),
            };
            if fault.is_some() {
                // `kill` fails only if the child has already ended.
                drop(child.kill());
            }
            let ended = end(&mut child, deadline);
            let complaint = complaint.join().unwrap_or_default();
            match (fault, ended) {
                (Some(fault), _) => Err(fault),
                (None, Ok(status)) if status.success() => Ok(answer.unwrap_or_default()),
                (None, Ok(status)) => Err(why(status, &complaint, limits)),
                (None, Err(error)) => Err(Fault::Ended(error.to_string())),
            }
        })
    }

    fn spawn(&self, work: &[&OsStr], input: Input<'_>, limits: &Limits) -> io::Result<Child> {
        let stdin = match input {
            Input::Bytes(_) => Stdio::piped(),
            Input::File(mut file) => {
                file.rewind()?;
                file.try_clone()?.into()
            }
        };
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX));
        Command::new(&self.program)
            .arg("isolated")
            .args(["--memory-mib", &limits.memory_mib.to_string()])
            .args(["--cpu-seconds", &limits.cpu_seconds.to_string()])
            .args(["--file-mib", &limits.file_mib.to_string()])
            .args(work)
            .env_clear()
            .env("RAYON_NUM_THREADS", threads.to_string())
            // Each arena of the C library's allocator takes 64 MiB of address space.
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir("/")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

/// Sets the limits of this process, which is the child of a host. The child calls this function before anything else.
pub fn confine(limits: &Limits) -> io::Result<()> {
    // The child ends with the host that waits for its answer.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    nice(NICER)?;
    let set = |resource, soft: u64, hard: u64| {
        // The process that started the host may have set a lower hard limit, which cannot be raised.
        let hard = getrlimit(resource).maximum.map_or(hard, |given| given.min(hard));
        Ok::<(), io::Error>(setrlimit(resource, Rlimit { current: Some(soft.min(hard)), maximum: Some(hard) })?)
    };
    let memory = (limits.memory_mib << 20).saturating_add(own_bytes()?).saturating_add(SET_ASIDE_BYTES);
    // Only the soft limit is set, because `without_memory_limit` later raises it to the hard limit.
    let most = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current: Some(most.map_or(memory, |most| most.min(memory))), maximum: most })?;
    // At the soft limit a signal ends the process. By this signal the host can tell that the CPU time was used up.
    set(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds.saturating_add(5))?;
    set(Resource::Fsize, limits.file_mib << 20, limits.file_mib << 20)?;
    set(Resource::Nofile, FILES_MAX, FILES_MAX)?;
    set(Resource::Core, 0, 0)
}

/// Lifts this process's memory limit, for work that reserves address space and whose memory use is known.
pub fn without_memory_limit() -> io::Result<()> {
    let most = getrlimit(Resource::As).maximum;
    Ok(setrlimit(Resource::As, Rlimit { current: most, maximum: most })?)
}

/// The address space of this process, which is mostly the program itself.
fn own_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse().ok());
    Ok(size.unwrap_or(0_u64) << 10)
}

/// Reads a child's answer completely. Of an answer that is too long, the result has one byte more than is permitted.
fn answer(stdout: ChildStdout) -> Vec<u8> {
    let mut said = Vec::new();
    // If reading fails, the answer is incomplete and therefore no valid JSON.
    drop(stdout.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut said));
    said
}

/// Reads the beginning of a child's standard error, and discards the rest so that the child does not block.
fn complaint(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    drop(stderr.by_ref().take(COMPLAINT_BYTES_MAX).read_to_end(&mut kept));
    drop(io::copy(&mut stderr, &mut io::sink()));
    String::from_utf8_lossy(&kept).into_owned()
}

/// Waits for the end of a child that closed its output, and kills it at the deadline.
fn end(child: &mut Child, deadline: Instant) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            return child.wait();
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Finds the violated limit from a child's exit status and error output. The texts with which the output is compared
/// are those of the standard library in this build.
fn why(status: ExitStatus, complaint: &str, limits: &Limits) -> Fault {
    const OUT_OF_MEMORY: [&str; 4] = ["memory allocation of", "Cannot allocate memory", "OutOfMemory", "WouldBlock"];
    if status.signal() == Some(Signal::XCPU.as_raw()) {
        Fault::Cpu(limits.cpu_seconds, limits.settings)
    } else if status.signal() == Some(Signal::XFSZ.as_raw()) {
        Fault::File(limits.file_mib, limits.settings)
    } else if complaint.contains("has overflowed its stack") {
        Fault::Stack
    } else if OUT_OF_MEMORY.iter().any(|word| complaint.contains(word)) {
        Fault::Memory(limits.memory_mib, limits.settings)
    } else {
        Fault::Ended(status.to_string())
    }
}
