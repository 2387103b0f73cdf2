//! Prints each figure as soon as it is known, beside the disk's own time and the aim. A part that was measured as a
//! whole becomes a section of `FIGURES.md`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Size;
use crate::disk::flushes;
use crate::world::clock;

pub struct Table {
    pub folder: PathBuf,
    pub size: Size,
    parts: Vec<String>,
    /// The text that was printed for the present part.
    text: RefCell<String>,
}

/// The measured times of one thing, in ascending order.
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
    /// The time that `percent` per cent of all times do not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.0[((self.0.len() - 1) * percent).div_ceil(100)]
    }
}

impl Table {
    pub fn new(folder: &Path, size: Size, parts: Vec<String>) -> Self {
        Self { folder: folder.into(), size, parts, text: RefCell::default() }
    }

    /// Measures a part, if the command line asks for it.
    pub fn part(&self, name: &str, measure: fn(&Self)) {
        if !self.wants(name) {
            return;
        }
        self.text.take();
        self.head(name);
        measure(self);
        self.line("");
        let whole = self.parts.is_empty() || self.parts.iter().any(|part| part == name);
        if whole && self.size.is_full {
            self.write(name);
        }
    }

    fn head(&self, name: &str) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let processor = processor.trim_start_matches(['\t', ':', ' ']);
        let now = i64::try_from(clock()().0).unwrap();
        let day = jiff::Timestamp::from_microsecond(now).unwrap().strftime("%F");
        self.line(&format!("## {}", title(name)));
        self.line("");
        self.line(&format!("{day}, {cores} cores of {processor}, Linux {}, load {load} before", kernel.trim()));
        self.line("");
        self.line("| figure | p50 | p99 | fdatasync p50 | aim |");
        self.line("|---|---|---|---|---|");
    }

    fn line(&self, line: &str) {
        println!("{line}");
        let mut text = self.text.borrow_mut();
        text.push_str(line);
        text.push('\n');
    }

    /// Replaces the section `name` of `FIGURES.md` with the figures that this part printed.
    fn write(&self, name: &str) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/FIGURES.md");
        let (before, text, title) = (std::fs::read_to_string(path).unwrap(), self.text.borrow(), title(name));
        let others = before.split("\n## ").filter(|section| !section.starts_with(&title));
        let sections: Vec<&str> = others.chain(text.strip_prefix("## ")).map(str::trim_end).collect();
        std::fs::write(path, sections.join("\n\n## ") + "\n").unwrap();
    }

    /// Prints times that do not wait for the disk.
    pub fn times(&self, what: &str, times: &Times, aim: &str) {
        self.line(&format!(
            "| {what} | {} | {} | | {aim} |",
            micros(times.percentile(50)),
            micros(times.percentile(99))
        ));
    }

    /// Prints times that wait for the disk, beside the time of a flush.
    pub fn durable_times(&self, what: &str, times: &Times, flush: &Times, aim: &str) {
        let (p50, p99) = (millis(times.percentile(50)), millis(times.percentile(99)));
        self.line(&format!("| {what} | {p50} | {p99} | {} | {aim} |", millis(flush.percentile(50))));
    }

    pub fn number(&self, what: &str, number: &str, flush: Option<&Times>, aim: &str) {
        let flush = flush.map(|flush| millis(flush.percentile(50))).unwrap_or_default();
        self.line(&format!("| {what} | {number} | | {flush} | {aim} |"));
    }

    /// Runs `what`, and measures flushes of the disk just before and just after it.
    pub fn beside_flushes<T>(&self, what: impl FnOnce() -> T) -> (T, Times) {
        let mut times = flushes(&self.folder, self.size.flushes);
        let done = what();
        times.extend(flushes(&self.folder, self.size.flushes));
        (done, times.into_iter().collect())
    }

    /// Whether the command line asks for `name`: it gives this name, the name of a part of it, the name of a larger
    /// part that contains it, or no name at all.
    pub fn wants(&self, name: &str) -> bool {
        let below = |whole: &str, part: &str| whole == part || whole.starts_with(&format!("{part}-"));
        self.parts.is_empty() || self.parts.iter().any(|part| below(name, part) || below(part, name))
    }
}

fn title(part: &str) -> String {
    format!("The part `{part}`")
}

fn micros(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 10.0 { format!("{micros:.2} µs") } else { format!("{micros:.1} µs") }
}

pub fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
