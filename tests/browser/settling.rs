//! A click or key that was meant for another page must not decide. So for a first moment a page shows no form that
//! decides. The tests stop time in that moment, so that no machine is too slow for them.

use serde_json::{Value, json};

use crate::person::{How, Person, link};
use crate::scene::{ALICE, held, shop};
use crate::support::Host;

/// Sets the speed of the page's animations.
fn pace(person: &Person, rate: u8) {
    person.tool("Animation.enable", &json!({}));
    person.tool("Animation.setPlaybackRate", &json!({ "playbackRate": rate }));
}

/// Brings the open page to the front, and stops its time there.
fn comes_forward(person: &Person) {
    person.settled();
    pace(person, 0);
    person.script("document.dispatchEvent(new Event('visibilitychange'))");
}

/// Clicks twice at the place of a button, whether or not the button is shown, like a hand that is faster than the eye.
fn click_at(person: &Person, at: &Value) {
    for kind in ["mousePressed", "mouseReleased", "mousePressed", "mouseReleased"] {
        let event = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
        person.tool("Input.dispatchMouseEvent", &event);
    }
}

/// Checks the first moment of the open page: no button can be used with the mouse, with a key, or with a screen reader.
/// Afterwards each button can be used.
fn settles(person: &Person, what: &str) {
    let places = "[...document.querySelectorAll('main form[method=post] button:not(.default)')]";
    let count = person.script(&format!("return {places}.length")).as_u64().unwrap();
    assert!(count > 0, "{what}: no button in {}", person.body());
    let path = person.path();
    for number in 0..count {
        let one = format!("const one = {places}[{number}]");
        let seen = person.script(&format!(
            "{one}; one.scrollIntoView({{ block: 'center' }}); one.focus(); const box = one.getBoundingClientRect(); \
             const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]; \
             return [x, y, one.checkVisibility({{ visibilityProperty: true }}), one.contains(document.elementFromPoint(x, y)), \
             document.activeElement.closest('main form') === null]"
        ));
        assert_eq!((&seen[2], &seen[3], &seen[4]), (&json!(false), &json!(false), &json!(true)), "{what}: {seen}");
        click_at(person, &seen);
        person.press_at_once("a\u{e007}\u{e007}r\u{e007}");
        assert_eq!(person.path(), path, "{what}: it acted");
    }
    let lasts =
        person.script("return document.querySelector('.acts').getAnimations()[0].effect.getComputedTiming().duration");
    assert!(lasts.as_f64().unwrap() >= 800.0, "{what}: {lasts} ms");
    pace(person, 1);
    person.settled();
    let there =
        person.script(&format!("return {places}.every(one => one.checkVisibility({{ visibilityProperty: true }}))"));
    assert_eq!(there, true, "{what}: and then it is there");
}

#[test]
fn no_click_and_no_key_acts_in_a_pages_first_moment() {
    let (folder, host) =
        shop(&["release", "scripted"], "[approval]\ngrantors = [\"alice\", \"olivia\"]\n").into_served();
    let (run, plain) = held(&host, "scripted", "email ann@localhost Plain");
    let careful = held(&host, "scripted", "email ann@localhost Invoice \u{202e}fdp.exe").1;
    let question = held(&host, "scripted", "ask Shall I send it?").1;
    let granted = held(&host, "scripted", "email ann@localhost Granted").1;
    let approval = host.approval(&granted);
    let draft = host.post(&format!("/v1/approvals/{granted}/grant"), &json!({"calls": 3, "lasts_ms": 60_000})).1;
    assert_eq!(host.decide(&approval, "approve", &json!({"grant": draft["grant"]})).0, 200);
    let (Some(alice), Some(stranger)) = (Person::signed_in(&host, ALICE, How::default()), Person::at(&host)) else {
        return;
    };
    let held_still = |host: &Host| assert_eq!(host.approval(&plain)["state"], "held");

    for path in [
        format!("/approvals/{plain}"),
        format!("/approvals/{plain}#note"),
        format!("/approvals/{plain}#guidance"),
        format!("/approvals/{plain}#decide"),
        format!("/approvals/{careful}#word"),
        format!("/approvals/{question}#answer"),
        format!("/runs/{run}/cancel#reason"),
        format!("/grants/{granted}"),
    ] {
        pace(&alice, 0);
        alice.goto_at_once("/stats");
        alice.goto_at_once(&path);
        settles(&alice, &path);
        held_still(&host);
    }
    for path in ["/sign-in".to_owned(), link(&folder, &[])] {
        pace(&stranger, 0);
        stranger.goto_at_once(&path);
        settles(&stranger, "sign-in");
    }

    // A preview of an edit or of a grant has such a first moment too, when its page comes to the front again.
    alice.goto(&format!("/approvals/{plain}/edit"));
    alice.script("[...document.querySelectorAll('main textarea')].at(-1).value += ' more'");
    alice.click("main p button.go");
    alice.find("button[value=send]");
    comes_forward(&alice);
    settles(&alice, "preview of an edit");
    alice.goto(&format!("/approvals/{plain}/grant"));
    alice.click("main p button.go");
    alice.find("button.approve");
    comes_forward(&alice);
    settles(&alice, "preview of a grant");
    held_still(&host);

    // A page that comes to the front again has such a first moment again, and keeps the text that was typed.
    alice.goto(&format!("/approvals/{plain}"));
    alice.fill("#note", "as agreed");
    comes_forward(&alice);
    let there =
        alice.script("return document.querySelector('button.approve').checkVisibility({ visibilityProperty: true })");
    assert_eq!(there, false);
    pace(&alice, 1);
    alice.settled();
    alice.press(" then\u{e007}");
    alice.sees("You decided");
    alice.goto(&format!("/approvals/{plain}"));
    alice.sees("as agreed then");
}
