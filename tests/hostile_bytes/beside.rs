//! A monitor: while something else goes on, it asks the host again and again whether the host is alive, and measures
//! its size.
//!
//! A second host without work is asked at the same time, to learn how slow the machine itself is. An answer of the
//! first host may take `ANSWER_MAX` longer than the slowest answer of the second host in the same moments. If the
//! system permits it, both hosts and the monitor get a higher priority than the rest of the machine. The children of a
//! host still have a lower priority than their host, by the usual amount.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::{Folder, Host};

/// How much longer an answer of the tested host may take than the slowest answer of the idle host.
const ANSWER_MAX: Duration = Duration::from_millis(100);
/// How much the host may grow, in KiB.
const GROWTH_MAX: u64 = 64 << 10;
const PAUSE: Duration = Duration::from_millis(5);
/// The nice value of the hosts.
const NICE: &str = "-10";

/// Only one test measures at a time, and it takes this lock before its host starts, because each test keeps all cores
/// busy with the host's children.
static ALONE: Mutex<()> = Mutex::new(());

pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running monitor.
pub struct Monitor {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<Vec<Answer>>,
    beside: JoinHandle<Vec<Answer>>,
    pid: u32,
    size: u64,
}

/// The time at which a host was asked, and how long its answer took.
struct Answer {
    asked: Instant,
    took: Duration,
}

impl Answer {
    fn overlaps(&self, other: &Self) -> bool {
        self.asked <= other.asked + other.took && other.asked <= self.asked + self.took
    }
}

impl Monitor {
    pub fn start(host: &Host) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ask = |url: String, idle: Option<(Folder, Host)>| {
            let stopped = stop.clone();
            thread::spawn(move || {
                prefer("thread-self");
                let answers = answers(&url, &stopped);
                drop(idle);
                answers
            })
        };
        let (folder, idle) = Folder::new(&[], "").into_served();
        [host, &idle].iter().for_each(|host| prefer(&host.pid().to_string()));
        let (watching, beside) = (ask(host.url.clone(), None), ask(idle.url.clone(), Some((folder, idle))));
        Self { watching, beside, pid: host.pid(), size: peak(host.pid()), stop }
    }

    /// Ends the monitor, and checks what it has measured.
    pub fn end(self) {
        let grown = peak(self.pid).saturating_sub(self.size);
        self.stop.store(true, Ordering::Relaxed);
        let (seen, beside) = (self.watching.join().unwrap(), self.beside.join().unwrap());
        let machine =
            |answer: &Answer| beside.iter().filter(|other| answer.overlaps(other)).map(|other| other.took).max();
        let own = |answer: &Answer| answer.took.saturating_sub(machine(answer).unwrap_or_default());
        let slowest = seen.iter().map(|answer| answer.took).max().unwrap();
        let worst = seen.iter().map(own).max().unwrap();
        println!(
            "{} answers, the slowest after {slowest:?}, {worst:?} of which the host's own; it grew by {grown} KiB",
            seen.len()
        );
        assert!(seen.len() > 20 && beside.len() > 20, "{} answers, {} beside", seen.len(), beside.len());
        assert!(worst < ANSWER_MAX, "an answer took {worst:?} longer than the machine did");
        assert!(grown < GROWTH_MAX, "the host grew by {grown} KiB");
    }
}

/// Gives all threads of a process a higher priority. Only root may do that; for another user the machine must be quiet
/// enough.
fn prefer(process: &str) {
    let tasks = match process {
        "thread-self" => vec![fs::read_link("/proc/thread-self").unwrap().file_name().unwrap().to_owned()],
        pid => fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().file_name()).collect(),
    };
    let mut renice = Command::new("renice");
    renice.args(["-n", NICE, "-p"]).args(tasks).stdout(Stdio::null()).stderr(Stdio::null());
    drop(renice.status());
}

fn answers(url: &str, stopped: &AtomicBool) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        let asked = Instant::now();
        match ureq::get(format!("{url}/healthz")).call() {
            Ok(_) => answers.push(Answer { asked, took: asked.elapsed() }),
            // No request may fail before the monitor is stopped. Only a test that has failed ends its host earlier.
            Err(error) => assert!(stopped.load(Ordering::Relaxed), "{error}"),
        }
        thread::sleep(PAUSE);
    }
    answers
}

/// The most memory that a process has had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
