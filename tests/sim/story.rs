//! One world from its beginning to its end, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use holdshort_gate::{CallState, Phase, Requirement, ReviewerName, RunPhase};
use holdshort_journal::Position;
use tokio::time::sleep;

use crate::book::{Place, enough, word};
use crate::host::{AGENTS, Host};
use crate::outside::Kind;
use crate::people::{Manner, Mind, PEOPLE};
use crate::weather::{Life, lock};
use crate::world::World;

/// How many runs are open at the same time.
const RUNS_OPEN: usize = 5;
/// A world without failures must end within this many steps.
const CALM_STEPS_MAX: u32 = 1_500;
/// After this many steps the failures end, even if there were fewer calls.
const STEPS_MAX: u32 = 3_000;

/// What happened in a world.
pub struct Story {
    /// How often each thing happened.
    pub seen: BTreeMap<String, u64>,
    pub world: Arc<World>,
}

/// The state that steps keep from one host to the next.
#[derive(Default)]
struct Steps {
    taken: u32,
    calm: u32,
    runs: u64,
    /// Calls that a reviewer saw, with the clearance that they noted.
    noted: Vec<(Place, holdshort_gate::Call)>,
}

/// Runs the world of a seed, in which at least `calls` consequential calls are proposed. An error says which rule was
/// broken.
pub fn tell(seed: u64, calls: u64) -> Result<Story, String> {
    let world = Arc::new(World::new(seed));
    let mut steps = Steps::default();
    loop {
        let life = Arc::new(Life::default());
        // Each host has its own runtime: when the runtime is dropped, everything of the host is dropped.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let done = runtime.block_on(async {
            world.weather.begin();
            let ended = tokio::select! {
                biased;
                () = life.died() => Ok(false),
                ended = live(&world, &life, &mut steps, calls) => ended,
            };
            let long = if world.weather.below(4) == 0 { 3_600_000 } else { 5_000 };
            world.weather.end(Duration::from_millis(world.weather.below(long)));
            ended
        });
        drop(runtime);
        if done? {
            break;
        }
        world.weather.saw("crashes");
    }
    finished(&world)?;
    let mut seen = world.weather.seen();
    seen.insert("proposed".into(), lock(&world.book).proposed);
    seen.insert("steps".into(), steps.taken.into());
    for (phase, count) in lock(&world.book).phases() {
        seen.insert(format!("ended {phase}"), count);
    }
    Ok(Story { seen, world })
}

/// The life of one host. Returns true if the story is over, and false if the host has died.
async fn live(world: &Arc<World>, life: &Arc<Life>, steps: &mut Steps, calls: u64) -> Result<bool, String> {
    let host = Host::start(world.clone(), life.clone()).await;
    let weather = &world.weather;
    loop {
        life.goes_on().await;
        let (proposed, open) = {
            let book = lock(&world.book);
            (book.proposed, book.open_runs().len())
        };
        if proposed >= calls || steps.taken > STEPS_MAX {
            weather.calm_down();
        }
        if weather.is_calm() {
            let doubtful = [CallState::Cleared, CallState::Approved, CallState::Started, CallState::InDoubt];
            let over = doubtful.iter().all(|state| lock(&world.book).in_state(*state).is_empty());
            if open == 0 && over {
                return world.audit(&host.journal, 0).await.map(|()| true);
            }
            calm_step(&host, steps).await?;
        } else {
            step(&host, steps, open).await;
        }
        steps.taken += 1;
        sleep(Duration::from_micros(weather.below(20_000))).await;
        world.audit(&host.journal, steps.taken).await?;
    }
}

