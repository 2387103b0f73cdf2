//! `holdshort runs replay`: runs another component on the answers of recorded runs, and says where it would have done
//! something else.
//!
//! **Invariant:** nothing is performed. The journal is opened for reading, and the component's calls are answered from
//! it; no connector is made.

mod history;
mod told;

use std::path::Path;
use std::sync::Arc;

use holdshort_gate::{Action, Event, FunctionType, PolicyVerdict, RecordedEvent, RunLimits, Time};
use holdshort_journal::{ReadError, Recorded, RunFilter, RunRow};
use serde_json::Value;

use self::history::{History, NextCall};
use self::told::{Compared, Did, Mismatch, Summary};
use crate::agent::{ComponentSource, Engine, Guest, GuestStart, HostCall, Manifest, Program, Reader, Step};
use crate::cli::args::Replay;
use crate::cli::exit::{Exit, Failure};
use crate::cli::host::{policy_setup, replay_reader, system_clock};
use crate::cli::inspect::{self, By};
use crate::cli::output::Output;
use crate::config::Config;
use crate::policy::{CallQuestion, Policy};
use crate::runs::{BoundOffer, Catalogue};

/// Runs per read of the list.
const CHUNK: usize = 100;

/// Compares every chosen run, and prints each as soon as it is compared.
pub(super) fn replay(args: &Replay, config: &Config, output: &Output) -> Result<Exit, Failure> {
    let rehearsal = Rehearsal::new(&args.with, config)?;
    if !config.journal.exists() {
        return Err(Failure::new(Exit::Usage, format!("there is no journal `{}`", config.journal.display()))
            .hint("change to the folder of the host, or name its configuration with `--config`"));
    }
    let recorded = Recorded::open(&config.journal)?;
    let runtime = crate::cli::session::runtime()?;
    let since = system_clock()().0.saturating_sub(args.since.saturating_mul(1_000));
    let mut summary = Summary::default();
    let mut before = None;
    'runs: loop {
        let filter = RunFilter { states: Vec::new(), before: before.take(), limit: CHUNK };
        let rows = recorded.runs(&filter).map_err(|error| unread(&error))?;
        let Some(last) = rows.last() else { break };
        before = Some(last.id.clone());
        for row in rows {
            let named = args.run.as_ref().is_some_and(|run| run.to_string() == row.id.0);
            if args.run.is_none() && row.created_at.0 < since {
                break 'runs;
            }
            let of_agent = args.agent.as_ref().is_some_and(|agent| *agent == row.agent.as_str());
            if named || of_agent {
                let compared = runtime.block_on(rehearsal.compare(&recorded, &row)).map_err(|error| unread(&error))?;
                summary.add(&row, &compared, output)?;
            }
            if named {
                break 'runs;
            }
        }
    }
    summary.print(output)
}

fn unread(error: &ReadError) -> Failure {
    Failure::new(Exit::Failed, format!("the journal cannot be read: {error}"))
}

/// The other component, ready to run.
struct Rehearsal {
    program: Program,
    manifest: Arc<Manifest>,
    catalogue: Catalogue<(), By>,
    policy: Arc<dyn Policy>,
    arguments_max_bytes: usize,
    /// The program runs only as long as its engine exists.
    _engine: Engine,
}

