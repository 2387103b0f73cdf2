//! Holdshort's journal: gate commands run inside a write transaction on the state read there, and what comes out is proof that it is on disk.

mod flushed;

pub use flushed::{Authorized, Flushed};
