//! The text that is shown as the agent's own words is always the agent's: no edit can change the agent's reasons, for
//! any reasons and any replacement.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{World, proposal};
use holdshort_gate::command::{Choice, Revision};
use holdshort_gate::{Action, FunctionType, Proposal, RATIONALE, Refused, WitType};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A function that takes reasons, as the host's own functions do.
fn function() -> FunctionType {
    let exhibit = WitType::Record(["title", "text"].map(|name| (name.to_owned(), WitType::String)).into());
    let rationale = WitType::Record(vec![
        ("summary".into(), WitType::String),
        ("confidence".into(), WitType::Option(Box::new(WitType::F32))),
        ("exhibits".into(), WitType::List(Box::new(exhibit))),
    ]);
    FunctionType { params: vec![("text".into(), WitType::String), (RATIONALE.into(), rationale)], result: None }
}

fn with(arguments: &Value) -> Proposal {
    let plain = proposal("a");
    let (component, capability) = (plain.action.component(), plain.action.capability().clone());
    Proposal { action: Action::new(component, capability, &function(), arguments).unwrap(), ..plain }
}

/// Reasons from a small set of values, so that two of them are often equal.
fn reasons() -> impl Strategy<Value = Value> {
    let text = || prop::sample::select(vec!["", "It is due.", "It is due. ", "it is due.", "It is\u{200b} due."]);
    let confidence = prop::sample::select(vec![json!(null), json!(0.5), json!(0.500_000_1), json!(1), json!(2.0)]);
    let exhibits = prop::collection::vec((text(), text()), 0..2);
    (text(), confidence, exhibits).prop_map(|(summary, confidence, exhibits)| {
        let exhibits: Vec<Value> =
            exhibits.iter().map(|(title, text)| json!({ "title": title, "text": text })).collect();
        json!({ "summary": summary, "confidence": confidence, "exhibits": exhibits })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_edit_keeps_the_agents_reasons(said in reasons(), brought in prop::option::of(reasons()), text in "[ab]") {
        let mut world = World::held(with(&json!({ "text": "a", RATIONALE: said })));
        let before = world.subject.call.clone().unwrap();
        let mut arguments = json!({ "text": text });
        if let Some(brought) = brought {
            arguments[RATIONALE] = brought;
        }
        let new = with(&before.action().edited(arguments));
        let same = new.action.reasons() == before.action().reasons();
        let written = world.written.len();
        let decided = world.decide("rita", Choice::Edit(Box::new(Revision { proposal: new })));
        let after = world.subject.call.clone().unwrap();
        if same {
            prop_assert!(decided.is_ok());
            prop_assert_eq!(&after.action().arguments()["text"], &json!(text));
        } else {
            prop_assert!(matches!(decided, Err(Refused::OtherReasons)));
            prop_assert_eq!(world.written.len(), written);
        }
        prop_assert_eq!(after.action().reasons(), before.action().reasons());
    }
}
