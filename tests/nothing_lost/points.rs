//! The host is killed at every point that it has, before and after every journal write, effect and reply, for every real connector.
//!
//! Whoever works with it starts it again and asks again. The run then ends as if nothing had been, with one exception that no host can help:
//! killed between the start of an effect and its outcome, the effect is in doubt, and each connector's fate of it is named here.

use std::collections::BTreeSet;
use std::path::Path;

use holdshort::kill::POINTS;
use serde_json::{Value, json};

use crate::operator::{Operator, in_order};
use crate::outside::{self, Books, Branch, Maildir, Outside, Relay};
use crate::support::{Folder, top, until};

/// What a run is doing when it gets to a point.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// It has an effect performed.
    Effect,
    /// Its effect is in doubt: the host before this one died in the middle.
    Doubt,
    /// A person settles its effect.
    Settled,
    /// It sleeps.
    Sleep,
    /// It is cancelled.
    Cancel,
}

/// The way to each point.
const WAYS: [(&str, Way); 25] = [
    ("before-run-created", Way::Effect),
    ("after-run-created", Way::Effect),
    ("before-wake", Way::Effect),
    ("before-routine-written", Way::Effect),
    ("before-proposal", Way::Effect),
    ("after-proposal", Way::Effect),
    ("before-decision", Way::Effect),
    ("after-decision", Way::Effect),
    ("before-start", Way::Effect),
    ("before-perform", Way::Effect),
    ("after-perform", Way::Effect),
    ("after-outcome", Way::Effect),
    ("before-answer", Way::Effect),
    ("before-run-ended", Way::Effect),
    ("after-run-ended", Way::Effect),
    ("after-in-doubt", Way::Doubt),
    ("after-lookup", Way::Doubt),
    ("before-resolution", Way::Settled),
    ("after-resolution", Way::Settled),
    ("before-timer", Way::Sleep),
    ("after-timer", Way::Sleep),
    ("before-deadline", Way::Sleep),
    ("after-deadline", Way::Sleep),
    ("before-run-cancelled", Way::Cancel),
    ("after-run-cancelled", Way::Cancel),
];

/// How an effect ends whose outcome was lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It was not lost.
    Known,
    /// A lookup finds that it happened.
    Happened,
    /// A lookup finds that it did not happen.
    DidNotHappen,
    /// A lookup cannot tell; a person settles it like this.
    Person(&'static str),
}

/// What can be known about a connector's effect: if the host died before it was performed, and if it died after.
struct Fates {
    before: Fate,
    after: Fate,
}

/// Readers move and remove mail, so that a message which is not there may have been; one with the same key is not delivered twice.
const MAILDIR: Fates = Fates { before: Fate::Person("send-again"), after: Fate::Happened };
/// A relay cannot be asked.
const SMTP: Fates = Fates { before: Fate::Person("not-done"), after: Fate::Person("done") };
/// The repository remembers.
const GIT: Fates = Fates { before: Fate::DidNotHappen, after: Fate::Happened };

/// The books say whether it was booked.
const LEDGER: Fates = Fates { before: Fate::DidNotHappen, after: Fate::Happened };

/// Points with an effect cleared on disk. Before the host is quite dead its dispatcher may have begun another attempt, whose outcome is then lost too.
const BEGINS: [&str; 2] = ["after-decision", "after-resolution"];

impl Fates {
    /// What becomes of an effect when hosts die at these points.
    fn of(&self, kills: &[&str]) -> Fate {
        match kills[0] {
            "before-perform" => self.before,
            "after-perform" => self.after,
            _ => Fate::Known,
        }
    }

    /// Where a host dies so that only a person can settle what it leaves, if that can be.
    fn needs_person(&self) -> Option<&'static str> {
        match (self.before, self.after) {
            (_, Fate::Person(_)) => Some("after-perform"),
            (Fate::Person(_), _) => Some("before-perform"),
            _ => None,
        }
    }
}

