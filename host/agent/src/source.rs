//! The bytes of a component, where they are. A file is read in pieces: most of what is refused never is in the host's memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use holdshort_gate::Digest;
use sha2::{Digest as _, Sha256};

use holdshort_common::isolate::Input;

/// How much of a file is in memory at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The bytes of a component.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// In memory.
    Bytes(&'a [u8]),
    /// In a file.
    File(&'a File),
}

impl<'a> Source<'a> {
    /// How many there are.
    pub(super) fn length(self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(file) => Ok(file.metadata()?.len()),
        }
    }

    /// Their digest.
    pub fn digest(self) -> io::Result<Digest> {
        let mut hasher = Sha256::new();
        self.pieces(|piece| hasher.update(piece))?;
        Ok(<[u8; 32]>::from(hasher.finalize()).into())
    }

    /// Takes them piece by piece, from the first to the last.
    pub(super) fn pieces(self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let file = match self {
            Self::Bytes(bytes) => {
                take(bytes);
                return Ok(());
            }
            Self::File(file) => file,
        };
        let (mut piece, mut at) = (vec![0; PIECE_BYTES], 0);
        loop {
            let count = file.read_at(&mut piece, at)?;
            let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { return Ok(()) };
            take(read);
            at += count as u64;
        }
    }

    /// For a child.
    pub(super) fn input(self) -> Input<'a> {
        match self {
            Self::Bytes(bytes) => Input::Bytes(bytes),
            Self::File(file) => Input::File(file),
        }
    }
}
