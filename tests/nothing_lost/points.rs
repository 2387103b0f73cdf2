//! Kills the host at each of its kill points, before and after every journal write, effect and reply, with every real
//! connector.
//!
//! The list of points is made from the code: two for each kind of event, two for each route that may change something,
//! and the points that the host names. A developer who adds a point must say in [`ways`] how a run reaches it.
//! Otherwise the tests fail.
//!
//! After each death the test starts the host again and sends its request again. The run must then end as if the host
//! had not died. One exception cannot be avoided: if the host dies between the start of an effect and its outcome, the
//! effect is in doubt. `cases.rs` says for each connector how such an effect ends. After each death, and at the end of
//! each case, the journal must list every call exactly once.
//!
//! `HOLDSHORT_POINT='after-perform'` tries one point only, by hand or to find a planted bug.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use holdshort::kill::{BLOB, NOTE, POINTS, REPLY};
use holdshort_gate::Event;
use rusqlite::Connection;
use serde_json::json;

use crate::browsed::{BROWSED, WRITES_NOTHING};
use crate::cases::{Place, Way, case};
use crate::evidence::{Tries, figure, scaled};
use crate::kept::is_counted;
use crate::operator::{AFTER_REPLY, Operator};
use crate::outside::{Books, Branch, Files, Maildir, Outside, Relay};
use crate::support::{Folder, top, until};