/// One step: something happens, good or bad.
async fn step(host: &Host, steps: &mut Steps, open: usize) {
    let weather = &host.world.weather;
    match weather.below(100) {
        0..45 => somebody_decides(host, steps),
        45..50 => somebody_is_late(host, steps),
        50..57 if open < RUNS_OPEN => {
            steps.runs += 1;
            tokio::spawn(host.clone().begin(steps.runs));
        }
        50..70 => sleep(Duration::from_millis(weather.below(3_000))).await,
        70..80 => sleep(Duration::from_secs(weather.below(100))).await,
        80..82 => sleep(Duration::from_secs(weather.below(9_000))).await,
        82..90 => {
            let doubtful = lock(&host.world.book).in_state(CallState::InDoubt);
            if !doubtful.is_empty() {
                tokio::spawn(host.clone().resolve(weather.one_of(&doubtful), weather.one_of(&PEOPLE)));
            }
        }
        90 => {
            let open = lock(&host.world.book).open_runs();
            if !open.is_empty() && weather.below(3) == 0 {
                tokio::spawn(host.clone().end(weather.one_of(&open)));
            }
        }
        91 | 92 => lock(&host.world.outside).facts_change(weather.one_of(&Kind::ALL)),
        93 | 94 => {
            weather.saw("clock jumps");
            let by = i64::try_from(weather.below(7_200_000_000)).unwrap() - 3_600_000_000;
            weather.jump(by);
        }
        95 | 96 => weather.fill_disk(weather.below(60_000)),
        97 | 98 => weather.slow_disk([0, 1, 50, 3_000][weather.below(4) as usize]),
        _ => {
            weather.saw("crash: between steps");
            host.life.die().await;
        }
    }
}

/// One or two reviewers decide on a held call.
fn somebody_decides(host: &Host, steps: &mut Steps) {
    let weather = &host.world.weather;
    let held = lock(&host.world.book).in_state(CallState::Held);
    if held.is_empty() {
        return;
    }
    let place = weather.one_of(&held);
    let call = lock(&host.world.book).calls[&place].clone();
    let mind = |question: bool| match weather.below(10) {
        0..6 if question => Mind::Respond,
        0..6 => Mind::Approve,
        6 | 7 => Mind::Edit,
        8 => Mind::Reject,
        _ if question => Mind::Approve,
        _ => Mind::Respond,
    };
    let first = mind(call.is_question());
    let manner = Manner {
        thinks_ms: if weather.below(3) == 0 { weather.below(100_000) } else { 0 },
        sends_twice: weather.below(6) == 0,
    };
    tokio::spawn(host.clone().decide(place.clone(), weather.one_of(&PEOPLE), first, manner));
    if weather.below(4) == 0 {
        weather.saw("two at once");
        let second = mind(call.is_question());
        tokio::spawn(host.clone().decide(place.clone(), weather.one_of(&PEOPLE), second, Manner::default()));
    }
    steps.noted.push((place, call));
}

/// A reviewer decides with a clearance that they noted earlier, on the same call or on another.
fn somebody_is_late(host: &Host, steps: &Steps) {
    let weather = &host.world.weather;
    if steps.noted.is_empty() {
        return;
    }
    let (place, call) = weather.one_of(&steps.noted);
    let now = lock(&host.world.book).calls[&place].clearance;
    let (other, _) = weather.one_of(&steps.noted);
    let place = if weather.below(3) == 0 { other } else { place };
    let Some(clearance) = call.clearance else { return };
    if now != Some(clearance) {
        weather.saw("decisions on what is no longer so");
    }
    let (host, who) = (host.clone(), weather.one_of(&PEOPLE));
    let mind = if call.is_question() { Mind::Respond } else { Mind::Approve };
    // The reviewer saw this action with this clearance.
    lock(&host.world.told).shown.insert((who.into(), clearance), call.action().digest());
    tokio::spawn(async move { host.decide_on(place, &call, clearance, who, mind, false).await });
}

