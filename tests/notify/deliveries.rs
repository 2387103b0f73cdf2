//! Which notifications arrive, in which order, how often, and after which deaths of the host.

use std::process::{Command, Stdio};

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::outside::{self, Maildir};
use crate::receiver::{Delivery, Receiver, Reply, secret};
use crate::support::{Folder, Host, top, until};

/// A folder whose host notifies these receivers, each with `more` settings.
pub fn folder(targets: &[(&str, &Receiver, &str)], more: &str) -> Folder {
    let sections = targets.iter().map(|(name, receiver, more)| {
        format!(
            "[notify.{name}]\nurl = \"{}\"\nsecret-file = \"{name}.secret\"\nallow-http = true\nallow-private = true\n\
             retry-after = \"2ms\"\n{more}\n",
            receiver.url()
        )
    });
    let mail = tempfile::tempdir().unwrap().keep();
    let folder = outside::folder(&Maildir(mail), &(sections.collect::<String>() + more));
    for (name, ..) in targets {
        folder.write(&format!("{name}.secret"), &(secret(name) + "\n"));
    }
    folder
}

/// Starts a run that asks to send one message. Returns the id of its approval when the run has ended.
pub fn one_call(host: &Host) -> String {
    let run = host.start("scripted", "email ann@localhost The report");
    let approval = host.held(&run);
    host.approve(&approval);
    assert_eq!(host.over(&run)["state"], "finished");
    approval["id"].as_str().unwrap().to_owned()
}

/// Runs the example of `host/CONFIGURATION.md`, which verifies a delivery from the file of the secret, the three
/// headers and the body.
fn verifies(folder: &Folder, secret_file: &str, delivery: &Delivery) -> bool {
    let page = std::fs::read_to_string(top().join("host/CONFIGURATION.md")).unwrap();
    let example = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let call = "\nimport sys\nsecret, id, timestamp, signature = open(sys.argv[1]).read(), *sys.argv[2:]\n\
                sys.exit(0 if verify(secret, id, timestamp, signature, sys.stdin.buffer.read()) else 1)\n";
    let script = folder.write("verify.py", &(example.to_owned() + call));
    let header = |name: &str| delivery.headers[name].clone();
    let mut python = Command::new("python3")
        .arg(script)
        .arg(folder.path().join(secret_file))
        .args([header("webhook-id"), header("webhook-timestamp"), header("webhook-signature")])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut python.stdin.take().unwrap(), delivery.body.as_bytes()).unwrap();
    let status = python.wait().unwrap();
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    status.success()
}

#[test]
fn a_program_is_told_in_order_and_signed() {
    let receiver = Receiver::start();
    let all = r#"events = ["run.finished", "approval.held", "approval.decided"]"#;
    let (folder, host) =
        folder(&[("ops", &receiver, all)], "[server]\npublic-url = \"https://approvals.example.org\"\n").into_served();
    let id = one_call(&host);
    let got = receiver.wait(3);
    let what: Vec<String> = got.iter().map(Delivery::what).collect();
    assert_eq!(what, ["approval.held 1", "approval.decided 1", "run.finished"]);
    let held = got[0].json();
    let run = id.split('.').next().unwrap();
    assert_eq!(held["data"]["approval"], json!(id));
    assert_eq!(held["data"]["agent"], "scripted");
    assert_eq!(held["data"]["link"], json!(format!("https://approvals.example.org/approvals/{id}")));
    assert_eq!(got[2].json()["data"]["link"], json!(format!("https://approvals.example.org/runs/{run}")));
    let summary = held["data"]["summary"].as_str().unwrap();
    assert!(summary.contains("ann@localhost") && summary.contains("The report"), "{summary}");
    assert_eq!(got[1].json()["data"]["outcome"], "approved by olivia");
    for delivery in &got {
        assert!(!delivery.body.contains("sha256:") && !delivery.body.contains("arguments"), "{}", delivery.body);
        assert_eq!(delivery.path, "/hooks/marked-path");
        assert!(!delivery.id().contains('.'), "{}", delivery.id());
        assert!(verifies(&folder, "ops.secret", delivery), "{delivery:?}");
        let changed = Delivery { body: delivery.body.replace("run", "RUN"), ..delivery.clone() };
        assert!(!verifies(&folder, "ops.secret", &changed), "a changed body");
        let mut later = delivery.clone();
        later.headers.insert("webhook-timestamp".into(), "1700000000".into());
        assert!(!verifies(&folder, "ops.secret", &later), "an old message");
    }
    folder.write("other.secret", &secret("other"));
    assert!(!verifies(&folder, "other.secret", &got[0]), "another's secret");
}

