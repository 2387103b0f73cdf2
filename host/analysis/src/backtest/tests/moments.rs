//! A call is evaluated again for the time that policy saw, not for the time when its verdict was
//! recorded.

use super::*;

const HALF_PAST: &str = "permit (principal, action == Action::\"call\", resource) when { context.local.minute < 30 };
    forbid (principal, action == Action::\"call\", resource) when { context.local.minute >= 45 };
    permit (principal, action == Action::\"decide\", resource);";

#[test]
fn what_was_written_late_is_judged_by_when_it_was_asked() {
    let hour = 1_700_002_800_000_000;
    for (asked_ms, expected) in
        [(0, "cleared"), (1_799_999, "cleared"), (1_800_000, "waiting"), (2_699_999, "waiting"), (2_700_000, "refused")]
    {
        for late_ms in [0, 1, 60_000, 2_000_000] {
            let mut world = World::new(HALF_PAST);
            let at = world.run();
            world.now = Time(hour).plus_ms(asked_ms);
            let (proposal, judgement) = world.judged(&world.subjects[at].id.clone(), "landlord");
            let proposed = match judgement.verdict {
                Verdict::Clear => FirstVerdict::Clear(Box::new(proposal)),
                Verdict::Hold => FirstVerdict::Hold(Box::new(proposal)),
                Verdict::Refuse(why) => {
                    let (policy, why) = (Some(Box::new(proposal.policy)), RefusalReason::Forbidden(why.into_string()));
                    FirstVerdict::Refuse(Box::new(proposal.action), why, policy)
                }
            };
            world.now = world.now.plus_ms(late_ms);
            assert!(world.submit(at, Propose { call: 1, proposed }));
            let counts = row(&world.tried(HALF_PAST), expected);
            let same = ["cleared", "waiting", "refused"].map(|word| u64::from(word == expected));
            assert_eq!(counts, same, "asked at {asked_ms} ms, written {late_ms} ms later: {expected}");
            // The candidate judges the call for that time too.
            let other = HALF_PAST.replace("< 30", "< 15").replace(">= 45", ">= 59");
            let counts = row(&world.tried(&other), expected);
            assert_eq!(counts, if asked_ms < 900_000 { [1, 0, 0] } else { [0, 1, 0] }, "{asked_ms} {late_ms}");
        }
    }
}
