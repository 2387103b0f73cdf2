//! The store in one SQLite file.
//!
//! The tables hold the events and only what is needed to find them. A run or a call in the API is folded from its few
//! events when it is requested, so a waiting run costs little more than the bytes that a reviewer has to review.

mod codec;
mod connect;
mod insert;
mod lists;
mod load;
mod notified;
mod open;
mod presence;
mod project;
mod read;
mod row;
mod schema;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use open::{open, open_recorded};
pub(crate) use presence::Presence;

use crate::error::ReadError;

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.to_string())
    }
}
