//! A program of the operator's that acts: how it is run, how the way it ended is read, and what it leaves for whoever has to find out.
//!
//! There is no shell and the environment is scrubbed. The program says by its exit status what came of it: 0, done; one of the operator's
//! codes, nothing was done and nothing will be; anything else (another code, a signal, no time left), a person or a lookup finds out.

use std::path::PathBuf;
use std::time::Duration;

use holdshort_gate::{CallNumber, EffectKey, Permit, RunId};
use serde_json::{Value, json};

use super::child::{Children, Ended, How, Leftovers, NotStarted, Order, Output, Trace, environment};
use super::{Attempt, Exhibit, Inquiry, Known, Sentence, key, quote, quote_value, say};

/// How much of each output is read: a result, or the end of a log.
pub const KEPT_BYTES_MAX: u64 = 1024 * 1024;
/// How much a program may print before it is stopped: a log, not a disk.
const WRITTEN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How much of what it said is told.
const TAIL_CHARS_MAX: usize = 2_000;
/// How long a lookup that can tell no more than that waits for a program that outlived its host.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The operator's program and how its exit statuses are read.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub folder: PathBuf,
    /// How long it may run.
    pub time_out: Duration,
    /// The variables of the host's environment that it gets, besides `PATH`.
    pub environment: Vec<String>,
    /// The exit statuses by which it says that nothing was done and nothing will be.
    pub not_done: Vec<u8>,
}

/// Which attempt it is; for the program and the files that it leaves.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The call.
    pub call: CallNumber,
    /// The attempt.
    pub attempt: u32,
    /// The idempotency key of the call.
    pub key: &'a EffectKey,
}

impl<'a> Origin<'a> {
    /// The attempt that is permitted.
    pub fn permitted(permit: &'a Permit) -> Self {
        Self { run: permit.run(), call: permit.call(), attempt: permit.attempt(), key: permit.key() }
    }

    /// The attempt that was lost.
    pub fn of(inquiry: &'a Inquiry) -> Self {
        Self { run: &inquiry.run, call: inquiry.call, attempt: inquiry.attempt, key: &inquiry.key }
    }

    /// The name of the attempt's child.
    fn child(&self) -> String {
        format!("effect-{}-{}", key::plain(self.key), self.attempt)
    }
}

/// What a program says by the way it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was done.
    Done,
    /// It was not done and will not be; in the program's own words.
    NotDone(Sentence),
    /// It may have been done; what was seen.
    Unknown(Sentence),
}

impl Program {
    /// What will be run, as far as it can be told before, as evidence for reviewers.
    pub fn exhibit(&self) -> Exhibit {
        let text = json!({
            "argv": self.argv,
            "environment": self.environment,
            "time-out-ms": u64::try_from(self.time_out.as_millis()).unwrap_or(u64::MAX),
            "exit-status": { "done": 0, "nothing-done": self.not_done },
        });
        Exhibit::json(say!("the program"), &text)
    }

    /// What a preview states and [`changed`](Self::changed) compares: a clearance is for this program and for no other.
    pub fn precondition(&self) -> Value {
        json!(self.argv)
    }

    /// Whether the operator has put another program in the place of the one that was shown; both in words.
    pub fn changed(&self, shown: Option<&Value>) -> Option<Sentence> {
        let now = self.precondition();
        let shown = shown.unwrap_or(&Value::Null);
        let differs = *shown != now;
        differs
            .then(|| say!("the program was {} when it was shown and is {} now", quote_value(shown), quote_value(&now)))
    }

