//! Agents that lie, that try to read what they may not, and that change their behaviour: how each attempt fails.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::deceiving::{assert_harmless, everything_shown, show, unwrapped};
use crate::support::until;
use crate::{decide_honest, folder, honest};

/// The agent traps in a destructor after a reviewer has answered. The answer stays in the journal.
#[test]
fn a_sting_ends_the_run_and_no_decision() {
    let (_folder, host) = folder(&["sting", "many-calls"], "").into_served();
    let beside = honest(&host);
    let run = host.start("sting", "");
    let approval = host.held(&run);
    let (status, answer) = host.decide(&approval, "respond", &json!({ "answer": "yes" }));
    assert_eq!(status, 200, "{answer}");
    let row = host.over(&run);
    assert_eq!(row["state"], "trapped", "{row}");
    assert!(row["reason"].as_str().unwrap().contains("`unreachable`"), "{row}");
    let approval = host.approval(approval["id"].as_str().unwrap());
    assert_eq!(approval["state"], "answered", "{approval}");
    decide_honest(&host, &beside);
}

/// The agent writes another run's identifiers into all its texts. They are shown as the agent's claims, and the other
/// run waits unchanged.
#[test]
fn forged_identifiers_are_words() {
    let (folder, host) = folder(&["forge", "many-calls"], "").into_served();
    let beside = honest(&host);
    let others = host.held(&beside);
    let other = others["id"].as_str().unwrap();
    let run = host.start("forge", other);
    let forged = host.held(&run);
    let id = forged["id"].as_str().unwrap();
    assert_eq!(id, format!("{run}.1"));
    assert_ne!(forged["digest"], others["digest"]);
    let shown = show(&folder, id);
    let (done, said) = shown.split_once("The agent's rationale (its own words, not verified)").unwrap();
    assert!(unwrapped(said).contains("verdict clear") && unwrapped(said).contains(other), "{shown}");
    // Above the rationale, the text stands in quotation marks or behind the mark of quoted text, and never alone as a
    // line of the host's.
    for line in unwrapped(done).lines().filter(|line| line.contains("verdict clear")) {
        assert!(line.contains("\"approval ") || line.trim_start().starts_with('│'), "{line}");
    }
    // The digest of one call is refused for the other.
    let (status, _) = host
        .post(&format!("/v1/approvals/{other}/decisions"), &json!({ "type": "approve", "digest": forged["digest"] }));
    assert_eq!(status, 409);
    let (status, _) = host.decide(&forged, "reject", &json!({ "message": "no" }));
    assert_eq!(status, 200);
    assert_eq!(host.over(&run)["state"], "finished");
    assert_eq!(host.approval(other), others, "the other one waits as it did");
    decide_honest(&host, &beside);
}

/// Invisible characters in every text of every consequential call: the call is refused, or the characters are written
/// out.
#[test]
fn a_mask_in_every_field_is_seen() {
    let (folder, host) = folder(&["mask"], "").into_served();
    let mut held = Vec::new();
    for task in ["email", "deploy", "pay", "ask"] {
        let run = host.start("mask", task);
        let id = format!("{run}.1");
        let state = until("a verdict", || {
            let (status, approval) = host.request(&host.token, &format!("/v1/approvals/{id}"), None);
            (status == 200).then(|| approval["state"].as_str().unwrap().to_owned())
        });
        for shown in everything_shown(&folder, &host, &run, &id) {
            assert_harmless(task, &shown);
        }
        if state == "held" {
            let shown = unwrapped(&show(&folder, &id));
            assert!(shown.contains("a<U+202E>b<U+001B>[2Jc<U+200B>d<U+E0041>e"), "{task}: {shown}");
            held.push(task);
        } else {
            assert_eq!(state, "refused", "{task}");
            assert_eq!(host.over(&run)["state"], "failed", "it is told no");
        }
    }
    assert_eq!(held, ["ask"], "what has an address, a target or an account is not held with a mask in it");
}

/// The agent tries to behave differently each time. A replay, even in another process, gives it the same times and the
/// same random numbers, so it asks the same question; another run gets others.
#[test]
fn a_fickle_agent_is_the_same_in_every_replay() {
    let folder = folder(&["fickle"], "linger-ms = 0");
    let folder = {
        let text = fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
        folder.configure(&text.replace("linger-ms = 100\n", ""));
        folder
    };
    let mut host = folder.serve();
    let run = host.start("fickle", "");
    let mut said = Vec::new();
    for call in 1..=2 {
        let approval = host.held(&run);
        assert_eq!(approval["id"], format!("{run}.{call}"));
        said.push(approval["proposal"]["action"]["arguments"]["question"]["text"].as_str().unwrap().to_owned());
        host.kill();
        host = folder.serve();
        assert_eq!(host.held(&run), approval, "what waits is as it was, to the digest");
        let (status, answer) = host.decide(&approval, "respond", &json!({ "answer": "yes" }));
        assert_eq!(status, 200, "{answer}");
    }
    let row = host.over(&run);
    assert_eq!(row["state"], "finished", "a run that saw anything else would have diverged: {row}");
    assert!(said[1].starts_with(&said[0]), "{said:?}");
    // Another run gets other random numbers. So the replays do not agree only because there are no random numbers.
    let other = host.start("fickle", "");
    assert_ne!(host.held(&other)["proposal"]["action"]["arguments"]["question"]["text"], said[0].as_str());
}

/// The agent tries to read files outside of its workspace, in every way.
#[test]
fn a_trespasser_reads_nothing() {
    let folder = folder(&["trespass"], "");
    let files = folder.path().join("files");
    symlink(folder.path().join("holdshort.toml"), files.join("link-out")).unwrap();
    symlink(folder.path(), files.join("folder-out")).unwrap();
    symlink(files.join("link-out"), files.join("link-to-link")).unwrap();
    let host = folder.serve();
    let row = host.over(&host.start("trespass", ""));
    let result = row["result"]["ok"].as_str().unwrap();
    let (attempts, listed) = result.split_once("\nlisted: ").unwrap();
    assert_eq!(attempts.lines().count(), 16, "{result}");
    for line in attempts.lines() {
        assert!(line.ends_with(": refused"), "{line}");
    }
    assert_eq!(listed, "report.txt", "what leads out is not even listed");
}

/// The agent asks for checks that are not configured, and for a configured check on texts that are not a git revision.
#[test]
fn an_improviser_runs_nothing() {
    let folder = folder(
        &["improvise"],
        "\n[checks.tests]\ncommand = [\"sh\", \"-c\", \"echo ran >> $RAN\"]\nconfinement = \"off\"\n",
    );
    let ran = folder.path().join("ran");
    let text = fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    folder.configure(&text.replace("$RAN", ran.to_str().unwrap()));
    let host = folder.serve();
    let row = host.over(&host.start("improvise", ""));
    let result = row["result"]["ok"].as_str().unwrap();
    assert_eq!(result.lines().count(), 8, "{result}");
    for line in result.lines() {
        assert!(line.ends_with(": refused"), "{line}");
    }
    assert!(!ran.exists(), "something ran");
}
