//! Serves foreign functions with the operator's programs. A consequential function has a program that acts, and a
//! routine function has a program that answers. For a function with a program that acts, the operator can
//! configure three more programs: for a preview of the effect, for facts that policies use, and for a lookup of an
//! outcome in doubt.
//!
//! `host/CONFIGURATION.md` documents the programs for operators. Each program reads the action on its standard input
//! and finds the caller in its environment. It prints JSON of the function's own type, which the host checks. Its exit
//! status gives the result. The operator lists the codes that mean "nothing was done, and nothing will be done"; this
//! list holds for all programs of a function.
//!
//! [`EffectCommand`] is in this file, [`RoutineCommand`] in [`routine`], and their common part in [`context`].
//!
//! **Invariant:** a program reads exactly the bytes that the action digest covers. A clearance names the program. If
//! the configuration later names another program, this is a changed fact, and the call is held again.
//!
//! **Invariant:** the output of a program is checked against the function's own type, which is read from the calling
//! component (by digest, from the journal).

mod context;
mod facts;
mod routine;
mod summary;

pub use context::{CommandContext, FunctionTypes};
pub use facts::FactsProgram;
pub use routine::RoutineCommand;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, AgentName, Consequence, EffectClass, FunctionType, LIMIT, WitType};
use holdshort_journal::Authorized;
use serde_json::{Value, json};

use super::child::ChildOutput;
use super::descriptor::{Class, DeclaredFacts, Descriptor, Effect, Precondition};
use super::program::{AttemptOrigin, AttemptRemains, KEPT_BYTES_MAX, PATIENCE, Program, ProgramOutcome, how, words};
use super::{
    Attempt, CannotPreview, Exhibit, Finding, Inquiry, PROGRAMS_AT_A_TIME, Perform, Preview, Previewed, Sentence,
    Trusted, quote, say,
};
use context::{own, printed};

/// Performs consequential functions with the operator's programs.
#[derive(Clone)]
pub struct EffectCommand {
    program: Program,
    options: CommandOptions,
    context: CommandContext,
}

/// The configured options of a function with a program that acts, and its three further programs.
#[derive(Clone, Debug, Default)]
pub struct CommandOptions {
    /// Whether the remote system recognises the idempotency key, so that a reviewer may send the
    /// call again.
    pub idempotent: bool,
    /// The program for previews.
    pub preview: Option<Vec<String>>,
    /// The program for lookups.
    pub lookup: Option<Vec<String>>,
    /// The program for facts.
    pub facts: Option<FactsProgram>,
}

/// The descriptor for consequential functions whose configuration section has neither `idempotent` nor `lookup`.
pub const DESCRIPTOR: Descriptor = Descriptor { class: Class::Consequential(EFFECT), ..ANSWERS };

/// The descriptor for routine functions.
pub const ANSWERS: Descriptor =
    Descriptor { section: "[capabilities.…]", interface: None, functions: &[], class: Class::Routine };

const EFFECT: Effect = Effect {
    connector: "command",
    class: EffectClass::OneShot,
    evidence: "the host checks whether the program still runs, and keeps its output",
    facts: DeclaredFacts::Configured,
    preconditions: &[Precondition::same("program")],
};

impl CommandOptions {
    /// The descriptor for a consequential function, with the settings `idempotent` and `lookup` of its section applied.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor { class: Class::Consequential(self.effect()), ..DESCRIPTOR }
    }

    fn effect(&self) -> Effect {
        let evidence = match self.lookup {
            Some(_) => {
                "after the program has ended, the host runs the operator's lookup program; the exit status of the lookup program is the answer"
            }
            None => EFFECT.evidence,
        };
        let class = match (self.idempotent, &self.lookup) {
            (true, _) => EffectClass::Idempotent,
            (false, Some(_)) => EffectClass::Reconcilable,
            (false, None) => EffectClass::OneShot,
        };
        Effect { class, evidence, ..EFFECT }
    }
}

impl EffectCommand {
    /// Makes a connector that performs calls with `program`.
    pub fn new(program: Program, options: CommandOptions, context: CommandContext) -> Self {
        Self { program, options, context }
    }

