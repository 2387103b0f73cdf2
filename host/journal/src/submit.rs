//! A command in the writer's queue, as a trait object: the queue holds commands of all types, each with the sender of
//! its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use holdshort_gate::command::{RequiredState, Subject};
use holdshort_gate::{CallNumber, Command, Digest, Event, Refused, RunId, Time};
use tokio::sync::oneshot;

use crate::blobs::Blob;
use crate::error::SubmitError;
use crate::fence::Fence;
use crate::flushed::Flushed;
use crate::notified::NotificationRecord;
use crate::rows::LogLine;

/// The answer to a command, which comes once the command's batch is on disk. The command is already queued when the
/// caller gets this value, even if the caller never awaits the value.
#[derive(Debug)]
#[must_use = "a command is answered after its commit"]
pub struct Submitted<T>(oneshot::Receiver<Result<Flushed<T>, SubmitError>>);

impl<T> Submitted<T> {
    pub(crate) fn new() -> (oneshot::Sender<Result<Flushed<T>, SubmitError>>, Self) {
        let (reply, answer) = oneshot::channel();
        (reply, Self(answer))
    }
}

impl<T> Future for Submitted<T> {
    type Output = Result<Flushed<T>, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| {
            answer.unwrap_or_else(|_| Err(SubmitError::Unknown("the journal's writer has stopped".into())))
        })
    }
}

/// A task for the writer.
pub(crate) enum Task {
    /// Judge a command, and write its events together with the evidence that they name.
    Command { run: RunId, call: Option<CallNumber>, fence: Fence, work: Box<dyn Submission>, evidence: Vec<Blob> },
    /// Store bytes under their digest.
    Blob { digest: Digest, bytes: Vec<u8>, reply: oneshot::Sender<Result<Flushed<Digest>, SubmitError>> },
    /// Store a notification cursor or a reminder.
    Note(NotificationRecord, oneshot::Sender<Result<Flushed<()>, SubmitError>>),
    /// Store a log line with some later batch.
    Log(RunId, LogLine, LogReservation),
}

/// How many bytes of log lines may wait for the disk. An agent can write more than a disk can take; lines over this
/// bound are dropped, because lines are hints.
const LOGS_WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The memory that a line needs besides its text, in bytes.
const LINE_BYTES: usize = 128;

/// The bytes that a log line takes of the bound for waiting lines. The bytes are given back when the line is on disk or
/// dropped.
#[derive(Debug)]
pub(crate) struct LogReservation {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

impl LogReservation {
    /// Takes bytes for `line`; `None` if the bound is reached. `taken` counts the bytes of all waiting lines.
    pub(crate) fn take(line: &LogLine, taken: &Arc<AtomicUsize>) -> Option<Self> {
        let bytes = LINE_BYTES + line.message.len();
        let before = taken.fetch_add(bytes, Ordering::Relaxed);
        // The value is made before the check, so that dropping the value gives the bytes back if the bound is reached.
        let waiting = Self { bytes, taken: taken.clone() };
        (before + bytes <= LOGS_WAITING_BYTES_MAX).then_some(waiting)
    }
}

impl Drop for LogReservation {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A command with the sender of its answer.
pub(crate) trait Submission: Send {
    /// The further state that the command is judged on.
    fn required_state(&self) -> RequiredState;
    /// Judges the command, once. An error means that the command was refused, and the answer is then fixed.
    fn decide(&mut self, subject: &Subject, now: Time) -> Result<Vec<Event>, ()>;
    /// Gives the answer: the result of `decide` if the batch is on disk, or else the reason why the batch is not on
    /// disk.
    fn answer(self: Box<Self>, outcome: Result<(), SubmitError>);
}

/// A command of type `C`.
pub(crate) struct TypedSubmission<C: Command> {
    command: Option<C>,
    judged: Option<Result<C::Output, Refused>>,
    reply: oneshot::Sender<Result<Flushed<C::Output>, SubmitError>>,
}

impl<C: Command> TypedSubmission<C> {
    pub(crate) fn new(command: C, reply: oneshot::Sender<Result<Flushed<C::Output>, SubmitError>>) -> Self {
        Self { command: Some(command), judged: None, reply }
    }
}

impl<C: Command> Submission for TypedSubmission<C> {
    fn required_state(&self) -> RequiredState {
        self.command.as_ref().map(Command::required_state).unwrap_or_default()
    }

    fn decide(&mut self, subject: &Subject, now: Time) -> Result<Vec<Event>, ()> {
        let (events, judged) = match self.command.take().map(|command| command.decide(subject, now)) {
            Some(Ok((events, out))) => (Ok(events), Some(Ok(out))),
            Some(Err(refused)) => (Err(()), Some(Err(refused))),
            None => (Err(()), None),
        };
        self.judged = judged;
        events
    }

    fn answer(self: Box<Self>, outcome: Result<(), SubmitError>) {
        let answer = match (outcome, self.judged) {
            (Ok(()), Some(Ok(out))) => Ok(Flushed::after_commit(out)),
            (Ok(()), Some(Err(refused))) => Err(SubmitError::Refused(refused)),
            (Ok(()), None) => Err(SubmitError::NotWritten("the writer has not decided on the command".into())),
            (Err(error), _) => Err(error),
        };
        // Sending fails if nobody waits for the answer any more. The command was written nevertheless.
        drop(self.reply.send(answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_room_again_once_others_are_gone() {
        let taken = Arc::default();
        let line = LogLine { at: Time(0), level: "info".into(), message: "x".repeat(4096) };
        let mut waiting: Vec<LogReservation> = std::iter::from_fn(|| LogReservation::take(&line, &taken)).collect();
        assert_eq!(waiting.len(), LOGS_WAITING_BYTES_MAX / (LINE_BYTES + 4096));
        assert!(LogReservation::take(&line, &taken).is_none(), "nothing leaks while there is no room");
        waiting.pop();
        assert!(LogReservation::take(&line, &taken).is_some());
        waiting.clear();
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
