//! `holdshort isolated`: the child process that reads untrusted input for a host. See [`isolate`].

use std::io::Read;

use super::args::{IsolatedArgs, IsolatedWork};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::{agent, policy};
use holdshort_common::isolate::{self, Limits};

/// The stack for reading components. The host's threads that load components have twice as much.
const STACK_BYTES: usize = 1024 * 1024;

/// Does the work of the child and prints one line of JSON: `{"Ok": …}`, or `{"Err": …}` with the error in the input.
/// Policies are read on a stack of their own.
pub(super) fn run(args: IsolatedArgs, output: &Output) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, error.to_string());
    let IsolatedArgs { memory_mib, cpu_seconds, file_mib, work } = args;
    // The child has no limit of wall-clock time: the host watches the time, and reports which limit
    // was reached.
    isolate::confine(&Limits { settings: "", memory_mib, cpu_seconds, seconds: 0, file_mib }).map_err(failed)?;
    let mut input = Vec::new();
    std::io::stdin().lock().read_to_end(&mut input).map_err(failed)?;
    let work = move || match work {
        IsolatedWork::Manifest => serde_json::to_value(agent::isolated::manifest(&input)),
        IsolatedWork::Compile { folder } => serde_json::to_value(agent::isolated::compile(&input, &folder, file_mib)),
        IsolatedWork::Judge => serde_json::to_value(policy::isolated::judged(&input)),
        IsolatedWork::Policies => serde_json::to_value(policy::isolated::answer(&input)),
    };
    let reader = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).map_err(failed)?;
    let answer = reader.join().map_err(|_| Failure::new(Exit::Failed, "the reading thread panicked"))?;
    output.json_line(&answer.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?)?;
    Ok(Exit::Done)
}
