//! Every crate of `guest-examples/hostile`, and how its attack must end: only the attacker is stopped, within its
//! limits, and the operator is told the reason.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;

use crate::support::{Host, top};
use crate::{decide_honest, evidence, folder, honest};

/// How an attack ends.
enum End {
    /// The run ends with a trap, and the reason contains these words.
    Trapped(&'static str),
    /// The run ends by itself, and its result contains these words: the attack got nothing.
    Finished(&'static str),
    /// The run is refused before it starts, and the problem contains these words.
    Refused(&'static [&'static str]),
    /// The attack has a test of its own, in the file with this name in this folder.
    Elsewhere(&'static str),
}

use End::{Elsewhere, Finished, Refused, Trapped};

/// The crate, its task, and how it must end.
const ATTACKS: &[(&str, &str, End)] = &[
    ("chatter", "", Trapped("used up its 1000 ms of CPU time")),
    ("clockwatch", "", Trapped("used up its 1000 ms of CPU time")),
    ("deep", "", Trapped("the agent's stack overflowed")),
    ("deep", "100", Finished("came back from level 100")),
    ("escape", "nan", Trapped("not a finite number")),
    ("escape", "infinity", Trapped("not a finite number")),
    ("fib", "", Trapped("realloc return: beyond end of memory")),
    ("fickle", "", Elsewhere("minds.rs")),
    ("flood", "email 10000", Trapped("more than 200 host calls")),
    ("flood", "list 5000", Trapped("more than 200 host calls")),
    ("flood", "log 5000", Finished("made 5000 calls, 0 of them refused")),
    ("forge", "", Elsewhere("minds.rs")),
    ("hoard", "", Trapped("needs more than its 33554432 bytes of memory")),
    ("hoard", "8", Finished("held 8 MiB")),
    ("impostor", "", Refused(&["holdshorts:agent/email@0.1.0#send-email", "holdshort.toml"])),
    ("improvise", "", Elsewhere("minds.rs")),
    ("mask", "", Elsewhere("minds.rs")),
    ("nap", "", Trapped("used up its 1000 ms of CPU time")),
    ("nap", "20", Finished("slept 20 times")),
    ("outdated", "", Refused(&["holdshort:agent/email@0.2.0#send-email"])),
    ("overreach", "id", Refused(&["acme:shell/exec@1.0.0#run", "holdshort.toml"])),
    ("prowl", "", Finished("files: nothing")),
    ("reenter", "", Trapped("cannot leave component instance")),
    ("smuggle", "", Refused(&["acme:vault/keys@1.0.0#hand-over", "resource"])),
    ("snare", "", Trapped("`unreachable`")),
    ("spin", "", Trapped("used up its 1000 ms of CPU time")),
    ("sting", "", Elsewhere("minds.rs")),
    ("trap", "", Trapped("`unreachable`")),
    ("trap", "unreachable", Trapped("`unreachable`")),
    ("trap", "divide", Trapped("trap")),
    ("trap", "memory", Trapped("out of bounds memory access")),
    ("trap", "after panic", Trapped("`unreachable`")),
    ("trespass", "", Elsewhere("minds.rs")),
];

/// Crates that pass large values at once and therefore need a lot of memory.
const LARGE: &[(&str, &str, End)] = &[
    ("bulk", "", Trapped("one call passes more than")),
    ("bulk", "0", Finished("the host took 0 MiB")),
    ("monologue", "", Trapped("one call passes more than")),
    ("monologue", "0", Finished("")),
];

const LIMITS: &str = "cpu-ms = 1_000\nmemory-mib = 32\ncalls = 200\nheld-calls = 1";
const LARGE_LIMITS: &str = "memory-mib = 256";

/// The section of an operator who has classified the import of `smuggle`.
const CLASSIFIED: &str =
    "[capabilities.\"acme:vault/keys@1.0.0#*\"]\nclass = \"consequential\"\ncommand = [\"false\"]\n";

/// How much more memory the host may use than during an honest run.
const GROWTH_KIB_MAX: usize = 64 * 1024;

#[test]
fn each_ends_alone_within_its_limits() {
    let grown = all_end(ATTACKS, &format!("{LIMITS}\n\n{CLASSIFIED}"));
    // The two attacks that may hold the most memory at the same time are the hoards, with 32 and 8 MiB.
    println!("the host grew by {grown} KiB");
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
}

#[test]
fn what_is_passed_at_once_is_not_copied() {
    let grown = all_end(LARGE, LARGE_LIMITS);
    println!("the host grew by {grown} KiB");
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
}

/// Every crate has an entry here, and each entry that ends elsewhere names a test that exists.
#[test]
fn no_crate_is_forgotten() {
    let hostile = fs::read_dir(top().join("guest-examples/hostile")).unwrap();
    let crates: BTreeSet<String> = hostile.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let all = || ATTACKS.iter().chain(LARGE);
    let attacked: BTreeSet<String> = all().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(crates, attacked);
    for (name, _, end) in all() {
        if let Elsewhere(file) = end {
            let text = fs::read_to_string(top().join("tests/hostile_guests").join(file)).unwrap();
            assert!(text.contains(&format!("host.start(\"{name}\"")), "`{file}` does not start `{name}`");
        }
        let lines = fs::read_to_string(top().join(format!("guest-examples/hostile/{name}/src/lib.rs")))
            .unwrap()
            .lines()
            .count();
        let several = ["escape", "prowl"].contains(name);
        assert!(several || lines < 60, "`{name}` has {lines} lines: one attack each");
    }
    assert!(crates.len() >= 12);
    evidence::figure("T16", "hostile agents", u64::try_from(crates.len()).unwrap());
}

/// Runs each attack alone and then all at once, beside honest runs. Returns by how many KiB the host's process grew.
fn all_end(attacks: &[(&str, &str, End)], limits: &str) -> usize {
    let mut agents: Vec<&str> = attacks.iter().map(|(name, ..)| *name).collect();
    agents.dedup();
    let (folder, host) = folder(&[agents.as_slice(), &["many-calls"]].concat(), limits).into_served();
    decide_honest(&host, &honest(&host));
    let before = peak_kib(&host);
    for (agent, task, end) in attacks {
        attack(&host, agent, task, end);
    }
    let started = attacks.iter().filter(|(.., end)| matches!(end, Trapped(_) | Finished(_)));
    let all: Vec<String> = started.map(|(agent, task, _)| host.start(agent, task)).collect();
    decide_honest(&host, &honest(&host));
    for run in &all {
        refuse_what_it_holds(&host, run);
        host.over(run);
    }
    host.all_parked();
    let grown = peak_kib(&host) - before;
    let files = ["journal.db", "journal.db-wal"].map(|name| folder.path().join(".holdshort").join(name));
    let kept = files.iter().map(|file| fs::metadata(file).unwrap().len() >> 10).sum::<u64>();
    println!("its journal takes {kept} KiB");
    // The journal keeps the last 10,000 log lines of each run, of at most 4 KiB each. Four of these runs write log lines.
    // With what SQLite adds, a line takes at most 5 KiB.
    assert!(kept <= 4 * 10_000 * 5, "its journal takes {kept} KiB");
    grown
}

fn attack(host: &Host, agent: &str, task: &str, end: &End) {
    let (state, said) = match end {
        Elsewhere(_) => return,
        Refused(words) => {
            let (status, problem) = host.post("/v1/runs", &json!({ "agent": agent, "task": task }));
            assert_eq!(status, 422, "{agent}: {problem}");
            let known = host.said();
            for word in *words {
                assert!(problem.to_string().contains(word), "{agent}: `{word}` is not in {problem}");
                assert!(known.contains(word), "{agent}: the operator is not told `{word}`: {known}");
            }
            return;
        }
        Trapped(said) => ("trapped", said),
        Finished(said) => ("finished", said),
    };
    let (hostile, beside) = (host.start(agent, task), honest(host));
    decide_honest(host, &beside);
    refuse_what_it_holds(host, &hostile);
    let row = host.over(&hostile);
    assert_eq!(row["state"], state, "{agent} {task}: {row}");
    assert!(row.to_string().contains(said), "{agent} {task}: `{said}` is not in {row}");
}

/// Rejects the one call of the run that may be held for reviewers.
fn refuse_what_it_holds(host: &Host, run: &str) {
    crate::support::until("held call or the end", || {
        let row = host.show_run(run);
        let held = row["waiting_for"].as_u64().map(|call| host.approval(&format!("{run}.{call}")));
        if let Some(approval) = held.filter(|approval| approval["state"] == "held") {
            host.decide(&approval, "reject", &json!({}));
        }
        (!["running", "delayed", "sleeping", "waiting"].contains(&row["state"].as_str().unwrap())).then_some(())
    });
}

/// The largest amount of memory that the process has used so far.
fn peak_kib(host: &Host) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
