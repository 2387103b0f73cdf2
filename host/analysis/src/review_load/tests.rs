//! Compares the fold with a second implementation that keeps the complete history and reads it again for each figure.
//! Also tests the suggestions.

use std::collections::BTreeMap;

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::command::{
    AttemptOutcome, CancelRun, Choice, CreateRun, Decide, EndRun, Expire, Finish, FirstVerdict, Propose, Resolve,
    Revision, Start,
};
use holdshort_gate::{
    Action, Call, Command, Demand, Digest, EffectClass, EffectKey, Escalation, ExhibitRef, FunctionType, JournalId,
    Phase, Proposal, RefusalReason, Requirement, Resolution, Reviewers, RunLimits, Subject, WitType,
};
use serde_json::{Value, json};

use super::*;

mod reckoning;

const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "olga"];
const MAIL: &str = "acme:mail/send@1.0.0#send";
const PAY: &str = "acme:bank/pay@1.0.0#pay";

fn function() -> FunctionType {
    let money = vec![("minor-units".to_owned(), WitType::U64), ("currency".into(), WitType::String)];
    let order = vec![
        ("payee".to_owned(), WitType::String),
        ("amount".into(), WitType::Record(money)),
        ("note".into(), WitType::Option(Box::new(WitType::String))),
        ("copies".into(), WitType::List(Box::new(WitType::String))),
    ];
    FunctionType { params: vec![("order".into(), WitType::Record(order))], result: None }
}

fn action(capability: &str, payee: &str, units: u64) -> Action {
    let order = json!({ "payee": payee, "amount": { "minor-units": units.to_string(), "currency": "EUR" }, "note": null, "copies": ["b@x", "c@x"] });
    Action::new(Digest::of(b"component"), capability.parse().unwrap(), &function(), &json!({ "order": order })).unwrap()
}

fn proposal(action: Action, policies: &[&str], requirement: Requirement) -> Proposal {
    Proposal {
        action,
        summary: "pay somebody".into(),
        exhibits: Vec::new(),
        similar_calls: Vec::new(),
        preconditions: Value::Null,
        facts: Value::Null,
        consequence: None,
        connector: "test".into(),
        class: EffectClass::Idempotent,
        requirement,
        policy: PolicyRecord {
            determining: policies.iter().map(|name| (*name).to_owned()).collect(),
            ..PolicyRecord::new(Digest::of(b"policy"))
        },
    }
}

fn known() -> Arc<Directory> {
    let groups = [("finance", vec!["alice", "bob"]), ("board", vec!["bob", "carol"])];
    let groups = groups.map(|(name, members)| (name.to_owned(), members.into_iter().map(ReviewerName::from).collect()));
    let types = [MAIL, PAY].map(|name| (name.parse().unwrap(), function())).into_iter().collect();
    Arc::new(Directory { groups: groups.into(), types, policies: vec!["never".into(), "p0".into()] })
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }
}

/// An event as in the journal's feed.
type Entry = (RunId, Time, Event);

