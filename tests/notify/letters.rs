//! Emails to reviewers: only reviewers who may decide get one, through a real relay and into a Maildir.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::outside::{self, Maildir, Outside, Relay};
use crate::support::until;

fn reviewer(name: &str) -> String {
    let hash: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[reviewers.{name}]\ntoken-sha256 = \"{hash}\"\nemail = \"{name}@example.org\"\n")
}

fn to(letter: &str) -> String {
    letter.lines().find_map(|line| line.strip_prefix("To: ")).unwrap().to_owned()
}

/// The text of an email, with its soft line breaks removed.
fn text(letter: &str) -> String {
    letter.replace("=\n", "").replace("=3D", "=")
}

#[test]
fn those_who_may_decide_get_a_letter_through_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    let Some(relay) = Relay::start(folder.path()) else { return };
    let section = relay.mailbox("Report").section();
    let more = format!(
        "[approval]\nreviewers = [\"alice\", \"bob\"]\nfour-eyes = true\n{}{}{}[server]\npublic-url = \"https://approvals.example.org\"\n",
        reviewer("alice"),
        reviewer("bob"),
        reviewer("carol"),
    );
    let office = outside::folder(&relay.mailbox("Bcc: eve@example.org"), &more);
    office.configure(
        &(std::fs::read_to_string(office.path().join("holdshort.toml")).unwrap().replace(
            &section,
            &format!("{section}notices-from = \"holdshort@example.org\"\noperator = \"olivia@example.org\"\n"),
        )),
    );
    let host = office.serve();
    // Alice starts the run, so that she cannot approve its call. Carol and the operator are not named as reviewers.
    let (status, run) = host.request(
        "alice",
        "/v1/runs",
        Some(&json!({ "agent": "scripted", "task": "email ann@localhost Bcc: eve@example.org" })),
    );
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap();
    let approval = host.held(run);
    until("letter", || (!relay.messages().is_empty()).then_some(()));
    // A second run, started by Carol. When its emails have arrived, all emails about the first run have arrived too.
    let (_, second) =
        host.request("carol", "/v1/runs", Some(&json!({ "agent": "scripted", "task": "email ann@localhost Two" })));
    host.held(second["id"].as_str().unwrap());
    let letters = until("letters", || Some(relay.messages()).filter(|letters| letters.len() >= 3));
    let of =
        |id: &str| letters.iter().filter(|letter| letter.contains(id)).map(|letter| to(letter)).collect::<Vec<_>>();
    assert_eq!(of(run), ["bob@example.org"], "{letters:?}");
    let mut second_to = of(second["id"].as_str().unwrap());
    second_to.sort();
    assert_eq!(second_to, ["alice@example.org", "bob@example.org"]);
    let letter = letters.iter().find(|letter| letter.contains(run)).unwrap();
    let id = approval["id"].as_str().unwrap();
    assert!(letter.contains(&format!("\nSubject: Holdshort: {id} waits for a decision\n")), "{letter}");
    assert!(letter.contains("From: Holdshort <holdshort@example.org>"), "{letter}");
    let head = letter.split("\n\n").next().unwrap();
    for field in ["\nAuto-Submitted: auto-generated", "\nX-Auto-Response-Suppress: All"] {
        assert!(head.contains(field), "no out-of-office reply may answer it: {head}");
    }
    assert!(!head.contains("eve@example.org"), "an agent's words in a header: {head}");
    let text = text(letter);
    assert!(text.contains(&format!("https://approvals.example.org/approvals/{id}")), "{text}");
    assert!(text.contains("eve@example.org") && text.contains("Agent: scripted"), "{text}");
    assert!(!text.contains("sha256:"), "{text}");
}

#[test]
fn without_a_relay_letters_lie_in_the_maildir() {
    let folder = tempfile::tempdir().unwrap();
    let mail = Maildir(folder.path().join("mail"));
    let office = outside::folder(&mail, "");
    let text = std::fs::read_to_string(office.path().join("holdshort.toml")).unwrap();
    office.configure(&text.replace("[email]\n", "[email]\noperator = \"olivia@example.org\"\n"));
    let said = office.run(&["notify", "test", "olivia"]);
    assert!(said.status.success(), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("delivered to the maildir"), "{said:?}");
    let host = office.serve();
    let run = host.start("scripted", "email ann@localhost Report");
    host.held(&run);
    let letters = until("letter", || Some(mail.messages()).filter(|letters| letters.len() == 2));
    let letter = letters.iter().find(|letter| letter.contains(&run)).unwrap();
    assert_eq!(to(letter), "olivia@example.org");
    // A restarted host does not send an email again.
    host.kill();
    let host = office.serve();
    let second = host.start("scripted", "email ann@localhost Report");
    host.held(&second);
    until("third letter", || mail.messages().iter().any(|letter| letter.contains(&second)).then_some(()));
    assert_eq!(mail.messages().len(), 3);
}

/// The reviewers of the second stage get an email when the first stage is complete. Reviewers who are added by an
/// escalation get one at that time.
#[test]
fn each_is_asked_when_their_turn_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mail = Maildir(folder.path().join("mail"));
    let more = format!(
        "[groups]\nfirst = [\"bob\"]\nsecond = [\"alice\"]\nmanagers = [\"carol\"]\n[policy]\nfiles = [\"p.cedar\"]\n{}{}{}",
        reviewer("alice"),
        reviewer("bob"),
        reviewer("carol"),
    );
    let office = outside::folder(&mail, &more);
    office.write(
        "p.cedar",
        "@reviewers(\"first\") @within(\"3s\") @escalate(\"managers for 1h\")\n\
         permit (principal, action == Action::\"review\", resource);\n\
         @reviewers(\"second\") @stage(\"2\")\npermit (principal, action == Action::\"review\", resource);\n\
         permit (principal, action == Action::\"decide\", resource);\n",
    );
    let host = office.serve();
    let run = host.start("scripted", "email ann@localhost Report");
    let approval = host.held(&run);
    let id = approval["id"].as_str().unwrap();
    let letters = |whom: &str| {
        let all = mail.messages().into_iter().filter(|letter| letter.contains(&run));
        all.filter(|letter| to(letter) == format!("{whom}@example.org")).count()
    };
    until("the first stage is asked", || (letters("bob") > 0).then_some(()));
    assert_eq!((letters("alice"), letters("carol")), (0, 0), "it is not their turn");
    until("an escalation asks", || (letters("carol") > 0).then_some(()));
    assert_eq!(letters("alice"), 0, "it is not her turn");
    assert_eq!(host.approval(id)["level"], 1);
    let body = json!({ "type": "approve", "digest": approval["digest"] });
    let (status, said) = host.request("bob", &format!("/v1/approvals/{id}/decisions"), Some(&body));
    assert_eq!(status, 202, "{said}");
    until("the second stage is asked", || (letters("alice") > 0).then_some(()));
    let hers = mail.messages().into_iter().find(|letter| to(letter) == "alice@example.org").unwrap();
    assert!(text(&hers).contains("your stage has begun") && text(&hers).contains("approved by bob"), "{hers}");
}