impl Fate {
    /// The events from the start of the effect to the end of the run.
    fn events(self) -> &'static [&'static str] {
        match self {
            Self::Known => &["effect-started", "effect-succeeded", "run-finished"],
            Self::Happened => &["effect-started", "effect-in-doubt", "effect-succeeded", "run-finished"],
            Self::DidNotHappen => &["effect-started", "effect-in-doubt", "effect-failed", "run-finished"],
            Self::Person("send-again") => &[
                "effect-started",
                "effect-in-doubt",
                "effect-looked-up",
                "effect-resolved",
                "effect-started",
                "effect-succeeded",
                "run-finished",
            ],
            Self::Person(_) => {
                &["effect-started", "effect-in-doubt", "effect-looked-up", "effect-resolved", "run-finished"]
            }
        }
    }

    /// How the effect stands in the end, how many were begun, and how many arrived.
    fn end(self) -> (&'static str, u64, usize) {
        match self {
            Self::Known | Self::Happened | Self::Person("done") => ("succeeded", 1, 1),
            Self::Person("send-again") => ("succeeded", 2, 1),
            Self::DidNotHappen | Self::Person(_) => ("failed", 1, 0),
        }
    }
}

/// One run with one effect under hosts that die at `kills`.
fn effect(outside: &dyn Outside, fates: &Fates, kills: &[&str]) {
    let context = format!("{kills:?}: {}", outside.line());
    println!("{context}");
    let folder = outside::folder(outside, "[limits]\nlinger-ms = 50");
    let (mut operator, fate) = (Operator::new(&folder, kills), fates.of(kills));

    let run = operator.start("scripted", &format!("list\n{}", outside.line()));
    let id = format!("{run}.2");
    let approval = operator.held(&id);
    assert_eq!(outside.count(), 0, "{context}: nothing happens before it is cleared");
    operator.decide(&approval, "approve", &json!({}));
    let row = settled(&mut operator, &id, outside, fates);
    let (history, approval) = (operator.history(&run), operator.approval(&id));
    assert_eq!(operator.deaths, kills.len(), "{context}: every host died where it was told to");

    let state = approval["effect"]["state"].as_str().unwrap();
    in_order(&history);
    assert_eq!(outside.count(), usize::from(state == "succeeded"), "{context}: {approval}");
    if !BEGINS.contains(kills.last().unwrap()) {
        let events: Vec<&str> = history.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let before = ["run-created", "routine-returned", "call-held", "decision-made"];
        assert_eq!(events, [&before, fate.events()].concat(), "{context}");
        let found = (state, approval["effect"]["attempts"].as_u64().unwrap(), outside.count());
        assert_eq!(found, fate.end(), "{context}: {approval}");
    }
    assert_eq!(approval["state"], "approved", "{context}: what the reviewer decided stands: {approval}");
    assert_eq!(approval["decisions"].as_array().unwrap().len(), 1, "{context}: {approval}");
    // The agent is told what happened, and nothing else.
    let told = row["result"]["ok"].as_str().unwrap_or_else(|| panic!("{context}: {row}"));
    let expected = if state == "succeeded" { outside.receipt() } else { "err Refusal::Failed(".into() };
    assert!(told.contains(&expected), "{context}: {told}");
    let runs = operator.get("/v1/runs")["runs"].as_array().unwrap().len();
    assert_eq!(runs, 1, "{context}: a run that was not acknowledged is not there twice");
}

/// Sees a run to its end. Whoever finds its effect in doubt waits for what the connector's look-up found, looks where the effect would have arrived,
/// and settles it.
fn settled(operator: &mut Operator<'_>, id: &str, outside: &dyn Outside, fates: &Fates) -> Value {
    let (run, _) = id.split_once('.').unwrap();
    until("end of the run", || {
        let (approval, row) = (operator.approval(id), operator.run(run));
        let fate = if outside.count() == 0 { fates.before } else { fates.after };
        let looked_up = !approval["effect"]["evidence"].is_null();
        if let (Some("in-doubt"), true, Fate::Person(how)) = (approval["effect"]["state"].as_str(), looked_up, fate) {
            operator.resolve(id, how, approval["effect"]["attempts"].as_u64().unwrap());
        }
        (row["state"] == "finished").then_some(row)
    })
}

