//! Each view on a screen and on a phone, in light and in dark: how it looks, whether everyone can use it, and how many
//! bytes it needs.

use std::fs;

use serde_json::{Value, json};

use crate::evidence::figure;
use crate::person::{How, Person};
use crate::scene::{ALICE, held, shop};
use crate::support::skipped::skipped;
use crate::support::top;

/// The bytes that a view may need in all: document, style, script and icon.
const VIEW_BYTES_MAX: u64 = 100_000;
/// The picture in the README.
const PICTURE: &str = "host/src/page/review.png";
const PICTURE_BYTES_MAX: u64 = 150_000;

/// Screens: a name, and the size in CSS pixels.
const SCREENS: [(&str, u32, u32); 2] = [("screen", 1100, 900), ("phone", 390, 844)];

#[test]
fn every_view_fits_is_light_and_is_for_everybody() {
    let (_folder, host) =
        shop(&["release", "scripted", "mask"], "[approval]\ngrantors = [\"alice\", \"olivia\"]\n").into_served();
    let done = held(&host, "scripted", "email ann@localhost Done").1;
    host.approve(&host.approval(&done));
    host.effect(&done, "succeeded");
    // Twenty calls that are alike are approved, so that the figures contain a suggestion.
    let habit = host.start("scripted", &["email bob@localhost Hello"; 20].join("\n"));
    for _ in 0..20 {
        let held = host.held(&habit);
        host.approve(&held);
        host.effect(held["id"].as_str().unwrap(), "succeeded");
    }
    host.over(&habit);
    let release = held(&host, "release", "").1;
    let run = release.split_once('.').unwrap().0;
    let evidence = host.approval(&release)["proposal"]["exhibits"][0]["digest"].as_str().unwrap().to_owned();
    let granted = held(&host, "scripted", "email ann@localhost Granted").1;
    let approval = host.approval(&granted);
    let draft = host.post(&format!("/v1/approvals/{granted}/grant"), &json!({"calls": 3, "lasts_ms": 60_000})).1;
    assert_eq!(host.decide(&approval, "approve", &json!({"grant": draft["grant"]})).0, 200);
    let question = held(&host, "scripted", "ask Shall I send it?").1;
    let masked = held(&host, "mask", "ask").1;
    let long = held(&host, "scripted", &format!("email ann@localhost {}", "unbroken".repeat(60))).1;
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let stranger = Person::at(&host).unwrap();
    let views = [
        ("sign-in", &stranger, "/sign-in".to_owned(), 200),
        ("inbox", &alice, "/".into(), 200),
        ("review", &alice, format!("/approvals/{release}"), 200),
        ("question", &alice, format!("/approvals/{question}"), 200),
        ("masked", &alice, format!("/approvals/{masked}"), 200),
        ("long", &alice, format!("/approvals/{long}"), 200),
        ("decided", &alice, format!("/approvals/{done}?decided={done}"), 200),
        ("evidence", &alice, format!("/approvals/{release}/evidence/{evidence}"), 200),
        ("split", &alice, format!("/approvals/{release}?diff=split"), 200),
        ("printable", &alice, format!("/approvals/{release}?evidence=whole"), 200),
        ("edit", &alice, format!("/approvals/{release}/edit"), 200),
        ("grant", &alice, format!("/approvals/{long}/grant"), 200),
        ("grants", &alice, "/grants".into(), 200),
        ("granted", &alice, format!("/grants/{granted}"), 200),
        ("runs", &alice, "/runs".into(), 200),
        ("run", &alice, format!("/runs/{run}"), 200),
        ("cancel", &alice, format!("/runs/{run}/cancel"), 200),
        ("history", &alice, "/history".into(), 200),
        ("explanation", &alice, format!("/approvals/{release}/explanation"), 200),
        ("policy", &alice, "/policy".into(), 200),
        ("backtest", &alice, "/backtest?add=permit".into(), 200),
        ("cases", &alice, "/policy/cases".into(), 200),
        ("figures", &alice, "/stats".into(), 200),
        ("trouble", &alice, "/approvals/none.1".into(), 404),
    ];
    alice.goto("/stats");
    alice.sees("Try it on the recorded calls");
    let axe = axe();
    let mut checks = 0;
    for (name, person, path, status) in views {
        for scheme in ["light", "dark"] {
            person.prefers(scheme);
            for (screen, width, height) in SCREENS {
                person.size(width, height);
                if status != 200 {
                    person.meets(status);
                }
                person.goto(&path);
                person.find("main h1");
                let what = format!("{name}-{screen}-{scheme}");
                let wide =
                    person.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
                assert_eq!(wide, 0, "{what} scrolls sideways");
                person.picture(&what);
                if let Some(axe) = &axe {
                    checks += check(person, axe, &what);
                }
            }
        }
        if status != 200 {
            person.meets(status);
        }
        let bytes = weight(person, &path);
        println!("{name}: {bytes} bytes");
        assert!(bytes > 1_000 && bytes < VIEW_BYTES_MAX, "{name}: {bytes} bytes");
    }
    if axe.is_some() {
        figure("T25", "accessibility checks", checks);
    }

    alice.size(1100, 900);
    alice.prefers("light");
    alice.goto(&format!("/approvals/{release}"));
    alice.sees("Approve exactly this");
    let picture = alice.picture_of("review", &json!({ "x": 0, "y": 0, "width": 1100, "height": 1000, "scale": 1 }));
    if std::env::var_os("HOLDSHORT_BLESS").is_some() {
        fs::copy(&picture, top().join(PICTURE)).unwrap();
    }
    let size = fs::metadata(top().join(PICTURE)).unwrap().len();
    assert!(size > 10_000 && size < PICTURE_BYTES_MAX, "{PICTURE}: {size} bytes");
    assert!(fs::read_to_string(top().join("README.md")).unwrap().contains(PICTURE), "the README shows it");
}

