//! Registers `wasi:http/types` and `wasi:http/outgoing-handler` with a linker.

use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::p2::{DynOutputStream, DynPollable, subscribe};
use wasmtime_wasi_http::p2::bindings::http::types;
use wasmtime_wasi_http::p2::types::{HostOutgoingRequest, HostOutgoingResponse};
use wasmtime_wasi_http::{FieldMap, RequestOptions, WasiHttp, WasiHttpCtxView, WasiHttpView};

use super::http::Exchange;
use super::http::body::OutgoingBody;
use super::state::State;

/// The interfaces under the names that wasmtime-wasi-http gives them in a linker.
const TYPES: &str = "wasi:http/types@0.2.12";
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (http, table) = self.wasi.http();
        http.view(table)
    }
}

/// Registers both interfaces: first all of wasmtime-wasi-http's types, and then this crate's replacements for
/// some of them.
pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    let options = wasmtime_wasi_http::p2::bindings::LinkOptions::default();
    types::add_to_linker::<State, WasiHttp>(linker, &(&options).into(), State::http)?;
    linker.allow_shadowing(true);
    link_requests(linker)?;
    link_bodies(linker)?;
    let mut types = linker.instance(TYPES)?;
    types.resource("future-incoming-response", ResourceType::host::<Exchange>(), |mut cx, request| {
        let (http, table) = cx.data_mut().wasi.http();
        http.give_up(table, request)
    })?;
    types.func_wrap(
        "[method]future-incoming-response.subscribe",
        |mut cx: StoreContextMut<'_, State>, (exchange,): (Resource<Exchange>,)| -> Result<(Resource<DynPollable>,)> {
            Ok((subscribe(cx.data_mut().wasi.http().1, exchange)?,))
        },
    )?;
    types.func_wrap(
        "[method]future-incoming-response.get",
        |mut cx: StoreContextMut<'_, State>, (exchange,): (Resource<Exchange>,)| {
            let (http, table) = cx.data_mut().wasi.http();
            Ok((http.take(table, &exchange)?,))
        },
    )?;
    type Handed = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
    linker.instance(HANDLER)?.func_wrap(
        "handle",
        |mut cx: StoreContextMut<'_, State>, (request, options): Handed| {
            let (http, table) = cx.data_mut().wasi.http();
            Ok((http.hand_over(table, request, options)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Registers the functions with which guests fill in a request. They limit its size.
fn link_requests(linker: &mut Linker<State>) -> Result<()> {
    type Request = Resource<HostOutgoingRequest>;
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut cx: StoreContextMut<'_, State>, (request, method): (Request, types::Method)| {
            let (http, table) = cx.data_mut().wasi.http();
            Ok((http.set_method(table, request, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut cx: StoreContextMut<'_, State>, (request, authority): (Request, Option<String>)| {
            let (http, table) = cx.data_mut().wasi.http();
            Ok((http.set_authority(table, request, authority)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut cx: StoreContextMut<'_, State>, (request, path): (Request, Option<String>)| {
            let (http, table) = cx.data_mut().wasi.http();
            Ok((http.set_path_with_query(table, request, path)?,))
        },
    )
}

/// Registers the functions with which guests write a request's body.
fn link_bodies(linker: &mut Linker<State>) -> Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.resource("outgoing-body", ResourceType::host::<OutgoingBody>(), |mut cx, body| {
        cx.data_mut().wasi.http().1.delete(Resource::<OutgoingBody>::new_own(body))?;
        Ok(())
    })?;
    types.func_wrap(
        "[method]outgoing-request.body",
        |mut cx: StoreContextMut<'_, State>, (request,): (Resource<HostOutgoingRequest>,)| {
            let (http, table) = cx.data_mut().wasi.http();
            Ok((http.room.body_of(table, &request)?,))
        },
    )?;
    // This always fails: an agent receives no requests, so it has no response to write.
    types.func_wrap(
        "[method]outgoing-response.body",
        |_: StoreContextMut<'_, State>, _: (Resource<HostOutgoingResponse>,)| {
            Ok((Err::<Resource<OutgoingBody>, ()>(()),))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-body.write",
        |mut cx: StoreContextMut<'_, State>,
         (body,): (Resource<OutgoingBody>,)|
         -> Result<(Result<Resource<DynOutputStream>, ()>,)> {
            Ok((OutgoingBody::stream(cx.data_mut().wasi.http().1, &body)?,))
        },
    )?;
    types.func_wrap(
        "[static]outgoing-body.finish",
        |mut cx: StoreContextMut<'_, State>, (body, trailers): (Resource<OutgoingBody>, Option<Resource<FieldMap>>)| {
            let table = cx.data_mut().wasi.http().1;
            let trailers = trailers.map(|trailers| table.delete(trailers)).transpose()?;
            Ok((table.delete(body)?.finish(trailers.as_ref()),))
        },
    )
}
