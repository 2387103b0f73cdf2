//! Several people at the same time, each with their own browser.

use crate::person::{How, Person};
use crate::scene::{ALICE, ANN, BOB, held, person, shop};
use crate::support::until;

#[test]
fn what_bob_decides_alice_sees_at_once() {
    let (_folder, host) = shop(&["scripted"], "").into_served();
    let (_, id) = held(&host, "scripted", "email ann@localhost Hello");
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let bob = Person::signed_in(&host, BOB, How::default()).unwrap();
    for person in [&alice, &bob] {
        person.goto(&format!("/approvals/{id}"));
        person.sees("It waits for 1 approval.");
    }
    alice.script("window.neverReloaded = true");
    alice.fill("#guidance", "not in this");
    bob.click("button.approve");
    bob.sees("You decided");

    // The change is announced, also to a screen reader. The form cannot be sent any more, and the text that Alice typed
    // is kept.
    alice.sees("This approval has just changed");
    assert_eq!(alice.script("return document.getElementById('live').getAttribute('role')"), "status");
    alice.sees("approved by bob");
    assert_eq!(
        alice.script("return [...document.querySelectorAll('#decide button')].every(one => one.disabled)"),
        true
    );
    assert_eq!(alice.value("#guidance"), "not in this");
    assert_eq!(alice.script("return window.neverReloaded"), true);
    alice.click("#live a");
    alice.sees("It is done.");
    assert!(!alice.has("#decide"));
}

#[test]
fn an_inbox_follows_what_happens() {
    let (_folder, host) = shop(&["scripted"], "").into_served();
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    alice.sees("Nothing waits for you.");
    let (_, id) = held(&host, "scripted", "email ann@localhost Hello");
    alice.sees("Hello");
    let approval = host.approval(&id);
    host.approve(&approval);
    alice.sees("Nothing waits for you.");
}

/// Seven windows of one browser, which makes six connections to a host. Each window is served. Four are live, and the
/// other three say that they are not and ask for changes at intervals.
#[test]
fn every_window_of_a_browser_is_served() {
    let (_folder, host) = shop(&["scripted"], "").into_served();
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let mut windows = vec![alice.window()];
    for _ in 0..6 {
        windows.push(alice.new_window());
        alice.goto("/");
        alice.sees("Nothing waits for you.");
    }
    let pace = || alice.script("return document.getElementById('pace').textContent").as_str().unwrap().to_owned();
    let slow = |window: &_| {
        alice.switch(window);
        pace().starts_with("Not live: other windows of this browser are live instead.")
    };
    until("windows that are not live", || (windows.iter().filter(|window| slow(window)).count() == 3).then_some(()));
    assert_eq!(host.figure("holdshort_http_event_streams"), 4);
    held(&host, "scripted", "email ann@localhost Hello");
    for window in &windows {
        alice.switch(window);
        alice.sees("Hello");
    }
}

#[test]
fn two_have_to_agree_and_neither_is_who_started_it() {
    let approval = "[approval]\nquorum = 2\nfour-eyes = true\n";
    let (_folder, host) = shop(&["scripted"], approval).into_served();
    let (_, id) = held(&host, "scripted", "email ann@localhost Hello");
    let page = format!("/approvals/{id}");
    let Some(olivia) = Person::signed_in(&host, &host.token, How::default()) else { return };
    olivia.goto(&page);
    olivia.sees("You may not approve this call:");
    assert!(olivia.text("#decide .warning").contains("started"), "{}", olivia.body());
    assert!(!olivia.has("button.approve") && olivia.has("button.reject"), "she may still say no");

    let alice = Person::signed_in(&host, ALICE, How::default()).unwrap();
    let bob = Person::signed_in(&host, BOB, How::default()).unwrap();
    for person in [&alice, &bob] {
        person.goto(&page);
        person.sees("It waits for 2 approvals.");
    }
    alice.click("button.approve");
    alice.sees("You decided");
    bob.sees("It waits for 1 approval.");
    let open = bob.script("return [...document.querySelectorAll('#decide button')].every(one => !one.disabled)");
    assert_eq!(open, true, "what he looks at is what waits");
    assert_eq!(host.approval(&id)["state"], "held");
    alice.goto(&page);
    alice.sees("You have approved this call. More approvals are needed.");
    bob.click("button.approve");
    bob.sees("You decided");
    host.effect(&id, "succeeded");
}

