//! The page used with the keyboard alone.

use fantoccini::key::Key;

use crate::person::{How, Person};
use crate::scene::{ALICE, held, shop};

fn enter() -> String {
    Key::Enter.to_string()
}

#[test]
fn keys_lead_from_the_list_to_what_waits_next() {
    let (_folder, host) = shop(&["scripted"], "").into_served();
    let ids: Vec<String> =
        (1..=3).map(|n| held(&host, "scripted", &format!("email ann@localhost Letter {n}")).1).collect();
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    alice.sees("Letter 3");
    let order: Vec<String> = (0..3).map(|row| format!("/approvals/{}", ids[row])).collect();
    let focused = || alice.script("return document.activeElement.getAttribute('href')");
    for (key, row) in [("j", 0), ("j", 1), ("j", 2), ("j", 2), ("k", 1), ("k", 0)] {
        alice.press(key);
        assert_eq!(focused(), order[row], "{key}");
    }
    alice.press(&enter());
    alice.sees("Approve exactly this");
    assert_eq!(alice.path(), order[0]);
    alice.press("a");
    assert_eq!(alice.script("return document.activeElement.textContent"), "Approve exactly this");
    assert_eq!(host.approval(&ids[0])["state"], "held", "one key approves nothing");
    alice.press(&enter());
    alice.sees("You decided");
    host.effect(&ids[0], "succeeded");

    // The next held call is open. The key `r` leads to the field for guidance, where letters are typed as letters.
    assert!(alice.path().starts_with(&order[1]), "{}", alice.path());
    alice.press("r");
    alice.press("rajekin");
    assert_eq!(alice.value("#guidance"), "rajekin");
    alice.press(&Key::Tab.to_string());
    alice.press(&enter());
    alice.sees("You decided");
    assert_eq!(host.approval(&ids[1])["state"], "rejected");
    assert!(alice.path().starts_with(&order[2]), "{}", alice.path());
    alice.press("i");
    alice.sees("Waiting for decisions");
    assert_eq!(alice.path(), "/");
}

#[test]
fn tab_reaches_everything_in_its_order() {
    let (_folder, host) = shop(&["release"], "").into_served();
    let (_, id) = held(&host, "release", "");
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    for page in ["/", &format!("/approvals/{id}")] {
        alice.goto(page);
        let all = "[...document.querySelectorAll('a[href], button, input:not([type=hidden]), textarea, select, summary, pre[tabindex]')].filter(one => one.checkVisibility())";
        let count = alice.script(&format!("return {all}.length")).as_u64().unwrap();
        for number in 0..count {
            alice.press(&Key::Tab.to_string());
            let at = alice.script(&format!("return {all}.indexOf(document.activeElement)"));
            assert_eq!(at, number, "{page}: {}", alice.script("return document.activeElement.outerHTML"));
            let seen = alice.script("const style = getComputedStyle(document.activeElement); return style.outlineStyle != 'none' && style.outlineWidth != '0px'");
            assert_eq!(
                seen,
                true,
                "where the focus is can be seen: {}",
                alice.script("return document.activeElement.outerHTML")
            );
        }
    }
}