impl Rehearsal {
    fn new(component: &Path, config: &Config) -> Result<Self, Failure> {
        let manifest = inspect::check(component, config)?;
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Failed, format!("cannot load `{}`: {error}", component.display()))
        };
        let reader: Reader = replay_reader(config)?;
        let sources = policy_setup::sources(config)?;
        let policy = policy_setup::policy(config, &policy_setup::load(config, sources, &reader)?);
        let engine = Engine::new(reader, 1, 1).map_err(|error| failed(&error))?;
        let bytes = std::fs::read(component).map_err(|error| failed(&error))?;
        engine.read(ComponentSource::Bytes(&bytes), &manifest.digest).map_err(|error| failed(&error))?;
        let program = engine.compile(&bytes, &manifest).map_err(|error| failed(&error))?;
        let catalogue = inspect::catalogue(config)?;
        let arguments_max_bytes = config.limits.call_bytes_max;
        Ok(Self { program, manifest, catalogue, policy, arguments_max_bytes, _engine: engine })
    }

    /// Runs the component on the answers of one run, up to the first difference.
    async fn compare(&self, recorded: &Recorded, row: &RunRow) -> Result<Compared, ReadError> {
        let mut history = History::new(recorded, row.id.clone());
        let Some(RecordedEvent { event: Event::RunCreated { task, limits, .. }, at, .. }) = history.next()? else {
            return Ok(Compared::Not("its beginning is not in the journal".into()));
        };
        let start = self.start(recorded, row, task, limits, at);
        let mut guest = self.program.start(start);
        let mut calls = 0;
        loop {
            let compared = match guest.next().await {
                Step::Output { .. } => None,
                Step::Call(call) => self.call(&call, (&mut guest, &mut calls), &mut history, row)?,
                Step::Sleep { until } => match history.sleep(until, calls)? {
                    Ok(at) => {
                        guest.wake(at);
                        None
                    }
                    Err(compared) => Some(compared),
                },
                Step::Finished(result) => Some(history.end(Event::RunFinished { result }, calls)?),
                Step::Trapped(trap) => Some(history.end(Event::RunTrapped { reason: trap.to_string() }, calls)?),
            };
            if let Some(compared) = compared {
                return Ok(compared);
            }
        }
    }

    fn start(
        &self,
        recorded: &Recorded,
        row: &RunRow,
        task: String,
        limits: RunLimits,
        created_at: Time,
    ) -> GuestStart {
        let arguments_max_bytes = self.arguments_max_bytes;
        GuestStart { task, limits, seed: recorded.seed(&row.id), created_at, arguments_max_bytes }
    }

    /// Answers a call from the record. Returns the result of the comparison if it is over.
    fn call(
        &self,
        call: &HostCall,
        (guest, calls): (&mut Guest, &mut u32),
        history: &mut History<'_>,
        row: &RunRow,
    ) -> Result<Option<Compared>, ReadError> {
        let import = crate::agent::Import { capability: (*call.capability).clone(), ty: (*call.ty).clone() };
        let offer = match self.catalogue.classify(&import) {
            Ok(BoundOffer::Log) => return Ok(misfit(guest.answer(&Value::Null, Time(0)), *calls)),
            Ok(offer) => offer,
            Err(error) => return Ok(Some(Compared::Not(error.to_string()))),
        };
        *calls += 1;
        let recorded = history.call()?;
        let same = recorded.is(&call.capability, &call.arguments);
        let (result, at) = match (&recorded, &offer) {
            (NextCall::Routine { result, at, .. }, _) if same => (result.clone(), *at),
            (
                NextCall::Consequential { call: recorded, .. },
                BoundOffer::Consequential(_, form) | BoundOffer::ByCall(_, _, form),
            ) if same => match recorded.answer() {
                Some(answer) => (form.result(&answer), recorded.changed_at),
                None => {
                    return Ok(Some(Compared::SoFar { calls: *calls, why: format!("call {calls} has no answer yet") }));
                }
            },
            (NextCall::Over(why), _) => return Ok(Some(Compared::SoFar { calls: *calls - 1, why: why.clone() })),
            _ => {
                let found = Did::Call((*call.capability).clone(), call.arguments.clone());
                let consequential = matches!(offer, BoundOffer::Consequential(..) | BoundOffer::ByCall(..));
                let policy = consequential.then(|| self.verdict(call, &recorded, row));
                let mismatch = Mismatch { call: *calls, recorded: recorded.did(), found, policy };
                return Ok(Some(Compared::Differs(Box::new(mismatch))));
            }
        };
        Ok(misfit(guest.answer(&result, at), *calls))
    }

    /// What policy would say of a call that was not made then. Its facts are those of the recorded call in its place, if
    /// that is a call of the same function.
    fn verdict(&self, call: &HostCall, recorded: &NextCall, row: &RunRow) -> (PolicyVerdict, bool) {
        let same = match recorded {
            NextCall::Consequential { made, .. } if made.action().capability() == &*call.capability => made.proposal(),
            NextCall::Consequential { .. }
            | NextCall::Routine { .. }
            | NextCall::Sleep(_)
            | NextCall::End(_)
            | NextCall::Over(_) => None,
        };
        let nothing = Value::Null;
        let (facts, consequence) = match same {
            Some(proposal) => (&proposal.facts, proposal.consequence.unwrap_or_default()),
            None => (&nothing, holdshort_gate::Consequence::default()),
        };
        let ty: &FunctionType = &call.ty;
        let Ok(action) = Action::new(self.manifest.digest, (*call.capability).clone(), ty, &call.arguments) else {
            return (PolicyVerdict::Refuse, false);
        };
        let (started_by, agent, run, totals, now) = (&row.started_by, &row.agent, &row.id, &[][..], system_clock()());
        let question = CallQuestion { started_by, agent, run, action: &action, ty, facts, consequence, totals, now };
        (self.policy.judge(&question).verdict.word(), same.is_some())
    }
}

/// A recorded answer that the function of this component cannot return.
fn misfit(answered: Result<(), holdshort_gate::Mismatch>, call: u32) -> Option<Compared> {
    let wrong = answered.err()?;
    Some(Compared::Not(format!(
        "the recorded answer to call {call} has another type than the component imports: {wrong}"
    )))
}
