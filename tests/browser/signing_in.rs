//! Signing in by a link that works once, and signing out.

use crate::person::{Person, link};
use crate::scene::shop;

#[test]
fn a_link_signs_in_once() {
    let (folder, host) = shop(&["release"], "").into_served();
    let run = host.start("release", "");
    let id = host.held(&run)["id"].as_str().unwrap().to_owned();
    let Some(olivia) = Person::at(&host) else { return };

    // Without a session every page leads to the sign-in page, and from there back.
    let approval = format!("/approvals/{id}");
    olivia.goto(&approval);
    assert_eq!(olivia.path(), format!("/sign-in?next=%2Fapprovals%2F{id}"));
    olivia.fill("#token", &host.token);
    olivia.click("main button");
    // The browser now uses a name that no other session has. A person who comes there from another site must click to
    // go on.
    olivia.sees("Another page has sent you to Holdshort");
    olivia.click("a");
    olivia.sees("This link signs this browser in as olivia");
    olivia.click("main button");
    olivia.sees("Approve exactly this");
    assert_eq!(olivia.path(), approval);
    olivia.click(".me button");
    olivia.sees("prints a link that signs you in");
    olivia.goto("/");
    assert_eq!(olivia.path(), "/sign-in", "signed out");

    // Opening the link does not use it up.
    let link = link(&folder, &[&id]);
    for _ in 0..3 {
        olivia.goto(&link);
        olivia.sees("This link signs this browser in as olivia. It works once.");
    }
    olivia.click("main button");
    olivia.sees("Approve exactly this");
    assert_eq!(olivia.path(), approval);
    let cookie = olivia.script("return document.cookie");
    assert_eq!(cookie, "", "no script reads the session");

    // Another browser uses the link too late.
    let thief = Person::at(&host).unwrap();
    thief.goto(&link);
    thief.sees("This link was used already or has expired.");
    thief.goto(&approval);
    thief.sees("prints a link that signs you in");
    olivia.goto("/");
    olivia.sees("Waiting for decisions");
}

#[test]
fn nobodys_token_signs_nobody_in() {
    let (_folder, host) = shop(&["release"], "").into_served();
    let Some(mallory) = Person::at(&host) else { return };
    mallory.goto("/sign-in");
    mallory.fill("#token", "holdshort_guess");
    mallory.meets(401);
    mallory.click("main button");
    mallory.sees("unknown token");
    mallory.goto("/history");
    mallory.sees("Token");
}
