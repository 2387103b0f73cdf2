//! Computes the review load: how many decisions reviewers are asked for, how long they take, and
//! which calls could be made without a reviewer. The figures are a fold over the journal's events.
//!
//! [`ReviewLoad::follow`] takes every event of all runs in commit order. It starts at the beginning of
//! the journal, because a call that is decided today may have been held long ago. Events outside
//! the [`Window`] are followed but not counted. The memory is limited: the fold keeps the 256 most
//! recently used open runs and calls (`open`), a [`tally`] for a limited number of names, and
//! histograms of times ([`times`]). If an event belongs to a run or call that was dropped, the fold
//! reports [what is missing](ReviewLoad::missing_state), and the caller supplies it from the journal.
//! The fold has no clock and does no IO.
//!
//! Read in this order: [`report`] (the figures), `open` (the effect of an event on its call), the
//! fold in this file, and `approval_patterns` (suggestions).

mod approval_patterns;
mod open;
pub mod report;
mod suggestion;
pub mod tally;
pub mod times;
pub mod words;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use holdshort_gate::{
    AgentName, CallNumber, Event, RecordedChoice, RecordedEvent, ReviewerName, RunId, Time, WaitEnd, totals,
};

use crate::life::{ReviewerDecision, RevisionOrigin, Step};
use approval_patterns::ApprovalPatterns;
use holdshort_policy::schema::Types;
use open::OpenCall;
use tally::{Table, Tally};

pub use report::LoadReport;

/// The group name for reviewers who are in no configured group.
pub const NOBODYS_GROUP: &str = "nobody's group";

/// The configuration that the figures refer to.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// The members of each group.
    pub groups: BTreeMap<String, Vec<ReviewerName>>,
    /// The functions that policies can refer to. Only they get suggestions.
    pub types: Types,
    /// The ids of the policies in force that clear, hold or refuse calls, or that require
    /// reviewers.
    pub policies: Vec<String>,
}

impl Directory {
    /// The groups of a reviewer. The list is never empty.
    fn groups_of<'a>(&'a self, person: &ReviewerName) -> Vec<&'a str> {
        let of = self.groups.iter().filter(|(_, members)| members.contains(person));
        let found: Vec<&str> = of.map(|(group, _)| group.as_str()).collect();
        if found.is_empty() { vec![NOBODYS_GROUP] } else { found }
    }
}

/// The counted period: from `since` up to, but not including, `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub since: Time,
    pub until: Time,
}

impl Window {
    /// The period that contains everything.
    pub const EVER: Self = Self { since: Time(0), until: Time(u64::MAX) };

    /// Whether a time is in the period.
    fn includes(&self, at: Time) -> bool {
        self.since <= at && at < self.until
    }
}

/// The maximum number of open runs, and of open calls, that are kept. Each takes two to three KiB with its requirement.
/// If a run or call was dropped, it is read from the journal again at its next event. So ten thousand waiting calls
/// take no more memory than 256.
const OPEN_MAX: usize = 256;

/// A run that has not ended.
#[derive(Debug)]
struct OpenRun {
    agent: AgentName,
    held: u64,
    /// Whether the caller supplied this run after it was dropped. From then on its held calls are
    /// not counted here; their number is requested from the caller when the run ends.
    is_supplied: bool,
    /// The number of the last event that used the run.
    used: u64,
}

/// A run or call that the fold dropped and that the caller must supply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissingState {
    Run,
    /// A call, with its events so far.
    Call(CallNumber),
}

/// Totals over the runs that ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndedRuns {
    /// The number of ended runs.
    pub runs: u64,
    /// Ended runs without a held call.
    pub unheld: u64,
    /// All calls that were held in ended runs.
    pub held: u64,
    /// The highest number of held calls in one run.
    pub most: u64,
}

