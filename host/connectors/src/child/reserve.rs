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

    /// How many bytes and files a child may use up; of files without number, where the disk has no table of them.
    pub fn room(&self) -> io::Result<(u64, u64)> {
        let free = rustix::fs::statvfs(&self.folder)?;
        let files = if free.f_files == 0 { u64::MAX } else { free.f_favail.saturating_sub(self.files_min) };
        Ok((free.f_bavail.saturating_sub(self.blocks_min).saturating_mul(free.f_frsize), files))
    }

    /// Whether less is free than should be.
    pub(super) fn is_used(&self) -> bool {
        rustix::fs::statvfs(&self.folder)
            .is_ok_and(|free| free.f_bavail < self.blocks_min || free.f_favail < self.files_min)
    }
}