    /// The preview. It shows the outputs of the operator's programs for previews and facts, and then the program that
    /// would act. The host cannot know what that program does.
    async fn preview_now(&self, action: &Action) -> Result<Previewed, CannotPreview> {
        let (mut exhibits, mut found) = (Vec::new(), Value::Null);
        if let Some(argv) = &self.options.preview {
            exhibits.push(self.shown(argv, action).await?);
        }
        if let Some(facts) = &self.options.facts {
            let (exhibit, value) = self.found(facts, action).await?;
            exhibits.push(exhibit);
            found = value;
        }
        exhibits.push(self.program.exhibit());
        let preconditions = json!({ "program": self.program.precondition() });
        let (summary, consequence) = (summary::of(action), Consequence::High);
        Ok(Previewed { summary, exhibits, preconditions, facts: found, consequence })
    }

    /// The exhibit with the output of the operator's program for previews. A reviewer gets the complete output; if it
    /// is too large, the call is refused.
    async fn shown(&self, argv: &[String], action: &Action) -> Result<Exhibit, CannotPreview> {
        let printed = self.looked("preview", argv, action).await?;
        if printed.is_cut() {
            return Err(CannotPreview::Impossible(say!(
                "{}: the preview is {} bytes, but at most {} bytes are shown to reviewers, and a preview is never cut",
                LIMIT,
                printed.written_bytes,
                KEPT_BYTES_MAX
            )));
        }
        let title = say!("the preview from `{}`", Trusted::configured(argv.join(" ")));
        let mut bytes = printed.bytes;
        if bytes.trim_ascii().is_empty() {
            bytes = b"(the program printed nothing)\n".to_vec();
        }
        Ok(Exhibit::words("the operator's preview", title, "text/plain", bytes))
    }

    /// The facts of the operator's program, for policies and reviewers.
    async fn found(&self, facts: &FactsProgram, action: &Action) -> Result<(Exhibit, Value), CannotPreview> {
        let printed = self.looked("facts", &facts.argv, action).await?;
        let found = facts.read(&printed).map_err(|why| unavailable("facts", &facts.argv, why))?;
        let title = say!("the facts from `{}`", Trusted::configured(facts.argv.join(" ")));
        let bytes = format!("{found:#}\n").into_bytes();
        Ok((Exhibit::words("the operator's program", title, "application/json", bytes), found))
    }

    /// The output of a program for previews or facts. An exit status that means "nothing was done" makes
    /// the call impossible.
    async fn looked(&self, what: &'static str, argv: &[String], action: &Action) -> Result<ChildOutput, CannotPreview> {
        let ended = self.context.look(&self.program, argv, action, &own(action)).await;
        let ended = ended.map_err(|why| unavailable(what, argv, why))?;
        match self.program.said(&ended) {
            ProgramOutcome::Done => Ok(ended.stdout),
            ProgramOutcome::NotDone(why) => {
                let said = words(&ended);
                Err(CannotPreview::Impossible(if said.is_empty() {
                    why
                } else {
                    say!("the {} program `{}` says: {}", what, Trusted::configured(argv.join(" ")), quote(said))
                }))
            }
            ProgramOutcome::Unknown(why) => Err(unavailable(what, argv, why)),
        }
    }

    /// Makes one attempt. All checks of the host come before the program starts, so a failed check proves that nothing
    /// happened. Only the program can leave the outcome unknown.
    async fn attempt(&self, action: &Action, preconditions: &Value, origin: AttemptOrigin<'_>) -> Attempt {
        if let Some(changed) = self.program.changed(preconditions.get("program")) {
            return Attempt::FactsChanged(changed);
        }
        let ty = match self.context.types.of(action).await {
            Ok(ty) => ty,
            Err(why) => return Attempt::NotDone(why),
        };
        let environment = own_of_attempt(action, &origin);
        let order = self.program.order(&self.program.argv, action.canonical().into_bytes(), &environment);
        self.program.attempt(&self.context.children, &origin, order, |stdout| printed(stdout, ok(&ty)?)).await
    }