/// The fold over events.
#[derive(Debug)]
pub struct ReviewLoad {
    directory: Arc<Directory>,
    window: Window,
    runs: HashMap<RunId, OpenRun>,
    open: HashMap<(RunId, CallNumber), (OpenCall, u64)>,
    events: u64,
    open_max: usize,
    /// The figures of all calls.
    pub all: Tally,
    /// The figures by capability.
    pub capabilities: Table<String>,
    /// The figures by agent.
    pub agents: Table<String>,
    /// The figures by the policies that determined the verdict. A call counts for each of its
    /// policies.
    pub policies: Table<String>,
    /// The figures by reviewer.
    pub reviewers: Table<String>,
    /// The figures by group and capability. A decision counts for each group of its reviewer.
    pub groups: Table<(String, String)>,
    pub ended: EndedRuns,
    approval_patterns: ApprovalPatterns,
}

impl ReviewLoad {
    /// A fold before the first event.
    pub fn new(directory: Arc<Directory>, window: Window) -> Self {
        Self {
            directory,
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
            ended: EndedRuns::default(),
            approval_patterns: ApprovalPatterns::default(),
        }
    }

    /// The run or call that the caller must supply with [`supply_run`](Self::supply_run) or
    /// [`supply_call`](Self::supply_call) before the fold can follow this event.
    pub fn missing_state(&self, run: &RunId, event: &Event) -> Option<MissingState> {
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
            | Event::RunDiverged { .. } => {
                self.runs.get(run).is_none_or(|run| run.is_supplied).then_some(MissingState::Run)
            }
            Event::CallCleared { .. } | Event::CallHeld { .. } | Event::CallRefused { .. } => {
                (!self.runs.contains_key(run)).then_some(MissingState::Run)
            }
            _ => event.call().filter(|call| !self.open.contains_key(&(run.clone(), *call))).map(MissingState::Call),
        }
    }

    /// Supplies a run: its agent, and the number of its held calls.
    pub fn supply_run(&mut self, run: RunId, agent: AgentName, held: u64) {
        let used = self.events;
        self.runs.insert(run, OpenRun { agent, held, is_supplied: true, used });
    }

    /// Supplies a call: its agent, and its events so far.
    pub fn supply_call(&mut self, run: RunId, agent: AgentName, events: &[RecordedEvent]) {
        let Some((first, rest)) = events.split_first() else { return };
        let Some(mut open) = OpenCall::new(&first.event, first.at, agent, &self.directory) else { return };
        for RecordedEvent { event, at, .. } in rest {
            if open.follow(event, *at, &self.directory).is_none() {
                return;
            }
        }
        self.keep((run, open.number()), open);
    }

    fn keep(&mut self, key: (RunId, CallNumber), open: OpenCall) {
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
                let opened = OpenRun { agent: agent.clone(), held: 0, is_supplied: false, used: self.events };
                self.runs.insert(run.clone(), opened);
            }
            Event::RunFinished { .. }
            | Event::RunTrapped { .. }
            | Event::RunCancelled { .. }
            | Event::RunDiverged { .. } => self.end(run, at),
            Event::CallCleared { .. } | Event::CallHeld { .. } | Event::CallRefused { .. } => self.open(run, at, event),
            _ => self.go_on(run, at, event),
        }
        self.evict();
    }

    /// If too many runs or calls are kept, drops the less recently used half.
    fn evict(&mut self) {
        if self.open.len() > self.open_max {
            let oldest = middle(self.open.values().map(|(_, used)| *used));
            self.open.retain(|_, (_, used)| *used > oldest);
        }
        if self.runs.len() > self.open_max {
            let oldest = middle(self.runs.values().map(|run| run.used));
            self.runs.retain(|_, run| run.used > oldest);
        }
    }

    /// Ends a run. Its effects in progress may still report an outcome.
    fn end(&mut self, run: &RunId, at: Time) {
        let Some(OpenRun { held, .. }) = self.runs.remove(run) else { return };
        if self.window.includes(at) {
            let EndedRuns { runs, unheld, held: all, most } = &mut self.ended;
            *runs += 1;
            *unheld += u64::from(held == 0);
            *all += held;
            *most = (*most).max(held);
        }
    }

    /// Starts to follow a call.
    fn open(&mut self, run: &RunId, at: Time, event: &Event) {
        let held = matches!(event, Event::CallHeld { .. });
        let used = self.events;
        let agent = self.runs.get_mut(run).map_or_else(AgentName::default, |run| {
            run.held += u64::from(held && !run.is_supplied);
            run.used = used;
            run.agent.clone()
        });
        let Some(open) = OpenCall::new(event, at, agent, &self.directory) else { return };
        if self.window.includes(at) {
            if let Event::CallCleared { proposal, .. } = event {
                let money = totals::money(&proposal.action);
                self.approval_patterns.day(open.agent(), &open.capability(), money.iter(), at);
            }
            self.each(&open, |tally| tally.judged(event));
        }
        self.keep((run.clone(), open.number()), open);
    }

    /// Follows an event of an open call.
    fn go_on(&mut self, run: &RunId, at: Time, event: &Event) {
        let Some(key) = event.call().map(|call| (run.clone(), call)) else { return };
        let Some((mut open, _)) = self.open.remove(&key) else { return };
        // This event cannot follow, so the journal is damaged. The host that opens the journal reports the damage.
        let Some(step) = open.follow(event, at, &self.directory) else { return };
        if self.window.includes(at) {
            self.count(&open, &step, at);
        }
        self.keep(key, open);
    }

    /// Counts a step of a call in each table that has a row for it.
    fn count(&mut self, open: &OpenCall, step: &Step<'_>, at: Time) {
        if let Some(made) = &step.decided {
            let hasty = open.is_hasty(made, at);
            self.each(open, |tally| tally.decided(made, hasty));
            self.reviewers.get(made.reviewer.to_string()).decided(made, hasty);
            for group in self.directory.groups_of(made.reviewer) {
                self.groups.get((group.to_owned(), open.capability())).decided(made, hasty);
            }
        }
        if let Some(end) = step.end {
            self.each(open, |tally| tally.ended(end, open.several(), open.split()));
        }
        self.each(open, |tally| {
            tally.reheld += u64::from(step.revised == Some(RevisionOrigin::Reheld));
            tally.escalated += u64::from(step.escalated);
        });
        self.approval_patterns.follow(open, step, at);
    }

    fn each(&mut self, open: &OpenCall, count: impl Fn(&mut Tally)) {
        count(&mut self.all);
        count(self.capabilities.get(open.capability()));
        count(self.agents.get(open.agent().to_string()));
        open.policies().iter().for_each(|policy| count(self.policies.get(policy.clone())));
    }

    /// The figures so far.
    pub fn report(&self) -> LoadReport {
        LoadReport::new(self)
    }
}

