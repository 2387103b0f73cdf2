//! A command in the writer's queue: its type is erased, and its answer has a place.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use holdshort_gate::command::{RestsOn, Subject};
use holdshort_gate::{CallNumber, Command, Digest, Event, Refused, RunId, Time};
use tokio::sync::oneshot;

use crate::error::SubmitError;
use crate::fence::Fence;
use crate::flushed::Flushed;
use crate::rows::LogLine;
use crate::told::Note;

/// The answer to a command, once its batch is on disk. The command was taken when this was made, whether or not it is awaited.
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

/// What the writer is asked to do.
pub(crate) enum Task {
    /// Judge a command, write what follows.
    Command { run: RunId, call: Option<CallNumber>, fence: Fence, work: Box<dyn Work> },
    /// Keep some bytes by their digest.
    Blob { digest: Digest, bytes: Vec<u8>, reply: oneshot::Sender<Result<Flushed<Digest>, SubmitError>> },
    /// Keep a notification cursor or a reminder.
    Note(Note, oneshot::Sender<Result<Flushed<()>, SubmitError>>),
    /// Keep a line with some later batch.
    Log(RunId, LogLine, Waiting),
}

/// How many bytes of log lines may wait for the disk. An agent can say more than a disk can take; what is over is lost, because lines are hints.
const LOGS_WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a line costs beside its text.
const LINE_BYTES: usize = 128;

/// A log line's share of the room for lines that wait, given back when the line is on disk or lost.
#[derive(Debug)]
pub(crate) struct Waiting {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

impl Waiting {
    /// Room for `line`, if the bytes counted by `taken` leave any.
    pub(crate) fn take(line: &LogLine, taken: &Arc<AtomicUsize>) -> Option<Self> {
        let bytes = LINE_BYTES + line.message.len();
        let before = taken.fetch_add(bytes, Ordering::Relaxed);
        // Made before it is judged, so that a line without room gives back what it took.
        let waiting = Self { bytes, taken: taken.clone() };
        (before + bytes <= LOGS_WAITING_BYTES_MAX).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A command with its place for the answer.
pub(crate) trait Work: Send {
    /// The totals that it is judged by.
    fn rests_on(&self) -> RestsOn;
    /// Judges it, once. An error says that it was refused, and with it the answer is settled.
    fn decide(&mut self, subject: &Subject, now: Time) -> Result<Vec<Event>, ()>;
    /// Gives the answer: what `decide` found if the batch is on disk, else why it is not.
    fn answer(self: Box<Self>, outcome: Result<(), SubmitError>);
}

/// A command of type `C`.
pub(crate) struct Typed<C: Command> {
    command: Option<C>,
    judged: Option<Result<C::Out, Refused>>,
    reply: oneshot::Sender<Result<Flushed<C::Out>, SubmitError>>,
}

impl<C: Command> Typed<C> {
    pub(crate) fn new(command: C, reply: oneshot::Sender<Result<Flushed<C::Out>, SubmitError>>) -> Self {
        Self { command: Some(command), judged: None, reply }
    }
}

impl<C: Command> Work for Typed<C> {
    fn rests_on(&self) -> RestsOn {
        self.command.as_ref().map(Command::rests_on).unwrap_or_default()
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
            (Ok(()), None) => Err(SubmitError::NotWritten("the command was not judged".into())),
            (Err(error), _) => Err(error),
        };
        // Nobody waits for the answer any more; the command was written all the same.
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
        let mut waiting: Vec<Waiting> = std::iter::from_fn(|| Waiting::take(&line, &taken)).collect();
        assert_eq!(waiting.len(), LOGS_WAITING_BYTES_MAX / (LINE_BYTES + 4096));
        assert!(Waiting::take(&line, &taken).is_none(), "nothing leaks while there is no room");
        waiting.pop();
        assert!(Waiting::take(&line, &taken).is_some());
        waiting.clear();
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
