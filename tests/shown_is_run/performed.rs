//! The digest on the page is the digest of the clearance, and a connector gets exactly what was shown, for values of
//! any type.
//!
//! The endpoint and its journal are real. The connector is this test: it gets the real `Authorized` and performs
//! nothing.

use holdshort::cli::client::verify;
use holdshort::review::ShownCall;
use holdshort::review::terminal::{action, plain};
use holdshort_gate::command::{FirstVerdict, Propose, Start};
use holdshort_gate::{Action, Digest, FunctionType, Proposal, WitType};
use holdshort_journal::{Authorized, Flushed};
use proptest::strategy::{Strategy, ValueTree};
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::values::{again, cases, runner, seeds, text, value, wit_type};
use crate::world::{How, World, proposal};
use crate::{action_digest, clearance_digest, evidence};

/// The number of actions of an ordinary test run.
const ACTIONS: u64 = 1_000;

/// What a connector gets with its `Authorized`.
struct Handed {
    digest: Digest,
    clearance: Digest,
    arguments: Value,
}

fn perform(authorized: &Authorized) -> Handed {
    let (digest, clearance) = (authorized.action().digest(), authorized.clearance());
    Handed { digest, clearance, arguments: authorized.action().arguments().clone() }
}

/// A proposal of a random action, with random texts around it.
fn any_proposal(seed: u64) -> Proposal {
    let mut runner = runner(seed);
    let ty = wit_type().new_tree(&mut runner).unwrap().current();
    let params = vec![("subject".to_owned(), ty.clone()), ("rationale".to_owned(), WitType::String)];
    let function = FunctionType { params, result: None };
    let mut word = || text().new_tree(&mut runner).unwrap().current();
    let (claim, summary, title, tip) = (word(), word(), word(), word());
    let subject = value(&ty).new_tree(&mut runner).unwrap().current();
    let arguments = json!({ "subject": subject, "rationale": claim });
    let mut proposal = proposal("hello", &How::PLAIN);
    proposal.action = Action::new(Digest::of(b"component"), "a:b/c#d".parse().unwrap(), &function, &arguments).unwrap();
    proposal.summary = summary;
    proposal.exhibits[0].title = title;
    proposal.preconditions = json!({ "tip": tip });
    proposal
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_performed_has_the_digest_that_was_shown() {
    let world = World::new().await;
    // A long run tries more actions in the same proportion as the tests that write nothing.
    let wanted = cases(100_000) * ACTIONS / 100_000;
    for (number, seed) in seeds().take(usize::try_from(wanted.max(1)).unwrap()).enumerate() {
        let again = again(seed, "what_is_performed_has_the_digest_that_was_shown");
        let run = world.run().await;
        let proposed = FirstVerdict::Hold(Box::new(any_proposal(seed)));
        let _ = world.submit(&run, None, Propose { call: 1, proposed }).await.unwrap();
        let id = format!("{run}.1");

        // The approval over HTTP, and as the reviewer's terminal shows it, which computes the digests again.
        let shown = get(&format!("/v1/approvals/{id}")).send(world.at).await.json();
        assert_eq!(shown["action_digest"], action_digest(&shown), "{again}");
        assert_eq!(shown["digest"], clearance_digest(&shown), "{again}");
        let verified = verify(&id.parse().unwrap(), &mut serde_json::from_value(shown.clone()).unwrap()).unwrap();
        let facts = [("digest", verified.digest.to_string())];
        let page = plain(&action(&ShownCall::of(&verified.proposal, &facts, &[]), 100));
        let digest = page.lines().find_map(|line| line.strip_prefix("  digest: ")).expect("the page shows its digest");
        assert_eq!(shown["digest"], digest, "{again}");

        let decision = json!({ "type": "approve", "digest": digest });
        let decided = post(&format!("/v1/approvals/{id}/decisions"), &decision).send(world.at).await;
        assert_eq!(decided.status, 200, "{}: {again}", decided.text());
        let authorized: Flushed<_> = world.submit(&run, Some(1), Start { perform_within_ms: 1_000 }).await.unwrap();
        let handed = perform(&authorized);
        assert_eq!(handed.clearance.to_string(), digest, "{again}");
        assert_eq!(json!(handed.digest), shown["action_digest"], "{again}");
        assert_eq!(handed.arguments, shown["proposal"]["action"]["arguments"], "{again}");
        if number % 100 == 0 {
            // The same action in another run has another clearance.
            let other = world.run().await;
            let proposed = FirstVerdict::Hold(Box::new(any_proposal(seed)));
            let _ = world.submit(&other, None, Propose { call: 1, proposed }).await.unwrap();
            assert_ne!(world.digest(&other).await, Some(handed.clearance), "{again}");
        }
    }
    evidence::figure("T8", "digests shown and performed", wanted.max(1));
    world.stop().await;
}
