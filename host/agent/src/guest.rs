//! One run of an agent, step by step. The run's task asks for each step.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use holdshort_gate::{FunctionType, Mismatch, Time};
use serde_json::{Map, Value};
use wasmtime::component::Val;

use super::handover::{Reply, Request};
use super::http::exchange::is_handle;
use super::instance;
use super::limits::Meter;
use super::passed::is_too_large;
use super::program::{Compiled, Program};
use super::state::Shared;
use super::step::{GuestStart, HostCall, Step};
use super::ticker::Ticker;
use super::trap::{Trap, too_large};
use super::value;

/// A running instance. It computes only inside [`Guest::next`], so it costs no CPU time between steps. Dropping it
/// frees all its memory at once. The host keeps it on the engine's [`Threads`](super::Threads).
pub struct Guest {
    program: Arc<Compiled>,
    shared: Shared,
    /// The guest's execution; `None` after the guest has ended.
    running: Option<Pin<Box<dyn Future<Output = Step> + Send>>>,
    /// The next step, if it is known without running the guest.
    ready: Option<Step>,
    waiting: Option<Waiting>,
    arguments_max_bytes: usize,
}

enum Waiting {
    Call(Arc<FunctionType>),
    Http(Arc<FunctionType>),
    Sleep,
}

impl Program {
    /// Makes a guest, which has not run yet. Only [`Guest::next`] runs it.
    pub fn start(&self, start: GuestStart) -> Guest {
        Guest::new(self.0.clone(), start)
    }
}

impl Guest {
    fn new(program: Arc<Compiled>, start: GuestStart) -> Self {
        let (shared, arguments_max_bytes) = (Shared::new(&start), start.arguments_max_bytes);
        let running = Box::pin(instance::run(program.clone(), start, shared.clone()));
        Self { program, shared, running: Some(running), ready: None, waiting: None, arguments_max_bytes }
    }

    /// Runs the guest up to its next step. If the future is dropped early, the next call continues at the same point.
    ///
    /// Before this, the host must have answered the call or ended the sleep of the previous step. If it has not, or if
    /// the guest has already ended, the step is [`Trap::Host`].
    pub async fn next(&mut self) -> Step {
        loop {
            if let Some(step) = self.due() {
                return step;
            }
            if self.waiting.is_some() {
                return Step::Trapped(Trap::Host("the agent was continued without an answer".into()));
            }
            if self.running.is_none() {
                return Step::Trapped(Trap::Host("the agent was continued after its end".into()));
            }
            std::future::poll_fn(|cx| self.poll(cx)).await;
        }
    }

    /// Gives the guest the result of its call, and advances its clock to `at`. The result is in the JSON form of the
    /// function's type, or `Null` if the function returns nothing. If this returns an error, the guest still waits
    /// for a result.
    pub fn answer(&mut self, result: &Value, at: Time) -> Result<(), Mismatch> {
        let mismatch =
            |expected: &str| Mismatch { path: "result".into(), expected: expected.into(), found: "a result".into() };
        let ty = match &self.waiting {
            Some(Waiting::Call(ty)) => ty,
            Some(Waiting::Http(ty)) => {
                let ty = ty.result.as_ref().ok_or_else(|| mismatch("nothing"))?;
                let answer = Reply::Answer(ty.normalise(result)?);
                self.shared.clock.deliver_answer(at);
                self.reply(answer);
                return Ok(());
            }
            Some(Waiting::Sleep) | None => {
                return Err(mismatch("nothing, because the agent waits for no result"));
            }
        };
        let result = match &ty.result {
            Some(ty) => Some(value::from_json(result, ty)?),
            None if result.is_null() => None,
            None => return Err(mismatch("null, because the function returns nothing")),
        };
        self.deliver(Reply::Result(result), at);
        Ok(())
    }

    /// Ends the guest's sleep, and advances its clock to `at`. If `at` is too early, the guest's next step is the
    /// same sleep again.
    pub fn wake(&mut self, at: Time) {
        if let Some(Waiting::Sleep) = self.waiting {
            self.deliver(Reply::Woken, at);
        }
    }

    /// Sets whether the guest is being replayed, which it is not at first. Replay counts as CPU time, but the CPU limit
    /// does not end a replay.
    pub fn replay(&self, yes: bool) {
        self.shared.meter.replay(yes);
    }

    /// The counter of the guest's CPU time, including replay.
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    fn deliver(&mut self, reply: Reply, at: Time) {
        self.shared.clock.deliver(at);
        self.reply(reply);
    }

    fn reply(&mut self, reply: Reply) {
        self.shared.handover.reply(reply);
        self.waiting = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(running) = &mut self.running else { return Poll::Ready(()) };
        let ticking = self.program.ticker.as_deref().map(Ticker::running);
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

    /// The next step, if it is known without running the guest. Lines that the guest printed come before the step
    /// that followed them.
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
                Ok(call) => self.wait_for(call, Waiting::Call),
                Err(trap) => self.end(Step::Trapped(trap)),
            },
            Request::Http(arguments) => match self.http_call(arguments) {
                Ok(call) => self.wait_for(call, Waiting::Http),
                Err(trap) => self.end(Step::Trapped(trap)),
            },
        }
    }

    fn wait_for(&mut self, call: HostCall, waiting: fn(Arc<FunctionType>) -> Waiting) {
        self.waiting = Some(waiting(call.ty.clone()));
        self.ready = Some(Step::Call(call));
    }

    fn http_call(&self, arguments: Value) -> Result<HostCall, Trap> {
        let import = self.program.imports.iter().find(|(capability, _)| is_handle(capability));
        let (capability, ty) = import.ok_or_else(unknown)?.clone();
        Ok(HostCall { capability, ty, arguments })
    }

    fn call(&self, import: usize, params: &[Val]) -> Result<HostCall, Trap> {
        let (capability, ty) = self.program.imports.get(import).ok_or_else(unknown)?;
        if is_too_large(capability, params, self.arguments_max_bytes) {
            return Err(Trap::HostCall(too_large(self.arguments_max_bytes)));
        }
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

fn unknown() -> Trap {
    Trap::Host("the agent called a function that it does not import".into())
}