/// A step without failures: everybody does what is left to do.
async fn calm_step(host: &Host, steps: &mut Steps) -> Result<(), String> {
    steps.calm += 1;
    if steps.calm > CALM_STEPS_MAX {
        let book = lock(&host.world.book);
        let stuck: Vec<_> = book.open_runs().into_iter().map(|run| (book.runs[&run].clone(), run)).collect();
        return Err(format!("stuck: {stuck:#?}, {:?}", book.phases()));
    }
    let (held, doubtful) = {
        let book = lock(&host.world.book);
        (book.in_state(CallState::Held), book.in_state(CallState::InDoubt))
    };
    for place in held {
        let (call, run) = {
            let book = lock(&host.world.book);
            (book.calls[&place].clone(), book.runs[&place.0].clone())
        };
        let requirement = call.requirement().cloned();
        let voters = requirement.map(|needed| voters(&needed, &run.started_by, call.edited_by.as_ref()));
        let mind = if call.is_question() { Mind::Respond } else { Mind::Approve };
        match voters {
            Some(voters)
                if call.is_question()
                    || call.requirement().is_some_and(|needed| enough(needed, &voters.iter().copied().collect())) =>
            {
                let voters = if call.is_question() { vec!["ann"] } else { voters };
                for who in voters {
                    host.clone().decide(place.clone(), who, mind, Manner::default()).await;
                }
            }
            // No reviewer can ever approve this call, so a reviewer rejects it.
            _ => host.clone().decide(place.clone(), "ann", Mind::Reject, Manner::default()).await,
        }
    }
    for place in doubtful {
        host.clone().resolve(place, host.world.weather.one_of(&PEOPLE)).await;
    }
    sleep(Duration::from_secs(30)).await;
    Ok(())
}

fn voters(needed: &Requirement, started_by: &ReviewerName, edited_by: Option<&ReviewerName>) -> Vec<&'static str> {
    PEOPLE
        .into_iter()
        .filter(|who| {
            let who = ReviewerName::from(*who);
            needed.admits_in(&who, 0, 0) && needed.bars(&who, started_by, edited_by).is_ok()
        })
        .collect()
}

/// Every run has ended, and each agent was told the end of each of its calls, however often it was replayed.
fn finished(world: &World) -> Result<(), String> {
    let book = lock(&world.book);
    let mut again = crate::book::Book::default();
    for entry in world.disk.entries(Position(0)) {
        again.follow(&entry)?;
    }
    if again.calls != book.calls || again.runs != book.runs {
        return Err("the events, followed once more, say something else".into());
    }
    for (id, run) in &book.runs {
        let RunPhase::Finished(result) = &run.phase else { continue };
        world.weather.saw("runs finished");
        if run.agent != AGENTS[0] {
            continue;
        }
        let result = result.as_ref().map_err(|why| format!("run {id} failed: {why}"))?;
        let told: Vec<&str> = result.lines().filter(|line| *line != "ok" && *line != "ok []").collect();
        let calls: Vec<&Phase> =
            book.calls.iter().filter(|((run, _), _)| run == id).map(|(_, call)| &call.phase).collect();
        if told.len() != calls.len() || !told.iter().zip(&calls).all(|(line, phase)| line.starts_with(word(phase))) {
            return Err(format!("run {id} was told {told:#?} of {calls:#?}"));
        }
    }
    Ok(())
}

/// What happened, in order, with numbered names in place of random values.
pub fn trace(world: &World) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let entries = world.disk.entries(Position(0));
    let runs: BTreeSet<&str> = entries.iter().map(|entry| entry.run.0.as_str()).collect();
    let mut named = |text: &str| {
        let (mut line, mut last) = (String::new(), "");
        for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len();
            let (word, rest) = word.split_at(end);
            // A random value is a digest, a key, the id of a run, or a number that an agent drew.
            let random = word.len() == 64 || runs.contains(word) || last.ends_with("random");
            let next = names.len() + 1;
            match random.then(|| *names.entry(word.to_owned()).or_insert(next)) {
                Some(number) => line += &number.to_string(),
                None => line += word,
            }
            line += rest;
            last = word;
        }
        line
    };
    for entry in &entries {
        lines.push(named(&format!("{} {}", entry.run, serde_json::to_string(&entry.recorded).unwrap())));
    }
    for effect in &lock(&world.outside).effects {
        lines.push(named(&format!("{effect:?}")));
    }
    lines
}
