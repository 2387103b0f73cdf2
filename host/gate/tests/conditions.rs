//! Which changes of a fact a clearance allows, for each kind of condition.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use common::{World, action, proposal};
use holdshort_gate::command::{AttemptOutcome, Choice, FirstVerdict, Propose, Revision};
use holdshort_gate::condition::{Condition, MissingFact, PresentFact, changes, unchanged};
use holdshort_gate::{CallId, CallState, Digest, EffectKey, EffectMark, Event, Proposal, RunId, SimilarCall};
use proptest::prelude::*;
use serde_json::{Value, json};

fn mark(name: &str) -> EffectMark {
    EffectMark { key: EffectKey(name.into()), effect_digest: Digest::of(name.as_bytes()) }
}

/// Whether the condition allows this new value of the fact, if the effects `since` have happened and the proposal lists
/// the similar calls `listed`; `None` if the value is unchanged.
fn allows(stated: &Value, value: Value, since: &[&str], listed: &[&str]) -> Option<bool> {
    let listed: Vec<EffectMark> = listed.iter().map(|name| mark(name)).collect();
    let found = PresentFact { value, since: since.iter().map(|name| mark(name)).collect() };
    let changes = changes(&json!({ "fact": stated }), &listed, &BTreeMap::from([("fact", found)])).unwrap();
    changes.first().map(|change| change.allowed)
}

#[test]
fn a_quantity_may_change_and_not_fall_below_its_bound() {
    let stated = |bound: &str| json!({ "shown": "10,000.00 EUR", "at-least": bound });
    let (yes, no) = (Some(true), Some(false));
    let cases = [
        ("10,000.00 EUR", "250.00 EUR", None),
        ("9,999.99 EUR", "250.00 EUR", yes),
        ("250.00 EUR", "250.00 EUR", yes),
        ("249.99 EUR", "250.00 EUR", no),
        ("0.00 EUR", "250.00 EUR", no),
        ("-250.00 EUR", "250.00 EUR", no),
        ("-1.00 EUR", "-2.00 EUR", yes),
        ("1,000,000,000,000,000.00 EUR", "250.00 EUR", yes),
        ("99999999999999999999999999.00 EUR", "250.00 EUR", yes),
        ("1,234.50 EUR", "1,234.51 EUR", no),
        // These values have another unit, or another number of decimals with the same number of digits.
        ("9,999.00 USD", "250.00 EUR", no),
        ("9,999.000 EUR", "250.00 EUR", no),
        ("9,999 EUR", "250.00 EUR", no),
        ("999,900 JPY", "250.00 EUR", no),
        // These texts are no quantities.
        ("", "250.00 EUR", no),
        ("much", "250.00 EUR", no),
        ("9,999.00", "250.00 EUR", no),
        ("9,999.00EUR", "250.00 EUR", no),
        (" 9,999.00 EUR", "250.00 EUR", no),
        ("9,999. EUR", "250 EUR", no),
        (".50 EUR", "0.25 EUR", no),
        ("1e9 EUR", "250 EUR", no),
        ("+9,999.00 EUR", "250.00 EUR", no),
        ("--9,999.00 EUR", "250.00 EUR", no),
        ("９,999.00 EUR", "250.00 EUR", no),
        ("9,999.00 EUR or so", "250.00 EUR", no),
        ("9,999.00 EUR", "not much", no),
        ("999999999999999999999999999999999999999999.00 EUR", "250.00 EUR", no),
    ];
    for (now, bound, allowed) in cases {
        assert_eq!(allows(&stated(bound), json!(now), &[], &[]), allowed, "{now} for {bound}");
    }
    for now in [json!(10_000), json!(null), json!(["9,999.00 EUR"]), json!(true)] {
        assert_eq!(allows(&stated("250.00 EUR"), now.clone(), &[], &[]), no, "{now}");
    }
}

#[test]
fn what_has_happened_since_must_have_been_listed() {
    let stated = json!({ "shown": 2, "nothing-new-about": "ACME" });
    let (yes, no) = (Some(true), Some(false));
    type Row = (u64, &'static [&'static str], &'static [&'static str], Option<bool>);
    let cases: &[Row] = &[
        (2, &[], &[], None),
        (2, &[], &["a"], None),
        (3, &["a"], &["a"], yes),
        (4, &["b", "a"], &["a", "b", "c"], yes),
        (3, &["x"], &["a"], no),
        (3, &["a"], &[], no),
        (4, &["a", "x"], &["a"], no),
        // The count is higher than the number of effects that the connector names, or lower than the shown count.
        (3, &[], &["a"], no),
        (4, &["a"], &["a"], no),
        (1, &[], &["a"], no),
        (0, &[], &[], no),
        (2, &["a"], &["a"], no),
    ];
    for (now, since, listed, allowed) in cases {
        assert_eq!(allows(&stated, json!(now), since, listed), *allowed, "{now}: {since:?} of {listed:?}");
    }
    // The same key with another digest: the call was edited after it was listed.
    let edited = EffectMark { effect_digest: Digest::of(b"another"), ..mark("a") };
    let found = PresentFact { value: json!(3), since: vec![edited] };
    let changes = changes(&json!({ "fact": stated }), &[mark("a")], &BTreeMap::from([("fact", found)])).unwrap();
    assert!(!changes[0].allowed);
}

