//! The part of a disk that a child leaves to others.

use std::io;
use std::path::{Path, PathBuf};

/// What must stay free where a folder is: blocks, and files that can still be made.
#[derive(Clone, Debug)]
pub struct Reserve {
    folder: PathBuf,
    blocks_min: u64,
    files_min: u64,
}

impl Reserve {
    /// Half of what is free now. A child that fills the disk would keep the journal from being written.
    pub fn half(folder: &Path) -> io::Result<Self> {
        let free = rustix::fs::statvfs(folder)?;
        Ok(Self { folder: folder.to_owned(), blocks_min: free.f_bavail / 2, files_min: free.f_favail / 2 })
    }

    /// Whether less is free than should be.
    pub(super) fn is_used(&self) -> bool {
        rustix::fs::statvfs(&self.folder)
            .is_ok_and(|free| free.f_bavail < self.blocks_min || free.f_favail < self.files_min)
    }
}
