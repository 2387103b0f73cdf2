//! Reading of untrusted bytes in a child process of this very program, so that a stack overflow, a lack of memory or an endless loop ends the child and not the host.
//!
//! The host writes the bytes to the child's standard input and reads one line of JSON from its standard output. The child sets its own limits before
//! it reads the first byte ([`confine`]); the host keeps the wall clock and bounds the output ([`Isolate::ask`]). Whatever ends a child early is one
//! [`Fault`], which names the setting that allows more.
//!
//! A child contains what bytes can do to memory, CPU and stack. It is no boundary against code that runs as the host's user: a component's code is not
//! run here, and is contained by wasmtime when it is.

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

/// What a child may answer: a manifest with as many imports and as much text as one may have takes less.
pub const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// What is kept of a child's complaints. They are the standard library's own words about how it ended, and are matched and never shown.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;
/// How much nicer than the host a child is: it gets a tenth of what a busy thread of the host gets, and still moves on a busy machine.
const NICER: i32 = 10;
/// Threads of a child. Each takes address space, which is limited.
const THREADS_MAX: usize = 4;
/// Files that a child may have open: its three streams, and an entry of the cache with its folder.
const FILES_MAX: u64 = 32;
/// How often a child that has answered is looked at until it is gone.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Address space that the threads of a child set aside for stacks and heaps, and use little of.
const SET_ASIDE_BYTES: u64 = 256 << 20;

/// What a child may use, and how messages call these limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What the settings of these limits begin with: `load` for `load-memory-mib`.
    pub settings: &'static str,
    /// Memory, beside what the program itself takes.
    pub memory_mib: u64,
    /// CPU time of all its threads.
    pub cpu_seconds: u64,
    /// Time by the clock, waiting for a core included.
    pub seconds: u64,
    /// The largest file that it may write; nothing, if it is not to write any.
    pub file_mib: u64,
}

/// How a child ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(
        "reading it takes more than {0} MiB of memory; if you trust its author, raise `{1}-memory-mib` in the section `[limits]`"
    )]
    Memory(u64, &'static str),
    #[error(
        "reading it takes more than {0} seconds of CPU time; if you trust its author, raise `{1}-cpu-seconds` in the section `[limits]`"
    )]
    Cpu(u64, &'static str),
    #[error(
        "reading it takes more than {0} seconds; if you trust its author, raise `{1}-seconds` in the section `[limits]`"
    )]
    Time(u64, &'static str),
    #[error(
        "what is made of it is larger than {0} MiB; if you trust its author, raise `{1}-compiled-mib` in the section `[limits]`"
    )]
    File(u64, &'static str),
    #[error("it is nested too deep to be read; write or build it flatter")]
    Stack,
    #[error("what it says of itself is longer than {} MiB; it needs fewer and shorter names", ANSWER_BYTES_MAX >> 20)]
    Answer,
    #[error("reading it ended the process that read it ({0}); build it again with current tools")]
    Ended(String),
    #[error("cannot start a process to read it in: {0}")]
    Start(#[source] io::Error),
}

impl Fault {
    /// Whether the same bytes will fail in the same way; a process that did not start says nothing about the bytes.
    pub fn is_of_the_bytes(&self) -> bool {
        !matches!(self, Self::Start(_))
    }
}

/// What a child reads.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Bytes that the host has.
    Bytes(&'a [u8]),
    /// A file, which the child reads itself: the host does not hold what may be refused.
    File(&'a File),
}

/// Starts children of a program of this package.
#[derive(Clone, Debug)]
pub struct Isolate {
    program: PathBuf,
}

impl Isolate {
    /// Children of this program, which has the subcommand `isolated`.
    pub fn of(program: &Path) -> Self {
        Self { program: program.to_owned() }
    }

    /// What tells this build of the program from any other: another one may read the same bytes differently.
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

    /// Has a child do `work` (the words of the hidden subcommand) on `input`, and returns its answer. It blocks until the child has ended.
    pub fn ask(&self, work: &[&OsStr], input: Input<'_>, limits: &Limits) -> Result<Vec<u8>, Fault> {
        let deadline = Instant::now() + Duration::from_secs(limits.seconds);
        let mut child = self.spawn(work, input, limits).map_err(Fault::Start)?;
        let (stdin, Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(Fault::Start(io::Error::other("it has no streams")));
        };
        thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            // A child that ends early leaves its input unread; how it ended says why.
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
                // It fails only if the child is gone.
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

/// Sets the limits of this process, which is a child of a host. Nothing else happens before.
pub fn confine(limits: &Limits) -> io::Result<()> {
    // A child does not outlive the host that wants its answer.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    nice(NICER)?;
    let set = |resource, soft: u64, hard: u64| {
        // Whoever started the host may have set a lower limit, which cannot be raised.
        let hard = getrlimit(resource).maximum.map_or(hard, |given| given.min(hard));
        Ok::<(), io::Error>(setrlimit(resource, Rlimit { current: Some(soft.min(hard)), maximum: Some(hard) })?)
    };
    let memory = (limits.memory_mib << 20).saturating_add(own_bytes()?).saturating_add(SET_ASIDE_BYTES);
    // The lower of the two limits alone, which `without_memory_limit` lifts in the end.
    let most = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current: Some(most.map_or(memory, |most| most.min(memory))), maximum: most })?;
    // At the first limit a signal of its own ends the process, so that the host can tell why.
    set(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds.saturating_add(5))?;
    set(Resource::Fsize, limits.file_mib << 20, limits.file_mib << 20)?;
    set(Resource::Nofile, FILES_MAX, FILES_MAX)?;
    set(Resource::Core, 0, 0)
}

/// Lifts the limit on memory of this process, for work that sets address space aside and whose use of memory is known by then.
pub fn without_memory_limit() -> io::Result<()> {
    let most = getrlimit(Resource::As).maximum;
    Ok(setrlimit(Resource::As, Rlimit { current: most, maximum: most })?)
}

/// The address space of this process, the program itself for the most part.
fn own_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse().ok());
    Ok(size.unwrap_or(0_u64) << 10)
}

/// All that a child says, and one byte more than it may if it says too much.
fn answer(stdout: ChildStdout) -> Vec<u8> {
    let mut said = Vec::new();
    // What cannot be read is missing from the answer, which is then no JSON.
    drop(stdout.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut said));
    said
}

/// The beginning of a child's complaints. The rest is read and forgotten, so that the child is not kept waiting.
fn complaint(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    drop(stderr.by_ref().take(COMPLAINT_BYTES_MAX).read_to_end(&mut kept));
    drop(io::copy(&mut stderr, &mut io::sink()));
    String::from_utf8_lossy(&kept).into_owned()
}

/// Waits until a child that has closed its output is gone, and sees to it at the deadline.
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

/// From the way in which a child ended to the limit that ended it. The texts are those of the standard library, of this program's own build.
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
