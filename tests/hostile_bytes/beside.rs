//! A reviewer's monitor: it asks the host over and over whether it is alive, and how large it is, while something else goes on.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::{Folder, Host};

/// An answer may take this long.
const ANSWER_MAX: Duration = Duration::from_millis(100);
/// A second host, which has nothing to do, is asked before and after. Where it takes longer than this, the machine is busy with something else, and how
/// long an answer took says nothing about the host.
const NOISE_MAX: Duration = Duration::from_millis(20);
/// Nor does it where so many more threads want to run than there are cores: then the slowest answer is printed, and not held to anything.
const LOAD_PER_CORE_MAX: f64 = 4.0;
const PAUSE: Duration = Duration::from_millis(5);

/// A monitor at work.
pub struct Monitor {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<Seen>,
    pid: u32,
    size: u64,
}

/// What it saw.
struct Seen {
    counted: u64,
    worst: Duration,
}

impl Monitor {
    pub fn start(host: &Host) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, stopped) = (host.url.clone(), stop.clone());
        let watching = thread::spawn(move || {
            let (_folder, idle) = Folder::new(&[], "").into_served();
            let mut seen = Seen { counted: 0, worst: Duration::ZERO };
            while !stopped.load(Ordering::Relaxed) {
                let before = answer(&idle.url).unwrap();
                let took = answer(&url);
                let noise = before.max(answer(&idle.url).unwrap());
                match took {
                    Ok(took) if noise < NOISE_MAX || took < ANSWER_MAX => {
                        seen.counted += 1;
                        seen.worst = seen.worst.max(took);
                    }
                    Ok(_) => {}
                    // A test that has failed ends the host first.
                    Err(error) => assert!(stopped.load(Ordering::Relaxed), "{error}"),
                }
                thread::sleep(PAUSE);
            }
            seen
        });
        Self { stop, watching, pid: host.pid(), size: peak(host.pid()) }
    }

    /// Ends it, and holds the host to what it saw. The host may have grown by so many KiB.
    pub fn end(self, growth_max: u64) {
        let grown = peak(self.pid).saturating_sub(self.size);
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.watching.join().unwrap();
        println!("{} answers, the slowest after {:?}; the host grew by {grown} KiB", seen.counted, seen.worst);
        assert!(seen.counted > 20, "{} answers", seen.counted);
        assert!(seen.worst < ANSWER_MAX || is_overloaded(), "the slowest answer took {:?}", seen.worst);
        assert!(grown < growth_max, "the host grew by {grown} KiB");
    }
}

/// How long a host took to say that it is alive.
fn answer(url: &str) -> Result<Duration, ureq::Error> {
    let asked = Instant::now();
    ureq::get(format!("{url}/healthz")).call()?;
    Ok(asked.elapsed())
}

/// Whether others want more of the machine than these tests, which have some five threads at work.
fn is_overloaded() -> bool {
    let load: f64 = fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().parse().unwrap();
    let cores = u32::try_from(thread::available_parallelism().unwrap().get()).unwrap();
    load / f64::from(cores) > LOAD_PER_CORE_MAX
}

/// The most memory that a process has had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
