//! Answers routine functions.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{FunctionType, WitType};
use serde_json::{Value, json};

use super::super::child::How;
use super::super::program::{Program, how, words};
use super::super::{Known, Routine, RoutineCall, Sentence, Unavailable, say};
use super::look::{Surroundings, own, printed};

/// The exit status by which a program asks to be asked again: `EX_TEMPFAIL` of `sysexits.h`.
const TRY_AGAIN: i32 = 75;

/// Answers routine functions with a program of the operator's.
#[derive(Clone)]
pub struct Answers {
    program: Program,
    around: Surroundings,
}

impl Answers {
    /// Answers with `program`.
    pub fn new(program: Program, around: Surroundings) -> Self {
        Self { program, around }
    }

    /// The agent hears what the program decided to say: its result, or, where the function's error is a string, why it ended with another
    /// status than 0. Whatever did not come to an end by itself, or does not fit, is for the operator to put right: the host asks again.
    async fn result(&self, call: RoutineCall<'_>) -> Result<Value, Sentence> {
        let ty = self.around.types.of(call.action).await?;
        let mut environment = own(call.action);
        environment.extend([("HOLDSHORT_AGENT", call.agent.to_owned()), ("HOLDSHORT_RUN", call.run.to_string())]);
        let ended = self.around.look(&self.program, &self.program.argv, call.action, &environment).await?;
        match ended.how {
            How::Exited(0) => printed(&ended.stdout, ty.result.as_ref()),
            How::Exited(status) if status != TRY_AGAIN && errs_with_text(&ty) => {
                let said = words(&ended);
                Ok(json!({ "err": if said.is_empty() { format!("exit status {status}") } else { said } }))
            }
            How::Exited(_) | How::Signalled(_) | How::TimedOut | How::WroteTooMuch | How::FilledDisk | How::Lost(_) => {
                Err(how(&ended, self.program.time_out))
            }
        }
    }
}

impl Routine for Answers {
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async move {
            let failed = |why: Sentence| {
                let program = Known::configured(self.program.argv.join(" "));
                Unavailable(say!("`{}` for `{}`: {}", program, call.action.capability().clone(), why))
            };
            self.result(call).await.map_err(failed)
        }
        .boxed()
    }
}

/// Whether an error of the function is a text, so that what a program says on its standard error can be one.
fn errs_with_text(ty: &FunctionType) -> bool {
    matches!(&ty.result, Some(WitType::Result { err: Some(err), .. }) if **err == WitType::String)
}