/// Several runs at the same time, under one clock.
struct World {
    dice: Dice,
    now: Time,
    subjects: Vec<Subject>,
    feed: Vec<Entry>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self { dice: Dice(seed), now: Time(1_700_000_000_000_000), subjects: Vec::new(), feed: Vec::new() }
    }

    fn submit<C: Command>(&mut self, at: usize, command: C) -> bool {
        let subject = &mut self.subjects[at];
        let Ok((events, _)) = command.decide(subject, self.now) else { return false };
        for event in events {
            subject.apply(&event, self.now).unwrap();
            self.feed.push((subject.id.clone(), self.now, event));
        }
        true
    }

    fn create(&mut self, agent: &'static str) -> usize {
        let id = RunId(format!("r{}", self.subjects.len()));
        self.subjects.push(Subject::new(JournalId("j".into()), id, EffectKey("key".into())));
        let limits = RunLimits { cpu_ms: 1, memory_bytes: 1, held_calls: 1_000, calls: 1_000, journal_bytes: 1 << 30 };
        let (component, seed) = (Digest::of(b"component"), Digest::of(b"seed"));
        let create =
            CreateRun { agent: agent.into(), component, task: "t".into(), started_by: "olga".into(), limits, seed };
        assert!(self.submit(self.subjects.len() - 1, create));
        self.subjects.len() - 1
    }

    fn decide(&mut self, at: usize, who: &'static str, choice: Choice) -> bool {
        let Some(clearance) = self.subjects[at].call.as_ref().and_then(|call| call.clearance) else { return false };
        let (reviewer, signed_in_at, message) = (who.into(), self.now, Some("because".to_owned()));
        self.submit(at, Decide { reviewer, stands_for: None, signed_in_at, clearance, choice, message })
    }

    /// A random requirement: one or two stages, one or more reviewers, with or without a deadline and an escalation.
    fn requirement(&mut self) -> Requirement {
        let named = |names: &[&'static str]| Reviewers::Named(names.iter().map(|name| (*name).into()).collect());
        let who = [Reviewers::Any, named(&["alice", "bob"]), named(&["bob", "carol"])];
        let quorum = 1 + u32::from(self.dice.below(3) == 0);
        let mut stages = vec![vec![Demand { reviewers: self.dice.one(&who), quorum }]];
        if self.dice.below(3) == 0 {
            stages.push(vec![Demand { reviewers: self.dice.one(&who), quorum: 1 }]);
        }
        let within = 60_000 * (1 + self.dice.below(600));
        let expires = self.dice.below(2) == 0;
        let escalation = Escalation { reviewers: named(&["olga"]), within_ms: within };
        Requirement {
            stages,
            rejections: 1 + u32::from(self.dice.below(4) == 0),
            expires_at: expires.then(|| self.now.plus_ms(within)),
            escalations: if expires && self.dice.below(2) == 0 { vec![escalation] } else { Vec::new() },
            ..Requirement::plain(Reviewers::Any, 1, 3_600_000)
        }
    }

    fn proposal(&mut self, revised: bool) -> Proposal {
        let capability = self.dice.one(&[MAIL, PAY]);
        let policies = self.dice.one(&[&["p0"][..], &["p1"], &["p0", "p1", "p0"], &[]]);
        let (payee, units) = (self.dice.one(&["a", "b"]), self.dice.below(1_000));
        let requirement = self.requirement();
        let mut proposal = proposal(action(capability, payee, units), policies, requirement);
        if self.dice.below(8) == 0 && !revised {
            proposal.class = EffectClass::Question;
        }
        for exhibit in 0..self.dice.below(3) {
            let bytes = 10 + exhibit * 20_000;
            let digest = Digest::of(&[exhibit as u8]);
            proposal.exhibits.push(ExhibitRef {
                whose: None,
                title: "e".into(),
                media: "text/plain".into(),
                digest,
                bytes,
            });
        }
        proposal
    }

    /// The same call with changed arguments.
    fn revision(&mut self, call: &Call) -> Proposal {
        let old = call.proposal().unwrap().clone();
        let new = self.proposal(true);
        let action = action(&old.action.capability().to_string(), "c", self.dice.below(5));
        let exhibits = if self.dice.below(2) == 0 { old.exhibits.clone() } else { new.exhibits };
        Proposal { action, exhibits, requirement: new.requirement, policy: new.policy, ..old }
    }

    fn step(&mut self) {
        // Time between two events: mostly seconds, sometimes hours, and often none.
        let ms = [0, 1_000, 30_000, 600_000, 40_000_000];
        self.now = self.now.plus_ms(self.dice.one(&ms) + self.dice.below(1_000));
        if self.subjects.is_empty() || self.dice.below(12) == 0 {
            let agent = self.dice.one(&["clerk", "mailer"]);
            self.create(agent);
            return;
        }
        let at = self.dice.below(self.subjects.len() as u64) as usize;
        let call = self.subjects[at].call.clone();
        match call {
            Some(call) if call.answer().is_none() => self.go_on(at, &call),
            _ => self.propose(at, call.map_or(1, |call| call.number + 1)),
        }
    }

    fn propose(&mut self, at: usize, call: u32) {
        let proposal = Box::new(self.proposal(false));
        let proposed = match self.dice.below(8) {
            0 => {
                let policy = (self.dice.below(2) == 0).then(|| Box::new(proposal.policy.clone()));
                FirstVerdict::Refuse(Box::new(proposal.action.clone()), RefusalReason::Forbidden("no".into()), policy)
            }
            1 if proposal.class != EffectClass::Question => FirstVerdict::Clear(proposal),
            2 => {
                self.submit(at, EndRun(holdshort_gate::command::RunEnd::Finished(Ok("done".into()))));
                return;
            }
            _ => FirstVerdict::Hold(proposal),
        };
        self.submit(at, Propose { call, proposed });
    }

    fn go_on(&mut self, at: usize, call: &Call) {
        let who = self.dice.one(&PEOPLE);
        let attempt = call.attempts;
        let finish = |outcome| Finish { attempt, outcome, evidence: None };
        let done = match (self.dice.below(10), &call.phase) {
            (0, _) => self.submit(at, CancelRun { by: "olga".into(), reason: None }),
            (1, _) => {
                self.now = call.deadline().unwrap_or(self.now).max(self.now);
                self.submit(at, Expire)
            }
            (2..=4, Phase::Held) => self.decide(at, who, Choice::Approve),
            (5, Phase::Held) => self.decide(at, who, Choice::Reject),
            (6, Phase::Held) => self.decide(at, who, Choice::Respond(json!("yes"))),
            (7, Phase::Held) => {
                let proposal = self.revision(call);
                self.decide(at, who, Choice::Edit(Box::new(Revision { proposal })))
            }
            (8.., Phase::Held) => false,
            (_, Phase::Cleared { .. } | Phase::Approved { .. }) => self.submit(at, Start { perform_within_ms: 1_000 }),
            (2 | 3, Phase::Started) => {
                let proposal = Box::new(self.revision(call));
                self.submit(at, finish(AttemptOutcome::FactsChanged { reason: "it moved".into(), proposal }))
            }
            (4 | 5, Phase::Started) => self.submit(at, finish(AttemptOutcome::Unknown("lost".into()))),
            (6, Phase::Started) => self.submit(at, finish(AttemptOutcome::DidNotHappen("no".into()))),
            (_, Phase::Started) => self.submit(at, finish(AttemptOutcome::Happened(json!("done")))),
            (number, Phase::InDoubt { .. }) => {
                let resolution =
                    [Resolution::NotDone, Resolution::SendAgain, Resolution::Abandon][number as usize % 3].clone();
                self.submit(at, Resolve { attempt, by: who.into(), resolution, message: None })
            }
            _ => false,
        };
        let _ = done;
    }
}

