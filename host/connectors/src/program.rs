//! An operator's program that acts: how the host runs it, what its end means, and which traces it leaves for a lookup.
//!
//! There is no shell, and the environment is clean. The exit status gives the outcome. 0 means done. One of the
//! operator's codes means that nothing was done and nothing will be. After any other end (another code, a signal, the
//! time limit), a reviewer or a lookup must find the outcome.

use std::path::PathBuf;
use std::time::Duration;

use holdshort_gate::{CallNumber, EffectKey, Permit, RunId};
use serde_json::{Value, json};

use super::child::{
    ChildCommand, ChildEnd, ChildOutput, Children, ExitKind, Leftovers, LockState, NotStarted, environment,
};
use super::{Attempt, Exhibit, Inquiry, Sentence, Trusted, key, quote, quote_value, say};

/// The host reads at most this many bytes from the end of each output. The bytes must contain the complete result, or
/// the end of a log.
pub const KEPT_BYTES_MAX: u64 = 1024 * 1024;
/// A program that writes more than this many bytes is stopped.
const WRITTEN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A message repeats at most this many characters of a program's output.
const TAIL_CHARS_MAX: usize = 2_000;
/// How long a lookup waits for a program that outlived its host.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// An operator's program, and the meaning of its exit statuses.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The working folder.
    pub folder: PathBuf,
    /// The time limit.
    pub time_out: Duration,
    /// The variables that the program gets from the host's environment besides `PATH`.
    pub environment: Vec<String>,
    /// The exit statuses that mean that nothing was done and nothing will be.
    pub not_done: Vec<u8>,
}

/// The attempt for which a program runs. The program's output files are named after the attempt's key and number.
#[derive(Clone, Copy, Debug)]
pub struct AttemptOrigin<'a> {
    pub run: &'a RunId,
    pub call: CallNumber,
    pub attempt: u32,
    /// The idempotency key of the call.
    pub key: &'a EffectKey,
}

impl<'a> AttemptOrigin<'a> {
    /// The origin of a permitted attempt.
    pub fn permitted(permit: &'a Permit) -> Self {
        Self { run: permit.run(), call: permit.call(), attempt: permit.attempt(), key: permit.key() }
    }

    /// The origin of an attempt in doubt.
    pub fn of(inquiry: &'a Inquiry) -> Self {
        Self { run: &inquiry.run, call: inquiry.call, attempt: inquiry.attempt, key: &inquiry.key }
    }

    /// The name of the attempt's child.
    fn child(&self) -> String {
        format!("effect-{}-{}", key::plain(self.key), self.attempt)
    }
}

/// The outcome of an effect, concluded from the end of its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramOutcome {
    /// The effect was done.
    Done,
    /// The effect was not done and will not be done. The sentence has the exit status and the program's own words.
    NotDone(Sentence),
    /// The effect may have been done. The sentence says what the host observed.
    Unknown(Sentence),
}

impl Program {
    /// The program as evidence for reviewers, before it runs.
    pub fn exhibit(&self) -> Exhibit {
        let text = json!({
            "argv": self.argv,
            "environment": self.environment,
            "time-out-ms": u64::try_from(self.time_out.as_millis()).unwrap_or(u64::MAX),
            "exit-status": { "done": 0, "nothing-done": self.not_done },
        });
        Exhibit::json(say!("the program"), &text)
    }

    /// The program as a precondition of the call. A clearance is for this program only, so [`changed`](Self::changed)
    /// compares the precondition before the effect.
    pub fn precondition(&self) -> Value {
        json!(self.argv)
    }

    /// Both programs as text, if the operator has replaced the program since it was shown.
    pub fn changed(&self, shown: Option<&Value>) -> Option<Sentence> {
        let now = self.precondition();
        let shown = shown.unwrap_or(&Value::Null);
        let differs = *shown != now;
        differs.then(|| {
            say!("the program was {} when the call was shown and is {} now", quote_value(shown), quote_value(&now))
        })
    }