/// How a run reaches a point.
#[derive(Clone, Copy, Debug, PartialEq)]
enum To {
    /// A run with an effect, for every connector.
    With(&'static [Way]),
    /// A run that sleeps and then asks a question.
    Sleeping,
    /// A run whose agent traps.
    Trapping,
    /// A run that the host cannot continue for a while.
    Delaying,
    /// A run whose agent no longer does what its journal says.
    Diverging,
    /// A run on which a reviewer decides in a browser (`browsed.rs`).
    Browsing,
    /// Runs under policies and a grant: calls are escalated, and the grant clears calls.
    Granted,
    /// No run: nothing is written at this point.
    Never,
}

/// How a run reaches a point. The name of the point says what the host writes, does or replies to there.
fn ways(point: &str) -> To {
    use Way::{
        Answer, Cancelled, Doubt, Edited, Effect, Evidence, Expires, Moved, NotDone, PutOff, Refused, Settled, Starting,
    };
    let (_, what) = point.split_once('-').unwrap();
    match what {
        "run-created" | "routine-returned" | "call-held" | "decision-made" | "effect-started" | "effect-succeeded"
        | "run-finished" | "perform" | "wake" => To::With(&[Effect]),
        "reply /v1/runs" | "reply /v1/approvals/{id}/decisions" => To::With(&[Effect]),
        "answer" => To::With(&[Effect, Answer]),
        "blob-kept" => To::With(&[Starting, Evidence]),
        // A starting host writes down which targets get notifications.
        "note-kept" => To::With(&[Starting]),
        "effect-in-doubt" | "lookup" => To::With(&[Doubt]),
        "effect-looked-up" | "effect-resolved" | "reply /v1/runs/{id}/calls/{n}/resolution" => To::With(&[Settled]),
        "effect-failed" => To::With(&[NotDone]),
        "effect-postponed" => To::With(&[PutOff]),
        "call-revised" => To::With(&[Edited]),
        "call-reheld" => To::With(&[Moved]),
        "call-expired" => To::With(&[Expires]),
        "call-refused" => To::With(&[Refused]),
        "run-cancelled" | "call-cancelled" | "reply /v1/runs/{id}/cancel" => To::With(&[Cancelled]),
        "timer-set" | "timer-fired" | "call-answered" => To::Sleeping,
        "run-trapped" => To::Trapping,
        "run-delayed" => To::Delaying,
        "run-diverged" => To::Diverging,
        "call-cleared" | "call-escalated" | "grant-made" | "grant-revoked" => To::Granted,
        "reply /v1/approvals/{id}/grant" | "reply /v1/grants/{id}/revocation" => To::Granted,
        what if WRITES_NOTHING.iter().any(|route| what == format!("reply {route}")) => To::Never,
        what if BROWSED.iter().any(|route| what == format!("reply {route}")) => To::Browsing,
        _ => panic!("no way to `{point}`: say here how a run gets there"),
    }
}

/// Whether the host does the same at a point for every connector. Before a landing such a point is tried with a Maildir
/// only. The long run tries it with each connector.
fn is_alike(point: &str) -> bool {
    let (_, what) = point.split_once('-').unwrap();
    const ALIKE: [&str; 13] = [
        "run-created",
        "routine-returned",
        "decision-made",
        "run-finished",
        "wake",
        "note-kept",
        "call-expired",
        "call-refused",
        "run-cancelled",
        "call-cancelled",
        "reply /v1/runs",
        "reply /v1/approvals/{id}/decisions",
        "reply /v1/runs/{id}/cancel",
    ];
    ALIKE.contains(&what)
}

/// Every point.
fn points() -> Vec<String> {
    let written = Event::NAMES.into_iter().chain([BLOB, NOTE]);
    let written = written.flat_map(|what| [format!("before-{what}"), format!("after-{what}")]);
    let replies = routes().into_iter().flat_map(|route| [format!("{REPLY}{route}"), format!("{AFTER_REPLY}{route}")]);
    written.chain(POINTS.map(str::to_owned)).chain(replies).collect()
}

/// Every route that takes a `POST`: the routes of the endpoint, taken from the schema (no other route is served), and
/// those of the pages.
fn routes() -> Vec<String> {
    let host = Folder::new(&["clock"], "").into_served();
    let paths = host.1.get("/openapi.json")["paths"].clone();
    let paths = paths.as_object().unwrap().iter().filter(|(_, operations)| operations.get("post").is_some());
    paths.map(|(path, _)| path.clone()).chain(BROWSED[1..].iter().map(|route| (*route).to_owned())).collect()
}

/// How many cases of a connector run at the same time. A case mostly waits for its hosts to start or for a deadline.
const AT_ONCE: usize = 3;

/// Tries every point on the way of an effect, or only the points at which connectors differ. The effect of each case
/// arrives in a place of its own.
fn effects<P: Place>(name: &str, cases: Tries, place: impl Fn(&Path, usize) -> P + Sync) {
    let only = std::env::var("HOLDSHORT_POINT").ok();
    let points = points().into_iter().filter(|point| match &only {
        Some(only) => only == point,
        None => cases.now() == cases.long || !is_alike(point),
    });
    let all: Vec<(String, Way)> = points
        .flat_map(|point| match ways(&point) {
            To::With(ways) => ways.iter().map(|way| (point.clone(), *way)).collect(),
            To::Sleeping | To::Trapping | To::Delaying | To::Diverging | To::Browsing | To::Granted | To::Never => {
                Vec::new()
            }
        })
        .collect();
    let (next, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && let Some((point, way)) = all.get(number)
                {
                    let folder = tempfile::tempdir().unwrap();
                    let there_is = case(&place(folder.path(), number), *way, point);
                    tried.fetch_add(usize::from(there_is), Ordering::Relaxed);
                }
            });
        }
    });
    let tried = tried.into_inner() as u64;
    assert!(tried > 0, "no case of {name} for {only:?}");
    if only.is_some() {
        return;
    }
    assert_eq!(tried, cases.now(), "cases of {name}");
    scaled("T3", &format!("kill cases of {name}"), tried, cases);
    scaled("T6", &format!("kill cases of {name} after which every call was counted"), tried, cases);
}

/// The cases that every connector has.
const CASES: u64 = 51;
/// The number of those cases in which connectors do not differ.
const ALIKE: u64 = 25;
/// Additional cases of a connector whose effects a reviewer may have to resolve.
const SETTLED: u64 = 6;
/// The cases of a routine call, which are the same for every connector.
const ROUTINE: u64 = 2;
/// Additional cases of a relay, because a relay may ask for a later attempt.
const PUT_OFF: u64 = 2;

/// The number of tries: before a landing only the cases in which connectors differ, in the long run all of them.
fn differing(all: u64) -> Tries {
    Tries { landing: all - ALIKE, long: all }
}

#[test]
fn mail_for_a_maildir() {
    let all = CASES + SETTLED;
    effects("a Maildir", Tries { landing: all, long: all }, |folder, _| Maildir(folder.join("mail")));
}

#[test]
fn mail_for_a_relay() {
    let folder = tempfile::tempdir().unwrap();
    let Some(relay) = Relay::start(folder.path()) else { return };
    effects("a relay", differing(CASES + SETTLED + PUT_OFF), |_, number| relay.mailbox(&format!("Report {number}")));
}

