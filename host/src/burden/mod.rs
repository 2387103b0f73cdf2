//! How much people are asked, how long they take, and what of it could go without them: a fold over the journal's events.
//!
//! [`Burden::follow`] takes every event of all runs in the order of commits, from the journal's beginning, because a call that is decided now may have
//! been held long ago; what happens outside its [`Window`] is followed and not counted. What it keeps is bounded: the latest 256 runs and calls
//! that are not over (`open`; of others it says that it [lacks](Burden::lacks) them, and is told what the journal has), a [`tally`] for each name up
//! to a limit, and histograms instead of times ([`times`]). It has no clock and asks nobody.
//!
//! Read in this order: [`report`] (what is told), `open` (what an event does to its call), then the fold here, and `habits` (what could go without people).
//!
//! **Invariant:** `/metrics` keeps its fold and goes on from its place; each report has a fold of its own, from the first event. The fold follows
//! calls by the gate's own `Call`, without arguments and evidence, so stages, votes and escalations are those of a decision.

mod habits;
mod open;
pub mod report;
pub mod tally;
pub mod times;
pub mod words;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use holdshort_gate::{CallNumber, Event, Recorded, RunId, Time, Verdict, totals};

use crate::policy::schema::Types;
use habits::Habits;
use open::{Made, Open, Step};
use tally::{End, Table, Tally};

pub use report::Report;

/// Whoever is in no group of the configuration decides under this name.
pub const NOBODYS_GROUP: &str = "nobody's group";

/// What of the configuration the figures are told by.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The groups with their members.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The functions that policies can speak of. Of others nothing is suggested.
    pub types: Types,
    /// The policies in force that say what becomes of calls and who must decide.
    pub policies: Vec<String>,
}

impl Known {
    /// The groups that somebody is in; never none.
    fn groups_of<'a>(&'a self, person: &str) -> Vec<&'a str> {
        let of = self.groups.iter().filter(|(_, members)| members.iter().any(|member| member == person));
        let found: Vec<&str> = of.map(|(group, _)| group.as_str()).collect();
        if found.is_empty() { vec![NOBODYS_GROUP] } else { found }
    }
}

/// What is counted: what happened at `since` or later, and before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins.
    pub since: Time,
    /// Where it ends.
    pub until: Time,
}

impl Window {
    /// Everything.
    pub const EVER: Self = Self { since: Time(0), until: Time(u64::MAX) };

    /// Whether a time is within.
    fn includes(&self, at: Time) -> bool {
        self.since <= at && at < self.until
    }
}

/// How many runs, and how many calls, that are not over are kept. Each takes two to three KiB, with its requirement; one that was let go is read from the
/// journal again when something happens to it. So ten thousand that wait for people cost no more than these.
const OPEN_MAX: usize = 256;

/// A run that is not over.
#[derive(Debug)]
struct OpenRun {
    agent: String,
    held: u64,
    /// It was let go and told again: how often it was held in all is asked for once more when it ends.
    told: bool,
    /// When it was last looked at, as a count of events.
    used: u64,
}

/// What the fold has let go, and must be told before it can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// A run.
    Run,
    /// A call: its events so far.
    Call(CallNumber),
}

/// Runs that ended, and how often each was held.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended {
    /// How many ended.
    pub runs: u64,
    /// Those of which no call was held.
    pub unheld: u64,
    /// Calls that were held in them, over their whole lives.
    pub held: u64,
    /// The most in one.
    pub most: u64,
}

/// The fold.
#[derive(Debug)]
pub struct Burden {
    known: Arc<Known>,
    window: Window,
    runs: HashMap<RunId, OpenRun>,
    open: HashMap<(RunId, CallNumber), (Open, u64)>,
    events: u64,
    open_max: usize,
    /// All calls together.
    pub all: Tally,
    /// By capability.
    pub capabilities: Table<String>,
    /// By agent.
    pub agents: Table<String>,
    /// By the policies that determined what became of a call: each of several counts.
    pub policies: Table<String>,
    /// By who decided.
    pub reviewers: Table<String>,
    /// By the groups that they are in, each of several, and by capability.
    pub groups: Table<(String, String)>,
    /// Runs that ended.
    pub ended: Ended,
    habits: Habits,
}

