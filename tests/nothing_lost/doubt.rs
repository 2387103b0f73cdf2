//! An effect in doubt: what a reviewer can see and do about it, and what a reviewer cannot do.

use std::path::{Path, PathBuf};

use holdshort::kill::VARIABLE;
use serde_json::{Value, json};

use crate::operator::Operator;
use crate::outside::{self, Branch, Maildir, Outside, Relay};
use crate::support::{Folder, until};

/// A run whose effect is in doubt because its host died at `kill`.
struct Doubt<'a> {
    operator: Operator<'a>,
    run: String,
    id: String,
}

impl<'a> Doubt<'a> {
    /// The effect in doubt that an earlier host left.
    fn of(folder: &'a Folder, id: &str) -> Self {
        let run = id.split_once('.').unwrap().0.to_owned();
        Self { operator: Operator::new(folder, &[]), run, id: id.to_owned() }
    }

    fn new(folder: &'a Folder, outside: &dyn Outside, kill: &str) -> Self {
        let mut operator = Operator::new(folder, &[kill]);
        let run = operator.start("scripted", &outside.line());
        let id = format!("{run}.1");
        let approval = operator.held(&id);
        operator.decide(&approval, "approve", &json!({}));
        operator.effect(&id, &["in-doubt"]);
        Self { operator, run, id }
    }

    fn settle(&mut self, body: &Value) -> (u16, Value) {
        self.operator.ask(&format!("/v1/runs/{}/calls/1/resolution", self.run), Some(body))
    }

    /// What the agent is told at the end of the run.
    fn told(&mut self) -> String {
        let row = self.operator.over(&self.run);
        row["result"]["ok"].as_str().unwrap_or_else(|| panic!("{row}")).to_owned()
    }

    /// Waits until the host has looked up the effect and cannot tell what happened. Returns the evidence for the
    /// reviewer.
    fn evidence(&mut self) -> String {
        let (operator, id) = (&mut self.operator, &self.id);
        let found = until("evidence", || {
            let effect = operator.approval(id)["effect"].clone();
            (effect["state"] == "in-doubt" && !effect["evidence"].is_null()).then(|| effect["evidence"].clone())
        });
        assert!(found["at"].as_str().unwrap().ends_with('Z'), "{found}");
        found["text"].as_str().unwrap().to_owned()
    }

    /// The only event of this kind.
    fn event(&mut self, kind: &str) -> Value {
        let history = self.operator.history(&self.run);
        let events: Vec<&Value> = history.iter().filter(|event| event["type"] == kind).collect();
        assert_eq!(events.len(), 1, "{kind}: {history:#?}");
        events[0]["data"].clone()
    }
}

