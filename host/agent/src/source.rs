//! The bytes of a component. A file is read in pieces, so that a large component that is refused never fills
//! the host's memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use holdshort_gate::Digest;
use sha2::{Digest as _, Sha256};

use holdshort_common::isolate::Input;

/// The size of a piece of a file in memory.
const PIECE_BYTES: usize = 64 << 10;

/// The bytes of a component.
#[derive(Clone, Copy, Debug)]
pub enum ComponentSource<'a> {
    Bytes(&'a [u8]),
    File(&'a File),
}

impl<'a> ComponentSource<'a> {
    /// The number of bytes.
    pub(super) fn length(self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(file) => Ok(file.metadata()?.len()),
        }
    }

    /// The digest of the bytes.
    pub fn digest(self) -> io::Result<Digest> {
        let mut hasher = Sha256::new();
        self.pieces(|piece| hasher.update(piece))?;
        Ok(<[u8; 32]>::from(hasher.finalize()).into())
    }

    /// Reads the bytes in pieces, and passes each piece to `take`.
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

    /// The bytes in the form of a child's input.
    pub(super) fn input(self) -> Input<'a> {
        match self {
            Self::Bytes(bytes) => Input::Bytes(bytes),
            Self::File(file) => Input::File(file),
        }
    }
}