#[test]
fn deployments() {
    effects("a repository", differing(CASES + SETTLED), |folder, _| {
        let branch = Branch::new(&folder.join("shop.git"));
        let third = branch.0.git(&["commit-tree", "-m", "The third commit", "-p", "main", "main^{tree}"]);
        branch.0.git(&["update-ref", "refs/heads/main", &third]);
        branch
    });
}

#[test]
fn payments() {
    effects("a ledger", differing(CASES), |folder, _| Books(folder.join("books.db")));
}

/// The agent that puts files there makes no routine call.
#[test]
fn files_for_a_folder() {
    let cases = differing(CASES + SETTLED);
    effects("a folder for files", Tries { long: cases.long - ROUTINE, ..cases }, |folder, _| {
        Files::new(&folder.join("reports"))
    });
}

#[test]
fn sleeping_runs() {
    let there: Vec<String> = points().into_iter().filter(|point| ways(point) == To::Sleeping).collect();
    for point in &there {
        // With 0 the run is parked at once. With 60,000 it waits in memory.
        for linger_ms in [0, 60_000] {
            println!("{point}, linger {linger_ms} ms");
            let folder = Folder::new(&["clock"], &format!("[limits]\nlinger-ms = {linger_ms}\n"));
            let mut operator = Operator::new(&folder, &[point]);
            let run = operator.start("clock", "sleep=300 random ask");
            let approval = operator.held(&format!("{run}.1"));
            operator.decide(&approval, "respond", &json!({ "answer": "yes" }));
            let row = operator.over(&run);
            let told = row["result"]["ok"].as_str().unwrap_or_else(|| panic!("{point}: {row}"));
            let slept: u64 = told.lines().next().unwrap().trim_start_matches("sleep ").parse().unwrap();
            assert!(slept >= 300_000_000, "{point}: by its own clock it slept long enough: {told}");
            let expected = [
                "run-created",
                "timer-set",
                "timer-fired",
                "call-held",
                "decision-made",
                "call-answered",
                "run-finished",
            ];
            assert_eq!(operator.events(&run), expected, "{point}");
            assert_eq!(operator.deaths, 1, "{point}");
            is_counted(&mut operator);
        }
    }
    figure("T3", "kill cases of sleeping runs", 2 * there.len() as u64);
}

#[test]
fn runs_that_trap_or_diverge() {
    let mut cases = 0;
    for point in points() {
        let to = ways(&point);
        if !matches!(to, To::Trapping | To::Diverging) {
            continue;
        }
        println!("{point}");
        let home = tempfile::tempdir().unwrap();
        let folder = crate::outside::folder(&Maildir(home.path().join("mail")), "[limits]\nlinger-ms = 0\n");
        let mut operator = Operator::new(&folder, &[]);
        let run = operator.start("scripted", "list\nask Go on?\npanic");
        let approval = operator.held(&format!("{run}.2"));
        operator.next_dies_at(&point);
        if to == To::Diverging {
            // A run diverges only if a person changed its journal by hand.
            let journal = Connection::open(folder.journal()).unwrap();
            let change = "UPDATE events SET body = replace(body, 'list', 'read a.txt') WHERE seq = 1";
            assert_eq!(journal.execute(change, []).unwrap(), 1);
        }
        operator.decide(&approval, "respond", &json!({ "answer": "yes" }));
        let (state, last) = if to == To::Diverging { ("diverged", "run-diverged") } else { ("trapped", "run-trapped") };
        assert_eq!(operator.over(&run)["state"], state, "{point}");
        let events = ["run-created", "routine-returned", "call-held", "decision-made", "call-answered", last];
        assert_eq!(operator.events(&run), events, "{point}: once");
        assert_eq!(operator.deaths, 2, "{point}");
        is_counted(&mut operator);
        cases += 1;
    }
    assert_eq!(cases, 4);
    figure("T3", "kill cases of runs that trap or diverge", cases);
}

