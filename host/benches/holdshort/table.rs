//! The figures as they are printed: each as soon as it is known, beside the disk's own and the aim.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Size;
use crate::disk::flushes;

pub struct Table {
    pub folder: PathBuf,
    pub size: Size,
    parts: Vec<String>,
}

/// Many times of one thing.
pub struct Times(Vec<Duration>);

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<Duration> = times.into_iter().collect();
        assert!(!times.is_empty());
        times.sort();
        Self(times)
    }
}

impl Times {
    /// The time that so many per cent of all do not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.0[((self.0.len() - 1) * percent).div_ceil(100)]
    }
}

impl Table {
    pub fn new(folder: &Path, size: Size, parts: Vec<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        println!(
            "{cores} cores of {}, Linux {}, load {load} before",
            processor.trim_start_matches(['\t', ':', ' ']),
            kernel.trim()
        );
        println!();
        println!("| figure | p50 | p99 | fdatasync p50 | aim |");
        println!("|---|---|---|---|---|");
        Self { folder: folder.into(), size, parts }
    }

    /// Times that do not wait for the disk.
    pub fn times(&self, what: &str, times: &Times, aim: &str) {
        println!("| {what} | {} | {} | | {aim} |", micros(times.percentile(50)), micros(times.percentile(99)));
    }

    /// Times that do.
    pub fn durable_times(&self, what: &str, times: &Times, flush: &Times, aim: &str) {
        let (p50, p99) = (millis(times.percentile(50)), millis(times.percentile(99)));
        println!("| {what} | {p50} | {p99} | {} | {aim} |", millis(flush.percentile(50)));
    }

    pub fn number(&self, what: &str, number: &str, flush: Option<&Times>, aim: &str) {
        let flush = flush.map(|flush| millis(flush.percentile(50))).unwrap_or_default();
        println!("| {what} | {number} | | {flush} | {aim} |");
    }

    /// Does something between two looks at the disk.
    pub fn beside_flushes<T>(&self, what: impl FnOnce() -> T) -> (T, Times) {
        let mut times = flushes(&self.folder, self.size.flushes);
        let done = what();
        times.extend(flushes(&self.folder, self.size.flushes));
        (done, times.into_iter().collect())
    }

    /// Whether a part, or anything below it, was asked for.
    pub fn wants(&self, name: &str) -> bool {
        let below = |whole: &str, part: &str| whole == part || whole.starts_with(&format!("{part}-"));
        self.parts.is_empty() || self.parts.iter().any(|part| below(name, part) || below(part, name))
    }
}

fn micros(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 10.0 { format!("{micros:.2} µs") } else { format!("{micros:.1} µs") }
}

pub fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
