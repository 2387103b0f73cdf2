//! A sandbox for unreviewed code, made of bubblewrap's namespaces. The program sees only the parts of the machine that
//! are listed below.
//!
//! The program gets new namespaces for users, processes, network, IPC, host name and cgroups, and a new session. It has
//! no Linux capability, it cannot create another user namespace, and set-user-id files give it no rights. Of the
//! machine's files it sees the system's programs (read-only), a few files of `/etc`, its own folders, and the paths
//! that the operator listed. It does not see the state folder, the home folders, `/run`, `/var` and `/sys`.
//!
//! The first process in the program's process namespace belongs to bubblewrap and runs as the program's own user. So
//! the program can trace this process and fake its own end. Therefore these namespaces are inside an outer user
//! namespace and an outer process namespace, whose first process the program can neither see nor trace. When the outer
//! first process ends, the kernel ends every process inside, and the host learns of the end only when no process is
//! left. The outer first process ends when the host kills its process group, and when the host itself ends.
//!
//! A host that runs as root runs the program as another user, because root is exempt from the kernel's limit on
//! processes and owns every file of the system. The other user has no access to root's private folders. Therefore root
//! first makes a mount namespace in which the files for the program have paths that this user can reach.

mod folders;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use folders::Folders;

/// The path inside the sandbox of the folder with the working files. The program starts in this folder.
pub const TREE: &str = "/checkout";
/// The path inside the sandbox of the home folder, which is empty at first.
pub const HOME: &str = "/home/check";
/// The path inside the sandbox of the folder for temporary files.
pub const TEMPORARY: &str = "/tmp";

/// The user id of the program as seen from outside the sandbox, if the host is root: `nobody`, who owns nothing.
const NOBODY: u32 = 65_534;
/// The user id of the program as seen from inside the sandbox.
const USER: &str = "1000";

/// The maximum number of processes and threads. A large test suite has a few hundred.
const PROCESSES_MAX: u32 = 2_048;
/// The maximum size of one file.
const FILE_BYTES_MAX: u64 = 8 << 30;
/// The maximum size of shared memory in files (`/dev/shm`).
const SHARED_BYTES_MAX: u64 = 256 << 20;

/// The folders with the system's programs and libraries. The host must keep none of its own files in these folders.
pub const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];
/// The parts of `/etc` that programs need: libraries, alternatives, certificates, time zone, language settings. None of
/// them contains data about people or other machines.
const ETC: [&str; 20] = [
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "fonts",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "perl",
    "pki/ca-trust",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
];

/// A sandbox that is known to work on this machine, because it was started there as a test.
#[derive(Clone, Debug)]
pub struct Sandbox {
    as_root: bool,
    /// Half of the machine's memory: the default limit of one process.
    memory_bytes: u64,
}

/// Why this machine cannot confine programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoSandbox(String);

/// The access of a confined program to the machine, besides its own folders.
#[derive(Clone, Debug, Default)]
pub struct SandboxAccess {
    /// Files and folders of the machine that the program may read.
    pub paths: Vec<PathBuf>,
    /// Whether the program can use the machine's network.
    pub network: bool,
    /// The memory limit of each process.
    pub memory_bytes: Option<u64>,
}

/// Why a program cannot be found inside the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// The program does not exist.
    #[error("there is no program `{0}`")]
    Nowhere(String),
    /// The program exists in a folder that is not visible inside.
    #[error("`{program}` is in `{folder}`, which a confined check cannot read: add the folder to `paths`")]
    Outside { program: String, folder: PathBuf },
}

impl SandboxAccess {
    /// Checks that a program exists: at its path, or in a folder of `PATH` that is visible inside. The check comes
    /// before the folders of the sandbox are made, so a wrong command line costs nothing.
    pub fn finds(&self, program: &str) -> Result<(), NotFound> {
        let nowhere = || NotFound::Nowhere(program.to_owned());
        if program.contains('/') {
            return Path::new(program).exists().then_some(()).ok_or_else(nowhere);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).filter(|folder| folder.join(program).is_file()).peekable();
        let folder = places.peek().cloned().ok_or_else(nowhere)?;
        let is_seen = |folder: PathBuf| is_system(&folder) || self.paths.iter().any(|path| folder.starts_with(path));
        places.any(is_seen).then_some(()).ok_or_else(|| NotFound::Outside { program: program.to_owned(), folder })
    }
}

impl Sandbox {
    /// Starts the sandbox once with a program that does nothing. An installed bubblewrap is not enough, because
    /// kernels, containers and distributions can forbid namespaces.
    pub fn find() -> Result<Self, NoSandbox> {
        let sandbox = Self { as_root: rustix::process::geteuid().is_root(), memory_bytes: machine_bytes() / 2 };
        let failed = |error: io::Error| NoSandbox(format!("cannot make a folder to test the sandbox: {error}"));
        let place = tempfile::tempdir().map_err(failed)?;
        let folders = Folders::make(place.path().join("try")).map_err(failed)?;
        sandbox.hand_over(&folders).map_err(failed)?;
        let argv = sandbox.argv(&folders, &SandboxAccess::default(), &["true".to_owned()]);
        run(&argv).map(|()| sandbox)
    }

