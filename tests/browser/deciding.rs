//! A reviewer's way from the inbox to the effect.

use crate::outside::{Books, Maildir, Outside};
use crate::person::{How, Person, link};
use crate::scene::{ALICE, at, held, next, repository, shop};

#[test]
fn a_release_is_read_approved_and_done() {
    let (folder, host) = shop(&["release"], "").into_served();
    let shop = repository(&folder);
    let (before, commit) = (shop.tip("production"), shop.tip("main"));
    let (run, id) = held(&host, "release", "");
    let Some(olivia) = Person::at(&host) else { return };
    olivia.goto(&link(&folder, &[]));
    olivia.click("main button");
    olivia.sees("Waiting for decisions");

    // The page shows the action by its types, then the evidence of the host, and last the rationale of the agent.
    olivia.click("[data-row]");
    olivia.sees("Approve exactly this");
    assert_eq!(olivia.path(), format!("/approvals/{id}"));
    let page = olivia.body();
    let read = [
        "What would be done",
        "production",
        "What the host found out",
        "two",
        "The agent's rationale",
        "would go live",
    ];
    let places: Vec<_> =
        read.iter().map(|part| page.find(part).unwrap_or_else(|| panic!("no {part} in {page}"))).collect();
    let claims = page.find("The agent's rationale").unwrap();
    let headings = ["What would be done", "What the host found out"].map(|heading| page.find(heading).unwrap());
    assert!(headings.iter().all(|at| *at < claims) && places[5] > claims, "{page}");
    assert!(page.contains(&commit) && page.contains("The second commit"), "{page}");
    assert_eq!(olivia.text(".patch .new").trim_end(), "+two", "the true diff");
    assert_eq!(shop.tip("production"), before, "reading does nothing");

    olivia.click("button.approve");
    olivia.sees("You decided");
    host.effect(&id, "succeeded");
    assert_eq!(shop.tip("production"), commit, "the branch has really moved");
    assert!(host.over(&run)["result"]["ok"].is_string());
    olivia.goto(&format!("/approvals/{id}"));
    olivia.sees("It is done.");
    olivia.sees("approved by olivia");
    assert!(!olivia.has("#decide"), "there is nothing left to decide");
}

#[test]
fn a_rejection_reaches_the_agent() {
    let (folder, host) = shop(&["release"], "").into_served();
    let before = repository(&folder).tip("production");
    let (run, id) = held(&host, "release", "");
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    alice.goto(&format!("/approvals/{id}"));
    alice.fill("#guidance", "say <b>what</b> changed");
    alice.click("button.reject");
    alice.sees("You decided");
    let second = next(&host, &run, &id);
    let notes = host.approval(&second)["proposal"].to_string();
    assert!(notes.contains("say <b>what</b> changed"), "{notes}");
    alice.goto(&format!("/approvals/{second}"));
    alice.sees("say <b>what</b> changed");
    alice.goto(&format!("/approvals/{id}"));
    alice.sees("rejected by alice");
    assert_eq!(repository(&folder).tip("production"), before);
}

#[test]
fn money_and_mail_go_when_they_are_approved() {
    let (folder, host) = shop(&["scripted"], "").into_served();
    let (books, mail) = (Books(at(&folder, "books.db")), Maildir(at(&folder, "mail")));
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let things: [(&dyn Outside, &str); 2] = [(&books, "50.00 EUR"), (&mail, "ann@localhost")];
    for (outside, shown) in things {
        let (run, id) = held(&host, "scripted", &outside.line());
        alice.goto(&format!("/approvals/{id}"));
        alice.sees(shown);
        assert_eq!(outside.count(), 0);
        alice.fill("#note", "as agreed");
        alice.click("button.approve");
        alice.sees("You decided");
        host.effect(&id, "succeeded");
        assert_eq!(outside.count(), 1);
        assert!(host.over(&run)["result"]["ok"].as_str().unwrap().contains(&outside.receipt()));
        alice.goto(&format!("/approvals/{id}"));
        alice.sees("as agreed");
        alice.sees("What was done");
    }
}

#[test]
fn a_question_is_answered_by_a_choice_or_in_own_words() {
    let (_folder, host) = shop(&["scripted"], "").into_served();
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    for (css, text, answer) in [("input[value='1']", "", "ok \"no\""), ("#answer", "perhaps <i>", "ok \"perhaps <i>\"")]
    {
        let (run, id) = held(&host, "scripted", "ask Shall I?");
        alice.goto(&format!("/approvals/{id}"));
        alice.sees("Shall I?");
        assert!(!alice.has("button.approve"), "there is nothing to approve");
        // Only one kind of answer can be sent, so a choice and a typed answer together are refused.
        alice.click("input[value='0']");
        alice.fill("#answer", "but not today");
        alice.meets(400);
        alice.click("#decide form button.go");
        alice.sees("send only one of the two");
        assert_eq!(host.approval(&id)["state"], "held");
        alice.goto(&format!("/approvals/{id}"));
        if text.is_empty() {
            alice.click(css)
        } else {
            alice.fill(css, text)
        }
        alice.click("#decide form button.go");
        alice.sees("was answered");
        assert_eq!(host.over(&run)["result"]["ok"], answer);
    }
}

#[test]
fn without_script_everything_can_be_done() {
    let (folder, host) = shop(&["release"], "").into_served();
    let shop = repository(&folder);
    let Some(alice) = Person::signed_in(&host, ALICE, How { without_script: true }) else { return };
    let (run, id) = held(&host, "release", "");
    alice.goto("/");
    alice.click("[data-row]");
    alice.sees("+two");
    alice.fill("#guidance", "shorter");
    alice.click("button.reject");
    alice.sees("You decided");
    let second = next(&host, &run, &id);
    alice.goto("/");
    alice.click("[data-row]");
    alice.sees("shorter");
    alice.click("button.approve");
    alice.sees("You decided");
    host.effect(&second, "succeeded");
    assert_eq!(shop.tip("production"), shop.tip("main"));
    alice.click(".notice a");
    alice.sees("It is done.");
    alice.click(".me button");
    alice.sees("Sign in");
    let ran = alice
        .network()
        .iter()
        .any(|event| event["params"]["request"]["url"].as_str().is_some_and(|url| url.ends_with("/live")));
    assert!(!ran, "the page's script did run");
    let rejected = host.approval(&id);
    assert_eq!(rejected["state"], "rejected", "{rejected}");
}