impl Burden {
    /// Before the first event.
    pub fn new(known: Arc<Known>, window: Window) -> Self {
        Self {
            known,
            window,
            runs: HashMap::new(),
            open: HashMap::new(),
            events: 0,
            open_max: OPEN_MAX,
            all: Tally::default(),
            capabilities: Table::default(),
            agents: Table::default(),
            policies: Table::default(),
            reviewers: Table::default(),
            groups: Table::default(),
            ended: Ended::default(),
            habits: Habits::default(),
        }
    }

    /// What it must be told with [`tell_run`](Self::tell_run) or [`tell_call`](Self::tell_call) before it follows this event, if anything.
    pub fn lacks(&self, run: &RunId, event: &Event) -> Option<Lacks> {
        #[allow(clippy::wildcard_enum_match_arm, reason = "every other event is one of a call that is open")]
        match event {
            Event::RunCreated { .. }
            | Event::RoutineReturned { .. }
            | Event::TimerSet { .. }
            | Event::TimerFired { .. }
            | Event::RunDelayed { .. }
            | Event::GrantRevoked { .. } => None,
            Event::RunFinished { .. }
            | Event::RunTrapped { .. }
            | Event::RunCancelled { .. }
            | Event::RunDiverged { .. } => self.runs.get(run).is_none_or(|run| run.told).then_some(Lacks::Run),
            Event::CallCleared { .. } | Event::CallHeld { .. } | Event::CallRefused { .. } => {
                (!self.runs.contains_key(run)).then_some(Lacks::Run)
            }
            _ => event.call().filter(|call| !self.open.contains_key(&(run.clone(), *call))).map(Lacks::Call),
        }
    }

    /// A run that it lacks: its agent, and how many of its calls have been held in all.
    pub fn tell_run(&mut self, run: RunId, agent: String, held: u64) {
        let used = self.events;
        self.runs.insert(run, OpenRun { agent, held, told: true, used });
    }

    /// A call that it lacks: whose it is, and its events so far.
    pub fn tell_call(&mut self, run: RunId, agent: String, events: &[Recorded]) {
        let Some((first, rest)) = events.split_first() else { return };
        let Some(mut open) = Open::new(&first.event, first.at, agent, &self.known) else { return };
        for Recorded { event, at, .. } in rest {
            open.follow(event, *at, &self.known);
        }
        self.keep((run, open.number()), open);
    }

    fn keep(&mut self, key: (RunId, CallNumber), open: Open) {
        if !open.is_over() {
            self.open.insert(key, (open, self.events));
        }
    }

