//! The part of a disk that a child must leave free.

use std::io;
use std::path::{Path, PathBuf};

/// The free blocks, and free file entries, that must remain on a disk.
#[derive(Clone, Debug)]
pub struct Reserve {
    folder: PathBuf,
    blocks_min: u64,
    files_min: u64,
}

impl Reserve {
    /// Reserves half of the present free space. If a child filled the disk, the host could not
    /// write its journal.
    pub fn half(folder: &Path) -> io::Result<Self> {
        let free = rustix::fs::statvfs(folder)?;
        Ok(Self { folder: folder.to_owned(), blocks_min: free.f_bavail / 2, files_min: free.f_favail / 2 })
    }

    /// The bytes and the number of files that a child may use. The number is unlimited if the file
    /// system has no fixed number of files, which it shows by the total 0.
    pub fn room(&self) -> io::Result<(u64, u64)> {
        let free = rustix::fs::statvfs(&self.folder)?;
        let files = if free.f_files == 0 { u64::MAX } else { free.f_favail.saturating_sub(self.files_min) };
        Ok((free.f_bavail.saturating_sub(self.blocks_min).saturating_mul(free.f_frsize), files))
    }

    /// Whether fewer blocks or fewer files are free than must remain free.
    pub(super) fn is_used(&self) -> bool {
        rustix::fs::statvfs(&self.folder)
            .is_ok_and(|free| free.f_bavail < self.blocks_min || free.f_favail < self.files_min)
    }
}
