//! The inputs of a guest at its start, and the steps of its execution.

use std::sync::Arc;

use holdshort_gate::{Capability, FunctionType, RunLimits, Time};
use serde_json::Value;

use super::trap::Trap;

/// The inputs of a guest. Two guests of one program with the same inputs and the same answers
/// behave in the same way.
// No `Debug`, because it would print the seed.
#[derive(Clone)]
pub struct GuestStart {
    /// The task, which is the agent's argument.
    pub task: String,
    pub limits: RunLimits,
    /// The seed of the guest's random numbers.
    pub seed: [u8; 32],
    /// The time at which the guest's clock starts.
    pub created_at: Time,
    /// The maximum size of one call's arguments.
    pub arguments_max_bytes: usize,
}

/// The steps of a guest.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The guest calls the host and waits for [`Guest::answer`](crate::Guest::answer).
    Call(HostCall),
    /// The guest sleeps and waits for [`Guest::wake`](crate::Guest::wake).
    Sleep {
        /// The time of the guest's clock at which the sleep ends.
        until: Time,
    },
    /// The guest printed a line. The host need not answer.
    Output {
        level: &'static str,
        /// The line without its end. It is the agent's text, so it must be escaped before it is shown.
        text: String,
    },
    /// The guest's entry point returned.
    Finished(Result<String, String>),
    /// The guest ended without returning from its entry point.
    Trapped(Trap),
}

/// A call of an imported function.
#[derive(Clone, Debug, PartialEq)]
pub struct HostCall {
    pub capability: Arc<Capability>,
    pub ty: Arc<FunctionType>,
    /// The arguments as an object by parameter name, in normal form.
    pub arguments: Value,
}