#[test]
fn what_is_no_condition_must_be_the_same() {
    let stated = [
        json!("10,000.00 EUR"),
        json!(3),
        json!(null),
        json!({ "shown": "1.00 EUR" }),
        json!({ "at-least": "1.00 EUR" }),
        json!({ "shown": "1.00 EUR", "at-most": "1.00 EUR" }),
        json!({ "shown": 1, "at-least": 1 }),
        json!({ "shown": "3", "nothing-new-about": "x" }),
        json!({ "shown": -3, "nothing-new-about": "x" }),
        json!({ "shown": 3, "nothing-new-about": null }),
        json!({ "shown": "1.00 EUR", "at-least": "1.00 EUR", "more": true }),
        json!({ "shown": "1.00 EUR", "at-least": "1.00 EUR", "nothing-new-about": "x" }),
        json!([{ "shown": "2.00 EUR", "at-least": "1.00 EUR" }]),
    ];
    for stated in stated {
        assert_eq!(Condition::read(&stated), Condition::Same(stated.clone()));
        assert_eq!(allows(&stated, stated.clone(), &[], &[]), None, "{stated}");
        assert_eq!(allows(&stated, json!("2.00 EUR"), &[], &["a"]), Some(false), "{stated}");
    }
    let now = |names: &[&'static str]| -> BTreeMap<&str, PresentFact> {
        names.iter().map(|name| (*name, PresentFact { value: json!(1), since: Vec::new() })).collect()
    };
    for (stated, found) in [
        (json!(null), now(&["a"])),
        (json!({}), now(&["a"])),
        (json!({ "b": 1 }), now(&["a"])),
        (json!({ "a": 1, "b": 1 }), now(&["a"])),
        (json!({ "a": 1 }), now(&["a", "b"])),
    ] {
        assert_eq!(changes(&stated, &[], &found), Err(MissingFact), "{stated}");
    }
    assert_eq!(changes(&json!({ "a": 1 }), &[], &now(&["a"])), Ok(Vec::new()));
}

/// If policy clears a call, no fact may change, whatever its condition allows: no reviewer has seen the condition or
/// the similar calls.
#[test]
fn what_nobody_decides_on_has_no_room() {
    let stated = json!({
        "ledger": "l", "source-balance": { "shown": "5.00 EUR", "at-least": "1.00 EUR" },
        "payments": { "shown": 2, "nothing-new-about": "ACME" }, "program": ["a", { "shown": 1 }],
    });
    let plain = json!({ "ledger": "l", "source-balance": "5.00 EUR", "payments": 2, "program": ["a", { "shown": 1 }] });
    assert_eq!(
        (unchanged(&stated), unchanged(&plain), unchanged(&json!(null))),
        (plain.clone(), plain.clone(), json!(null))
    );
    let similar_calls = SimilarCall {
        id: CallId { run: RunId("q".into()), call: 1 },
        effect_digest: Digest::of(b"a"),
        summary: "pay".into(),
    };
    for clears in [true, false] {
        let mut world = World::new();
        world.subject.similar_calls = vec![similar_calls.clone()];
        let proposal = Box::new(Proposal { preconditions: stated.clone(), ..proposal("a") });
        let proposed = if clears { FirstVerdict::Clear(proposal) } else { FirstVerdict::Hold(proposal) };
        world.submit(Propose { call: 1, proposed }).unwrap();
        let kept = world.subject.call.as_ref().unwrap().proposal().unwrap();
        let expected = if clears { (&plain, 0) } else { (&stated, 1) };
        assert_eq!((&kept.preconditions, kept.similar_calls.len()), expected, "{clears}");
    }
}

/// A similar call with this name, as a proposal lists it.
fn similar_calls(name: &str) -> SimilarCall {
    SimilarCall {
        id: CallId { run: RunId(name.into()), call: 1 },
        effect_digest: Digest::of(name.as_bytes()),
        summary: name.into(),
    }
}

