//! What arrives, in which order, how often, and after which deaths.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::outside::{self, Maildir};
use crate::receiver::{Delivery, Receiver, Reply, secret};
use crate::support::{Folder, Host, top, until};

/// A folder whose host tells these receivers, each with `more` settings.
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

/// A run that asks to send one message and ends; its approval.
pub fn one_call(host: &Host) -> String {
    let run = host.start("scripted", "email ann@localhost The report");
    let approval = host.held(&run);
    host.approve(&approval);
    assert_eq!(host.over(&run)["state"], "finished");
    approval["id"].as_str().unwrap().to_owned()
}

/// The example of the operator's page, which takes the secret's file, the three headers and the body.
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
    // Who starts again tells only what is new.
    host.stop();
    let host = folder.serve();
    one_call(&host);
    let again = receiver.wait(9);
    assert_eq!(again.len(), 9);
    assert!(again[7..].iter().all(|delivery| !ids.contains(&delivery.id())));
}
