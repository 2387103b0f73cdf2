//! A component from bytes to running instance: what it asks for, how it is compiled, and how one run of it is driven.
//!
//! Everything that a component imports and that is not WASI, the host's own interfaces included, goes through one dynamic path ([`imports`]):
//! the handler hands the call to the run's task, and the task answers it through [`Guest`]. So one piece of code gates, journals, shows and replays,
//! and a third party's interface is gated by configuration alone.
//!
//! Read in this order: [`manifest`] (what a component asks for, without compiling), [`load`] (why it may be refused), [`reader`] (both in a child process,
//! which does what [`isolated`] says and leaves what it compiled in the folder of [`compiled`]), [`engine`] (ready to run),
//! [`guest`] (one run, step by step), [`instance`] (the engine's side of it), [`handover`] and [`imports`] (from the guest's stack to the run's task), [`value`] (WIT values as JSON),
//! [`wasi`], [`clock`] and [`output`] (the deterministic subset of WASI), [`limits`] and [`ticker`] (what a guest may use), [`threads`] (where it runs), [`trap`] (how it may end).
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

mod clock;
mod compiled;
mod engine;
mod guest;
mod handover;
mod imports;
mod instance;
pub mod isolated;
mod limits;
mod load;
mod manifest;
mod output;
mod package;
mod problem;
mod reader;
mod source;
mod threads;
mod ticker;
mod trap;
mod value;
mod wasi;
mod wit;

#[cfg(test)]
mod tests;

pub use engine::{Engine, Program};
pub use guest::{Guest, HostCall, Start, Step};
pub use limits::Meter;
pub use load::{EngineError, LoadError};
pub use manifest::{Entry, Import, Manifest};
pub use output::log_line;
pub use package::{BadPackage, functions, interface, is_ours};
pub use problem::{Problem, ProblemKind};
pub use reader::{ReadLimits, Reader};
pub use source::Source;
pub use threads::{Failed, Kept, Threads};
pub use trap::Trap;
