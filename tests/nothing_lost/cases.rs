//! One run with one effect, for each real connector and each way to reach a kill point.
#![allow(clippy::wildcard_enum_match_arm, reason = "most ways are alike in most respects")]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use holdshort::kill::VARIABLE;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::kept::is_counted;
use crate::operator::{Operator, in_order};
use crate::outside::{self, Books, Branch, Files, Mailbox, Maildir, Outside};
use crate::support::{Folder, until};

/// What a run is doing when its host reaches a kill point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// The run makes a routine call and then has an effect performed.
    Effect,
    /// Like `Effect` without the routine call, so that the answer to the effect is the first answer of the run.
    Answer,
    /// The host starts and writes the bytes of the agents' components to the journal.
    Starting,
    /// The bytes of the component are written, and the host writes the evidence of the effect.
    Evidence,
    /// The effect is in doubt, because the host before this one died during the attempt.
    Doubt,
    /// A reviewer resolves the effect, because the connector cannot tell what happened.
    Settled,
    /// The call is edited before it is approved.
    Edited,
    /// The facts that the approval rested on change before the effect.
    Moved,
    /// The effect is attempted and fails.
    NotDone,
    /// The remote system asks for a later attempt, and accepts that one.
    PutOff,
    /// No reviewer decides before the deadline.
    Expires,
    /// The call is refused at once.
    Refused,
    /// The run is cancelled.
    Cancelled,
}

/// How an effect in doubt ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// The effect was never in doubt.
    Known,
    /// A lookup finds that the effect happened.
    Happened,
    /// A lookup finds that the effect did not happen.
    DidNotHappen,
    /// A lookup cannot tell what happened. A reviewer resolves the effect with this resolution.
    Person(&'static str),
}

/// How an effect of a connector ends if the host died before the effect was performed, and if the host died after it.
pub struct Fates {
    pub before: Fate,
    pub after: Fate,
}

/// A place where effects arrive. A test can make its connector fail, and can change the facts that its connector
/// compares.
pub trait Place: Outside {
    fn fates(&self) -> Fates;

    /// The kill point after which a lookup cannot tell what happened to the effect; `None` if a lookup can always tell.
    fn cannot_tell(&self) -> Option<&'static str>;

    /// Changes the world outside so that a lookup cannot tell.
    fn blur(&self) {}

    /// The configuration under which the call is held, for a connector whose facts come from the configuration.
    fn held_under(&self) -> String {
        self.section()
    }

    /// Changes, in the world outside, the facts that were shown with a held call.
    fn move_facts(&self, _operator: &mut Operator<'_>) {}

    /// The configuration under which the remote system asks once for a later attempt; `None` if the remote system
    /// cannot ask.
    fn reluctant(&self) -> Option<String> {
        None
    }

    /// The beginning of the agent's error for a refused call. `case` is the case of the type `refusal`.
    fn refusal(&self, case: &str) -> String {
        format!("err Refusal::{case}")
    }

    /// Makes the next attempt fail. No host runs when this function is called.
    fn refuse(&self, folder: &Folder, operator: &mut Operator<'_>);
}

/// A lookup that does not find the message cannot tell whether it was delivered, because readers move and remove mail.
/// A second message with the same key is not delivered.
impl Place for Maildir {
    fn fates(&self) -> Fates {
        Fates { before: Fate::Person("send-again"), after: Fate::Happened }
    }

    fn cannot_tell(&self) -> Option<&'static str> {
        Some("before-perform")
    }

    fn held_under(&self) -> String {
        another_sender(&self.section())
    }

    /// Starts a host, which makes the Maildir, and then removes a folder of the Maildir.
    fn refuse(&self, _: &Folder, operator: &mut Operator<'_>) {
        operator.get("/v1/runs");
        fs::remove_dir(self.0.join("tmp")).unwrap();
    }
}

/// A relay cannot be asked what it accepted, so a lookup can never tell what happened.
impl Place for Mailbox<'_> {
    fn fates(&self) -> Fates {
        Fates { before: Fate::Person("not-done"), after: Fate::Person("done") }
    }

