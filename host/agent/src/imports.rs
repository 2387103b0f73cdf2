//! The host functions for all imports outside WASI.

use wasmtime::component::Linker;

use super::handover::{Reply, Request};
use super::http::exchange::is_handle;
use super::manifest::Import;
use super::state::State;

/// Registers a host function for every import, under its name and version. [`http`](super::http) registers `handle`
/// itself. These functions only pass calls on to the run's task, which knows what each call means.
pub(super) fn link(linker: &mut Linker<State>, imports: &[Import]) -> wasmtime::Result<()> {
    let others = imports.iter().enumerate().filter(|(_, import)| !is_handle(&import.capability));
    for (index, import) in others {
        let mut interface = linker.instance(import.capability.interface())?;
        interface.func_new_async(import.capability.function(), move |cx, _ty, params, results| {
            let handover = cx.data().shared.handover.clone();
            let request = Request::Call { import: index, params: params.to_vec() };
            Box::new(async move {
                match (handover.ask(request).await, results.first_mut()) {
                    // The reply has this function's type. The engine checks the value once more.
                    (Reply::Result(Some(value)), Some(result)) => *result = value,
                    (Reply::Result(_) | Reply::Answer(_) | Reply::Woken, _) => {}
                }
                Ok(())
            })
        })?;
    }
    Ok(())
}
