//! Deadlines by the reader's clock, and text that is typed while a page changes (T40 in the table of
//! `tests/README.md`).

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use serde_json::json;

use crate::evidence;
use crate::person::{How, Person};
use crate::scene::{ALICE, held, shop};
use crate::support::Host;

/// Another reviewer edits the call, so that the page has something new to show.
fn edited(host: &Host, id: &str) {
    let approval = host.approval(id);
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["message"]["subject"] = json!("Hello again");
    let (status, said) = host.decide(&approval, "edit", &json!({ "arguments": arguments }));
    assert!(status < 300, "{said}");
}

#[test]
fn a_deadline_is_shown_by_the_readers_clock_with_utc_beside_it() {
    let (_folder, host) = shop(&["scripted"], "[approval]\nexpires-after = \"20h\"\n").into_served();
    let (_, id) = held(&host, "scripted", "email ann@localhost Hello");
    let deadline: Timestamp = host.approval(&id)["deadline"].as_str().unwrap().parse().unwrap();
    let utc = deadline.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let zones = ["Europe/Zagreb", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati", "UTC"];
    for name in zones {
        alice.tool("Emulation.setTimezoneOverride", &json!({ "timezoneId": name }));
        let local = deadline.to_zoned(TimeZoneDatabase::bundled().get(name).unwrap());
        for path in ["/".to_owned(), format!("/approvals/{id}")] {
            alice.goto(&path);
            let shown = alice.text("time.zoned");
            if name == "UTC" {
                assert_eq!(shown, utc, "{path}");
                continue;
            }
            let (day, clock) = (local.day().to_string(), local.strftime("%H:%M:%S").to_string());
            assert!(shown.ends_with(&format!(" = {utc}")), "{name} {path}: {shown}");
            assert!(shown.contains(&clock) && shown.split(' ').any(|word| word == day), "{name} {path}: {shown}");
        }
        // The other times show their full form when the pointer is on them.
        let title = alice.script("return document.querySelector('time:not(.zoned)').title");
        assert_eq!(title.as_str().unwrap().contains(" = "), name != "UTC", "{title}");
    }
    let body = alice.body();
    let six_digits = |rest: &str| rest.len() >= 6 && rest.bytes().take(6).all(|byte| byte.is_ascii_digit());
    let micros = |word: &str| word.split_once('.').is_some_and(|(_, rest)| six_digits(rest));
    assert!(!body.split_whitespace().any(micros), "{body}");

    let plain = Person::signed_in(&host, ALICE, How { without_script: true }).unwrap();
    for path in ["/".to_owned(), format!("/approvals/{id}")] {
        plain.goto(&path);
        assert_eq!(plain.text("time.zoned"), utc);
    }
    evidence::figure("T40", "zones of readers who see a deadline by their own clock", zones.len() as u64);
}

#[test]
fn what_was_typed_is_there_when_the_page_has_changed() {
    let (_folder, host) = shop(&["scripted"], "").into_served();
    let (_, id) = held(&host, "scripted", "email ann@localhost Hello");
    let page = format!("/approvals/{id}");
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    alice.goto(&page);
    alice.fill("#guidance", "not before Monday; shorter notes");
    edited(&host, &id);
    alice.sees("This approval has just changed");
    alice.click("#live a");
    alice.sees("Hello again");
    assert_eq!(alice.value("#guidance"), "not before Monday; shorter notes");

    // Without a script the form is sent although it is out of date, and the answer brings back the text that was typed.
    let plain = Person::signed_in(&host, ALICE, How { without_script: true }).unwrap();
    plain.goto(&page);
    plain.fill("#guidance", "use <b>the</b> other account");
    let approval = host.approval(&id);
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["message"]["subject"] = json!("Hello once more");
    assert!(host.decide(&approval, "edit", &json!({ "arguments": arguments })).0 < 300);
    plain.meets(409);
    plain.click("button.reject");
    plain.sees("Your text was not sent");
    assert_eq!(plain.value("#typed"), "use <b>the</b> other account");
    plain.click("a.go");
    plain.sees("Hello once more");

    alice.goto(&page);
    alice.click("button.reject");
    alice.sees("You decided");
    assert_eq!(host.approval(&id)["state"], "rejected");
    assert_eq!(alice.script("return sessionStorage.length"), 0);
}
