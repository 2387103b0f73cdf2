//! An action that is made to be misread is not approved with one click, and an action that was not opened cannot be
//! approved.

use crate::person::{How, Person};
use crate::scene::{ALICE, held, shop};

/// Changes a form of the page as an attacker would, and sends it.
fn forge(person: &Person, change: &str) {
    person.script(&format!("const form = document.querySelector('button.approve').form; {change}; form.submit()"));
}

#[test]
fn what_is_made_to_be_misread_takes_a_word() {
    let (_folder, host) = shop(&["scripted"], "").into_served();
    let (_, id) = held(&host, "scripted", "email ann@localhost Invoice \u{202e}fdp.exe");
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let page = format!("/approvals/{id}");
    alice.goto(&page);
    alice.sees("Warnings");
    alice.sees("<U+202E>");
    alice.sees("This approval has warnings");
    let turned = alice.script("return document.body.textContent.includes('\\u202e')");
    assert_eq!(turned, false, "the mark itself is nowhere");

    // Without the confirmation word the browser does not send the form, and the host does not accept it.
    alice.click("button.approve");
    assert_eq!(alice.script("return document.getElementById('word').validity.valueMissing"), true);
    assert_eq!(alice.path(), page);
    for word in ["", "yes"] {
        alice.goto(&page);
        alice.meets(400);
        forge(&alice, &format!("document.getElementById('word').value = '{word}'"));
        alice.sees("nothing was sent: type the word `approve` to confirm");
        assert_eq!(host.approval(&id)["state"], "held");
    }
    alice.goto(&page);
    alice.fill("#word", " approve ");
    alice.click("button.approve");
    alice.sees("You decided");
    host.effect(&id, "succeeded");
}

#[test]
fn only_what_was_opened_is_approved() {
    let (_folder, host) = shop(&["scripted"], "").into_served();
    let (_, one) = held(&host, "scripted", "email ann@localhost One");
    let (_, other) = held(&host, "scripted", "email ann@localhost Other");
    let digest = host.approval(&other)["digest"].as_str().unwrap().to_owned();
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let to_other = format!("form.action = '/approvals/{other}/decision'");
    let forgeries = [
        // The digest is of the other approval. The seal does not fit it, because the seal was made for the approval
        // that was opened.
        (format!("{to_other}; form.digest.value = '{digest}'"), 403),
        // The seal fits the digest, but the digest is of the approval that was opened, and not of the other one.
        (to_other, 409),
        ("form.seal.value = form.seal.value.replace(/^./, one => one == 'A' ? 'B' : 'A')".into(), 403),
        ("form.seal.remove()".into(), 403),
        ("form.digest.value = 'sha256:0'".into(), 400),
    ];
    for (change, status) in forgeries {
        alice.goto(&format!("/approvals/{one}"));
        alice.sees("Approve exactly this");
        alice.meets(status);
        forge(&alice, &change);
        alice.sees("Back to the inbox");
        for id in [&one, &other] {
            assert_eq!(host.approval(id)["state"], "held", "{change}");
        }
    }
}