/// A relay accepted the message, and the host died before it wrote that down. The relay cannot be asked, so a reviewer
/// looks and resolves the effect.
#[test]
fn only_a_person_settles_what_a_relay_took() {
    let home = tempfile::tempdir().unwrap();
    let Some(relay) = Relay::start(home.path()) else { return };
    for (kind, state, told) in [
        ("done", "succeeded", "ok EmailReceipt {"),
        ("not-done", "failed", "err Refusal::Failed(\"I looked.\")"),
        ("abandon", "unresolved", "err Refusal::Unresolved(\"I looked.\")"),
    ] {
        let mailbox = relay.mailbox(&format!("Settled as {kind}"));
        let folder = outside::folder(&mailbox, "");
        let mut doubt = Doubt::new(&folder, &mailbox, "after-perform");
        // The evidence says what the reviewer has to look for at the relay.
        let evidence = doubt.evidence();
        // The host dies once more. The next lookup finds the same, and does not record it twice.
        doubt.operator.kill();
        let approval = doubt.operator.effect(&doubt.id, &["in-doubt"]);
        until("second look-up", || doubt.operator.said().contains("stays in doubt").then_some(()));
        assert_eq!(approval["state"], "approved", "the decision and the effect are shown apart: {approval}");
        assert!(approval["effect"]["reason"].as_str().unwrap().contains("the host stopped"), "{approval}");
        assert_eq!(doubt.operator.run(&doubt.run)["state"], "waiting", "the agent waits");

        let (status, answer) = doubt.settle(&json!({ "type": "send-again", "attempt": 1 }));
        assert_eq!((status, &answer["type"]), (422, &json!("urn:holdshort:problem:wrong-type")), "{answer}");
        let (status, answer) = doubt.settle(&json!({ "type": kind, "attempt": 2 }));
        assert_eq!((status, &answer["current_attempt"]), (409, &json!(1)), "{answer}");
        let (status, answer) = doubt.settle(&json!({ "type": kind, "attempt": 1, "message": "I looked." }));
        assert_eq!((status, &answer["state"]), (200, &json!(state)), "{answer}");
        let (status, answer) = doubt.settle(&json!({ "type": "done", "attempt": 1 }));
        assert_eq!(status, 409, "it is settled once: {answer}");

        assert!(doubt.told().contains(told), "{kind}");
        assert_eq!(doubt.event("effect-looked-up")["evidence"], json!(evidence));
        let id = mailbox.messages()[0].lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().to_owned();
        assert!(evidence.contains(&format!("look for the message id `{id}`")), "{id}: {evidence}");
        let resolved = doubt.event("effect-resolved");
        assert_eq!((&resolved["by"], &resolved["message"]), (&json!("olivia"), &json!("I looked.")), "{resolved}");
        assert_eq!(mailbox.count(), 1, "the relay was given it once");
    }
}

/// The host dies before the message is delivered. The lookup does not find the message, but a reader could have removed
/// it, so a reviewer chooses send-again.
#[test]
fn mail_that_is_sent_again_is_delivered_once() {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    let folder = outside::folder(&mail, "");
    let mut doubt = Doubt::new(&folder, &mail, "before-perform");
    assert_eq!(mail.count(), 0);
    let send_again = json!({ "type": "send-again", "attempt": 1 });
    let (status, answer) = doubt.settle(&send_again);
    assert_eq!(status, 200, "{answer}");
    let told = doubt.told();
    let (status, answer) = doubt.settle(&send_again);
    assert_eq!(status, 409, "{answer}");
    assert_eq!(mail.count(), 1);
    // The receipt names the message in the Maildir.
    let id = mail.messages()[0].lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().to_owned();
    assert!(told.contains(&id), "{id}: {told}");
    assert_eq!(doubt.operator.approval(&doubt.id)["effect"]["attempts"], 2);
}

/// A run whose message was delivered by a host that died before it wrote that down. No host runs now. Returns the file
/// of the message and the id of the call.
fn delivered(folder: &Folder, mail: &Maildir) -> (PathBuf, String) {
    let host = folder.serve_with(&[(VARIABLE, "after-perform")]);
    let run = host.start("scripted", &mail.line());
    let approval = host.held(&run);
    let decision = json!({ "type": "approve", "digest": approval["digest"] });
    // It does not matter whether the reply arrived before the host ended.
    drop(host.try_request(&host.token, &format!("/v1/approvals/{run}.1/decisions"), Some(&decision)));
    host.ended();
    let file = std::fs::read_dir(mail.0.join("new")).unwrap().next().unwrap().unwrap().path();
    (file, format!("{run}.1"))
}

/// The path to which a mail program moves a message that was read.
fn read(mail: &Maildir, file: &Path) -> PathBuf {
    mail.0.join("cur").join(format!("{}:2,S", file.file_name().unwrap().to_str().unwrap()))
}

/// The message was delivered, and a reader read it before the next host looked it up.
#[test]
fn mail_that_was_read_meanwhile_is_found() {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    let folder = outside::folder(&mail, "");
    let (file, id) = delivered(&folder, &mail);
    std::fs::rename(&file, read(&mail, &file)).unwrap();
    let mut doubt = Doubt::of(&folder, &id);
    assert!(doubt.told().contains(&mail.receipt()));
    let evidence = doubt.event("effect-succeeded")["evidence"].as_str().unwrap().to_owned();
    assert!(evidence.starts_with("the message is there"), "{evidence}");
    assert_eq!(mail.count(), 1);
}

