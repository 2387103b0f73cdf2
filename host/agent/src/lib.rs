//! Loads agents: from a component's bytes to a running instance.
//!
//! All imports outside WASI, including the host's own interfaces, take one dynamic path ([`imports`]): the host
//! function hands the call to the run's task, which answers it through [`Guest`]. So one piece of code holds, records,
//! shows and replays all calls, and a third-party interface needs only configuration.
//!
//! Read in this order: [`manifest`] (the imports, without compiling), [`load`] (reasons to refuse), [`reader`] (both
//! in a child process, which runs [`isolated`] and stores its code in the folder of [`compiled`]), [`engine`] and
//! [`program`] (ready to run), [`guest`] (one run, [`step`] by step), [`instance`] (the same run on the guest's stack,
//! with its [`state`]), [`handover`] and [`imports`] (from the guest's stack to the task), [`value`] (WIT values as
//! JSON), [`wasi`], [`wasi_link`], [`clock`], [`output`], [`http`] and [`http_link`] (the deterministic subset of
//! WASI), [`limits`] and [`ticker`] (limits on memory and CPU time), [`threads`] (where guests run), [`trap`] (how
//! they can end).
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

mod clock;
mod compiled;
mod engine;
mod guest;
mod handover;
mod http;
mod http_link;
mod imports;
mod instance;
pub mod isolated;
mod limits;
mod load;
mod manifest;
mod output;
mod package;
mod passed;
mod problem;
mod program;
mod reader;
mod source;
mod state;
mod step;
mod threads;
mod ticker;
mod trap;
mod value;
mod wasi;
mod wasi_link;
mod wit;

#[cfg(test)]
mod tests;

pub use engine::Engine;
pub use guest::Guest;
pub use limits::Meter;
pub use load::{EngineError, LoadError};
pub use manifest::{Entry, Import, Manifest, http_import};
pub use output::log_line;
pub use package::{BadPackage, FILES as WIT_FILES, functions, interface, is_ours};
pub use problem::{ImportProblem, ProblemKind};
pub use program::Program;
pub use reader::{ReadLimits, Reader};
pub use source::ComponentSource;
pub use step::{GuestStart, HostCall, Step};
pub use threads::{Kept, Panicked, Threads};
pub use trap::Trap;