/// The source of axe-core, if it is installed.
fn axe() -> Option<String> {
    let source = std::env::var("HOLDSHORT_AXE").ok().and_then(|path| fs::read_to_string(path).ok());
    if source.is_none() {
        skipped("accessibility: no axe-core; tests/run installs it, or name its axe.min.js in HOLDSHORT_AXE");
    }
    source
}

/// Fails for every problem that axe-core calls serious or critical. Returns 1, so that the caller can count the checked
/// views.
fn check(person: &Person, axe: &str, what: &str) -> u64 {
    person.script(axe);
    let found = person.script_later(
        "const done = arguments[arguments.length - 1]; axe.run().then(done, error => done(String(error)))",
    );
    let grave = |rule: &&Value| ["serious", "critical"].contains(&rule["impact"].as_str().unwrap_or_default());
    let violations = found["violations"].as_array().unwrap_or_else(|| panic!("{what}: {found}"));
    let violations: Vec<Value> = violations
        .iter()
        .filter(grave)
        .map(|rule| json!([rule["id"], rule["nodes"][0]["html"], rule["nodes"][0]["failureSummary"]]))
        .collect();
    assert!(violations.is_empty(), "{what}: {violations:#?}");
    let passed = found["passes"].as_array().unwrap().len();
    assert!(passed > 10, "{what}: axe-core has looked at it: {found}");
    1
}

/// The bytes that a view loads with an empty cache, without its stream of changes.
fn weight(person: &Person, path: &str) -> u64 {
    person.tool("Network.setCacheDisabled", &json!({ "cacheDisabled": true }));
    let before = person.network().len();
    person.goto(path);
    let events = person.network().split_off(before);
    person.tool("Network.setCacheDisabled", &json!({ "cacheDisabled": false }));
    let bytes = |event: &Value| event["params"]["encodedDataLength"].as_f64().unwrap_or_default();
    let finished = events.iter().filter(|event| event["method"] == "Network.loadingFinished");
    let total: f64 = finished.map(bytes).sum();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of bytes")]
    let total = total as u64;
    total
}
