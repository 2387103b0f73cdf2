//! Compares the figures of the fold with figures that are computed plainly from all events.

use super::*;

/// The counters of one name, with exact times.
#[derive(Debug, Default, PartialEq)]
struct Plain {
    counts: BTreeMap<&'static str, u64>,
    times: Vec<u64>,
}

/// Computes all figures from the complete history, by folding each call's events from the beginning.
fn reckoned(feed: &[Entry], window: Window, known: &Directory) -> BTreeMap<(&'static str, String), Plain> {
    let mut found = BTreeMap::<(&'static str, String), Plain>::new();
    let mut calls = BTreeMap::<(&RunId, u32), Vec<(Time, &Event)>>::new();
    for (run, at, event) in feed {
        if let Some(call) = event.call() {
            calls.entry((run, call)).or_default().push((*at, event));
        }
    }
    let agent_of = |run: &RunId| {
        let created = feed.iter().find_map(|(of, _, event)| match event {
            Event::RunCreated { agent, .. } if of == run => Some(agent.clone()),
            _ => None,
        });
        created.unwrap()
    };
    for ((run, _), events) in &calls {
        let agent = agent_of(run);
        let folds: Vec<Call> = (0..events.len()).map(|last| folded(&events[..=last])).collect();
        for (index, (at, event)) in events.iter().enumerate().filter(|(_, (at, _))| inside(window, *at)) {
            let (before, after) = (index.checked_sub(1).map(|before| &folds[before]), &folds[index]);
            // An edit counts for the policies of the revision that was edited. A call that is held again counts for the
            // policies of the new revision.
            let mut policies: Vec<String> = match event {
                Event::CallRefused { policy, .. } => {
                    policy.as_ref().map(|policy| policy.determining.clone()).unwrap_or_default()
                }
                _ => after.proposal().unwrap().policy.determining.clone(),
            };
            policies.sort();
            policies.dedup();
            let mut names = vec![
                ("all", String::new()),
                ("agent", agent.to_string()),
                ("capability", after.action().capability().to_string()),
            ];
            names.extend(policies.into_iter().map(|policy| ("policy", policy)));
            let mut count = |names: &[(&'static str, String)], what: &'static str| {
                for name in names {
                    *found.entry(name.clone()).or_default().counts.entry(what).or_default() += 1;
                }
            };
            let own_vote = index > 0
                && matches!((events[index - 1], event), ((before, Event::CallRevised { by, .. }), Event::DecisionMade { decision, .. }) if before == *at && decision.reviewer == *by && decision.verdict == RecordedChoice::Approve);
            let held_before = before.is_some_and(|call| call.phase == Phase::Held);
            match event {
                Event::CallCleared { .. } => count(&names, "cleared"),
                Event::CallHeld { .. } => count(&names, "held"),
                Event::CallRefused { .. } => count(&names, "refused"),
                Event::CallReheld { .. } => count(&names, "reheld"),
                Event::CallEscalated { .. } => count(&names, "escalated"),
                Event::CallExpired { .. } => count(&names, if held_before { "expired" } else { "not-started" }),
                Event::CallCancelled { .. } if held_before => count(&names, "cancelled"),
                Event::CallAnswered { .. } => count(&names, "answered"),
                _ => {}
            }
            if held_before && matches!(after.phase, Phase::Approved { .. }) && !own_vote {
                count(&names, "approved");
            }
            if held_before && matches!(after.phase, Phase::Rejected { .. }) {
                count(&names, "rejected");
            }
            let Event::DecisionMade { decision, .. } = event else { continue };
            let what = match decision.verdict {
                RecordedChoice::Edit(_) => "edited",
                RecordedChoice::Approve if own_vote => continue,
                RecordedChoice::Approve => "approvals",
                RecordedChoice::Reject => "rejections",
                RecordedChoice::Respond(_) => "answers",
            };
            let person = decision.reviewer.clone();
            names.push(("reviewer", person.to_string()));
            names.extend(
                known
                    .groups_of(&person)
                    .into_iter()
                    .map(|group| ("group", format!("{group} {}", after.action().capability()))),
            );
            count(&names, what);
            let before = before.unwrap();
            if what == "approvals" && at.0 - before.revised_at.0 < unread(events, index) {
                count(&names, "hasty");
            }
            let ends = !matches!(after.phase, Phase::Held)
                || after.stage != before.stage
                || ["edited", "answers"].contains(&what);
            if ends {
                let asked = asked(events, &folds, index, &person);
                for name in names {
                    found.entry(name).or_default().times.push(at.0 - asked.0);
                }
            }
        }
    }
    found
}

/// Whether a time is in the window: the rule of [`Window`], written independently.
fn inside(window: Window, at: Time) -> bool {
    (window.since.0..window.until.0).contains(&at.0)
}

/// Supplies the run or call that the fold lacks for this event, as its caller does from the journal.
fn tell(fold: &mut ReviewLoad, feed: &[(RunId, Time, Event)], index: usize) {
    let (run, _, event) = &feed[index];
    let of_run = || feed.iter().filter(|(of, _, _)| of == run).map(|(_, _, event)| event);
    let agent = of_run().find_map(|event| match event {
        Event::RunCreated { agent, .. } => Some(agent.clone()),
        _ => None,
    });
    match fold.missing_state(run, event) {
        None => {}
        Some(MissingState::Run) => {
            let held = of_run().filter(|event| matches!(event, Event::CallHeld { .. })).count();
            fold.supply_run(run.clone(), agent.unwrap(), held as u64);
        }
        Some(MissingState::Call(call)) => {
            let before = feed[..index].iter().filter(|(of, _, event)| of == run && event.call() == Some(call));
            let recorded =
                |(_, at, event): &(RunId, Time, Event)| RecordedEvent { seq: 1, at: *at, event: event.clone() };
            fold.supply_call(run.clone(), agent.unwrap(), &before.map(recorded).collect::<Vec<_>>());
        }
    }
}

fn folded(events: &[(Time, &Event)]) -> Call {
    let mut call = Call::open(events[0].1, events[0].0).unwrap();
    for (at, event) in &events[1..] {
        call.apply(event, *at).unwrap();
    }
    call
}

/// The reading time of the content that the last revision before an event added.
fn unread(events: &[(Time, &Event)], index: usize) -> u64 {
    let proposals: Vec<&Proposal> = events[..index]
        .iter()
        .filter_map(|(_, event)| match event {
            Event::CallHeld { proposal, .. }
            | Event::CallRevised { proposal, .. }
            | Event::CallReheld { proposal, .. } => Some(&**proposal),
            _ => None,
        })
        .collect();
    let texts = |proposal: &Proposal| -> BTreeMap<Digest, u64> {
        let arguments = proposal.action.canonical_arguments();
        let own = (Digest::of(arguments.as_bytes()), (arguments.len() + proposal.summary.len()) as u64);
        proposal.exhibits.iter().map(|exhibit| (exhibit.digest, exhibit.bytes)).chain([own]).collect()
    };
    let (last, rest) = proposals.split_last().unwrap();
    let old = rest.last().map(|old| texts(old)).unwrap_or_default();
    let new: u64 = texts(last).iter().filter(|(digest, _)| !old.contains_key(*digest)).map(|(_, bytes)| bytes).sum();
    new * 60_000_000 / (238 * 6)
}

/// The time from which this reviewer could decide: the latest of the start of the revision, the start of the stage, and
/// the escalation that added the reviewer.
fn asked(events: &[(Time, &Event)], folds: &[Call], index: usize, person: &ReviewerName) -> Time {
    let before = &folds[index - 1];
    let began = (0..index).rev().find(|at| {
        let same = |call: &Call| (call.revision, call.stage) == (before.revision, before.stage);
        *at == 0 || (same(&folds[*at]) && !same(&folds[*at - 1]))
    });
    let began = began.unwrap();
    let requirement = before.requirement().unwrap();
    if requirement.admits_in(person, before.stage, 0) || !requirement.admits_in(person, before.stage, before.level) {
        return events[began].0;
    }
    // An escalation of this revision may be older than the current stage.
    let called = (0..index).find(|at| {
        let call = &folds[*at];
        call.revision == before.revision && requirement.admits_in(person, before.stage, call.level)
    });
    events[called.unwrap()].0.max(events[began].0)
}

fn same(tally: &Tally, plain: &Plain, what: &str) {
    let mut found: BTreeMap<&'static str, u64> = [
        ("cleared", tally.cleared),
        ("held", tally.held),
        ("refused", tally.refused),
        ("reheld", tally.reheld),
        ("escalated", tally.escalated),
        ("approvals", tally.approvals),
        ("rejections", tally.rejections),
        ("answers", tally.answers),
        ("hasty", tally.hasty),
    ]
    .into();
    found
        .extend(WaitEnd::ALL.iter().filter(|end| **end != WaitEnd::Edited).map(|end| (end.as_str(), tally.ends(*end))));
    // For reviewers, edits count as decisions; for calls, they count as ends of holds.
    found.insert("edited", tally.edits.max(tally.ends(WaitEnd::Edited)));
    found.retain(|_, count| *count > 0);
    assert_eq!(found, plain.counts, "{what}");
    let mut times = plain.times.clone();
    times.sort_unstable();
    assert_eq!(tally.times.count(), times.len() as u64, "{what}");
    for per_cent in [50, 95] {
        let Some(read) = tally.times.quantile_s(per_cent) else { continue };
        let exact = times[(times.len() * per_cent as usize).div_ceil(100) - 1] as f64 / 1e6;
        assert!((read - exact).abs() <= exact * 0.05 + 0.001, "{what}: {per_cent} %: {read} for {exact}");
    }
}

#[test]
fn the_fold_counts_what_a_plain_reckoning_counts() {
    let known = known();
    let mut seen = BTreeMap::<&str, u64>::new();
    for seed in 0..400 {
        let mut world = World::new(seed);
        for _ in 0..250 {
            world.step();
        }
        let (first, last) = (world.feed[0].1.0, world.now.0);
        let middle = |part: u64| Time(first + (last - first) * part / 3);
        for window in [Window::EVER, Window { since: middle(1), until: middle(2) }] {
            let mut fold = ReviewLoad::new(known.clone(), window);
            world.feed.iter().for_each(|(run, at, event)| fold.follow(run, *at, event));
            // A fold that keeps only one open run and call, and gets the others again from the journal, gives the same
            // figures.
            let mut forgetful = ReviewLoad { open_max: 1, ..ReviewLoad::new(known.clone(), window) };
            for (index, (run, at, event)) in world.feed.iter().enumerate() {
                tell(&mut forgetful, &world.feed, index);
                forgetful.follow(run, *at, event);
            }
            assert_eq!(serde_json::to_value(forgetful.report()).unwrap(), serde_json::to_value(fold.report()).unwrap());
            let plain = reckoned(&world.feed, window, &known);
            let mut tallies: BTreeMap<(&str, String), &Tally> = [(("all", String::new()), &fold.all)].into();
            for (what, table) in [
                ("agent", &fold.agents),
                ("capability", &fold.capabilities),
                ("policy", &fold.policies),
                ("reviewer", &fold.reviewers),
            ] {
                tallies.extend(table.iter().map(|(name, tally)| ((what, name.clone()), tally)));
            }
            tallies.extend(fold.groups.iter().map(|((group, of), tally)| (("group", format!("{group} {of}")), tally)));
            for (name, tally) in &tallies {
                same(tally, plain.get(name).unwrap_or(&Plain::default()), &format!("seed {seed}, {name:?}"));
            }
            assert!(plain.keys().all(|name| tallies.contains_key(name)), "seed {seed}");
            let ended = |event: &Event| matches!(event, Event::RunFinished { .. } | Event::RunCancelled { .. });
            let over: Vec<&RunId> = world
                .feed
                .iter()
                .filter(|(_, at, event)| ended(event) && inside(window, *at))
                .map(|(run, ..)| run)
                .collect();
            let held = |of: &RunId| {
                world.feed.iter().filter(|(run, _, event)| run == of && matches!(event, Event::CallHeld { .. })).count()
                    as u64
            };
            let EndedRuns { runs, unheld, held: all, most } = fold.ended;
            assert_eq!((runs, all), (over.len() as u64, over.iter().map(|run| held(run)).sum()), "seed {seed}");
            assert_eq!(unheld, over.iter().filter(|run| held(run) == 0).count() as u64);
            assert_eq!(most, over.iter().map(|run| held(run)).max().unwrap_or(0));
            for (what, count) in plain[&("all", String::new())].counts.iter().filter(|_| window == Window::EVER) {
                *seen.entry(what).or_default() += count;
            }
        }
        let open =
            world.subjects.iter().filter(|subject| subject.call.as_ref().is_some_and(|call| call.answer().is_none()));
        let mut fold = ReviewLoad::new(known.clone(), Window::EVER);
        world.feed.iter().for_each(|(run, at, event)| fold.follow(run, *at, event));
        assert_eq!(fold.open.len(), open.count(), "what is over is dropped");
        let live = world.subjects.iter().filter(|subject| subject.run.as_ref().is_some_and(|run| !run.phase.is_over()));
        assert_eq!(fold.runs.len(), live.count());
    }
    let least = seen.values().min().unwrap();
    assert!(seen.len() == 16 && *least > 20, "every kind happens: {seen:?}");
}
