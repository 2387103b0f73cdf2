//! Why bytes cannot be run as an agent, in words for the person who built or configured it.

use std::path::PathBuf;

use super::problem::Problem;
use holdshort_common::isolate::Fault;

/// Why a component is refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Something else altogether.
    #[error(
        "this is not a WebAssembly component: it looks like {looks_like}; give the `.wasm` file that the build wrote"
    )]
    NotWasm {
        /// What the first bytes look like.
        looks_like: &'static str,
    },
    /// A module that was never made a component.
    #[error(
        "this is a core WebAssembly module, not a component; build it with `wasm-component-ld` as the linker, or turn it into one with `wasm-tools component new`"
    )]
    CoreModule,
    /// WIT in its binary form.
    #[error(
        "this is a WIT package in binary form, which holds types and no code; give the component that was built from it"
    )]
    WitPackage,
    /// Cut off.
    #[error("this component is cut off after {length} bytes; copy or build it again")]
    Truncated {
        /// How much there is.
        length: usize,
    },
    /// A component in name, but not valid.
    #[error("this component is not valid: {cause}; build it again with current tools")]
    Invalid {
        /// What the validator says, with the offset.
        cause: String,
    },
    /// Nothing to run.
    #[error(
        "this component exports {exports} and no `run`; export `run: func(task: string) -> result<string, string>`"
    )]
    NoRunExport {
        /// What it exports instead, each in backticks; `nothing` if so.
        exports: String,
    },
    /// Something to run, of another type.
    #[error("this component exports `run: {found}`; it must be `run: func(task: string) -> result<string, string>`")]
    WrongRunExport {
        /// The signature that is there.
        found: String,
    },
    /// It asks for more than anybody could classify.
    #[error(
        "this component imports {imports} functions in {bytes} bytes of names and types, and {wasi} interfaces of WASI: more than a person could classify; import only what the agent uses"
    )]
    TooManyImports {
        /// Functions.
        imports: usize,
        /// Interfaces of WASI.
        wasi: usize,
        /// How long the functions' names and types are.
        bytes: usize,
    },
    /// Larger than the operator allows.
    #[error(
        "this component has {bytes} bytes; at most {mib_max} MiB are read: build it without debug information, or raise `component-mib` in the section `[limits]`"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        mib_max: u64,
    },
    /// Small, and large when it is compiled.
    #[error(
        "this component becomes {bytes} bytes of compiled code; at most {mib_max} MiB are kept: build it smaller, or raise `load-compiled-mib` in the section `[limits]`"
    )]
    CodeTooLarge {
        /// The size of what is compiled.
        bytes: u64,
        /// The limit.
        mib_max: u64,
    },
    /// The process that read it ended before it had an answer.
    #[error("this component cannot be read: {0}")]
    Fault(#[from] Fault),
    /// The process that read it says why not.
    #[error("{text}")]
    Told {
        /// In its words.
        text: String,
        /// Whether the same bytes are refused again.
        of_the_bytes: bool,
    },
    /// What was compiled cannot be kept, or is gone when it is needed.
    #[error("compiled code cannot be kept in `{}`: {cause}; make room there, and make it a folder that this user may write", path.display())]
    NotKept {
        /// The folder.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// Its imports cannot be offered.
    #[error("this component cannot be run here: {}", list(.0))]
    Problems(Vec<Problem>),
    /// Valid, but not within what the engine runs.
    #[error("this component cannot be compiled: {cause}")]
    Compile {
        /// What the engine says.
        cause: String,
    },
    /// Its imports are not what they are called.
    #[error("this component's imports do not fit what the host offers: {cause}; build it against the published WIT")]
    Link {
        /// What the linker says.
        cause: String,
    },
}

impl LoadError {
    /// Whether the same bytes are refused again on this host; else what failed is the machine.
    pub fn is_of_the_bytes(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.is_of_the_bytes(),
            Self::Told { of_the_bytes, .. } => *of_the_bytes,
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
    /// The folder for compiled components is not to be had.
    #[error("cannot use `{}` for compiled components; make it a folder that this user owns", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The program cannot look at itself.
    #[error("cannot read this program's own file: {0}; is `/proc` mounted?")]
    Program(#[source] std::io::Error),
    /// The ticker's thread cannot be had.
    #[error("cannot start the thread that interrupts agents")]
    Ticker(#[source] std::io::Error),
    /// The engine does not run on this machine.
    #[error("cannot start the WebAssembly engine: {cause}")]
    Engine {
        /// What it says.
        cause: String,
    },
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

/// Tells what `bytes` are if they are not a component; what is a component by its header is left to the decoder.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), LoadError> {
    const MAGIC: &[u8] = b"\0asm";
    // The second half of the version word is the layer: 0 for modules, 1 for components.
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
        "WebAssembly in its text form, which `wasm-tools parse` turns into the binary one"
    } else {
        "text"
    }
}