    /// The program's name, for people.
    pub fn name(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// An order for `argv` within this program's bounds; `own` is what the host adds to its environment.
    pub fn order(&self, argv: &[String], stdin: Vec<u8>, own: &[(&str, String)]) -> Order {
        Order {
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

    /// Runs the program once, for this attempt. `receipt` makes what is handed to the agent out of what a program that did it printed;
    /// an error of it leaves the effect in doubt.
    pub async fn attempt(
        &self,
        children: &Children,
        origin: &Origin<'_>,
        order: Order,
        receipt: impl FnOnce(&Output) -> Result<Value, Sentence>,
    ) -> Attempt {
        let name = origin.child();
        let ended = match children.run(&name, order).await {
            Ok(ended) => ended,
            Err(NotStarted::Busy(path)) => {
                return Attempt::Unknown(say!(
                    "an earlier attempt still runs and holds the lock `{}`",
                    Known::path(&path)
                ));
            }
            Err(error) => return Attempt::NotDone(error.sentence()),
        };
        let attempt = match self.said(&ended) {
            Said::Done => match receipt(&ended.stdout) {
                Ok(receipt) => Attempt::Done(receipt),
                Err(why) => Attempt::Unknown(with_words(say!("exit status 0, but {}", why), &ended)),
            },
            Said::NotDone(why) => Attempt::NotDone(why),
            Said::Unknown(why) => Attempt::Unknown(why),
        };
        match attempt {
            // What it printed is kept for whoever has to find out.
            Attempt::Unknown(_) => {}
            Attempt::Done(_)
            | Attempt::DoneDespite(..)
            | Attempt::NotDone(_)
            | Attempt::Postponed(..)
            | Attempt::FactsChanged(_) => children.forget(&name).await,
        }
        attempt
    }

    /// Reads the way in which a child of this program's ended.
    pub fn said(&self, ended: &Ended) -> Said {
        let is_not_done = |status: i32| self.not_done.iter().any(|code| i32::from(*code) == status);
        match ended.how {
            How::Exited(0) => Said::Done,
            How::Exited(status) if is_not_done(status) && ended.lingers => {
                let what = say!("exit status {}, but a process that it started still runs", status);
                Said::Unknown(with_words(what, ended))
            }
            How::Exited(status) if is_not_done(status) => Said::NotDone(how(ended, self.time_out)),
            How::Exited(_) | How::Signalled(_) | How::TimedOut | How::WroteTooMuch | How::FilledDisk | How::Lost(_) => {
                Said::Unknown(how(ended, self.time_out))
            }
        }
    }
}

/// How a child ended, in words, with the end of what it said on its standard error.
pub fn how(ended: &Ended, time_out: Duration) -> Sentence {
    let what = match &ended.how {
        How::Exited(status) => say!("exit status {}", *status),
        How::Signalled(signal) => say!("ended by signal {}", *signal),
        How::TimedOut => {
            say!("stopped, because it ran longer than {} seconds", Known::number(time_out.as_secs_f64()))
        }
        How::WroteTooMuch => say!("stopped, because it printed more than {} bytes", WRITTEN_BYTES_MAX),
        How::FilledDisk => say!("stopped, because it used up half of the free disk space"),
        How::Lost(error) => say!("its exit status is unknown: {}", quote(error)),
    };
    with_words(what, ended)
}

/// The end of what a child said on its standard error.
pub fn words(ended: &Ended) -> String {
    ended.stderr.tail(TAIL_CHARS_MAX)
}

fn with_words(what: Sentence, ended: &Ended) -> Sentence {
    let words = words(ended);
    if words.is_empty() { what } else { say!("{}: {}", what, quote(words)) }
}

/// What a lost attempt has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Whether the program, or something that it started, still runs; it may act yet.
    pub runs: bool,
    /// The same in words.
    pub evidence: Sentence,
}

impl Left {
    /// Looks, after some patience with a program that outlived its host.
    pub async fn by(children: &Children, origin: &Origin<'_>, patience: Duration) -> Self {
        let name = origin.child();
        let path = children.lock_path(&name);
        let path = Known::path(&path);
        let trace = children.wait_until_gone(&name, patience).await;
        let evidence = match trace {
            Trace::Running => say!("the program, or something that it started, still runs and holds `{}`", path),
            Trace::Gone => match children.said(&name, TAIL_CHARS_MAX).as_str() {
                "" => say!("the program has ended without output; its files are `{}` and next to it", path),
                said => say!("the program has ended; the end of its output, which is in `{}`: {}", path, quote(said)),
            },
            // A power cut may take the file and leave the effect.
            Trace::None => say!("the program does not run and has left no `{}`", path),
        };
        Self { runs: trace == Trace::Running, evidence }
    }
}
