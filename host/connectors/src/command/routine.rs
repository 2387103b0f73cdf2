//! Answers routine functions with the operator's programs.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{FunctionType, WitType};
use serde_json::{Value, json};

use super::super::child::ExitKind;
use super::super::program::{Program, how, words};
use super::super::{Routine, RoutineCall, Sentence, Trusted, Unavailable, say};
use super::context::{CommandContext, own, printed};

/// The exit status with which a program asks to be run again: `EX_TEMPFAIL` of `sysexits.h`.
const TRY_AGAIN: i32 = 75;

/// Answers routine functions with a program.
#[derive(Clone)]
pub struct RoutineCommand {
    program: Program,
    context: CommandContext,
}

impl RoutineCommand {
    /// Makes a connector that answers calls with `program`.
    pub fn new(program: Program, context: CommandContext) -> Self {
        Self { program, context }
    }

    /// Runs the program and makes its result the agent's answer. If the function's error type is a string, a non-zero
    /// exit makes the program's error output the answer. If the program was stopped or its output has the wrong type,
    /// the agent gets no answer: the host retries until the operator has corrected the program.
    async fn result(&self, call: RoutineCall<'_>) -> Result<Value, Sentence> {
        let ty = self.context.types.of(call.action).await?;
        let mut environment = own(call.action);
        environment.extend([("HOLDSHORT_AGENT", call.agent.to_string()), ("HOLDSHORT_RUN", call.run.to_string())]);
        let ended = self.context.look(&self.program, &self.program.argv, call.action, &environment).await?;
        match ended.how {
            ExitKind::Exited(0) => printed(&ended.stdout, ty.result.as_ref()),
            ExitKind::Exited(status) if status != TRY_AGAIN && errs_with_text(&ty) => {
                let said = words(&ended);
                Ok(json!({ "err": if said.is_empty() { format!("exit status {status}") } else { said } }))
            }
            ExitKind::Exited(_)
            | ExitKind::Signalled(_)
            | ExitKind::TimedOut
            | ExitKind::WroteTooMuch
            | ExitKind::FilledDisk
            | ExitKind::Lost(_) => Err(how(&ended, self.program.time_out)),
        }
    }
}

impl Routine for RoutineCommand {
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async move {
            let failed = |why: Sentence| {
                let program = Trusted::configured(self.program.argv.join(" "));
                Unavailable(say!("`{}` for `{}`: {}", program, call.action.capability().clone(), why))
            };
            self.result(call).await.map_err(failed)
        }
        .boxed()
    }
}

/// Whether a function's error type is a string. Only such a function can return a program's error output as its error.
fn errs_with_text(ty: &FunctionType) -> bool {
    matches!(&ty.result, Some(WitType::Result { err: Some(err), .. }) if **err == WitType::String)
}