/// A policy with two stages and four-eyes. Each person's page says whose turn it is.
#[test]
fn a_stage_comes_after_the_other() {
    let more = format!(
        "{}[groups]\ndesk = [\"olivia\", \"bob\"]\nmanagers = [\"ann\"]\n[policy]\nfiles = [\"p.cedar\"]\n",
        person("ann", ANN)
    );
    let folder = shop(&["scripted"], &more);
    folder.write(
        "p.cedar",
        "@reviewers(\"desk\") @four_eyes @within(\"4h\") @escalate(\"managers for 2h\") @why(\"mail leaves the <house>\")\n\
         permit (principal, action == Action::\"review\", resource is email::SendEmail);\n\
         @reviewers(\"managers\") @stage(\"2\")\n\
         permit (principal, action == Action::\"review\", resource is email::SendEmail);\n\
         permit (principal, action == Action::\"decide\", resource);\n",
    );
    let (_folder, host) = folder.into_served();
    let (_, id) = held(&host, "scripted", "email ann@localhost Hello");
    let page = format!("/approvals/{id}");
    let Some(ann) = Person::signed_in(&host, ANN, How::default()) else { return };
    let olivia = Person::signed_in(&host, &host.token, How::default()).unwrap();
    let bob = Person::signed_in(&host, BOB, How::default()).unwrap();
    for person in [&ann, &olivia, &bob] {
        person.goto(&page);
        person.sees("Still needed: 1 more of: bob (stage 1 of 2).");
        person.sees("then ann may also decide, for 2 h");
        person.sees("held because: mail leaves the <house>");
    }
    ann.sees("Others must approve first.");
    assert!(!ann.has("button.approve") && ann.has("button.reject"), "she may say no already");
    olivia.sees("You may not approve this call: the person who started the run");
    bob.click("button.approve");
    bob.sees("You decided");
    ann.sees("Still needed: 1 more of: ann (stage 2 of 2).");
    ann.sees("This approval has just changed");
    bob.goto(&page);
    bob.sees("You have approved this call. More approvals are needed.");
    assert!(!bob.has("button.approve"), "his part is done");
    ann.goto(&page);
    ann.click("button.approve");
    ann.sees("You decided");
    host.effect(&id, "succeeded");
}

/// A browser makes six connections to a host, and each stream of changes uses one.
#[test]
fn many_tabs_keep_no_other_out() {
    let (_folder, host) = shop(&["scripted"], "").into_served();
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    for _ in 0..8 {
        alice.new_tab();
        alice.goto("/");
        alice.sees("Nothing waits for you.");
    }
    held(&host, "scripted", "email ann@localhost Hello");
    alice.sees("Hello");
}

/// A reviewer makes a grant with an approval, and sees the grant's policy before anything is sent. Later the grant is
/// revoked in the list of grants.
#[test]
fn more_like_it_is_cleared_and_taken_back() {
    let more = "[groups]\ndesk = [\"alice\"]\n[policy]\nfiles = [\"p.cedar\"]\n";
    let folder = shop(&["scripted"], more);
    folder.write(
        "p.cedar",
        "permit (principal, action == Action::\"decide\", resource);\n\
         permit (principal in Group::\"desk\", action == Action::\"grant\", resource);\n",
    );
    let (_folder, host) = folder.into_served();
    let (_, id) = held(&host, "scripted", "email ann@localhost Hello");
    let page = format!("/approvals/{id}");
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let bob = Person::signed_in(&host, BOB, How::default()).unwrap();
    bob.goto(&page);
    bob.sees("Approve exactly this");
    assert!(!bob.body().contains("Make a grant for further calls"), "he may not");
    bob.meets(403);
    bob.goto(&format!("{page}/grant"));
    bob.sees("you may not make grants for calls like this one");

    alice.goto(&page);
    alice.click(&format!("a[href='{page}/grant']"));
    alice.sees("How many calls, after this one");
    alice.script("document.getElementById('calls').value = '1001'");
    alice.meets(422);
    alice.click("form.edit button.go");
    alice.sees("a grant covers 1 to 1000 calls");
    alice.script("document.getElementById('calls').value = '2'");
    alice.click("input[value='/message/subject']");
    alice.click("form.edit button.go");
    alice.sees("The grant as a policy");
    alice.sees("context.granted.calls < 2");
    assert!(!alice.body().contains("message.subject"), "it may differ");
    assert_eq!(host.approval(&id)["state"], "held", "nothing is sent yet");
    alice.click("button.approve");
    alice.sees("You decided");
    host.effect(&id, "succeeded");

    // The grant clears the next call without a reviewer. The page of the call, and the list, say which grant it was.
    let run = host.start("scripted", "email ann@localhost Another");
    assert_eq!(host.over(&run)["state"], "finished");
    let cleared = host.events(&run).into_iter().find(|event| event["type"] == "call-cleared").unwrap();
    alice.goto(&format!("/approvals/{run}.{}", cleared["data"]["call"]));
    alice.sees(&format!("Cleared by the grant {id}"));
    bob.goto("/grants");
    bob.sees("at most 2 calls until");
    assert_eq!(bob.script("return document.querySelector('td:nth-of-type(3)').textContent"), "1 call");
    bob.click(&format!("a[href='/grants/{id}']"));
    bob.sees("permit (");
    bob.click("button.reject");
    bob.sees("bob revoked the grant");
    alice.goto(&page);
    alice.sees("revoked by bob");
    held(&host, "scripted", "email ann@localhost Another");
}
