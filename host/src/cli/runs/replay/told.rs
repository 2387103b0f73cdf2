//! What the comparison of runs found, as text for people and as JSON for programs.

use holdshort_gate::{Capability, Event, PolicyVerdict, Time};
use holdshort_journal::RunRow;
use serde_json::{Value, json};

use crate::api::shapes::Moment;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::review::{changes, sentences, terminal};

/// How a run and another component compare.
pub(super) enum Compared {
    /// The component does the same up to the end of the run.
    Same {
        calls: u32,
    },
    /// The component does the same up to the end of the record, which is not the end of the agent.
    SoFar {
        calls: u32,
        why: String,
    },
    Differs(Box<Mismatch>),
    /// The run could not be compared, for this reason.
    Not(String),
}

/// The first place at which the component does something else.
pub(super) struct Mismatch {
    /// The number of the call.
    pub(super) call: u32,
    pub(super) recorded: Did,
    pub(super) found: Did,
    /// What policy says of the new call, and whether it had the facts of the recorded call.
    pub(super) policy: Option<(PolicyVerdict, bool)>,
}

/// What an agent did.
pub(super) enum Did {
    Call(Capability, Value),
    Sleep(Time),
    End(Event),
    Nothing(String),
}

/// The counts of all runs.
#[derive(Default)]
pub(super) struct Summary {
    same: u64,
    so_far: u64,
    different: u64,
    not: u64,
}

impl Summary {
    /// Counts a run, and prints it.
    pub(super) fn add(&mut self, row: &RunRow, compared: &Compared, output: &Output) -> Result<(), Failure> {
        let (count, text) = match compared {
            Compared::Same { calls } => (&mut self.same, format!("the same: {calls} calls")),
            Compared::SoFar { calls, why } => {
                (&mut self.so_far, format!("the same as far as the record goes, {calls} calls: {why}"))
            }
            Compared::Differs(mismatch) => (&mut self.different, format!("differs at call {}", mismatch.call)),
            Compared::Not(why) => (&mut self.not, format!("not compared: {why}")),
        };
        *count += 1;
        if output.json {
            return output.json_line(&compared.json(row));
        }
        output.row(&format!("{}  {}  {}  ", row.id, Moment(row.created_at), row.agent), &text)?;
        match compared {
            Compared::Differs(mismatch) => mismatch.print(output),
            Compared::Same { .. } | Compared::SoFar { .. } | Compared::Not(_) => Ok(()),
        }
    }

    /// Prints the counts, and gives the exit code.
    pub(super) fn print(&self, output: &Output) -> Result<Exit, Failure> {
        let Self { same, so_far, different, not } = self;
        let all = same + so_far + different + not;
        if all == 0 {
            return Err(Failure::new(Exit::Failed, "there is no such run")
                .hint("`holdshort runs` lists the runs; `--since 90d` goes further back with `--agent`"));
        }
        if output.json {
            let counts = json!({ "same": same, "same_so_far": so_far, "different": different, "not_compared": not });
            output.json_line(&json!({ "summary": counts }))?;
        } else {
            let plural = if all == 1 { "" } else { "s" };
            output.text(&format!(
                "{all} run{plural}: {same} the same, {so_far} the same so far, {different} different, {not} not compared"
            ))?;
        }
        Ok(match (different, same + so_far) {
            (1.., _) => Exit::Different,
            (0, 0) => Exit::Failed,
            (0, _) => Exit::Done,
        })
    }
}

impl Compared {
    fn json(&self, row: &RunRow) -> Value {
        let (word, calls, why, difference) = match self {
            Self::Same { calls } => ("same", Some(*calls), None, None),
            Self::SoFar { calls, why } => ("same-so-far", Some(*calls), Some(why), None),
            Self::Differs(mismatch) => ("different", None, None, Some(mismatch.json())),
            Self::Not(why) => ("not-compared", None, Some(why), None),
        };
        let created = Moment(row.created_at);
        json!({ "run": row.id, "agent": row.agent, "created_at": created, "compared": word, "calls": calls, "why": why, "difference": difference })
    }
}

impl Mismatch {
    /// The arguments that differ, if both are calls of the same function.
    fn fields(&self) -> Vec<crate::review::ValueChange> {
        match (&self.recorded, &self.found) {
            (Did::Call(recorded, before), Did::Call(found, after)) if recorded == found => changes(before, after),
            _ => Vec::new(),
        }
    }

    fn json(&self) -> Value {
        let fields = self.fields().into_iter();
        let fields = fields.map(|field| json!({ "path": field.place, "recorded": field.before, "found": field.after }));
        json!({
            "call": self.call,
            "recorded": self.recorded.json(),
            "found": self.found.json(),
            "fields": fields.collect::<Vec<_>>(),
            "policy": self.policy.map(|(verdict, _)| verdict),
            "policy_had_facts": self.policy.map(|(_, facts)| facts),
        })
    }

    fn print(&self, output: &Output) -> Result<(), Failure> {
        output.row("    recorded: ", &self.recorded.text())?;
        output.row("    now:      ", &self.found.text())?;
        let fields = self.fields();
        output.lines(&terminal::changes(&fields, output.columns()))?;
        if let (Did::Call(_, arguments), true) = (&self.found, fields.is_empty()) {
            output.lines(&terminal::value(arguments, output.columns()))?;
        }
        if let Some((verdict, facts)) = self.policy {
            let with = if facts { "with the recorded facts" } else { "without facts, because no connector is asked" };
            output.row("    policy on the new call: ", &format!("{verdict}, {with}"))?;
        }
        Ok(())
    }
}

impl Did {
    fn text(&self) -> String {
        match self {
            Self::Call(capability, _) => format!("`{capability}`"),
            Self::Sleep(until) => format!("a sleep until {}", Moment(*until)),
            Self::End(event) => sentences::sentence(event),
            Self::Nothing(why) => why.clone(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Call(capability, arguments) => json!({ "call": capability, "arguments": arguments }),
            Self::Sleep(until) => json!({ "sleep_until": Moment(*until) }),
            Self::End(event) => json!({ "end": sentences::sentence(event) }),
            Self::Nothing(why) => json!({ "nothing": why }),
        }
    }
}
