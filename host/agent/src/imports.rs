//! The handlers of all imported functions outside WASI.

use wasmtime::component::Linker;

use super::handover::{Reply, Request};
use super::http::exchange::is_handle;
use super::manifest::Import;
use super::state::State;

/// Registers every import under its name and version, except `handle`, which is registered by
/// [`http`](super::http). The handlers do not know what the functions mean; the run's task does.
pub(super) fn link(linker: &mut Linker<State>, imports: &[Import]) -> wasmtime::Result<()> {
    let others = imports.iter().enumerate().filter(|(_, import)| !is_handle(&import.capability));
    for (index, import) in others {
        let mut interface = linker.instance(import.capability.interface())?;
        interface.func_new_async(import.capability.function(), move |cx, _ty, params, results| {
            let handover = cx.data().shared.handover.clone();
            let request = Request::Call { import: index, params: params.to_vec() };
            Box::new(async move {
                match (handover.ask(request).await, results.first_mut()) {
                    // The reply was made for this function's type, and the engine checks it again.
                    (Reply::Result(Some(value)), Some(result)) => *result = value,
                    (Reply::Result(_) | Reply::Answer(_) | Reply::Woken, _) => {}
                }
                Ok(())
            })
        })?;
    }
    Ok(())
}