/// Every point on the way of an effect. Each case gets a place of its own where its effect arrives.
fn effects<O: Outside>(fates: &Fates, outside: impl Fn(&Path, usize) -> O) {
    for (number, (point, way)) in WAYS.into_iter().enumerate() {
        let kills = match way {
            Way::Effect => vec![point],
            Way::Doubt => vec!["after-perform", point],
            Way::Settled => match fates.needs_person() {
                Some(before) => vec![before, point],
                None => continue,
            },
            Way::Sleep | Way::Cancel => continue,
        };
        let folder = tempfile::tempdir().unwrap();
        effect(&outside(folder.path(), number), fates, &kills);
    }
}

#[test]
fn mail_for_a_maildir() {
    effects(&MAILDIR, |folder, _| Maildir(folder.join("mail")));
}

#[test]
fn mail_for_a_relay() {
    let folder = tempfile::tempdir().unwrap();
    let Some(relay) = Relay::start(folder.path()) else { return };
    effects(&SMTP, |_, number| relay.mailbox(&format!("Report {number}")));
}

#[test]
fn deployments() {
    effects(&GIT, |folder, _| Branch::new(&folder.join("shop.git")));
}

#[test]
fn payments() {
    effects(&LEDGER, |folder, _| Books(folder.join("books.db")));
}

#[test]
fn sleeping_runs() {
    for (point, _) in WAYS.into_iter().filter(|(_, way)| *way == Way::Sleep) {
        // Parked at once, and waiting in memory.
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
        }
    }
}

#[test]
fn runs_that_are_cancelled() {
    for (point, _) in WAYS.into_iter().filter(|(_, way)| *way == Way::Cancel) {
        let folder = tempfile::tempdir().unwrap();
        let mail = Maildir(folder.path().join("mail"));
        let folder = outside::folder(&mail, "");
        let mut operator = Operator::new(&folder, &[point]);
        let run = operator.start("scripted", &mail.line());
        let id = format!("{run}.1");
        let approval = operator.held(&id);
        let (status, answer) = operator.ask(&format!("/v1/runs/{run}/cancel"), Some(&json!({})));
        assert_eq!(status, 200, "{point}: {answer}");
        assert_eq!(operator.over(&run)["state"], "cancelled", "{point}");
        assert_eq!(operator.events(&run), ["run-created", "call-held", "run-cancelled", "call-cancelled"], "{point}");
        assert_eq!(operator.approval(&id)["state"], "cancelled", "{point}");
        let decision = json!({ "type": "approve", "digest": approval["digest"] });
        let (status, answer) = operator.ask(&format!("/v1/approvals/{id}/decisions"), Some(&decision));
        assert_eq!(status, 409, "{point}: {answer}");
        assert_eq!((mail.count(), operator.deaths), (0, 1), "{point}");
    }
}

#[test]
fn every_point_of_the_code_is_a_case_here() {
    let listed: BTreeSet<&str> = POINTS.into();
    assert_eq!(listed.len(), POINTS.len(), "no point is listed twice");
    let here: BTreeSet<&str> = WAYS.iter().map(|(point, _)| *point).collect();
    assert_eq!(here, listed, "WAYS above and `holdshort::kill::POINTS`");
    let mut in_code = BTreeSet::new();
    points_in(&top().join("host/src"), &mut in_code);
    let in_code: BTreeSet<&str> = in_code.iter().map(String::as_str).collect();
    assert_eq!(in_code, listed, "`kill::point(…)` in host/src and `holdshort::kill::POINTS`");
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
