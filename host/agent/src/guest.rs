//! One run of an agent, step by step, driven by the run's own task.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use holdshort_gate::{Capability, FunctionType, Mismatch, RunLimits, Time};
use serde_json::{Map, Value};
use wasmtime::component::Val;

use super::engine::Compiled;
use super::handover::{Reply, Request};
use super::instance::{self, Shared};
use super::limits::Meter;
use super::ticker::Ticker;
use super::trap::Trap;
use super::value;

/// What a guest starts with. Two guests of one program with the same of this, given the same answers, do the same.
// Without `Debug`, which would print the seed.
#[derive(Clone)]
pub struct Start {
    /// What the agent is to do.
    pub task: String,
    /// What it may use.
    pub limits: RunLimits,
    /// Where its randomness comes from.
    pub seed: [u8; 32],
    /// When its clock starts.
    pub created_at: Time,
    /// How many bytes one call may hand to the host.
    pub arguments_max_bytes: usize,
}

/// A live instance. It runs only inside [`Guest::next`], so one that nobody polls costs no CPU; dropping it frees everything it has at once.
/// The host keeps it on the [`Threads`](super::Threads) of its engine.
pub struct Guest {
    program: Arc<Compiled>,
    shared: Shared,
    /// `None` once it is over.
    running: Option<Pin<Box<dyn Future<Output = Step> + Send>>>,
    /// What it did last, until that has been told.
    ready: Option<Step>,
    waiting: Option<Waiting>,
}

/// What a guest does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It calls the host and waits for [`Guest::answer`].
    Call(HostCall),
    /// It sleeps and waits for [`Guest::wake`].
    Sleep {
        /// Until when, by its own clock.
        until: Time,
    },
    /// It printed a line; there is nothing to answer.
    Output {
        /// `stdout` or `stderr`.
        level: &'static str,
        /// The line without its end. Agents' text: to be escaped wherever it is shown.
        text: String,
    },
    /// It returned.
    Finished(Result<String, String>),
    /// It ended without returning.
    Trapped(Trap),
}

/// A call of a function that the agent imports.
#[derive(Clone, Debug, PartialEq)]
pub struct HostCall {
    /// The function.
    pub capability: Arc<Capability>,
    /// Its type.
    pub ty: Arc<FunctionType>,
    /// An object keyed by parameter name, in normal form.
    pub arguments: Value,
}

enum Waiting {
    Call(Arc<FunctionType>),
    Sleep,
}

impl Guest {
    pub(super) fn new(program: Arc<Compiled>, start: Start) -> Self {
        let shared = Shared::new(&start);
        let running = Box::pin(instance::run(program.clone(), start, shared.clone()));
        Self { program, shared, running: Some(running), ready: None, waiting: None }
    }

    /// Runs the guest up to its next step. Dropping the future before it is ready loses nothing.
    ///
    /// A call or a sleep must have been answered first; otherwise, and after the end, this is the host's mistake and comes back as [`Trap::Host`].
    pub async fn next(&mut self) -> Step {
        loop {
            if let Some(step) = self.due() {
                return step;
            }
            if self.waiting.is_some() {
                return Step::Trapped(Trap::Host("the agent was driven on without an answer".into()));
            }
            if self.running.is_none() {
                return Step::Trapped(Trap::Host("the agent was driven on after its end".into()));
            }
            std::future::poll_fn(|cx| self.poll(cx)).await;
        }
    }

    /// Hands the guest the result of its call, which happened at `at`. The result is in the JSON form of the function's type, `Null` if it has none.
    /// After a mismatch the guest still waits.
    pub fn answer(&mut self, result: &Value, at: Time) -> Result<(), Mismatch> {
        let mismatch =
            |expected: &str| Mismatch { path: "result".into(), expected: expected.into(), found: "a result".into() };
        let Some(Waiting::Call(ty)) = &self.waiting else {
            return Err(mismatch("nothing, because the agent waits for no result"));
        };
        let result = match &ty.result {
            Some(ty) => Some(value::from_json(result, ty)?),
            None if result.is_null() => None,
            None => return Err(mismatch("null, because the function returns nothing")),
        };
        self.deliver(Reply::Result(result), at);
        Ok(())
    }

    /// Wakes the guest from its sleep. Before its time it sleeps on: the next step is the same sleep.
    pub fn wake(&mut self, at: Time) {
        if let Some(Waiting::Sleep) = self.waiting {
            self.deliver(Reply::Woken, at);
        }
    }

    /// Whether what it does from now on it has done before. Replay counts as CPU time, but does not end at the limit. A guest starts out live.
    pub fn replay(&self, yes: bool) {
        self.shared.meter.replay(yes);
    }

    /// What counts the CPU time that it uses, replay included.
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    fn deliver(&mut self, reply: Reply, at: Time) {
        self.shared.clock.deliver(at);
        self.shared.handover.reply(reply);
        self.waiting = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(running) = &mut self.running else { return Poll::Ready(()) };
        let ticking = self.program.engine.ticker().map(Ticker::running);
        let meter = self.shared.meter.clone();
        let _running = meter.running();
        let polled = running.as_mut().poll(cx);
        drop(ticking);
        match polled {
            Poll::Ready(step) => self.end(step),
            Poll::Pending => match self.shared.handover.take() {
                Some(request) => self.ask(request),
                None if self.shared.output.is_empty() => return Poll::Pending,
                None => {}
            },
        }
        Poll::Ready(())
    }

    /// What can be told without running the guest: what it printed comes before what it then did.
    fn due(&mut self) -> Option<Step> {
        if let Some((channel, text)) = self.shared.output.take() {
            return Some(Step::Output { level: channel.level(), text });
        }
        self.ready.take()
    }

    fn ask(&mut self, request: Request) {
        match request {
            Request::Sleep { until } => {
                self.waiting = Some(Waiting::Sleep);
                self.ready = Some(Step::Sleep { until });
            }
            Request::Call { import, params } => match self.call(import, &params) {
                Ok(call) => {
                    self.waiting = Some(Waiting::Call(call.ty.clone()));
                    self.ready = Some(Step::Call(call));
                }
                Err(trap) => self.end(Step::Trapped(trap)),
            },
        }
    }

    fn call(&self, import: usize, params: &[Val]) -> Result<HostCall, Trap> {
        let unknown = || Trap::Host("the agent called a function that it does not import".into());
        let (capability, ty) = self.program.imports.get(import).ok_or_else(unknown)?;
        let mut arguments = Map::new();
        for ((name, ty), param) in ty.params.iter().zip(params) {
            let argument = value::to_json(param, ty)
                .map_err(|error| Trap::HostCall(format!("{} in a call of `{capability}`", error.within(name))))?;
            arguments.insert(name.clone(), argument);
        }
        Ok(HostCall { capability: capability.clone(), ty: ty.clone(), arguments: Value::Object(arguments) })
    }

    fn end(&mut self, step: Step) {
        self.running = None;
        self.shared.output.finish();
        self.ready = Some(step);
    }
}
