//! A sandbox for code that nobody has read: bubblewrap's namespaces, with nothing in them but what is named here.
//!
//! The program inside has namespaces of its own for users, processes, network, IPC, host name and cgroups, and a new session. It has no
//! capability, can make no further user namespace, and no set-user-id file gives it any right. Of the machine's files it sees the system's programs,
//! read-only, a few files of `/etc`, its own folders, and the paths that the operator named. The state folder, the home folders, `/run`, `/var` and
//! `/sys` are not there.
//!
//! The first process that the program sees is bubblewrap's, and the program's own user, so the program can trace it and make it say that the program
//! has ended. So these namespaces stand within others, of users and of processes, whose first process the program neither sees nor may trace. With it
//! the kernel ends everything, and tells the host of its end when nothing is left. It ends with the process group that the host kills, or with the host.
//!
//! A host that is root runs the program as another user: root is exempt from the kernel's limit on processes, and every file of the system is
//! root's. That user cannot pass through root's private folders, so a first mount namespace, which is root's, puts the sources within reach.

mod folders;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use folders::Folders;

/// Where the program finds the files that it works on, and starts.
pub const TREE: &str = "/checkout";
/// Its home, empty at first.
pub const HOME: &str = "/home/check";
/// Its folder for temporary files.
pub const TEMPORARY: &str = "/tmp";

/// Who the program is outside if the host is root: `nobody`, who owns nothing.
const NOBODY: u32 = 65_534;
/// Who it is inside.
const USER: &str = "1000";

/// Processes and threads at once; a large test suite has some hundreds.
const PROCESSES_MAX: u32 = 2_048;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 8 << 30;
/// Bytes of shared memory in files (`/dev/shm`).
const SHARED_BYTES_MAX: u64 = 256 << 20;

/// The system's programs and libraries. Nothing that a host keeps may lie in them.
pub const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];
/// What programs need of `/etc`: libraries, alternatives, certificates, time zone, settings of languages. Nothing of it is about people or machines.
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

/// A machine on which the sandbox has been started once.
#[derive(Clone, Debug)]
pub struct Sandbox {
    as_root: bool,
    /// Half of the machine's memory: what one process may take unless the operator says otherwise.
    memory_bytes: u64,
}

/// Why nothing can be confined on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);

/// What a confined program gets besides its own folders.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Files and folders of the machine, which it may read.
    pub paths: Vec<PathBuf>,
    /// Whether it has the machine's network instead of none.
    pub network: bool,
    /// Bytes of memory that one process may take.
    pub memory_bytes: Option<u64>,
}

/// A program that is not inside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// There is none.
    #[error("there is no program `{0}`")]
    Nowhere(String),
    /// It is where nothing confined looks.
    #[error("`{program}` is in `{folder}`, which a confined check does not see unless `paths` names it")]
    Outside {
        /// Its name.
        program: String,
        /// Where it is.
        folder: PathBuf,
    },
}

impl Given {
    /// Whether a program can be found inside: by its path, or in a folder of `PATH` that is seen there. A command line that is wrong is told so before
    /// anything is made for it.
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
    /// Starts the sandbox once around a program that does nothing. That the file is there says little: kernels, containers and policies of the
    /// distribution forbid namespaces in many ways.
    pub fn find() -> Result<Self, Unavailable> {
        let sandbox = Self { as_root: rustix::process::geteuid().is_root(), memory_bytes: machine_bytes() / 2 };
        let failed = |error: io::Error| Unavailable(format!("no folder to test the sandbox in: {error}"));
        let place = tempfile::tempdir().map_err(failed)?;
        let folders = Folders::make(place.path().join("try")).map_err(failed)?;
        sandbox.hand_over(&folders).map_err(failed)?;
        let argv = sandbox.argv(&folders, &Given::default(), &["true".to_owned()]);
        run(&argv).map(|()| sandbox)
    }

    /// Gives the folders to the user that the program runs as.
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

    /// The command line that runs `argv` in [`TREE`], confined.
    pub fn argv(&self, folders: &Folders, given: &Given, argv: &[String]) -> Vec<String> {
        // Outermost, because only who is privileged makes it final: where memory runs out the kernel ends this and not the host.
        let mut words = Words::default();
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

/// The machine's memory; without bound where the kernel does not tell.
fn machine_bytes() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        told.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.map_or(u64::MAX, |kib: u64| kib.saturating_mul(1024))
}

/// Whether every confined program sees this.
pub fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|folder| path.starts_with(folder))
}

/// A file or folder outside, and where it is inside.
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

/// A command line that grows.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn one(&mut self, word: impl Into<String>) {
        self.0.push(word.into());
    }

    fn all<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        self.0.extend(words.into_iter().map(str::to_owned));
    }

    fn bind(&mut self, Bind { from, to, writable }: &Bind) {
        self.all([if *writable { "--bind" } else { "--ro-bind" }, &from.to_string_lossy(), &to.to_string_lossy()]);
    }

    /// A mount namespace of root's, with each source at a place that everybody may pass through; and from here on another user.
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

    /// The namespace whose first process the program cannot reach: the next bubblewrap, whose own namespaces are within this one. All in it end with
    /// that process, and the kernel reports its end only after theirs. The limits hold from here on.
    fn keeper(&mut self, memory_bytes: u64) {
        self.all(["bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid", "--as-pid-1"]);
        self.all(["--dev-bind", "/", "/", "--", "prlimit", "--core=0"]);
        self.one(format!("--nproc={PROCESSES_MAX}"));
        self.one(format!("--fsize={FILE_BYTES_MAX}"));
        self.one(format!("--data={memory_bytes}"));
        self.one("--");
    }

    /// The namespaces that the program has.
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

    /// The system's programs, and devices that are no devices.
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

/// Runs a command line that should say nothing and end well.
fn run(argv: &[String]) -> Result<(), Unavailable> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let (program, arguments) = argv.split_first().ok_or_else(|| Unavailable("the command is empty".into()))?;
    let ended = Command::new(program).args(arguments).env_clear().env("PATH", path).stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| Unavailable(format!("`{program}` cannot be run: {error}")))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said = said.trim().chars().take(300).collect::<String>();
    Err(Unavailable(if said.is_empty() { format!("the sandbox ended with {}", ended.status) } else { said }))
}
