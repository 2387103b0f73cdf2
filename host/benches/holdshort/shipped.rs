//! Measures approve cycles as users have them: the program in a process of its own, a Maildir as the effect, and a
//! client that polls the list of approvals and each run.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::{Connection, Held};
use crate::table::{Table, Times};
use crate::world::{client, component};

/// The pause between two reads of the list of approvals.
const POLL_LIST: Duration = Duration::from_millis(2);
/// The pause between two reads of a run that should end.
const POLL_RUN: Duration = Duration::from_millis(1);
/// How long the program may take to start.
const START_MAX: Duration = Duration::from_secs(120);
/// The number of clock ticks per second in `/proc`.
const TICKS: f64 = 100.0;

pub fn measure(table: &Table) {
    for at_once in [1, 32] {
        let name = format!("shipped-{at_once}");
        if !table.wants(&name) {
            continue;
        }
        let folder = table.folder.join(name);
        std::fs::create_dir(&folder).unwrap();
        let host = Shipped::start(&folder);
        let approvals = if at_once == 1 { table.size.approvals / 10 } else { table.size.approvals / 2 };
        let total = approvals.max(at_once);
        let work = || {
            client().block_on(async {
                host.cycles(at_once, total.div_ceil(10)).await;
                let before = host.used().await;
                let (took, times) = host.cycles(at_once, total).await;
                let after = host.used().await;
                (took, times, after.0 - before.0, after.1 - before.1)
            })
        };
        let ((took, times, cpu_ms, commits), flush) = table.beside_flushes(work);
        let messages = std::fs::read_dir(host.maildir()).unwrap().count();
        assert_eq!(messages, usize::try_from(total + total.div_ceil(10)).unwrap(), "every approval had one message");
        let each = f64::from(total);
        let what = format!("approve cycles a second as shipped, {at_once} at once");
        table.number(&what, &format!("{:.0}", each / took.as_secs_f64()), Some(&flush), "");
        table.durable_times("approve → the run has ended, as polled each millisecond", &times, &flush, "");
        table.number("CPU of the program for each", &format!("{:.2} ms", cpu_ms / each), None, "1.2 ms");
        let aim = if at_once == 1 { "3" } else { "under 1" };
        table.number("flushes of the journal for each", &format!("{:.2}", commits / each), None, aim);
    }
}

/// The running program, its address and its token. Dropping this value kills the program.
struct Shipped {
    child: Child,
    at: SocketAddr,
    token: String,
    folder: PathBuf,
}

impl Drop for Shipped {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Shipped {
    fn start(folder: &Path) -> Self {
        // A port that is free at this moment.
        let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let agent = component("many-calls");
        let settings =
            format!("[server]\nlisten = \"{at}\"\n[agents.many-calls]\ncomponent = \"{}\"\n", agent.display());
        std::fs::write(folder.join("holdshort.toml"), settings).unwrap();
        #[allow(clippy::disallowed_methods, reason = "the bench starts what it measures")]
        let child = Command::new(env!("CARGO_BIN_EXE_holdshort"))
            .arg("serve")
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        // The program may listen before it has written the token.
        let token = loop {
            match std::fs::read_to_string(folder.join(".holdshort/token")) {
                Ok(token) if !token.is_empty() && std::net::TcpStream::connect(at).is_ok() => {
                    break token.trim().into();
                }
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
            assert!(begin.elapsed() < START_MAX, "the program does not listen");
        };
        Self { child, at, token, folder: folder.to_owned() }
    }

    async fn connection(&self) -> Connection {
        Connection::open_with(self.at, &self.token).await
    }

    fn maildir(&self) -> PathBuf {
        self.folder.join(".holdshort/mail/new")
    }

    /// The milliseconds of CPU time and the commits of the journal since the program started.
    async fn used(&self) -> (f64, f64) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The program's name, in parentheses, may contain spaces. User time and system time are the twelfth and the
        // thirteenth field after it.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks: f64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
        let figures = String::from_utf8(self.connection().await.ask("GET", "/metrics", "", 200).await).unwrap();
        let commits = figures.lines().find_map(|line| line.strip_prefix("holdshort_journal_commits_total "));
        (ticks * 1e3 / TICKS, commits.unwrap().parse().unwrap())
    }

    /// Drives `total` runs of one call each to their ends, `at_once` runs at the same time.
    async fn cycles(&self, at_once: u32, total: u32) -> (Duration, Times) {
        let (listed, left) = (Listed::default(), Arc::new(Mutex::new(total)));
        let poller = tokio::spawn(poll(self.connection().await, listed.clone()));
        let begin = Instant::now();
        let mut people = JoinSet::new();
        for _ in 0..at_once {
            people.spawn(cycle(self.connection().await, listed.clone(), left.clone()));
        }
        let times = people.join_all().await.into_iter().flatten().collect();
        let took = begin.elapsed();
        poller.abort();
        (took, times)
    }
}

/// The held calls that were listed and not yet decided on, by run.
type Listed = Arc<Mutex<HashMap<String, Held>>>;

async fn poll(mut connection: Connection, listed: Listed) {
    loop {
        let page = connection.ask("GET", "/v1/approvals?state=held&limit=100", "", 200).await;
        let page: Value = serde_json::from_slice(&page).unwrap();
        for row in page["approvals"].as_array().unwrap() {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            let call = u32::try_from(row["call"].as_u64().unwrap()).unwrap();
            listed.lock().unwrap().insert(text("run"), Held { run: text("run"), call, clearance: text("digest") });
        }
        tokio::time::sleep(POLL_LIST).await;
    }
}

/// Starts runs one after the other, approves the call of each once it is listed, and waits for the run's end. Returns
/// the times from the approval to the end.
async fn cycle(mut connection: Connection, listed: Listed, left: Arc<Mutex<u32>>) -> Vec<Duration> {
    let mut times = Vec::new();
    while take_one(&left) {
        let run = connection.start("many-calls", "held=1").await;
        let held = loop {
            let held = listed.lock().unwrap().remove(&run);
            match held {
                Some(held) => break held,
                None => tokio::time::sleep(POLL_RUN).await,
            }
        };
        let begin = Instant::now();
        connection.decide(&held, "approve").await;
        loop {
            let shown = connection.ask("GET", &format!("/v1/runs/{run}"), "", 200).await;
            let shown: Value = serde_json::from_slice(&shown).unwrap();
            match shown["state"].as_str().unwrap() {
                "finished" => break,
                "running" | "waiting" => tokio::time::sleep(POLL_RUN).await,
                _ => panic!("{shown}"),
            }
        }
        times.push(begin.elapsed());
    }
    times
}

fn take_one(left: &Mutex<u32>) -> bool {
    let mut left = left.lock().unwrap();
    let some = *left > 0;
    *left -= u32::from(some);
    some
}
