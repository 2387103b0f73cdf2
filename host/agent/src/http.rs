//! `wasi:http/outgoing-handler` 0.2: each HTTP request of a guest is one call of the host, like a call of
//! any other import.
//!
//! A request becomes a call when it is complete and the guest waits. Its head and its whole body are the call's
//! arguments ([`exchange`]), and the whole answer is the call's result, which the guest reads as a stream from memory.
//! So the journal has each request and its answer once, and replay sends nothing.
//!
//! If several requests are complete, the request that was made first becomes the next call. So the guest gets the
//! answers in the same order in every replay, whatever the network does.
//!
//! The types for headers, requests and answers are wasmtime-wasi-http's. This module replaces the parts that would need
//! a runtime, or that would become ready at a time that depends on the machine: the body that a guest writes
//! ([`body`]), the answer for which it waits, and `handle`. No code here opens a socket.

pub(super) mod body;
pub(super) mod exchange;

use std::collections::VecDeque;
use std::task::Poll;

use serde_json::Value;
use wasmtime::Result;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HostOutgoingRequest as _, Method};
use wasmtime_wasi_http::p2::body::HostIncomingBody;
use wasmtime_wasi_http::p2::types::{HostIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{Error, FieldMap, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks};

use self::body::Room;
use self::exchange::{Head, Response};

/// The maximum size of the headers, and of the path, of a request that a guest makes. They take memory of the host, and
/// a guest can make as many requests as it can have resources.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The maximum length of the name of a host with its port.
const AUTHORITY_BYTES_MAX: usize = 300;

/// The state of a guest's HTTP requests.
pub(super) struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
    pub(super) room: Room,
    /// The handles of the requests that are not calls yet, the oldest first.
    waiting: VecDeque<u32>,
}

/// A request that the guest has handed over to `handle`, until the guest takes the answer.
pub(super) enum Exchange {
    Request(Head, Option<WasiBody>),
    Answered(Response),
    Refused(ErrorCode),
    Taken,
}

// No waker is stored: `Waits` checks the exchange and asks the run's task for the answer.
#[wasmtime_wasi::async_trait]
impl Pollable for Exchange {
    async fn ready(&mut self) {
        if let Self::Request(..) = self {
            std::future::pending().await
        }
    }
}

/// The answer that a guest takes, or the reason why there is none. A second attempt to take it is an error.
type Taken = Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>;

/// The result of a search for the next call among the waiting requests.
pub(super) enum Next {
    /// This request is the next call.
    Call { request: u32, arguments: Value },
    /// A request has failed before it could become a call, so the guest must be told.
    Changed,
    /// No request is complete.
    Nothing,
}