    fn cannot_tell(&self) -> Option<&'static str> {
        Some("after-perform")
    }

    fn held_under(&self) -> String {
        another_sender(&self.section().replace("from = \"agent@localhost\"\n", ""))
    }

    fn reluctant(&self) -> Option<String> {
        let section = self.section();
        let line = section.lines().find(|line| line.starts_with("port = ")).unwrap();
        let busy = format!("port = {}\nretry-after = \"1s\"", outside::busy_at_first(line[7..].parse().unwrap()));
        Some(section.replace(line, &busy))
    }

    /// Configures TLS, which the relay does not have.
    fn refuse(&self, folder: &Folder, _: &mut Operator<'_>) {
        let section = self.section();
        configure(folder, &section, &section.replace("\"none\"", "\"starttls\""));
    }
}

/// The repository's log tells a lookup what happened, unless the branch is at a commit that no deployment moved it to.
impl Place for Branch {
    fn fates(&self) -> Fates {
        Fates { before: Fate::DidNotHappen, after: Fate::Happened }
    }

    fn cannot_tell(&self) -> Option<&'static str> {
        Some("before-perform")
    }

    fn blur(&self) {
        let elsewhere = self.0.git(&["commit-tree", "-m", "A fix", "-p", "production", "main^{tree}"]);
        self.0.git(&["update-ref", "refs/heads/production", &elsewhere]);
    }

    /// Another person deploys an older commit. The revision to deploy still follows that commit.
    fn move_facts(&self, _: &mut Operator<'_>) {
        let between = self.0.git(&["rev-parse", "main^"]);
        self.0.git(&["update-ref", "refs/heads/production", &between]);
    }

    /// Leaves a lock file, as another person's git does while it works on the branch or after it died there.
    fn refuse(&self, _: &Folder, _: &mut Operator<'_>) {
        fs::write(self.0.0.join("refs/heads/production.lock"), "").unwrap();
    }
}

/// The ledger always says whether the payment was booked.
impl Place for Books {
    fn fates(&self) -> Fates {
        Fates { before: Fate::DidNotHappen, after: Fate::Happened }
    }

    fn cannot_tell(&self) -> Option<&'static str> {
        None
    }

    /// The configuration names another ledger.
    fn held_under(&self) -> String {
        let path = self.0.display().to_string();
        self.section().replace(&path, &format!("{path}.other"))
    }

    fn refuse(&self, _: &Folder, _: &mut Operator<'_>) {
        let closed = "CREATE TRIGGER closed BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'closed'); END";
        Connection::open(&self.0).unwrap().execute_batch(closed).unwrap();
    }
}

/// The folder of proofs tells a lookup what happened, unless it is another folder than the clearance names.
impl Place for Files {
    fn fates(&self) -> Fates {
        Fates { before: Fate::DidNotHappen, after: Fate::Happened }
    }

    fn cannot_tell(&self) -> Option<&'static str> {
        Some("before-perform")
    }

    /// Removes the folder of proofs. The next host makes a new folder, in which no proof is.
    fn blur(&self) {
        fs::remove_dir_all(self.0.join(".holdshort-files")).unwrap();
    }

    /// The configuration names another folder.
    fn held_under(&self) -> String {
        let path = self.0.display().to_string();
        fs::create_dir_all(format!("{path}.other")).unwrap();
        self.section().replace(&path, &format!("{path}.other"))
    }

    /// An error of the function is a string.
    fn refusal(&self, case: &str) -> String {
        case.to_lowercase().replace('(', ": ")
    }

    /// Starts a host, which makes the folder of proofs, and then removes the folder.
    fn refuse(&self, _: &Folder, operator: &mut Operator<'_>) {
        operator.get("/v1/runs");
        self.blur();
    }
}