/// The median of these numbers.
fn middle(all: impl Iterator<Item = u64>) -> u64 {
    let mut all: Vec<u64> = all.collect();
    let middle = all.len() / 2;
    if all.is_empty() { 0 } else { *all.select_nth_unstable(middle).1 }
}

impl Tally {
    /// Counts policy's verdict on a new call.
    fn judged(&mut self, event: &Event) {
        self.cleared += u64::from(matches!(event, Event::CallCleared { .. }));
        self.held += u64::from(matches!(event, Event::CallHeld { .. }));
        self.refused += u64::from(matches!(event, Event::CallRefused { .. }));
    }

    /// Counts a decision.
    fn decided(&mut self, made: &ReviewerDecision<'_>, hasty: bool) {
        match made.verdict {
            RecordedChoice::Approve => self.approvals += 1,
            RecordedChoice::Reject => self.rejections += 1,
            RecordedChoice::Respond(_) => self.answers += 1,
            RecordedChoice::Edit(_) => self.edits += 1,
        }
        self.hasty += u64::from(hasty);
        if made.ends {
            self.times.add(made.took_us);
        }
    }

    /// Counts the end of a hold.
    fn ended(&mut self, end: WaitEnd, several: bool, split: bool) {
        *self.ends.entry(end).or_default() += 1;
        if several && end == WaitEnd::Approved {
            self.several += 1;
        }
        self.split += u64::from(split);
    }
}

#[cfg(test)]
mod tests;