/// One call that these policies held and these reviewers approved, each after a number of seconds.
fn approved(world: &mut World, policies: &[&str], payee: &str, units: u64, by: &[(&'static str, u64)]) {
    let run = world.create("clerk");
    let quorum = u32::try_from(by.len()).unwrap();
    let requirement = Requirement::plain(Reviewers::Any, quorum, 3_600_000);
    let proposed = FirstVerdict::Hold(Box::new(proposal(action(PAY, payee, units), policies, requirement)));
    assert!(world.submit(run, Propose { call: 1, proposed }));
    for (who, seconds) in by {
        world.now = world.now.plus_ms(seconds * 1_000);
        assert!(world.decide(run, who, Choice::Approve));
    }
}

fn report(world: &World) -> LoadReport {
    let mut fold = ReviewLoad::new(known(), Window::EVER);
    world.feed.iter().for_each(|(run, at, event)| fold.follow(run, *at, event));
    fold.report()
}

#[test]
fn what_is_always_approved_is_suggested_and_nothing_else() {
    let mut world = World::new(1);
    for number in 0..19 {
        approved(
            &mut world,
            &["p0"],
            if number % 2 == 0 { "landlord" } else { "\"power\"\\co" },
            100 * number,
            &[("alice", 30)],
        );
        world.now = world.now.plus_ms(12 * 3_600_000);
    }
    assert_eq!(report(&world).suggestions, [], "19 calls are no habit");
    approved(&mut world, &["p0"], "landlord", 5, &[("alice", 3_600)]);
    let found = report(&world).suggestions;
    let [clear, unused] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        clear.policy.as_deref().unwrap(),
        r#"// 20 such calls were approved, and no such call was rejected, edited or left undecided.
@id("like-clerk-pay")
permit (principal == Agent::"clerk", action == Action::"call", resource is acme::bank::pay::Pay)
when {
    resource.arguments.order.amount.currency == "EUR" && resource.arguments.order.amount.minor_units <= 1800 &&
    resource.arguments.order.copies.count <= 2 &&
    ["b@x", "c@x"].containsAll(resource.arguments.order.copies.items) &&
    !(resource.arguments.order has note) &&
    ["\"power\"\\co", "landlord"].contains(resource.arguments.order.payee) &&
    context.totals.agent_today.count < 2 &&
    context.totals.agent_today.sum + resource.arguments.order.amount.minor_units <= 3500
};
"#
    );
    // 19 decisions took half a minute each, and one took an hour and counts as 15 minutes.
    assert_eq!((clear.decisions, clear.minutes, &clear.open[..]), (20, 24.5, &[][..]));
    assert_eq!(unused.text, "`never` determined the verdict on none of 20 calls: check whether this policy is needed");

    // Policies compare all payments of an agent on a day, whichever policy cleared them.
    let copied = |world: &World| World {
        dice: Dice(1),
        now: world.now,
        subjects: world.subjects.clone(),
        feed: world.feed.clone(),
    };
    let mut busy = copied(&world);
    let run = busy.create("clerk");
    let small =
        proposal(action(PAY, "somebody else", 5_000), &["small"], Requirement::plain(Reviewers::Any, 1, 60_000));
    assert!(busy.submit(run, Propose { call: 1, proposed: FirstVerdict::Clear(Box::new(small)) }));
    let text = report(&busy).suggestions.remove(0).policy.unwrap();
    assert!(text.contains("amount.minor_units <= 1800") && text.contains("amount.minor_units <= 5005"), "{text}");

    // If one call of the agent and capability had another outcome, under whichever policy, nothing is suggested,
    // because a suggested policy would have cleared that call too.
    for other in 0..5 {
        let mut spoilt = copied(&world);
        let run = spoilt.create("clerk");
        let requirement = Requirement {
            expires_at: Some(world.now.plus_ms(60_000)),
            rejections: if other == 4 { 2 } else { 1 },
            ..Requirement::plain(Reviewers::Any, 1, 60_000)
        };
        let policies = if other % 2 == 0 { &["p0"] } else { &["another"] };
        let held = proposal(action(PAY, "landlord", 1), policies, requirement);
        assert!(spoilt.submit(run, Propose { call: 1, proposed: FirstVerdict::Hold(Box::new(held.clone())) }));
        assert_eq!(report(&spoilt).suggestions.len(), 2, "what still waits is no other habit");
        let edit =
            || Choice::Edit(Box::new(Revision { proposal: Proposal { action: action(PAY, "me", 1), ..held.clone() } }));
        assert!(match other {
            0 => spoilt.decide(run, "bob", Choice::Reject),
            1 => spoilt.decide(run, "bob", edit()),
            2 => spoilt.submit(run, CancelRun { by: "olga".into(), reason: None }),
            4 => spoilt.decide(run, "bob", Choice::Reject) && spoilt.decide(run, "alice", Choice::Approve),
            _ => {
                spoilt.now = world.now.plus_ms(60_001);
                spoilt.submit(run, Expire)
            }
        });
        assert!(report(&spoilt).suggestions.iter().all(|one| one.policy.is_none()), "{other}");
    }
}

#[test]
fn several_who_always_agree_are_pointed_out() {
    let mut world = World::new(1);
    for _ in 0..20 {
        approved(&mut world, &["p0"], "landlord", 1, &[("alice", 60), ("carol", 60)]);
    }
    let agreed = |world: &World| report(world).suggestions.iter().any(|one| one.text.contains("always agreed"));
    assert!(agreed(&world));
    let run = world.create("clerk");
    let requirement = Requirement::plain(Reviewers::Any, 2, 60_000);
    let held = proposal(action(PAY, "landlord", 1), &["p0"], requirement);
    assert!(world.submit(run, Propose { call: 1, proposed: FirstVerdict::Hold(Box::new(held)) }));
    assert!(world.decide(run, "alice", Choice::Approve) && world.decide(run, "bob", Choice::Reject));
    assert!(!agreed(&world));
}

#[test]
fn names_are_bounded() {
    let mut table = Table::<String>::default();
    for number in 0..1_000 {
        table.get(format!("{number:04}")).held += 1;
    }
    let found: BTreeMap<&String, u64> = table.iter().map(|(name, tally)| (name, tally.held)).collect();
    assert_eq!((found.len(), found[&tally::OTHER.to_owned()]), (tally::NAMES_MAX + 1, 800));
}