fn another_sender(section: &str) -> String {
    format!("{section}from = \"another@localhost\"\n")
}

fn configure(folder: &Folder, old: &str, new: &str) {
    let text = fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    assert!(text.contains(old), "{old} in {text}");
    folder.configure(&text.replace(old, new));
}

impl Way {
    /// Additional lines of the configuration for this way.
    fn settings(self) -> &'static str {
        match self {
            Self::Expires => "[limits]\nlinger-ms = 50\n[approval]\nexpires-after = \"1s\"\n",
            Self::Refused => "[limits]\nlinger-ms = 50\narguments-lines-max = 1\n",
            _ => "[limits]\nlinger-ms = 50\n",
        }
    }

    /// The points at which hosts die; `None` if this way is impossible: the agent makes no routine call, the connector
    /// can always tell (so that no reviewer has to resolve the effect), or the remote system cannot ask for a later
    /// attempt.
    fn kills(self, point: &str, place: &dyn Place) -> Option<Vec<String>> {
        let point = point.to_owned();
        if place.before().is_empty() && point.ends_with("-routine-returned") {
            return None;
        }
        match self {
            Self::Doubt => Some(vec!["after-perform".to_owned(), point]),
            Self::Starting => Some(Vec::new()),
            // The first blobs that are written are those of the component.
            Self::Evidence => Some(vec![format!("2*{point}")]),
            Self::Settled => Some(vec![place.cannot_tell()?.to_owned(), point]),
            Self::PutOff => place.reluctant().map(|_| vec![point]),
            _ => Some(vec![point]),
        }
    }
}

impl Fates {
    /// How the effect ends when the hosts die at these points.
    fn of(&self, way: Way, kills: &[&str]) -> Fate {
        match kills.first() {
            Some(&("after-effect-started" | "before-perform"))
                if way == Way::Settled && self.before == Fate::DidNotHappen =>
            {
                Fate::Person("not-done")
            }
            Some(&("after-effect-started" | "before-perform")) => self.before,
            Some(&("after-perform" | "before-effect-succeeded")) => self.after,
            _ => Fate::Known,
        }
    }
}

impl Fate {
    /// The expected events from the start of the effect to the end of the run.
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

    /// The expected state of the effect in the end, the number of attempts that started, and the number of effects that
    /// arrived.
    fn end(self) -> (&'static str, u64, usize) {
        match self {
            Self::Known | Self::Happened | Self::Person("done") => ("succeeded", 1, 1),
            Self::Person("send-again") => ("succeeded", 2, 1),
            Self::DidNotHappen | Self::Person(_) => ("failed", 1, 0),
        }
    }
}

/// Whether at this point the clearance is on disk and the dispatcher knows about it. The dying host may then start
/// another attempt before it ends, and the outcome of that attempt is unknown too.
fn begins(point: &str) -> bool {
    point.contains("-reply ") && (point.ends_with("/decisions") || point.ends_with("/resolution"))
}