    /// The program's name for people.
    pub fn name(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// The command that runs `argv` within this program's limits. The variables in `own` are added to its environment.
    pub fn order(&self, argv: &[String], stdin: Vec<u8>, own: &[(&str, String)]) -> ChildCommand {
        ChildCommand {
            argv: argv.to_vec(),
            folder: Some(self.folder.clone()),
            environment: environment(&self.environment, own),
            stdin,
            time_out: self.time_out,
            kept_bytes_max: KEPT_BYTES_MAX,
            written_bytes_max: WRITTEN_BYTES_MAX,
            reserve: None,
            bounds: None,
            merged: false,
            leftovers: Leftovers::Leave,
        }
    }

    /// Runs the program once for this attempt. After a success, `receipt` makes the receipt from the output. If
    /// `receipt` fails, the effect is in doubt.
    pub async fn attempt(
        &self,
        children: &Children,
        origin: &AttemptOrigin<'_>,
        order: ChildCommand,
        receipt: impl FnOnce(&ChildOutput) -> Result<Value, Sentence>,
    ) -> Attempt {
        let name = origin.child();
        let ended = match children.run(&name, order).await {
            Ok(ended) => ended,
            Err(NotStarted::Busy(path)) => {
                return Attempt::Unknown(say!(
                    "an earlier attempt still runs and holds the lock `{}`",
                    Trusted::path(&path)
                ));
            }
            Err(error) => return Attempt::NotDone(error.sentence()),
        };
        let attempt = match self.said(&ended) {
            ProgramOutcome::Done => match receipt(&ended.stdout) {
                Ok(receipt) => Attempt::Done(receipt),
                Err(why) => Attempt::Unknown(with_words(say!("exit status 0, but {}", why), &ended)),
            },
            ProgramOutcome::NotDone(why) => Attempt::NotDone(why),
            ProgramOutcome::Unknown(why) => Attempt::Unknown(why),
        };
        match attempt {
            // The effect is in doubt: the output is kept for a lookup or a reviewer.
            Attempt::Unknown(_) => {}
            Attempt::Done(_)
            | Attempt::DoneDespite(..)
            | Attempt::NotDone(_)
            | Attempt::Postponed(..)
            | Attempt::FactsChanged(_) => children.forget(&name).await,
        }
        attempt
    }

    /// What the end of a child means for its effect.
    pub fn said(&self, ended: &ChildEnd) -> ProgramOutcome {
        let is_not_done = |status: i32| self.not_done.iter().any(|code| i32::from(*code) == status);
        match ended.how {
            ExitKind::Exited(0) => ProgramOutcome::Done,
            ExitKind::Exited(status) if is_not_done(status) && ended.lingers => {
                let what = say!("exit status {}, but a process of the program still runs", status);
                ProgramOutcome::Unknown(with_words(what, ended))
            }
            ExitKind::Exited(status) if is_not_done(status) => ProgramOutcome::NotDone(how(ended, self.time_out)),
            ExitKind::Exited(_)
            | ExitKind::Signalled(_)
            | ExitKind::TimedOut
            | ExitKind::WroteTooMuch
            | ExitKind::FilledDisk
            | ExitKind::Lost(_) => ProgramOutcome::Unknown(how(ended, self.time_out)),
        }
    }
}

/// The end of a child as text, with the end of its error output.
pub fn how(ended: &ChildEnd, time_out: Duration) -> Sentence {
    let what = match &ended.how {
        ExitKind::Exited(status) => say!("exit status {}", *status),
        ExitKind::Signalled(signal) => say!("ended by signal {}", *signal),
        ExitKind::TimedOut => {
            say!("stopped, because the program ran longer than {} seconds", Trusted::number(time_out.as_secs_f64()))
        }
        ExitKind::WroteTooMuch => say!("stopped, because the program printed more than {} bytes", WRITTEN_BYTES_MAX),
        ExitKind::FilledDisk => say!("stopped, because the program used half of the free disk space"),
        ExitKind::Lost(error) => say!("the exit status is unknown: {}", quote(error)),
    };
    with_words(what, ended)
}

/// The last characters of a child's error output.
pub fn words(ended: &ChildEnd) -> String {
    ended.stderr.tail(TAIL_CHARS_MAX)
}

fn with_words(what: Sentence, ended: &ChildEnd) -> Sentence {
    let words = words(ended);
    if words.is_empty() { what } else { say!("{}: {}", what, quote(words)) }
}

/// The traces of an attempt in doubt: a running program or its output files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRemains {
    /// Whether the program, or a process that it started, still runs and could still act.
    pub runs: bool,
    /// The finding as text.
    pub evidence: Sentence,
}

impl AttemptRemains {
    /// Waits up to `patience` for a program that outlived its host, and then looks for the traces of its attempt.
    pub async fn by(children: &Children, origin: &AttemptOrigin<'_>, patience: Duration) -> Self {
        let name = origin.child();
        let path = children.lock_path(&name);
        let path = Trusted::path(&path);
        let trace = children.wait_until_gone(&name, patience).await;
        let evidence = match trace {
            LockState::Running => say!("a process of the program still runs and has locked `{}`", path),
            LockState::Gone => match children.said(&name, TAIL_CHARS_MAX).as_str() {
                "" => say!("the program has ended without output; its files are `{}` and the files beside it", path),
                said => say!("the program has ended; the end of its output, which is in `{}`: {}", path, quote(said)),
            },
            // A missing file proves nothing: a power failure can lose the file of a program that has already acted.
            LockState::None => say!("the program is not running any more, and there is no file `{}`", path),
        };
        Self { runs: trace == LockState::Running, evidence }
    }
}
