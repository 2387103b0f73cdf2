//! The reasons why a file cannot run as an agent, with advice for the person who built or configured the agent.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::problem::ImportProblem;
use holdshort_common::isolate::Fault;

/// Why a component is refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not WebAssembly in binary form.
    #[error("this is not a WebAssembly component, but {looks_like}; give the `.wasm` file that the build wrote")]
    NotWasm {
        /// What the file probably is, judged by its first bytes.
        looks_like: &'static str,
    },
    /// The file is a core module that was not converted to a component.
    #[error(
        "this is a core WebAssembly module, not a component; build the agent with `wasm-component-ld` as the linker, or convert the module with `wasm-tools component new`"
    )]
    CoreModule,
    /// The file is WIT in its binary form.
    #[error(
        "this is a WIT package in binary form, which has types but no code; give the component that was built from the package"
    )]
    WitPackage,
    /// The file is cut off.
    #[error("this component is cut off after {length} bytes; copy or build the component again")]
    Truncated {
        /// The length of the file.
        length: usize,
    },
    /// The header is a component's header, but the content is invalid.
    #[error("this component is not valid: {cause}; build the component again with current tools")]
    Invalid {
        /// The validator's message with the offset.
        cause: String,
    },
    /// The component exports no entry point.
    #[error(
        "this component exports {exports}; the export `run` is missing: add `run: func(task: string) -> result<string, string>`"
    )]
    NoRunExport {
        /// The exports, each in backticks, or `nothing`.
        exports: String,
    },
    /// The entry point has another type.
    #[error("this component exports `run: {found}`; it must be `run: func(task: string) -> result<string, string>`")]
    WrongRunExport {
        /// The signature of the export.
        found: String,
    },
    /// The component imports so many functions or interfaces that nobody could classify them.
    #[error(
        "this component imports {imports} functions, with {bytes} bytes of names and types, and {wasi} interfaces of WASI. These are too many for a person to classify: import only the functions that the agent uses"
    )]
    TooManyImports {
        /// The number of functions.
        imports: usize,
        /// The number of WASI interfaces.
        wasi: usize,
        /// The length of all names and types.
        bytes: usize,
    },
    /// The file exceeds the operator's limit.
    #[error(
        "this component has {bytes} bytes; at most {mib_max} MiB are read: build the component without debug information, or raise `component-mib` in the section `[limits]`"
    )]
    TooLarge { bytes: u64, mib_max: u64 },
    /// The compiled code exceeds the limit.
    #[error(
        "this component becomes {bytes} bytes of compiled code; at most {mib_max} MiB are kept: make the component smaller, or raise `load-compiled-mib` in the section `[limits]`"
    )]
    CodeTooLarge {
        /// The size of the compiled code.
        bytes: u64,
        mib_max: u64,
    },
    /// The child process that reads the component ended without an answer.
    #[error("this component cannot be read: {0}")]
    Fault(#[from] Fault),
    /// The child process reported an error.
    #[error("{text}")]
    ReportedByChild {
        /// The child's message.
        text: String,
        /// Whether the reason is in the bytes, so that a further try would fail too.
        of_the_bytes: bool,
    },
    /// The compiled code cannot be stored, or is missing when it is needed.
    #[error("compiled code cannot be written to `{}`: {cause}; check that the disk has room and that this user may write to the folder", path.display())]
    NotKept { path: PathBuf, cause: String },
    /// Some imports cannot be offered.
    #[error("this component cannot be run here: {}", list(.0))]
    Problems(Vec<ImportProblem>),
    /// The component is valid, but the engine does not support a part of it.
    #[error("this component cannot be compiled: {cause}")]
    Compile {
        /// The engine's message.
        cause: String,
    },
    /// The imports do not fit the host functions of the same names.
    #[error(
        "this component's imports do not fit the host's functions: {cause}; build the component against the published WIT"
    )]
    Link {
        /// The linker's message.
        cause: String,
    },
}

