//! Measures the disk itself, on the file system of the journal and with the system call that the journal uses.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Appends 400 bytes and flushes them, `count` times. Returns how long each time took.
pub fn flushes(folder: &Path, count: u32) -> Vec<Duration> {
    let path = folder.join("flushes");
    let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    let line = [b'x'; 400];
    let mut times = Vec::new();
    for _ in 0..count {
        let begin = Instant::now();
        file.write_all(&line).unwrap();
        file.sync_data().unwrap();
        times.push(begin.elapsed());
    }
    std::fs::remove_file(path).unwrap();
    times
}