    /// Gives the folders to the program's user.
    pub fn hand_over(&self, folders: &Folders) -> io::Result<()> {
        if !self.as_root {
            return Ok(());
        }
        let mut left = vec![folders.tree(), folders.home(), folders.temporary()];
        while let Some(path) = left.pop() {
            lchown(&path, Some(NOBODY), Some(NOBODY))?;
            if path.symlink_metadata()?.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    left.push(entry?.path());
                }
            }
        }
        Ok(())
    }

    /// The command line that runs `argv` confined in [`TREE`].
    pub fn argv(&self, folders: &Folders, given: &SandboxAccess, argv: &[String]) -> Vec<String> {
        // When memory runs out, the kernel ends the program and not the host: `choom` sets a value for this. It comes
        // first, while the process still has its privileges; the unprivileged program cannot lower the value again.
        let mut words = CommandLine::default();
        words.all(["nice", "-n", "10", "choom", "-n", "1000", "--"]);
        let mut binds = own(folders);
        let program = argv.first().map(Path::new).filter(|program| program.is_absolute() && !is_system(program));
        let named = given.paths.iter().map(PathBuf::as_path).chain(program);
        binds.extend(named.map(|path| Bind { from: path.to_owned(), to: path.to_owned(), writable: false }));
        if self.as_root {
            words.within_reach(&mut binds);
        }
        words.keeper(given.memory_bytes.unwrap_or(self.memory_bytes));
        words.namespaces(given.network);
        words.system(given.network);
        binds.iter().for_each(|bind| words.bind(bind));
        words.all(["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", TREE, "--"]);
        argv.iter().for_each(|word| words.one(word));
        words.0
    }
}

/// The machine's memory; unlimited if the kernel does not say.
fn machine_bytes() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        told.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.map_or(u64::MAX, |kib: u64| kib.saturating_mul(1024))
}

/// Whether every confined program sees this path.
pub fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|folder| path.starts_with(folder))
}

/// A path outside the sandbox, and the path under which it is mounted inside.
struct Bind {
    from: PathBuf,
    to: PathBuf,
    writable: bool,
}

fn own(folders: &Folders) -> Vec<Bind> {
    let of = |from: PathBuf, to: &str, writable| Bind { from, to: to.into(), writable };
    let mut binds =
        vec![of(folders.tree(), TREE, true), of(folders.home(), HOME, true), of(folders.temporary(), TEMPORARY, true)];
    binds.extend(folders.etc().map(|(name, path)| of(path, &format!("/etc/{name}"), false)));
    binds
}

/// A command line under construction.
#[derive(Default)]
struct CommandLine(Vec<String>);

impl CommandLine {
    fn one(&mut self, word: impl Into<String>) {
        self.0.push(word.into());
    }

    fn all<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        self.0.extend(words.into_iter().map(str::to_owned));
    }

    fn bind(&mut self, Bind { from, to, writable }: &Bind) {
        self.all([if *writable { "--bind" } else { "--ro-bind" }, &from.to_string_lossy(), &to.to_string_lossy()]);
    }

    /// Adds a mount namespace of root's, in which the unprivileged user can reach each file of `binds`, and then
    /// switches to that user.
    fn within_reach(&mut self, binds: &mut [Bind]) {
        self.all(["bwrap", "--die-with-parent", "--unshare-pid", "--dev-bind", "/", "/"]);
        self.all(["--perms", "0755", "--tmpfs", "/tmp"]);
        for (number, bind) in binds.iter_mut().enumerate() {
            let near = PathBuf::from(format!("/tmp/{number}"));
            self.bind(&Bind {
                from: std::mem::replace(&mut bind.from, near.clone()),
                to: near,
                writable: bind.writable,
            });
        }
        self.all(["--", "setpriv", "--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]);
        self.all([format!("--reuid={NOBODY}").as_str(), &format!("--regid={NOBODY}"), "--"]);
    }

    /// Adds the outer namespaces, which an outer bubblewrap makes. The program cannot reach their first process. When
    /// this process ends, the kernel first ends everything inside and then reports the end. The limits are set inside
    /// the outer namespaces, so they apply to everything in them.
    fn keeper(&mut self, memory_bytes: u64) {
        self.all(["bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid", "--as-pid-1"]);
        self.all(["--dev-bind", "/", "/", "--", "prlimit", "--core=0"]);
        self.one(format!("--nproc={PROCESSES_MAX}"));
        self.one(format!("--fsize={FILE_BYTES_MAX}"));
        self.one(format!("--data={memory_bytes}"));
        self.one("--");
    }

    /// Adds the inner namespaces, in which the program runs.
    fn namespaces(&mut self, network: bool) {
        self.all([
            "bwrap",
            "--unshare-user",
            "--disable-userns",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup",
        ]);
        if !network {
            self.one("--unshare-net");
        }
        self.all([
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
            "--uid",
            USER,
            "--gid",
            USER,
            "--hostname",
            "check",
        ]);
    }

    /// Adds the system's programs and harmless devices.
    fn system(&mut self, network: bool) {
        for folder in SYSTEM {
            match std::fs::read_link(folder) {
                Ok(target) => self.all(["--symlink", &target.to_string_lossy(), folder]),
                Err(_) => self.all(["--ro-bind-try", folder, folder]),
            }
        }
        let of_network: &[&str] = if network { &["resolv.conf"] } else { &[] };
        for name in ETC.iter().chain(of_network) {
            let path = format!("/etc/{name}");
            self.all(["--ro-bind-try", &path, &path]);
        }
        let shared = SHARED_BYTES_MAX.to_string();
        self.all(["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", &shared, "--tmpfs", "/dev/shm"]);
    }
}

/// Runs a command line that must print nothing and succeed.
fn run(argv: &[String]) -> Result<(), NoSandbox> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let (program, arguments) = argv.split_first().ok_or_else(|| NoSandbox("the command is empty".into()))?;
    let ended = Command::new(program).args(arguments).env_clear().env("PATH", path).stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| NoSandbox(format!("`{program}` cannot be run: {error}")))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said = said.trim().chars().take(300).collect::<String>();
    Err(NoSandbox(if said.is_empty() { format!("the sandbox ended with {}", ended.status) } else { said }))
}