impl LoadError {
    /// Whether the reason is in the bytes, so that this host would refuse them again. Otherwise the machine failed.
    pub fn is_of_the_bytes(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.is_of_the_bytes(),
            Self::ReportedByChild { of_the_bytes, .. } => *of_the_bytes,
            Self::NotKept { .. } => false,
            Self::NotWasm { .. }
            | Self::CoreModule
            | Self::WitPackage
            | Self::Truncated { .. }
            | Self::Invalid { .. }
            | Self::NoRunExport { .. }
            | Self::WrongRunExport { .. }
            | Self::TooManyImports { .. }
            | Self::TooLarge { .. }
            | Self::CodeTooLarge { .. }
            | Self::Problems(_)
            | Self::Compile { .. }
            | Self::Link { .. } => true,
        }
    }
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The folder for compiled components is not usable.
    #[error("cannot use `{}` for compiled components: give this user a folder of this name", path.display())]
    Cache { path: PathBuf, source: std::io::Error },
    /// The program cannot read its own file.
    #[error("cannot read this program's own file: {0}; is `/proc` mounted?")]
    Program(#[source] std::io::Error),
    /// The ticker's thread cannot be started.
    #[error("cannot start the thread that interrupts agents")]
    Ticker(#[source] std::io::Error),
    /// The engine does not run on this machine.
    #[error("cannot start the WebAssembly engine: {cause}")]
    Engine {
        /// The engine's message.
        cause: String,
    },
}

fn list(problems: &[ImportProblem]) -> String {
    problems.iter().map(ImportProblem::to_string).collect::<Vec<_>>().join("; ")
}

/// Checks the header. If it is not a component's header, the error says what the file probably is. The decoder checks
/// everything after the header.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    const MAGIC: &[u8] = b"\0asm";
    // The version field has two halves. The second says what the file is: 0 for a module, 1 for a component.
    match bytes.strip_prefix(MAGIC) {
        Some([_, _, 0, 0, ..]) => Err(LoadError::CoreModule),
        Some([_, _, _, _, ..]) => Ok(()),
        Some(_) => Err(LoadError::Truncated { length: bytes.len() }),
        None => Err(LoadError::NotWasm { looks_like: looks_like(bytes) }),
    }
}

fn looks_like(bytes: &[u8]) -> &'static str {
    let starts = |prefix: &[u8]| bytes.starts_with(prefix);
    if bytes.is_empty() {
        "an empty file"
    } else if starts(b"\x7fELF") {
        "a native program or library (ELF)"
    } else if starts(b"MZ") {
        "a Windows program"
    } else if starts(&[0xcf, 0xfa, 0xed, 0xfe]) || starts(&[0xca, 0xfe, 0xba, 0xbe]) {
        "a macOS program"
    } else if starts(b"PK") || starts(&[0x1f, 0x8b]) || starts(&[0x28, 0xb5, 0x2f, 0xfd]) {
        "a compressed archive"
    } else if starts(b"#!") {
        "a script"
    } else if starts(b"version https://git-lfs") {
        "a Git LFS pointer, whose file was not fetched"
    } else {
        text(bytes)
    }
}

fn text(bytes: &[u8]) -> &'static str {
    let head = bytes.get(..4096).unwrap_or(bytes);
    let control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\n' | b'\r' | b'\t');
    if head.iter().any(control) {
        return "binary data of another kind";
    }
    let start = head.trim_ascii_start();
    if start.starts_with(b"(component") || start.starts_with(b"(module") || start.starts_with(b";;") {
        "WebAssembly in text form, which `wasm-tools parse` converts to the binary form"
    } else {
        "text"
    }
}

/// Why a child could not read the manifest.
#[derive(Debug, Serialize, Deserialize)]
pub struct NoManifest {
    pub(super) text: String,
    /// Whether the reason is in the bytes, so that a further try would fail too.
    pub(super) of_the_bytes: bool,
}

impl From<LoadError> for NoManifest {
    fn from(error: LoadError) -> Self {
        Self { text: error.to_string(), of_the_bytes: error.is_of_the_bytes() }
    }
}
