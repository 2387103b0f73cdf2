//! `wasi:http/outgoing-handler` 0.2: a guest's HTTP request is one call of the host, like every other import.
//!
//! A request is a call when it is complete and the guest waits. Its head and its whole body are the call's arguments
//! ([`exchange`]), and the whole answer is the call's result, which the guest reads as a stream from memory. So a
//! request and its answer are in the journal once, and replay sends nothing.
//!
//! Of several requests, the one that was made first is the next call. The guest gets the answers in this order, whatever
//! the network does.
//!
//! Headers, requests and answers are wasmtime-wasi-http's. The parts that would need a runtime, or become ready at a time
//! that depends on the machine, are replaced here: the body that a guest writes ([`body`]), the answer that it waits for,
//! and `handle`. No code here opens a socket.

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

/// The maximum size of the headers and of the path of a request that a guest makes. They are in the host's memory, and
/// a guest can have as many of them as resources.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The maximum length of the name of a host with its port.
const AUTHORITY_BYTES_MAX: usize = 300;

/// The state of a guest's HTTP requests.
pub(super) struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
    pub(super) room: Room,
    /// The requests that are not calls yet, the first one first, by their handles.
    waiting: VecDeque<u32>,
}

/// A request that was handed over, until the guest takes the answer.
pub(super) enum Exchange {
    Request(Head, Option<WasiBody>),
    Answered(Response),
    Refused(ErrorCode),
    Taken,
}

// No waker is stored: `Waits` checks the exchange and asks the run's task.
#[wasmtime_wasi::async_trait]
impl Pollable for Exchange {
    async fn ready(&mut self) {
        if let Self::Request(..) = self {
            std::future::pending().await
        }
    }
}

/// What a guest takes: the answer or the reason why there is none; once.
type Taken = Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>;

/// The result of a look at the requests that wait.
pub(super) enum Next {
    /// This request is the next call.
    Call { request: u32, arguments: Value },
    /// A request has failed before it was a call, so the guest has something to see.
    Changed,
    /// No request is complete.
    Nothing,
}

impl Http {
    /// The state at the start. A body has at most `body_bytes_max`.
    pub(super) fn new(body_bytes_max: usize) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(HEAD_BYTES_MAX);
        Self { context, hooks: Hooks, room: Room::new(body_bytes_max), waiting: VecDeque::new() }
    }

    /// The first complete request. It waits no longer.
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

    /// The view in which wasmtime-wasi-http works.
    pub(super) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { ctx: &mut self.context, hooks: &mut self.hooks, table }
    }

    /// Gives a request its answer.
    pub(super) fn answer(table: &mut ResourceTable, request: u32, result: &Value) -> Result<()> {
        let exchange = table.get_mut(&Resource::<Exchange>::new_borrow(request))?;
        *exchange = Exchange::Answered(Response::of(result)?);
        Ok(())
    }

    /// `outgoing-request.set-method`. No operator can allow a method that WASI has no name for.
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

    /// `outgoing-request.set-authority`, with a limit.
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

    /// `outgoing-request.set-path-with-query`, with a limit.
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

    /// `handle`: the request waits to become a call.
    pub(super) fn hand_over(
        &mut self,
        table: &mut ResourceTable,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> Result<Result<Resource<Exchange>, ErrorCode>> {
        // The time limits of the host apply, not those of the guest.
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

    /// `future-incoming-response.get`.
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

    /// A guest that gives up a request before it is a call takes it back.
    pub(super) fn give_up(&mut self, table: &mut ResourceTable, request: u32) -> Result<()> {
        self.waiting.retain(|waiting| *waiting != request);
        table.delete(Resource::<Exchange>::new_own(request))?;
        Ok(())
    }
}

/// Settings of wasmtime-wasi-http. Its own `handle` is not linked, so it sends nothing.
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