    /// Follows the next event of a run.
    pub fn follow(&mut self, run: &RunId, at: Time, event: &Event) {
        self.events += 1;
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "every other event is one of a call that is open, or none of this room's"
        )]
        match event {
            Event::RunCreated { agent, .. } => {
                let opened = OpenRun { agent: agent.clone(), held: 0, told: false, used: self.events };
                self.runs.insert(run.clone(), opened);
            }
            Event::RunFinished { .. }
            | Event::RunTrapped { .. }
            | Event::RunCancelled { .. }
            | Event::RunDiverged { .. } => self.end(run, at),
            Event::CallCleared { .. } | Event::CallHeld { .. } | Event::CallRefused { .. } => self.open(run, at, event),
            _ => self.go_on(run, at, event),
        }
        self.let_go();
    }

    /// Lets go the half that was not looked at for longest, where there are too many.
    fn let_go(&mut self) {
        if self.open.len() > self.open_max {
            let oldest = middle(self.open.values().map(|(_, used)| *used));
            self.open.retain(|_, (_, used)| *used > oldest);
        }
        if self.runs.len() > self.open_max {
            let oldest = middle(self.runs.values().map(|run| run.used));
            self.runs.retain(|_, run| run.used > oldest);
        }
    }

    /// A run is over. What was begun for it may still come to its end.
    fn end(&mut self, run: &RunId, at: Time) {
        let Some(OpenRun { held, .. }) = self.runs.remove(run) else { return };
        if self.window.includes(at) {
            let Ended { runs, unheld, held: all, most } = &mut self.ended;
            *runs += 1;
            *unheld += u64::from(held == 0);
            *all += held;
            *most = (*most).max(held);
        }
    }

    /// A call begins.
    fn open(&mut self, run: &RunId, at: Time, event: &Event) {
        let held = matches!(event, Event::CallHeld { .. });
        let used = self.events;
        let agent = self.runs.get_mut(run).map_or_else(String::new, |run| {
            run.held += u64::from(held && !run.told);
            run.used = used;
            run.agent.clone()
        });
        let Some(open) = Open::new(event, at, agent, &self.known) else { return };
        if self.window.includes(at) {
            if let Event::CallCleared { proposal, .. } = event {
                let money = totals::money(&proposal.action);
                self.habits.day(open.agent(), &open.capability(), money.iter(), at);
            }
            self.each(&open, |tally| tally.judged(event));
        }
        self.keep((run.clone(), open.number()), open);
    }

    /// Something happens to a call that is open.
    fn go_on(&mut self, run: &RunId, at: Time, event: &Event) {
        let Some(key) = event.call().map(|call| (run.clone(), call)) else { return };
        let Some((mut open, _)) = self.open.remove(&key) else { return };
        let step = open.follow(event, at, &self.known);
        if self.window.includes(at) {
            self.count(&open, &step, at);
        }
        self.keep(key, open);
    }

    /// Counts a step of a call, once for each table that has a row for it.
    fn count(&mut self, open: &Open, step: &Step, at: Time) {
        if let Some(made) = &step.made {
            self.each(open, |tally| tally.decided(made));
            self.reviewers.get(made.reviewer.clone()).decided(made);
            for group in self.known.groups_of(&made.reviewer) {
                self.groups.get((group.to_owned(), open.capability())).decided(made);
            }
        }
        if let Some(end) = step.end {
            self.each(open, |tally| tally.ended(end, open.several(), open.split()));
        }
        self.each(open, |tally| {
            tally.reheld += u64::from(step.reheld);
            tally.escalated += u64::from(step.escalated);
        });
        self.habits.follow(open, step, at);
    }

    fn each(&mut self, open: &Open, count: impl Fn(&mut Tally)) {
        count(&mut self.all);
        count(self.capabilities.get(open.capability()));
        count(self.agents.get(open.agent().to_owned()));
        open.policies().iter().for_each(|policy| count(self.policies.get(policy.clone())));
    }

    /// What is told of it.
    pub fn report(&self) -> Report {
        Report::new(self)
    }
}

/// The one in the middle of these.
fn middle(all: impl Iterator<Item = u64>) -> u64 {
    let mut all: Vec<u64> = all.collect();
    let middle = all.len() / 2;
    if all.is_empty() { 0 } else { *all.select_nth_unstable(middle).1 }
}

impl Tally {
    /// A call begins: policy has said what becomes of it.
    fn judged(&mut self, event: &Event) {
        self.cleared += u64::from(matches!(event, Event::CallCleared { .. }));
        self.held += u64::from(matches!(event, Event::CallHeld { .. }));
        self.refused += u64::from(matches!(event, Event::CallRefused { .. }));
    }

    /// Somebody has decided.
    fn decided(&mut self, made: &Made) {
        match made.verdict {
            Verdict::Approve => self.approvals += 1,
            Verdict::Reject => self.rejections += 1,
            Verdict::Respond(_) => self.answers += 1,
            Verdict::Edit(_) => self.edits += 1,
        }
        self.hasty += u64::from(made.hasty);
        if let Some(us) = made.took_us {
            self.times.add(us);
        }
    }

    /// A hold has ended.
    fn ended(&mut self, end: End, several: bool, split: bool) {
        *self.ends.entry(end).or_default() += 1;
        if several && end == End::Approved {
            self.several += 1;
        }
        self.split += u64::from(split);
    }
}

#[cfg(test)]
mod tests;