/// Runs one case: one run with one effect on `way`, under hosts that die at `point`. Returns false if the connector has
/// no such way.
pub fn case(place: &dyn Place, way: Way, point: &str) -> bool {
    let Some(kills) = way.kills(point, place) else { return false };
    let kills: Vec<&str> = kills.iter().map(String::as_str).collect();
    let context = format!("{way:?} {kills:?}: {}", place.line());
    println!("{context}");
    let folder = outside::folder(place, way.settings());
    let list = if matches!(way, Way::Effect | Way::Starting | Way::Evidence | Way::Doubt | Way::Settled) {
        place.before()
    } else {
        ""
    };
    // The set-up of these ways needs a host. That host is killed after the set-up, so that the next host dies at the
    // point.
    let later = matches!(way, Way::Moved | Way::NotDone);
    if way == Way::Moved {
        configure(&folder, &place.section(), &place.held_under());
    }
    if let (Way::PutOff, Some(reluctant)) = (way, place.reluctant()) {
        configure(&folder, &place.section(), &reluctant);
    }
    if way == Way::Starting {
        let mut host = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
        let ended = host.env(VARIABLE, point).stderr(Stdio::null()).status().unwrap();
        assert_eq!(ended.signal(), Some(9), "{context}");
    }
    let mut operator = Operator::new(&folder, if later { &[] } else { &kills }).watching(place);
    let run = operator.start(place.agent(), &format!("{list}{}", place.line()));
    let id = format!("{run}.{}", if list.is_empty() { 1 } else { 2 });
    match way {
        Way::Refused | Way::Expires => {}
        Way::Cancelled => {
            operator.held(&id);
            let (status, answer) = operator.ask(&format!("/v1/runs/{run}/cancel"), Some(&json!({})));
            assert_eq!(status, 200, "{context}: {answer}");
        }
        _ => {
            let approval = operator.held(&id);
            assert_eq!(place.count(), 0, "{context}: nothing happens before it is cleared");
            if way == Way::Settled {
                place.blur();
            }
            if way == Way::Moved {
                place.move_facts(&mut operator);
                configure(&folder, &place.held_under(), &place.section());
            }
            if later {
                operator.next_dies_at(point);
            }
            if way == Way::NotDone {
                place.refuse(&folder, &mut operator);
            }
            if way == Way::Edited {
                edit(&mut operator, &approval)
            } else {
                drop(operator.decide(&approval, "approve", &json!({})))
            }
        }
    }
    let row = ended(&mut operator, &id, place, way);
    let approval = operator.approval(&id);
    let deaths = kills.len() + usize::from(later);
    assert_eq!(operator.deaths, deaths, "{context}: every host died where it was told to");
    match way {
        Way::Effect | Way::Answer | Way::Starting | Way::Evidence | Way::Doubt | Way::Settled => {
            assert_eq!(approval["decisions"].as_array().unwrap().len(), 1, "{context}: {approval}");
            let before: &[&str] = if list.is_empty() { &["run-created"] } else { &["run-created", "routine-returned"] };
            if !begins(point) {
                let fate = place.fates().of(way, &kills);
                let expected = [before, &["call-held", "decision-made"], fate.events()].concat();
                assert_eq!(operator.events(&run), expected, "{context}");
                let effect = &approval["effect"];
                let found = (effect["state"].as_str().unwrap(), effect["attempts"].as_u64().unwrap(), place.count());
                assert_eq!(found, fate.end(), "{context}: {approval}");
            }
        }
        _ => as_it_should(&mut operator, &run, &approval, way, point),
    }
    in_order(&operator.history(&run));
    told(place, &row, &approval, &context);
    is_counted(&mut operator);
    true
}

/// Edits a text that every capability has. If the reply is lost, the operator sends the same edit again.
fn edit(operator: &mut Operator<'_>, approval: &Value) {
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    let texts = ["/message/body", "/release/notes", "/transfer/reference", "/reason"];
    let text = texts.iter().find(|text| arguments.pointer(text).is_some()).unwrap();
    *arguments.pointer_mut(text).unwrap() = json!("A person says so.");
    let edit = json!({ "type": "edit", "digest": approval["digest"], "arguments": arguments });
    let path = format!("/v1/approvals/{}/decisions", approval["id"].as_str().unwrap());
    let (status, answer) = operator.ask(&path, Some(&edit));
    assert!([200, 202].contains(&status), "{status}: {answer}");
}