/// The message was delivered and moved elsewhere, so the lookup cannot tell whether it was delivered. A reviewer
/// chooses send-again, but by then the message is back.
#[test]
fn mail_that_is_back_is_not_delivered_again() {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    let folder = outside::folder(&mail, "");
    let (file, id) = delivered(&folder, &mail);
    let away = home.path().join("away");
    std::fs::rename(&file, &away).unwrap();
    let mut doubt = Doubt::of(&folder, &id);
    doubt.operator.effect(&id, &["in-doubt"]);
    std::fs::rename(&away, read(&mail, &file)).unwrap();
    let (status, answer) = doubt.settle(&json!({ "type": "send-again", "attempt": 1 }));
    assert_eq!(status, 200, "{answer}");
    assert!(doubt.told().contains(&mail.receipt()));
    assert_eq!(doubt.operator.approval(&id)["effect"]["attempts"], 2);
    assert_eq!(mail.count(), 1, "the same key delivers nothing twice");
}

/// The operator has configured another connector since. A lookup by that connector would say nothing about the attempt
/// in doubt, and the host tells the reviewer so.
#[test]
fn what_another_connector_did_is_not_looked_up() {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    let folder = outside::folder(&mail, "");
    let (_, id) = delivered(&folder, &mail);
    let config = std::fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    let relay =
        "[email]\nconnector = \"smtp\"\nhost = \"localhost\"\ntls = \"none\"\nport = 9\nfrom = \"agent@localhost\"\n";
    folder.configure(&config.replace(&mail.section(), relay));
    let mut doubt = Doubt::of(&folder, &id);
    let expected = "the lookup was not made: the connector was `maildir` when the call was shown and is `smtp` now";
    assert_eq!(doubt.evidence(), expected);
    assert_eq!(doubt.operator.approval(&id)["if_lost"], Value::Null, "nothing will be looked at");
    // The first connector is configured again, and looks the effect up.
    doubt.operator.kill();
    folder.configure(&config);
    assert!(doubt.told().contains(&mail.receipt()));
    assert_eq!(doubt.event("effect-looked-up")["evidence"], expected);
    assert_eq!(mail.count(), 1);
}

/// The branch had moved. The attempt noticed that, and the host died before it could hold the call again.
#[test]
fn a_branch_that_somebody_moved_leaves_it_to_a_person() {
    let home = tempfile::tempdir().unwrap();
    let branch = Branch::new(&home.path().join("shop.git"));
    let folder = outside::folder(&branch, "");
    let mut operator = Operator::new(&folder, &["after-perform"]);
    let run = operator.start("scripted", &branch.line());
    let id = format!("{run}.1");
    let approval = operator.held(&id);
    let elsewhere = branch.0.git(&["commit-tree", "-m", "A fix", "-p", "production", "main^{tree}"]);
    branch.0.git(&["update-ref", "refs/heads/production", &elsewhere]);
    operator.decide(&approval, "approve", &json!({}));
    let approval = operator.effect(&id, &["in-doubt"]);
    assert_eq!(approval["effect"]["attempts"], 1);
    let mut doubt = Doubt { operator, run, id };
    let evidence = doubt.evidence();
    for part in
        [format!("refs/heads/production is now at {elsewhere}"), branch.0.tip("main"), "the marker refs/".into()]
    {
        assert!(evidence.contains(&part), "{part}: {evidence}");
    }
    doubt.operator.resolve(&doubt.id, "not-done", 1);
    assert_eq!(doubt.told(), "err Refusal::Failed(\"I looked.\")");
    assert_eq!(branch.0.tip("production"), elsewhere, "what somebody else did stays");
}
