//! A guest's store, and the one call of its entry point, from instantiation to return. This code runs on the
//! guest's own stack.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime_wasi::I32Exit;

use super::limits::Limiter;
use super::manifest::Entry;
use super::passed::engine_limit;
use super::program::Compiled;
use super::state::{Shared, State};
use super::step::{GuestStart, Step};
use super::trap::{Circumstances, Trap};
use super::wasi::{RESOURCES_MAX, Wasi};

/// The first argument of a WASI program. By convention it is the program's name.
const PROGRAM_NAME: &str = "agent";

/// Runs a guest from start to end.
pub(super) async fn run(program: Arc<Compiled>, start: GuestStart, shared: Shared) -> Step {
    let arguments: &[&str] = match program.entry {
        Entry::Run => &[],
        Entry::WasiCli => &[PROGRAM_NAME, &start.task],
    };
    let wasi = Wasi::new(&start, &shared.clock, &shared.output, arguments);
    let limiter = Limiter::new(start.limits.memory_bytes);
    let state = State { shared, wasi, limiter, started: false };
    let mut store = match Store::try_new(program.instance.engine(), state) {
        Ok(store) => store,
        Err(error) => return Step::Trapped(Trap::Host(format!("{error:#}"))),
    };
    store.limiter(|state| &mut state.limiter);
    let call_bytes_max = engine_limit(&program.imports, start.arguments_max_bytes);
    store.set_hostcall_fuel(call_bytes_max);
    // The limit includes the guest's own resources, which are in no table of the host.
    store.set_max_component_handles(RESOURCES_MAX);
    store.epoch_deadline_callback(|cx| cx.data().shared.meter.tick());
    store.set_epoch_deadline(1);
    match call(&program, &mut store, &start.task).await {
        Ok(result) => Step::Finished(result),
        Err(error) => {
            let state = store.data();
            let circumstances = Circumstances {
                memory_bytes: start.limits.memory_bytes,
                call_bytes_max,
                starved: state.limiter.refused,
                started: state.started,
            };
            Step::Trapped(Trap::of(&error, &circumstances))
        }
    }
}

async fn call(program: &Compiled, store: &mut Store<State>, task: &str) -> wasmtime::Result<Result<String, String>> {
    let instance = program.instance.instantiate_async(&mut *store).await?;
    store.data_mut().started = true;
    match program.entry {
        Entry::Run => {
            let run = instance.get_typed_func::<(&str,), (Result<String, String>,)>(&mut *store, program.run)?;
            Ok(run.call_async(&mut *store, (task,)).await?.0)
        }
        Entry::WasiCli => {
            let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, program.run)?;
            match run.call_async(&mut *store, ()).await {
                Ok((result,)) => Ok(exit_status(i32::from(result.is_err()))),
                Err(error) => match error.downcast_ref::<I32Exit>() {
                    Some(exit) => Ok(exit_status(exit.0)),
                    None => Err(error),
                },
            }
        }
    }
}

/// The result of a WASI program. Its exit status is the result; its messages are in its output.
fn exit_status(status: i32) -> Result<String, String> {
    if status == 0 { Ok(String::new()) } else { Err(format!("exit status {status}")) }
}