    /// Runs the lookup program. Its exit statuses have the same meaning as those of the program that acts.
    async fn run_lookup(&self, inquiry: &Inquiry) -> Finding {
        let origin = AttemptOrigin::of(inquiry);
        // The lookup first waits until the attempt's program has ended, because a running program could act after the
        // lookup. It waits at most for the program's time limit.
        let patience = if self.options.lookup.is_some() { self.program.time_out } else { PATIENCE };
        let left = AttemptRemains::by(&self.context.children, &origin, patience).await;
        let Some(argv) = self.options.lookup.as_ref().filter(|_| !left.runs) else {
            return Finding::Unknown { evidence: left.evidence };
        };
        let named = Trusted::configured(argv.join(" "));
        let unknown = |why: Sentence| Finding::Unknown {
            evidence: say!("{}; the lookup program `{}`: {}", left.evidence, named, why),
        };
        let ty = match self.context.types.of(&inquiry.action).await {
            Ok(ty) => ty,
            Err(why) => return unknown(why),
        };
        let mut environment = own_of_attempt(&inquiry.action, &origin);
        let started_at = i64::try_from(inquiry.started_at.0).ok();
        if let Some(at) = started_at.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok()) {
            environment.push(("HOLDSHORT_STARTED_AT", format!("{at:.6}")));
        }
        let ended = match self.context.look(&self.program, argv, &inquiry.action, &environment).await {
            Ok(ended) => ended,
            Err(why) => return unknown(why),
        };
        let evidence = || say!("the lookup program `{}`: {}", named, how(&ended, self.program.time_out));
        match self.program.said(&ended) {
            ProgramOutcome::Done => match ok(&ty).and_then(|ok| printed(&ended.stdout, ok)) {
                Ok(receipt) => Finding::Happened { receipt, evidence: evidence() },
                Err(why) => unknown(say!("exit status 0, but {}", why)),
            },
            ProgramOutcome::NotDone(_) => Finding::DidNotHappen { evidence: evidence() },
            ProgramOutcome::Unknown(why) => unknown(why),
        }
    }
}

impl Preview for EffectCommand {
    fn effect(&self) -> Effect {
        self.options.effect()
    }

    fn preview<'a>(&'a self, _: &'a AgentName, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        self.preview_now(action).boxed()
    }
}

impl Perform for EffectCommand {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            self.attempt(authorized.action(), authorized.preconditions(), AttemptOrigin::permitted(&authorized)).await
        }
        .boxed()
    }

    fn attempts_at_a_time(&self) -> usize {
        PROGRAMS_AT_A_TIME
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        self.run_lookup(inquiry).boxed()
    }

    /// `None`: the receipt is the output of the program, so it cannot be made from the action.
    fn receipt(&self, _: &Inquiry) -> Option<Value> {
        None
    }
}

/// The error when a program for previews or facts has failed.
fn unavailable(what: &'static str, argv: &[String], why: Sentence) -> CannotPreview {
    CannotPreview::Unavailable(say!("the {} program `{}`: {}", what, Trusted::configured(argv.join(" ")), why))
}

/// The type of the result after success; `None` if the function returns nothing.
fn ok(ty: &FunctionType) -> Result<Option<&WitType>, Sentence> {
    match &ty.result {
        Some(WitType::Result { ok, .. }) => Ok(ok.as_deref()),
        // The host refuses such a function when it loads the component, because the function could not tell the agent
        // that a call was refused.
        Some(_) | None => Err("the function's result type is not `result`".into()),
    }
}

/// The environment variables of a program that acts, and of its lookup.
fn own_of_attempt(action: &Action, origin: &AttemptOrigin<'_>) -> Vec<(&'static str, String)> {
    let mut environment = own(action);
    environment.extend([
        ("HOLDSHORT_KEY", origin.key.to_string()),
        ("HOLDSHORT_RUN", origin.run.to_string()),
        ("HOLDSHORT_CALL", origin.call.to_string()),
        ("HOLDSHORT_ATTEMPT", origin.attempt.to_string()),
    ]);
    environment
}

#[cfg(test)]
mod tests;
