//! Loops of the longest operations that an agent can do without being interrupted. Each agent is stopped at its limit
//! on CPU time, and the test measures that. While all of them run at once, a reviewer is served as fast as on an idle
//! host.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Folder, Host, PATIENCE, SignedIn, component, until};
use crate::{evidence, honest};

/// Pages of 64 KiB: 120 MiB in all, nearly the whole memory that an agent may have here.
const PAGES: u32 = 1_920;
const MEMORY_MIB: u64 = 128;

/// A component with one core module, whose `run` has this body; `parts` are its other definitions.
fn plain(parts: &str, body: &str) -> String {
    format!(
        r#"(component
            (core module $m
                (memory (export "memory") {PAGES})
                {parts}
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
                (func (export "run") (param i32 i32) (result i32) (local $i i32) {body} unreachable))
            (core instance $i (instantiate $m))
            (func $run (param "task" string) (result (result string (error string)))
                (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
            (export "run" (func $run)))"#
    )
}

fn forever(body: &str) -> String {
    format!("(loop $on {body} (br $on))")
}

/// Two components. One passes a value of type `ty`, with many bytes `fill`, to the other again and again.
fn composed(ty: &str, (from, to): (&str, &str), fill: u32, (pages, units): (u32, u32)) -> String {
    let half = PAGES / 3;
    let realloc = r#"(func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))"#;
    format!(
        r#"(component
            (component $callee
                (core module $m (memory (export "memory") {more}) {realloc} (func (export "take") (param i32 i32)))
                (core instance $i (instantiate $m))
                (func (export "take") (param "value" {ty})
                    (canon lift (core func $i "take") {to} (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
            (component $caller
                (import "take" (func $take (param "value" {ty})))
                (core module $libc (memory (export "memory") {half}) {realloc})
                (core instance $libc (instantiate $libc))
                (core func $lowered (canon lower (func $take) {from} (memory (core memory $libc "memory"))))
                (core module $m
                    (import "libc" "memory" (memory 1))
                    (import "host" "take" (func $take (param i32 i32)))
                    (func (export "run") (param i32 i32) (result i32) (local $i i32)
                        (loop $fill
                            (i32.store (local.get $i) (i32.const {fill}))
                            (local.set $i (i32.add (local.get $i) (i32.const 4)))
                            (br_if $fill (i32.lt_u (local.get $i) (i32.const {bytes}))))
                        {calls} unreachable))
                (core instance $i (instantiate $m
                    (with "libc" (instance $libc)) (with "host" (instance (export "take" (func $lowered))))))
                (func (export "run") (param "task" string) (result (result string (error string)))
                    (canon lift (core func $i "run") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc")))))
            (instance $callee (instantiate $callee))
            (instance $caller (instantiate $caller (with "take" (func $callee "take"))))
            (export "run" (func $caller "run")))"#,
        more = PAGES - half,
        bytes = pages * 65_536,
        calls = forever(&format!("(call $take (i32.const 0) (i32.const {units}))")),
    )
}

/// The name and the text of each component.
fn worst() -> Vec<(&'static str, String)> {
    let bytes = PAGES * 65_536;
    let table = "(table $t 100000 funcref) (elem declare func $f) (func $f)";
    let elements = format!("{table} (elem $e func {})", "$f ".repeat(50_000));
    let data = format!("(data $d \"{}\")", "x".repeat(4 << 20));
    // A debug build needs a hundred times as long for a string.
    let half = if cfg!(debug_assertions) { 4 << 20 } else { PAGES / 3 * 65_536 };
    let utf8 = 0xA9C3_A9C3;
    vec![
        (
            "copy",
            plain("", &forever(&format!("(memory.copy (i32.const 64) (i32.const 0) (i32.const {}))", bytes - 64))),
        ),
        (
            "copy-back",
            plain("", &forever(&format!("(memory.copy (i32.const 0) (i32.const 64) (i32.const {}))", bytes - 64))),
        ),
        ("fill", plain("", &forever(&format!("(memory.fill (i32.const 0) (i32.const 7) (i32.const {bytes}))")))),
        ("fills", plain("", &format!("(memory.fill (i32.const 0) (i32.const 7) (i32.const {bytes}))").repeat(2_000))),
        ("init", plain(&data, &forever("(memory.init $d (i32.const 0) (i32.const 0) (i32.const 4194304))"))),
        ("table-fill", plain(table, &forever("(table.fill $t (i32.const 0) (ref.func $f) (i32.const 100000))"))),
        ("table-copy", plain(table, &forever("(table.copy $t $t (i32.const 1) (i32.const 0) (i32.const 99999))"))),
        ("table-init", plain(&elements, &forever("(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 50000))"))),
        ("start", plain("(func $s (loop $on (br $on))) (start $s)", "")),
        (
            "touch",
            plain(
                "",
                &forever(
                    "(i32.store (local.get $i) (i32.const 1)) (local.set $i (i32.rem_u (i32.add (local.get $i) (i32.const 4096)) (i32.const 125000000)))",
                ),
            ),
        ),
        (
            "utf8-to-utf16",
            composed("string", ("string-encoding=utf8", "string-encoding=utf16"), utf8, (PAGES / 3, half)),
        ),
        (
            "utf16-to-utf8",
            composed("string", ("string-encoding=utf16", "string-encoding=utf8"), 0x00E9_00E9, (PAGES / 3, half / 2)),
        ),
        (
            "utf8-to-latin1",
            composed("string", ("string-encoding=utf8", "string-encoding=latin1+utf16"), utf8, (PAGES / 3, half)),
        ),
        ("utf8-to-utf8", composed("string", ("string-encoding=utf8", "string-encoding=utf8"), utf8, (PAGES / 3, half))),
        ("bytes", composed("(list u8)", ("", ""), 7, (PAGES / 3, half))),
        (
            "strings",
            composed("(list string)", ("string-encoding=utf8", "string-encoding=utf16"), 0, (PAGES / 3, half / 8)),
        ),
    ]
}

/// An operator's folder with all these agents and one honest agent.
fn folder(cpu_ms: u64) -> Folder {
    let folder = Folder::new(&[], "");
    let mut sections = format!(
        "[agents.many-calls]\ncomponent = \"{}\"\nworkspace = \"files\"\n\n",
        component("many-calls").display()
    );
    for (name, text) in worst() {
        let path = folder.path().join(format!("{name}.wasm"));
        fs::write(&path, wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))).unwrap();
        sections += &format!("[agents.{name}]\ncomponent = \"{}\"\n\n", path.display());
    }
    folder.configure(&format!("{sections}[limits]\ncpu-ms = {cpu_ms}\nmemory-mib = {MEMORY_MIB}\n"));
    folder.write("files/report.txt", "nothing to see\n");
    folder
}

/// The CPU time of the threads that run agents, and the lowest nice value among them.
fn agents_threads(host: &Host) -> (Duration, i64) {
    let mut all = (Duration::ZERO, i64::MAX);
    for thread in fs::read_dir(Path::new("/proc").join(host.pid().to_string()).join("task")).unwrap() {
        // The thread may have ended meanwhile.
        let Ok(stat) = fs::read_to_string(thread.unwrap().path().join("stat")) else { continue };
        let Some((name, rest)) = stat.split_once(") ") else { continue };
        if !name.ends_with("(agents") {
            continue;
        }
        let field = |number: usize| rest.split(' ').nth(number - 3).unwrap().parse::<i64>().unwrap();
        // The kernel counts in hundredths of a second.
        let time = u64::try_from(field(14) + field(15)).unwrap() * 10;
        all = (all.0 + Duration::from_millis(time), all.1.min(field(19)));
    }
    all
}

fn stopped(host: &Host, run: &str, name: &str, cpu_ms: u64) {
    let row = until(&format!("end of {name}"), || {
        let row = host.show_run(run);
        (row["state"] != "running").then_some(row)
    });
    let reason = format!("used up its {cpu_ms} ms of CPU time");
    assert!(row["state"] == "trapped" && row["reason"].as_str().unwrap().contains(&reason), "{name}: {row}");
}

/// The longest time that one library call may take: as long as a debug build on a slow machine needs to write all of an
/// agent's memory.
const LIBRARY_CALL: Duration = Duration::from_millis(1_500);

#[test]
fn each_is_stopped_at_its_limit_and_nothing_is_estimated() {
    const CPU_MS: u64 = 200;
    let (_folder, host) = folder(CPU_MS).into_served();
    let limit = Duration::from_millis(CPU_MS);
    for (name, _) in worst() {
        let (before, _) = agents_threads(&host);
        stopped(&host, &host.start(name, ""), name, CPU_MS);
        let (after, nice) = agents_threads(&host);
        let used = after.saturating_sub(before);
        println!("{name}: {used:?}");
        assert!(used + Duration::from_millis(20) >= limit, "{name} was stopped after {used:?}");
        assert!(used <= limit * 2 + LIBRARY_CALL, "{name} used {used:?}");
        assert_eq!(nice, 19, "the agents' threads are the least important");
    }
}

/// A reviewer who uses the pages in a browser and a program of their own.
struct Reviewer {
    agent: ureq::Agent,
    bearer: String,
    browser: SignedIn,
    took: Vec<Duration>,
}

impl Reviewer {
    fn new(host: &Host) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let agent = config.timeout_global(Some(PATIENCE)).build().new_agent();
        let browser = host.sign_in();
        Self { agent, bearer: format!("Bearer {}", host.token), browser, took: Vec::new() }
    }

    /// Opens an address as a person does, and notes how long that took.
    fn open(&mut self, host: &Host, path: &str) -> String {
        let begun = Instant::now();
        let request = self.agent.get(format!("{}{path}", host.url));
        let request = if path.starts_with("/v1") {
            request.header("Authorization", &self.bearer)
        } else {
            request.header("Cookie", &self.browser.cookie).header("Host", &self.browser.host)
        };
        let mut reply = request.call().unwrap();
        let text = reply.body_mut().read_to_string().unwrap();
        self.took.push(begun.elapsed());
        assert_eq!(reply.status(), 200, "{path}: {text}");
        text
    }

    /// The time within which 99 of 100 requests were answered.
    fn p99(&mut self) -> Duration {
        self.took.sort_unstable();
        self.took[self.took.len() * 99 / 100]
    }
}

/// The longest time for 99 of 100 requests, whatever else the machine does.
const P99_MAX: Duration = Duration::from_millis(100);

#[test]
fn beside_all_of_them_a_reviewer_is_served() {
    const CPU_MS: u64 = 1_500;
    let seconds = std::env::var("HOLDSHORT_SECONDS").ok().map_or(8, |text| text.parse::<u64>().unwrap());
    let (_folder, host) = folder(CPU_MS).into_served();
    let held = host.held(&honest(&host))["id"].as_str().unwrap().to_owned();
    let mut reviewer = Reviewer::new(&host);
    let paths = [
        "/v1/approvals".to_owned(),
        format!("/v1/approvals/{held}"),
        "/".to_owned(),
        format!("/approvals/{held}"),
        "/runs".to_owned(),
    ];
    for _ in 0..20 {
        paths.iter().for_each(|path| drop(reviewer.open(&host, path)));
    }
    let alone = reviewer.p99();
    reviewer.took.clear();
    // Every agent is loaded before the measurement, because compiling an agent takes its own time.
    for (name, _) in worst() {
        stopped(&host, &host.start(name, ""), name, CPU_MS);
    }
    let (mut ended, begun) = (0, Instant::now());
    let mut runs: Vec<(&str, String)> = Vec::new();
    while begun.elapsed() < Duration::from_secs(seconds) {
        for (name, _) in worst() {
            let at = runs.iter().position(|(running, _)| *running == name);
            let over = at.is_some_and(|at| host.show_run(&runs[at].1)["state"] != "running");
            if let Some(at) = at.filter(|_| over) {
                let (name, run) = runs.swap_remove(at);
                stopped(&host, &run, name, CPU_MS);
                ended += 1;
            }
            if at.is_none() || over {
                runs.push((name, host.start(name, "")));
            }
            for path in &paths {
                assert!(reviewer.open(&host, path).len() > 100);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    let p99 = reviewer.p99();
    let (count, most) = (reviewer.took.len(), reviewer.took.last().copied().unwrap_or_default());
    let agents = runs.len();
    println!(
        "{count} requests beside {agents} agents, {ended} of which ended: p99 {p99:?}, at most {most:?}; alone {alone:?}; load {}",
        fs::read_to_string("/proc/loadavg").unwrap().trim()
    );
    assert!(agents == worst().len() && count >= 300, "{agents} agents, {count} requests");
    assert!(p99 < P99_MAX, "{p99:?}, and {alone:?} without agents");
    for (name, run) in runs {
        stopped(&host, &run, name, CPU_MS);
    }
    let approval: Value = host.approval(&held);
    assert_eq!(approval["state"], "held");
    evidence::figure("T35", "agents that cannot be interrupted", worst().len() as u64);
}
