//! The part of a disk that a child must leave free.

use std::io;
use std::path::{Path, PathBuf};

/// The disk blocks and the file entries that must stay free on a disk.
#[derive(Clone, Debug)]
pub struct Reserve {
    folder: PathBuf,
    blocks_min: u64,
    files_min: u64,
}

impl Reserve {
    /// Reserves half of the space that is free now. If a child filled the disk, the host could not write its journal.
    pub fn half(folder: &Path) -> io::Result<Self> {
        let free = rustix::fs::statvfs(folder)?;
        Ok(Self { folder: folder.to_owned(), blocks_min: free.f_bavail / 2, files_min: free.f_favail / 2 })
    }

    /// The bytes and the number of files that a child may use. The number is unlimited if the file system reports a
    /// total of 0 files, because then it has no fixed number.
    pub fn room(&self) -> io::Result<(u64, u64)> {
        let free = rustix::fs::statvfs(&self.folder)?;
        let files = if free.f_files == 0 { u64::MAX } else { free.f_favail.saturating_sub(self.files_min) };
        Ok((free.f_bavail.saturating_sub(self.blocks_min).saturating_mul(free.f_frsize), files))
    }

    /// Whether the child has used a part of the reserve: fewer blocks or fewer file entries are free than
    /// must stay free.
    pub(super) fn is_used(&self) -> bool {
        rustix::fs::statvfs(&self.folder)
            .is_ok_and(|free| free.f_bavail < self.blocks_min || free.f_favail < self.files_min)
    }
}