#[test]
fn what_waits_beside_it_is_part_of_what_was_shown() {
    let held = |others: &[&str]| {
        let mut world = World::new();
        world.subject.similar_calls = others.iter().map(|name| similar_calls(name)).collect();
        world.submit(Propose { call: 1, proposed: FirstVerdict::Hold(Box::new(proposal("a"))) }).unwrap();
        world
    };
    let digests: Vec<Digest> =
        [&[][..], &["b"], &["c"], &["b", "c"]].iter().map(|others| held(others).clearance()).collect();
    let different: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(different.len(), digests.len());
    // A permit names the keys of the effects of the listed calls, each with the digest of the effect that was shown.
    let mut world = held(&["b", "c"]);
    world.decide("rita", Choice::Approve).unwrap();
    world.subject.similar_keys = vec![EffectKey("b".into()), EffectKey("c".into())];
    assert_eq!(world.start().unwrap().similar_effects(), [mark("b"), mark("c")]);
    // A call that is held again lists the calls that wait at that time. The refusal of a vote on the older revision
    // says why the vote no longer counts.
    world.subject.similar_calls = vec![similar_calls("d")];
    let fell = world.clearance();
    let changed = AttemptOutcome::FactsChanged { reason: "the tip moved".into(), proposal: Box::new(proposal("a")) };
    world.finish(1, changed).unwrap();
    let Some(Event::CallReheld { proposal, .. }) = world.written.last() else { panic!() };
    assert_eq!(proposal.similar_calls, [similar_calls("d")]);
    let answer = world.decide_on(fell, "rita", Choice::Approve).unwrap_err().to_string();
    let current = world.clearance();
    let told = "the approval has changed since it was shown: the call is held again because the tip moved; the current digest is";
    assert_eq!(answer, format!("{told} {current}"));
}

#[test]
fn an_action_is_the_same_deed_whoever_asks_for_it_for_whatever_reason() {
    let effect_digest = |arguments: Value| holdshort_gate::similar::effect_digest(action("a").capability(), &arguments);
    let pay = |cents: u32, why: &str| effect_digest(json!({ "amount": cents, "rationale": { "summary": why } }));
    assert_eq!(pay(1, "It is due."), pay(1, "It is due today."));
    assert_ne!(pay(1, "It is due."), pay(2, "It is due."));
    assert_ne!(
        effect_digest(json!({ "amount": 1, "note": { "rationale": 1 } })),
        effect_digest(json!({ "amount": 1, "note": {} }))
    );
    let other = "acme:mail/send@1.0.0#other".parse().unwrap();
    assert_ne!(holdshort_gate::similar::effect_digest(&other, &json!({})), effect_digest(json!({})));
}

proptest! {
    /// A quantity meets a bound exactly if its number is not below the number of the bound.
    #[test]
    fn quantities_compare_as_numbers(now in any::<i64>(), bound in any::<i64>(), decimals in 0..4_usize) {
        let show = |units: i64| {
            let digits = format!("{:0>width$}", units.unsigned_abs(), width = decimals + 1);
            let (whole, part) = digits.split_at(digits.len() - decimals);
            let point = if decimals > 0 { "." } else { "" };
            format!("{}{whole}{point}{part} EUR", if units < 0 { "-" } else { "" })
        };
        let stated = json!({ "shown": "nothing", "at-least": show(bound) });
        prop_assert_eq!(allows(&stated, json!(show(now)), &[], &[]), Some(now >= bound));
    }
}

/// An edited action may have other similar calls than the first action. The editor's own vote follows only if the page
/// on which the editor worked showed all these calls.
#[test]
fn an_editor_approves_beside_only_what_they_have_seen() {
    let all = |names: &[&str]| names.iter().map(|name| similar_calls(name)).collect::<Vec<_>>();
    for (shown, waits, phase) in [
        (&[][..], &[][..], CallState::Approved),
        (&["x"], &["x"], CallState::Approved),
        (&["x", "y"], &["y"], CallState::Approved),
        (&["x"], &[], CallState::Approved),
        (&[], &["x"], CallState::Held),
        (&["x"], &["y"], CallState::Held),
        (&["x"], &["x", "y"], CallState::Held),
    ] {
        let mut world = World::new();
        world.subject.similar_calls = all(shown);
        world.submit(Propose { call: 1, proposed: FirstVerdict::Hold(Box::new(proposal("a"))) }).unwrap();
        world.subject.similar_calls = all(waits);
        let edit = Choice::Edit(Box::new(Revision { proposal: proposal("b") }));
        assert_eq!(world.decide("rita", edit).unwrap().state, phase, "{shown:?}, then {waits:?}");
    }
}
