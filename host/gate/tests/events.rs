//! Every kind of event has a golden file, because an event that is on disk today must be readable for ever.
//! `HOLDSHORT_BLESS=1 cargo test -p holdshort-gate --test events` writes the files of new kinds; a file that exists is
//! never rewritten.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use common::{action, limits, proposal};
use holdshort_gate::clearance::JudgedAt;
use holdshort_gate::{
    Clearance, Decision, Delayed, Digest, Event, Grant, RecordedChoice, RefusalReason, Resolution, Time,
};
use serde_json::{Value, json};

/// One event of each kind.
fn samples() -> Vec<Event> {
    let clearance = Digest::of(b"clearance");
    let decision = |verdict| Decision {
        reviewer: "rita".into(),
        stands_for: None,
        clearance,
        verdict,
        message: Some("why".into()),
    };
    vec![
        Event::RunCreated {
            agent: "release".into(),
            component: Digest::of(b"component"),
            task: "main to production".into(),
            started_by: "olga".into(),
            limits: limits(),
            seed: Digest::of(b"seed"),
            request: None,
        },
        Event::RoutineReturned {
            call: 1,
            capability: "acme:mail/send@1.0.0#list".parse().unwrap(),
            arguments: json!({"text": "a"}),
            action: action("a").digest(),
            result: json!({"ok": ["x"]}),
            answered_at: Time(1_000_000),
        },
        Event::CallCleared { call: 2, proposal: Box::new(proposal("a")), clearance },
        Event::CallHeld { call: 2, proposal: Box::new(proposal("a")), clearance },
        Event::CallRefused {
            call: 2,
            action: Box::new(action("a")),
            refusal: RefusalReason::Invalid("no".into()),
            policy: None,
        },
        Event::DecisionMade { call: 2, decision: decision(RecordedChoice::Respond(json!("yes"))) },
        Event::CallRevised { call: 2, revision: 2, by: "rita".into(), proposal: Box::new(proposal("b")), clearance },
        Event::CallReheld {
            call: 2,
            revision: 3,
            reason: "moved".into(),
            proposal: Box::new(proposal("b")),
            clearance,
        },
        Event::CallEscalated { call: 2, level: 1 },
        Event::GrantMade {
            call: 2,
            by: "rita".into(),
            grant: Box::new(Grant {
                agent: "agent".into(),
                component: Digest::of(b"component"),
                capability: "acme:mail/send@1.0.0#send".parse().unwrap(),
                like: BTreeMap::from([("/text".to_owned(), json!("a"))]),
                calls: 10,
                sums: BTreeMap::from([("EUR".to_owned(), 50_000)]),
                until: Time(9_000_000),
            }),
        },
        Event::GrantRevoked { call: 2, by: "olga".into() },
        Event::CallAnswered { call: 2, answer: json!("yes") },
        Event::CallExpired { call: 2 },
        Event::CallCancelled { call: 2 },
        Event::EffectStarted { call: 2, attempt: 1, clearance },
        Event::EffectPostponed { call: 2, attempt: 1, reason: "451 try later".into(), until: Time(2_000_000) },
        Event::EffectSucceeded {
            call: 2,
            attempt: 1,
            receipt: json!({"id": "7"}),
            evidence: None,
            changed: Vec::new(),
        },
        Event::EffectFailed { call: 2, attempt: 1, reason: "no".into(), evidence: Some("looked".into()) },
        Event::EffectInDoubt { call: 2, attempt: 1, reason: "no reply".into() },
        Event::EffectLookedUp { call: 2, attempt: 1, evidence: "no message `<7@example.com>`".into() },
        Event::EffectResolved {
            call: 2,
            attempt: 1,
            by: "rita".into(),
            resolution: Resolution::Done(json!({"id": "7"})),
            message: None,
        },
        Event::TimerSet { timer: 1, until: Time(2_000_000) },
        Event::TimerFired { timer: 1 },
        Event::RunDelayed {
            delayed: Delayed { since: Time(3_000_000), reason: "the connector cannot look just now".into(), tries: 8 },
            told: true,
        },
        Event::RunFinished { result: Err("stopped".into()) },
        Event::RunTrapped { reason: "unreachable".into() },
        Event::RunCancelled { by: "olga".into(), reason: Some("enough".into()) },
        Event::RunDiverged { place: "call 2".into(), recorded: "a".into(), found: "b".into() },
    ]
}

/// A run is journaled with the request that made it, if that request had a key. Otherwise the event has no request, as
/// in older journals.
#[test]
fn a_run_may_have_come_of_a_request_with_a_key() {
    let key = json!({"key": Digest::of(b"key"), "asks": Digest::of(b"asks")});
    let mut value = serde_json::to_value(&samples()[0]).unwrap();
    assert_eq!(value["data"].get("request"), None);
    value["data"]["request"] = key.clone();
    let event: Event = serde_json::from_value(value.clone()).unwrap();
    assert!(matches!(event, Event::RunCreated { request: Some(_), .. }), "{event:?}");
    assert_eq!(serde_json::to_value(&event).unwrap(), value);
}

/// A verdict that may depend on the time is journaled and digested with the time and the time zone of the judgement. A
/// verdict that cannot depend on the time is journaled without them, as in older journals.
#[test]
fn a_verdict_may_say_when_it_was() {
    let clearance = Digest::of(b"clearance");
    let digest = |proposal: &holdshort_gate::Proposal| {
        let (journal, run) = (holdshort_gate::JournalId("j".into()), holdshort_gate::RunId("r".into()));
        Clearance { journal: &journal, run: &run, call: 2, revision: 1, proposal }.digest()
    };
    let plain = proposal("a");
    let mut timed = plain.clone();
    timed.policy.judged_at = Some(JudgedAt { at: Time(7), zone: "Europe/Zagreb".into() });
    let value =
        |proposal| serde_json::to_value(Event::CallHeld { call: 2, proposal: Box::new(proposal), clearance }).unwrap();
    let at = "/data/proposal/policy/judged_at";
    assert_eq!(value(plain.clone()).pointer(at), None);
    assert_eq!(value(timed.clone()).pointer(at), Some(&json!({ "at": 7, "zone": "Europe/Zagreb" })));
    let read: Event = serde_json::from_value(value(timed.clone())).unwrap();
    assert_eq!(read, Event::CallHeld { call: 2, proposal: Box::new(timed.clone()), clearance });
    assert_ne!(digest(&plain), digest(&timed), "what people decide on says when it was judged");
    assert_eq!((plain.policy.asked_at(Time(9)), timed.policy.asked_at(Time(9))), (Time(9), Time(7)));
}

#[test]
fn every_kind_reads_and_writes_as_its_golden_file() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/events");
    let samples = samples();
    let kinds: Vec<&str> = samples.iter().map(Event::name).collect();
    assert_eq!(kinds, Event::NAMES, "one sample of each kind, in the enum's order");
    let mut names = BTreeSet::new();
    for event in samples {
        let value = serde_json::to_value(&event).unwrap();
        assert_eq!(value["type"], event.name());
        let name = format!("{}.json", event.name());
        let path = folder.join(&name);
        if std::env::var_os("HOLDSHORT_BLESS").is_some() && !path.exists() {
            std::fs::write(&path, serde_json::to_string_pretty(&value).unwrap() + "\n").unwrap();
        }
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(value, golden, "{name}: what is written has changed");
        assert_eq!(serde_json::from_value::<Event>(golden).unwrap(), event, "{name}: what is read has changed");
        names.insert(name);
    }
    let files: BTreeSet<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, names);
}