#[test]
fn what_is_refused_is_sent_again_and_nothing_is_told_twice() {
    let receiver = Receiver::answering(|number, _| match number {
        0 | 4 => Reply::Status(500),
        1 | 5 => Reply::Nothing,
        2 => Reply::Status(302),
        _ => Reply::Status(200),
    });
    let (folder, host) = folder(&[("ops", &receiver, "")], "").into_served();
    one_call(&host);
    let got = receiver.wait(7);
    let ids: Vec<&str> = got.iter().map(Delivery::id).collect();
    assert_eq!(ids[..4].iter().filter(|id| **id == ids[0]).count(), 4, "{ids:?}");
    assert_eq!(ids[4..].iter().filter(|id| **id == ids[4]).count(), 3, "{ids:?}");
    assert!(got[..4].iter().all(|delivery| delivery.body == got[0].body), "a message says the same each time");
    assert!(host.said().contains("trying again"), "{}", host.said());
    // A host that starts again sends only what is new. If the host died after the receiver's answer and before it wrote
    // that down, it sends the message once more.
    let journal = Connection::open_with_flags(folder.journal(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    // The first message was about the event that opened the call, and the second was about a later event.
    let all_told = "SELECT min(up_to) > (SELECT min(position) FROM events WHERE call = 1) FROM told";
    until("note of what was told", || journal.query_row(all_told, [], |row| row.get(0)).unwrap_or(false).then_some(()));
    host.stop();
    let host = folder.serve();
    one_call(&host);
    let again = receiver.wait(9);
    assert_eq!(again.len(), 9);
    assert!(again[7..].iter().all(|delivery| !ids.contains(&delivery.id())));
}

/// A target may ask, in both forms of HTTP, for a message to be sent later. Nothing is sent before that time.
#[test]
fn a_target_that_asks_for_time_gets_it() {
    let asked = std::sync::Mutex::new(Vec::new());
    let receiver = Receiver::answering(move |number, _| {
        let mut asked = asked.lock().unwrap();
        #[allow(clippy::disallowed_methods, reason = "a server of the test's own, which notes when it was asked")]
        asked.push(std::time::SystemTime::now());
        let in_two = httpdate::fmt_http_date(asked[number] + std::time::Duration::from_secs(3));
        if let Some(before) = number.checked_sub(1).filter(|before| *before < 2) {
            let waited = asked[number].duration_since(asked[before]).unwrap();
            assert!(waited.as_secs_f64() > 0.9, "asked again after {waited:?}");
        }
        match number {
            0 => Reply::Later(503, "1".into()),
            1 => Reply::Later(429, in_two),
            _ => Reply::Status(200),
        }
    });
    let (_folder, host) = folder(&[("ops", &receiver, "")], "").into_served();
    one_call(&host);
    let got = receiver.wait(4);
    assert_eq!((got[0].id(), got[1].id()), (got[1].id(), got[2].id()));
    assert_ne!(got[2].id(), got[3].id(), "the next message comes once the first has arrived");
}

/// A target that answers 410 gets no further messages, other targets do, and the next host tries that target once.
#[test]
fn a_target_that_is_gone_is_left_alone_until_the_host_starts_again() {
    let (gone, alive) = (Receiver::answering(|_, _| Reply::Status(410)), Receiver::start());
    let (folder, host) = folder(&[("gone", &gone, ""), ("alive", &alive, "")], "").into_served();
    assert_eq!(host.metric_lines("holdshort_notify_target_gone{"), Vec::<String>::new());
    one_call(&host);
    one_call(&host);
    assert_eq!(alive.wait(4).len(), 4);
    let said =
        until("the log says so", || Some(host.said()).filter(|said| said.contains("gets no more notifications")));
    assert!(said.contains("webhook gone") && !said.contains("marked-path"), "{said}");
    let line = "holdshort_notify_target_gone{target=\"webhook gone\"} 1";
    until("the metric", || (host.metric_lines("holdshort_notify_target_gone{") == [line]).then_some(()));
    assert_eq!(gone.got().len(), 1);
    host.stop();
    let host = folder.serve();
    assert_eq!(gone.wait(2)[1].id(), gone.got()[0].id(), "what it did not take is tried again");
    one_call(&host);
    assert_eq!((alive.wait(6).len(), gone.got().len()), (6, 2));
}

/// A delivery that the host could not write down is delivered again, with the same id.
#[test]
fn a_death_between_delivery_and_cursor_tells_it_again() {
    let receiver = Receiver::start();
    let folder = folder(&[("ops", &receiver, "")], "[server]\npublic-url = \"https://here.example\"\n");
    // The host writes two notes when a target is first used. The third note is about the delivery.
    let host = folder.serve_with(&[("HOLDSHORT_KILL_AT", "3*before-note-kept")]);
    let run = host.start("scripted", "email ann@localhost The report");
    host.ended();
    assert_eq!(receiver.got().len(), 1);
    let host = folder.serve();
    let got = receiver.wait(2);
    assert_eq!((got[0].id(), &got[0].body), (got[1].id(), &got[1].body));
    host.approve(&host.held(&run));
    assert_eq!(receiver.wait(3)[2].what(), "approval.decided 1");
    assert_eq!(receiver.got().len(), 3);
}

#[test]
fn a_dead_target_holds_up_nobody_and_is_given_up() {
    let (dead, alive) = (Receiver::answering(|_, _| Reply::Status(503)), Receiver::start());
    let mut refused = Receiver::start();
    // Nothing listens on this port.
    refused.port = 9;
    let targets = [("dead", &dead, "retries = 1_000"), ("refused", &refused, "retries = 3"), ("alive", &alive, "")];
    let (_folder, host) = folder(&targets, "").into_served();
    one_call(&host);
    one_call(&host);
    assert_eq!(alive.wait(4).len(), 4);
    assert_eq!(dead.got().iter().filter(|delivery| delivery.id() != dead.got()[0].id()).count(), 0);
    let said = until("target that is given up", || Some(host.said()).filter(|said| said.contains("given up")));
    assert!(said.contains("webhook refused") && !said.contains("marked-path"), "{said}");
}

/// A new target gets no events from before it was added, nor from a time when it was not configured.
#[test]
fn a_new_target_begins_now() {
    let (first, second) = (Receiver::start(), Receiver::start());
    let folder = folder(&[("first", &first, "")], "");
    let host = folder.serve();
    let old = one_call(&host);
    first.wait(2);
    host.stop();
    let text = std::fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    folder.write("second.secret", &secret("second"));
    let renamed = text.replace("notify.first", "notify.second").replace("first.secret", "second.secret");
    folder.configure(&renamed.replace(&first.url(), &second.url()));
    let host = folder.serve();
    one_call(&host);
    second.wait(2);
    host.stop();
    folder.configure(&text);
    let host = folder.serve();
    one_call(&host);
    assert_eq!((first.wait(4).len(), second.got().len()), (4, 2));
    assert!(second.got().iter().all(|delivery| !delivery.body.contains(&old)));
}

#[test]
fn people_are_reminded_once_for_each_revision() {
    let receiver = Receiver::start();
    let events = "events = [\"approval.reminder\"]\nremind-before = \"599s\"";
    let more = format!(
        "[approval]\nexpires-after = \"10m\"\nquorum = 2\n[reviewers.bob]\ntoken-sha256 = \"{}\"\n",
        "ab".repeat(32)
    );
    let folder = folder(&[("ops", &receiver, events)], &more);
    let host = folder.serve();
    let run = host.start("scripted", "email ann@localhost The report");
    let approval = host.held(&run);
    let first = receiver.wait(1)[0].clone();
    assert_eq!((first.what().as_str(), &first.json()["data"]["approval"]), ("approval.reminder 1", &approval["id"]));
    assert_eq!(first.json()["data"]["deadline"], approval["deadline"], "{approval}");
    // A host that is killed before it has noted a reminder sends the reminder again, with the same id.
    let journal = Connection::open_with_flags(folder.journal(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let remembered = || journal.query_row("SELECT count(*) FROM reminded", [], |row| row.get::<_, i64>(0)).unwrap();
    until("memory of the reminder", || (remembered() == 1).then_some(()));
    host.kill();
    let host = folder.serve();
    let second = host.start("scripted", "email ann@localhost Another");
    host.held(&second);
    let got = receiver.wait(2);
    assert!(got[1].body.contains(&second), "the first was not reminded of again: {got:?}");
    // An edit starts a new revision, which has a reminder of its own.
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["message"]["subject"] = json!("A better report");
    let (status, answer) = host.decide(&approval, "edit", &json!({ "arguments": arguments }));
    assert!([200, 202].contains(&status), "{answer}");
    let again = receiver.wait(3)[2].json();
    assert_eq!((&again["data"]["approval"], &again["data"]["revision"]), (&approval["id"], &json!(2)));
    assert_eq!(receiver.got().len(), 3);
}

#[test]
fn what_lapses_fails_or_is_in_doubt_is_told() {
    let receiver = Receiver::start();
    let more = "[approval]\nexpires-after = \"2s\"\n";
    let folder = folder(&[("ops", &receiver, "")], more);
    let host = folder.serve_with(&[("HOLDSHORT_KILL_AT", "after-perform")]);
    let run = host.start("scripted", "panic");
    let trapped = receiver.wait_for("run.failed").json();
    assert_eq!((&trapped["data"]["run"], &trapped["data"]["outcome"]), (&json!(run), &json!("trapped")));
    let run = host.start("scripted", "email ann@localhost The report");
    host.held(&run);
    assert_eq!(receiver.wait_for("approval.expired").json()["data"]["run"], json!(run));
    let run = host.start("scripted", "email ann@localhost The report");
    host.held(&run);
    host.post(&format!("/v1/runs/{run}/cancel"), &json!({}));
    assert_eq!(receiver.wait_for("approval.cancelled").json()["data"]["run"], json!(run));
    let run = host.start("scripted", "email ann@localhost The report");
    let approval = host.held(&run);
    drop(host.try_request(
        &host.token,
        &format!("/v1/approvals/{run}.1/decisions"),
        Some(&json!({ "type": "approve", "digest": approval["digest"] })),
    ));
    host.ended();
    let _host = folder.serve();
    let doubt = receiver.wait_for("effect.in-doubt").json();
    assert_eq!(doubt["data"]["approval"], approval["id"]);
}

/// A chat shows the agent's text, and does not act on the commands in it.
#[test]
fn a_chat_is_told_in_words_that_it_does_not_obey() {
    let receiver = Receiver::start();
    let (_folder, host) = folder(&[("chat", &receiver, "format = \"chat\"")], "").into_served();
    let words = "<!channel> <https://evil.example|here> @here *b* `code` [x](https://evil.example) & \u{202e}gnp";
    let run = host.start("scripted", &format!("email ann@localhost {words}"));
    let approval = host.held(&run);
    let delivery = receiver.wait(1)[0].clone();
    let body = delivery.json();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["text"]);
    let text = body["text"].as_str().unwrap();
    let shown: Vec<&str> = text.lines().collect();
    assert_eq!(shown[0], format!("{run}.1 waits for a decision"));
    let summary = shown[1].strip_prefix('`').and_then(|line| line.strip_suffix('`')).unwrap();
    for live in ["<", ">", "@", "`", "://", "\u{202e}"] {
        assert!(!summary.contains(live), "{live} in {summary}");
    }
    assert!(summary.contains("&lt;!channel&gt;") && summary.contains("(at)here"), "{summary}");
    assert!(summary.contains("&lt;U+202E&gt;gnp") && summary.contains("&amp; "), "{summary}");
    assert_eq!(shown.last(), Some(&format!("{}/approvals/{run}.1", host.url).as_str()));
    assert_eq!(text.matches("://").count(), 1, "the one link is the host's: {text}");
    host.approve(&approval);
    assert!(receiver.wait(2)[1].json()["text"].as_str().unwrap().contains("approved by olivia"));
}

#[test]
fn a_target_can_be_tried() {
    let receiver = Receiver::answering(|number, _| Reply::Status(if number == 0 { 200 } else { 403 }));
    let folder = folder(&[("ops", &receiver, "")], "");
    let good = folder.run(&["notify", "test", "ops"]);
    assert!(
        good.status.success() && String::from_utf8_lossy(&good.stdout).contains("webhook ops: the target answered 200"),
        "{good:?}"
    );
    let delivery = receiver.got()[0].clone();
    assert_eq!(delivery.json()["type"], "test");
    assert!(verifies(&folder, "ops.secret", &delivery));
    let bad = folder.run(&["notify", "test", "ops"]);
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    assert!(String::from_utf8_lossy(&bad.stderr).contains("the target answered 403"), "{bad:?}");
    let unknown = folder.run(&["notify", "test", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("known targets: ops"), "{unknown:?}");
    let shown = folder.run(&["config"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("[notify.ops]") && shown.contains("retry-after-ms = 2"), "{shown}");
    assert!(!shown.contains("marked-path"), "{shown}");
}