/// The repository that a run needs is missing for a while.
#[test]
fn runs_that_are_delayed() {
    let there: Vec<String> = points().into_iter().filter(|point| ways(point) == To::Delaying).collect();
    for point in &there {
        println!("{point}");
        let home = tempfile::tempdir().unwrap();
        let folder = crate::outside::folder(&Maildir(home.path().join("mail")), "[limits]\nlinger-ms = 0\n");
        let (repository, away) = (folder.path().join("unused.git"), folder.path().join("away.git"));
        let mut operator = Operator::new(&folder, &[]);
        let run = operator.start("scripted", "ask Go on?\nhistory production main");
        let approval = operator.held(&format!("{run}.1"));
        operator.next_dies_at(point);
        std::fs::rename(&repository, &away).unwrap();
        operator.decide(&approval, "respond", &json!({ "answer": "yes" }));
        until("delay", || (operator.run(&run)["state"] == "delayed").then_some(()));
        std::fs::rename(&away, &repository).unwrap();
        assert_eq!(operator.over(&run)["state"], "finished", "{point}");
        let mut events = operator.events(&run);
        let written = events.iter().filter(|kind| *kind == "run-delayed").count();
        assert!((1..10).contains(&written), "{point}: {written} delays are written");
        events.retain(|kind| kind != "run-delayed");
        let expected =
            ["run-created", "call-held", "decision-made", "call-answered", "routine-returned", "run-finished"];
        assert_eq!(events, expected, "{point}: once");
        assert_eq!(operator.deaths, 2, "{point}");
        is_counted(&mut operator);
    }
    assert_eq!(there.len(), 2);
    figure("T3", "kill cases of runs that are delayed", there.len() as u64);
}

/// A call is escalated and approved with a grant. The grant clears the next call and is then revoked, so that the call
/// after that one is held again.
#[test]
fn runs_under_policy_and_a_grant() {
    let there: Vec<String> = points().into_iter().filter(|point| ways(point) == To::Granted).collect();
    for point in &there {
        println!("{point}");
        let home = tempfile::tempdir().unwrap();
        let mail = Maildir(home.path().join("mail"));
        let folder = crate::outside::folder(&mail, "[policy]\nfiles = [\"p.cedar\"]\n");
        folder.write(
            "p.cedar",
            "@reviewers(\"olivia\") @within(\"1s\") @escalate(\"olivia for 1h\")\n\
             permit (principal, action == Action::\"review\", resource);\n\
             permit (principal, action in [Action::\"decide\", Action::\"grant\"], resource);\n",
        );
        let mut operator = Operator::new(&folder, &[point]).watching(&mail);
        let task = "email ann@localhost Report";
        let first = operator.start("scripted", task);
        let id = format!("{first}.1");
        operator.held(&id);
        until("escalation", || operator.events(&first).contains(&"call-escalated".to_owned()).then_some(()));
        let draft = json!({ "calls": 5, "lasts_ms": 3_600_000 });
        let (status, drafted) = operator.ask(&format!("/v1/approvals/{id}/grant"), Some(&draft));
        assert_eq!(status, 200, "{point}: {drafted}");
        let approval = operator.approval(&id);
        operator.decide(&approval, "approve", &json!({ "grant": drafted["grant"] }));
        assert_eq!(operator.over(&first)["state"], "finished", "{point}");
        let second = operator.start("scripted", task);
        assert_eq!(operator.over(&second)["state"], "finished", "{point}: cleared by the grant");
        assert_eq!(operator.ask(&format!("/v1/grants/{id}/revocation"), Some(&json!({}))).0, 200, "{point}");
        let third = operator.start("scripted", task);
        let approval = operator.held(&format!("{third}.1"));
        operator.decide(&approval, "reject", &json!({ "message": "enough" }));
        operator.over(&third);

        let of_first = ["run-created", "call-held", "call-escalated", "decision-made", "grant-made"];
        let done = ["effect-started", "effect-succeeded", "run-finished"];
        assert_eq!(operator.events(&first), [&of_first[..], &done, &["grant-revoked"]].concat(), "{point}");
        assert_eq!(operator.events(&second), [&["run-created", "call-cleared"][..], &done].concat(), "{point}");
        assert_eq!(mail.count(), 2, "{point}: each once");
        assert_eq!(operator.deaths, 1, "{point}");
        is_counted(&mut operator);
    }
    assert_eq!(there.len(), 12);
    figure("T3", "kill cases under policy and a grant", there.len() as u64);
}

#[test]
fn every_point_of_the_code_is_a_case_here() {
    let points = points();
    figure("T3", "kill points", points.len() as u64);
    assert_eq!(points.iter().collect::<BTreeSet<_>>().len(), points.len(), "no point is listed twice");
    let mut in_code = BTreeSet::new();
    points_in(&top().join("host/src"), &mut in_code);
    let in_code: BTreeSet<&str> = in_code.iter().map(String::as_str).collect();
    assert_eq!(in_code, POINTS.into(), "`kill::point(…)` in host/src and `holdshort::kill::POINTS`");
}

fn points_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            points_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.split("kill::point(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
            found.extend(names);
        }
    }
}