impl Http {
    /// The state at the start of a guest. A request's body has at most `body_bytes_max` bytes.
    pub(super) fn new(body_bytes_max: usize) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(HEAD_BYTES_MAX);
        Self { context, hooks: Hooks, room: Room::new(body_bytes_max), waiting: VecDeque::new() }
    }

    /// Searches for the first complete request, and removes it from the waiting requests.
    pub(super) fn next(&mut self, table: &mut ResourceTable) -> Result<Next> {
        for (index, &request) in self.waiting.iter().enumerate() {
            let exchange = table.get_mut(&Resource::<Exchange>::new_borrow(request))?;
            let Exchange::Request(head, body) = exchange else { continue };
            let whole = match body.as_mut().map(body::whole) {
                None => Ok(Vec::new()),
                Some(Poll::Ready(whole)) => whole,
                Some(Poll::Pending) => continue,
            };
            let next = match whole {
                Ok(body) => Next::Call { request, arguments: head.arguments(body) },
                Err(code) => {
                    *exchange = Exchange::Refused(code);
                    Next::Changed
                }
            };
            self.waiting.remove(index);
            return Ok(next);
        }
        Ok(Next::Nothing)
    }

    /// The parts of the state that wasmtime-wasi-http works on.
    pub(super) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { ctx: &mut self.context, hooks: &mut self.hooks, table }
    }

    /// Gives a request its answer.
    pub(super) fn answer(table: &mut ResourceTable, request: u32, result: &Value) -> Result<()> {
        let exchange = table.get_mut(&Resource::<Exchange>::new_borrow(request))?;
        *exchange = Exchange::Answered(Response::of(result)?);
        Ok(())
    }

    /// `outgoing-request.set-method`. A method without a name in WASI is refused, because no operator can allow it.
    pub(super) fn set_method(
        &mut self,
        table: &mut ResourceTable,
        request: Resource<HostOutgoingRequest>,
        method: Method,
    ) -> Result<Result<(), ()>> {
        if matches!(method, Method::Other(_)) {
            return Ok(Err(()));
        }
        self.view(table).set_method(request, method)
    }

    /// `outgoing-request.set-authority`, with a limit on the length.
    pub(super) fn set_authority(
        &mut self,
        table: &mut ResourceTable,
        request: Resource<HostOutgoingRequest>,
        authority: Option<String>,
    ) -> Result<Result<(), ()>> {
        match authority {
            Some(long) if long.len() > AUTHORITY_BYTES_MAX => Ok(Err(())),
            authority => self.view(table).set_authority(request, authority),
        }
    }

    /// `outgoing-request.set-path-with-query`, with a limit on the length.
    pub(super) fn set_path_with_query(
        &mut self,
        table: &mut ResourceTable,
        request: Resource<HostOutgoingRequest>,
        path: Option<String>,
    ) -> Result<Result<(), ()>> {
        match path {
            Some(long) if long.len() > HEAD_BYTES_MAX => Ok(Err(())),
            path => self.view(table).set_path_with_query(request, path),
        }
    }

    /// `handle`: takes a request from the guest. The request then waits to become a call.
    pub(super) fn hand_over(
        &mut self,
        table: &mut ResourceTable,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> Result<Result<Resource<Exchange>, ErrorCode>> {
        // The guest's time limits are dropped, because only the host's time limits apply.
        options.map(|options| table.delete(options)).transpose()?;
        let HostOutgoingRequest { method, scheme, authority, path_with_query, headers, body } =
            table.delete(request)?;
        let head = match Head::new(&method, scheme.as_ref(), authority.as_deref(), path_with_query, &headers) {
            Ok(head) => head,
            Err(code) => return Ok(Err(code)),
        };
        let exchange = table.push(Exchange::Request(head, body))?;
        self.waiting.push_back(exchange.rep());
        Ok(Ok(exchange))
    }

    /// `future-incoming-response.get`: the answer to a request, if it is there.
    pub(super) fn take(&mut self, table: &mut ResourceTable, exchange: &Resource<Exchange>) -> Result<Option<Taken>> {
        let exchange = table.get_mut(exchange)?;
        if let Exchange::Request(..) = exchange {
            return Ok(None);
        }
        Ok(Some(match std::mem::replace(exchange, Exchange::Taken) {
            Exchange::Answered(Response { status, headers, body }) => {
                let headers = FieldMap::new_immutable(&mut self.hooks, headers);
                let body = Some(HostIncomingBody::new(body));
                Ok(Ok(table.push(HostIncomingResponse { status, headers, body })?))
            }
            Exchange::Refused(code) => Ok(Err(code)),
            Exchange::Request(..) | Exchange::Taken => Err(()),
        }))
    }

    /// Called when the guest drops its handle of a request. A request that is not a call yet will then
    /// never become one.
    pub(super) fn give_up(&mut self, table: &mut ResourceTable, request: u32) -> Result<()> {
        self.waiting.retain(|waiting| *waiting != request);
        table.delete(Resource::<Exchange>::new_own(request))?;
        Ok(())
    }
}

/// Settings that wasmtime-wasi-http requires. They refuse to send a request. Nothing asks them to send one, because
/// wasmtime-wasi-http's own `handle` is not linked.
struct Hooks;

type Sent = Result<(hyper::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        _: hyper::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

#[cfg(test)]
mod tests;
