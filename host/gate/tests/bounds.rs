//! The number of decisions and revisions of one call has a bound, however long people disagree about the call. The
//! bound is per person, so that nobody uses up the decisions of another person.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use common::{World, proposal, requirement};
use holdshort_gate::command::{Choice, DECISIONS_MAX, REVISIONS_MAX, Revision};
use holdshort_gate::{Proposal, Refused, Requirement, Reviewers};
use proptest::prelude::*;

const PEOPLE: [&str; 3] = ["rita", "rolf", "ruth"];

/// A proposal that needs more approvals or rejections than there are people, so that the dispute goes on.
fn disputed(text: &str) -> Proposal {
    let requirement =
        Requirement { rejections: 5, ..Requirement::plain(Reviewers::Any, 4, requirement().start_within_ms) };
    Proposal { requirement, ..proposal(text) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_dispute_ends(said in prop::collection::vec((0..3_usize, 0..5_u8), 300..400)) {
        let mut world = World::held(disputed("0"));
        let (mut counted, mut bounded) = (BTreeMap::<&str, usize>::new(), 0);
        for (step, (who, how)) in said.into_iter().enumerate() {
            let choice = match how {
                0 => Choice::Edit(Box::new(Revision { proposal: disputed(&step.to_string()) })),
                1 | 2 => Choice::Approve,
                _ => Choice::Reject,
            };
            let (own, edits) = (counted.entry(PEOPLE[who]).or_default(), how == 0);
            let (before, written) = (world.subject.call.clone().unwrap(), world.written.len());
            match world.decide(PEOPLE[who], choice) {
                // An edit also writes the editor's own vote.
                Ok(decided) => *own += if decided.repeated { 0 } else { 1 + usize::from(edits) },
                Err(Refused::TooManyDecisions) => {
                    prop_assert!(*own >= DECISIONS_MAX);
                    bounded += 1;
                }
                Err(Refused::TooManyRevisions) => {
                    prop_assert!(edits && *own < DECISIONS_MAX && before.revision == REVISIONS_MAX);
                    bounded += 1;
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
            let call = world.subject.call.clone().unwrap();
            prop_assert_eq!(call.decisions.iter().filter(|made| made.decision.reviewer == PEOPLE[who]).count(), *own);
            prop_assert!(*own <= DECISIONS_MAX + 1 && call.revision <= REVISIONS_MAX);
            prop_assert!(world.written.len() - written <= 3);
        }
        prop_assert!(bounded > 0, "the dispute got to a bound");
        // A person who has not decided yet can still decide, although the others have made all the decisions that they
        // may make.
        for more in ["anna", "axel", "amir", "abel", "adam"] {
            prop_assert!(world.decide(more, Choice::Reject).is_ok());
            if world.phase() == "rejected" {
                return Ok(());
            }
        }
        prop_assert!(false, "it is {}", world.phase());
    }
}