/// Follows a run to its end. If the effect is in doubt, the operator waits for the lookup, looks where the effect would
/// have arrived, and resolves it. The operator approves each call that is held again or held after an edit.
fn ended(operator: &mut Operator<'_>, id: &str, place: &dyn Place, way: Way) -> Value {
    let (run, _) = id.split_once('.').unwrap();
    until("end of the run", || {
        let row = operator.run(run);
        if way == Way::Refused || way == Way::Expires || way == Way::Cancelled {
            return ["finished", "failed", "cancelled"].contains(&row["state"].as_str().unwrap()).then_some(row);
        }
        let approval = operator.approval(id);
        if matches!(way, Way::Moved | Way::Edited) && approval["state"] == "held" {
            let decision = json!({ "type": "approve", "digest": approval["digest"] });
            operator.ask(&format!("/v1/approvals/{id}/decisions"), Some(&decision));
        }
        let effect = &approval["effect"];
        if effect["state"] == "in-doubt" && !effect["evidence"].is_null() {
            let fates = place.fates();
            let how = match (place.count(), fates.before) {
                (0, Fate::Person("send-again")) if !matches!(way, Way::Moved | Way::NotDone) => "send-again",
                (0, _) => "not-done",
                _ => "done",
            };
            operator.resolve(id, how, effect["attempts"].as_u64().unwrap());
        }
        (row["state"] == "finished" || row["state"] == "failed").then_some(row)
    })
}

/// Checks the ways on which the outcome of the effect can always be known: at whatever point the host died, the outcome
/// must be the same.
fn as_it_should(operator: &mut Operator<'_>, run: &str, approval: &Value, way: Way, point: &str) {
    let events = operator.events(run);
    let count = |kind: &str| events.iter().filter(|event| *event == kind).count();
    let effect = approval["effect"]["state"].as_str().unwrap_or("none");
    let found = (count("call-revised"), count("call-reheld"), count("effect-started"), effect);
    let expected = match way {
        Way::Edited => (1, 0, 1, "succeeded"),
        // If the host died before the call was held again, the effect is in doubt, and the lookup finds that it did not
        // happen.
        Way::Moved if point == "before-call-reheld" => (0, 0, 1, "failed"),
        Way::Moved => (0, 1, 2, "succeeded"),
        Way::NotDone => (0, 0, 1, "failed"),
        Way::PutOff if point == "before-effect-postponed" => (0, 0, 1, "failed"),
        Way::PutOff => (0, 0, 2, "succeeded"),
        _ => (0, 0, 0, "none"),
    };
    assert_eq!(found, expected, "{way:?} {point}: {events:?}: {approval}");
    let ends = match way {
        Way::Expires => "expired",
        Way::Refused => "refused",
        Way::Cancelled => "cancelled",
        _ => return,
    };
    assert_eq!(approval["state"], ends, "{point}: {approval}");
    assert_eq!(count(&format!("call-{ends}")), 1, "{point}: {events:?}");
    let digest = json!({ "type": "approve", "digest": approval["digest"] });
    if way != Way::Refused {
        let path = format!("/v1/approvals/{}/decisions", approval["id"].as_str().unwrap());
        let (status, answer) = operator.ask(&path, Some(&digest));
        assert!([409, 410].contains(&status), "{point}: {answer}");
    }
}

/// Checks that the agent was told exactly what happened, and that the effects that arrived agree with it.
fn told(place: &dyn Place, row: &Value, approval: &Value, context: &str) {
    let succeeded = approval["effect"]["state"] == "succeeded";
    assert_eq!(place.count(), usize::from(succeeded), "{context}: {approval}");
    if row["state"] == "cancelled" {
        return;
    }
    // The agent `scripted` returns an error of its call as text.
    let result = if succeeded || place.agent() == "scripted" { "ok" } else { "err" };
    let told = row["result"][result].as_str().unwrap_or_else(|| panic!("{context}: {row}"));
    let expected = match approval["state"].as_str().unwrap() {
        "refused" => place.refusal("Forbidden("),
        "expired" => place.refusal("Expired"),
        _ if succeeded => place.receipt(),
        _ => place.refusal("Failed("),
    };
    assert!(told.contains(&expected), "{context}: {told}");
}
