//! Every hostile component ("bomb") is configured as an agent of one host, with honest agents among them.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::beside::{Monitor, alone};
use crate::support::{Folder, PATIENCE, component};
use crate::{code, evidence, types};

/// Small limits, so that each bomb takes only seconds, and so that the memory for loading up to 32 of them is small
/// too. An honest component is far below these limits.
const LIMITS: &str =
    "component-mib = 24\nload-memory-mib = 256\nload-cpu-seconds = 2\nload-seconds = 60\nload-compiled-mib = 4\n";
/// The longest reason that a person can read.
const REASON_CHARS_MAX: usize = 12_000;
/// The longest line of a reason: a terminal shows it in a few lines.
const LINE_CHARS_MAX: usize = 800;
/// Bombs whose result is known, with words of the reason. Each of the others is refused with a text of bounded length,
/// or it loads.
const KNOWN: [(&str, &str); 14] = [
    ("nested-instance-types", "nested"),
    ("nested-instance-types-100000", "nested"),
    ("500-loops-20000-locals", "`load-"),
    ("sparse-data-in-50-modules", "`load-"),
    ("pairs-of-pairs-60", "size exceeds"),
    ("pairs-of-pairs-15", "imported by the world itself"),
    ("interface-of-900-functions", "and 880 more"),
    ("interface-of-100000-functions", "imports 100000 functions"),
    ("interface-of-long-names", "cannot be written in the configuration"),
    ("a-table-of-9-million", "cannot be compiled: "),
    ("a-section-longer-than-the-file", "cut off"),
    ("zz-too-large", "`component-mib`"),
    ("a-million-functions", "`load-"),
    ("run-of-pairs", "exports `run: func("),
];

/// A component whose `run` has the wrong type. The type has a few bytes, and is enormous when it is written out.
fn run_of_pairs() -> Vec<u8> {
    let pairs: String = (1..16).map(|n| format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1)).collect();
    wat::parse_str(format!(
        "(component (type $t0 string) {pairs} (import \"f\" (func $f (param \"p\" $t15))) (export \"run\" (func $f)))"
    ))
    .unwrap()
}

#[test]
fn no_component_takes_the_host_along() {
    let _alone = alone();
    let mut bombs = types::bombs();
    bombs.extend(code::bombs());
    bombs.push(("run-of-pairs", run_of_pairs()));
    bombs.push(("zz-too-large", vec![0; 25 << 20]));
    let folder = Folder::new(&[], "");
    let mut sections = String::from("[limits]\n") + LIMITS;
    for (name, bytes) in &bombs {
        std::fs::write(folder.path().join(format!("{name}.wasm")), bytes).unwrap();
        sections += &format!("[agents.{name}]\ncomponent = \"{name}.wasm\"\n");
    }
    for name in ["many-calls", "clock"] {
        sections += &format!("[agents.{name}]\ncomponent = \"{}\"\n", component(name).display());
    }
    folder.configure(&sections);
    let host = folder.serve();
    let monitor = Monitor::start(&host);
    let loading =
        |agents: &BTreeMap<String, Value>| agents.values().filter(|agent| agent["state"] == "loading").count();
    let (mut left, mut since) = (usize::MAX, Instant::now());
    let agents = loop {
        let agents = agents(&host.get("/v1/agents"));
        let now = loading(&agents);
        if now == 0 {
            break agents;
        }
        // A bomb may use all of its time, and a busy machine may need more. So the waiting time begins again whenever
        // an agent has been loaded.
        if now < left {
            (left, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "{now} agents are still loading");
        // The test does not ask more often, because the list is long, and writing it would be measured as work for the
        // bombs.
        thread::sleep(Duration::from_millis(250));
    };
    // An honest agent among the bombs runs as usual.
    let run = host.start("many-calls", "routine=0 held=1");
    let held = host.held(&run);
    host.approve(&held);
    host.effect(held["id"].as_str().unwrap(), "succeeded");
    let said = host.said();
    let mut refused = 0;
    for (name, _) in &bombs {
        let agent = &agents[*name];
        let lines =
            said.lines().filter(|line| line.contains(&format!("the agent `{name}` cannot"))).collect::<Vec<_>>();
        if agent["state"] == "ready" {
            println!("{name}: loads");
            assert!(lines.is_empty(), "{lines:?}");
            continue;
        }
        refused += 1;
        let problem = agent["problem"].as_str().unwrap();
        println!("{name}: {problem}");
        assert!(problem.chars().count() < REASON_CHARS_MAX, "{name}: {problem}");
        assert!(lines.len() == 1 && lines[0].chars().count() < LINE_CHARS_MAX, "{name}: {lines:?}");
        assert!(!problem.contains("panicked") && !problem.contains("gave no answer"), "{name}: {problem}");
    }
    for (name, why) in KNOWN {
        assert!(
            agents[name]["problem"].as_str().is_some_and(|problem| problem.contains(why)),
            "{name}: {}",
            agents[name]
        );
    }
    assert!(refused > bombs.len() / 2 && refused < bombs.len(), "{refused} of {}", bombs.len());
    for honest in ["many-calls", "clock"] {
        assert_eq!(agents[honest]["state"], "ready", "{}", agents[honest]);
    }
    monitor.end();
    evidence::figure("T34", "component bombs", bombs.len() as u64);
}

fn agents(list: &Value) -> BTreeMap<String, Value> {
    let agents = list["agents"].as_array().unwrap().iter();
    agents.map(|agent| (agent["name"].as_str().unwrap().to_owned(), agent.clone())).collect()
}
