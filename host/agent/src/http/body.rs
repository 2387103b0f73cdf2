//! The body of a request, as the guest writes it. The whole body is kept, within a limit, and a write never makes
//! the guest wait.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame};
use wasmtime::Result;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{Error, FieldMap, WasiBody};

/// The maximum size of one write.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// All unsent bodies of a guest together may have this many times the maximum size of one body. They need a limit of
/// their own, because the guest's memory limit does not count them.
const BODIES_AT_A_TIME: usize = 16;

/// The memory that the unsent bodies of a guest may still take.
#[derive(Clone)]
pub(in super::super) struct Room {
    body_bytes_max: usize,
    taken: Arc<AtomicUsize>,
}

impl Room {
    pub(super) fn new(body_bytes_max: usize) -> Self {
        Self { body_bytes_max, taken: Arc::default() }
    }

    /// Reserves `more` bytes for a body that has `len` bytes already. Returns false, and reserves nothing, if a limit
    /// would be exceeded.
    fn take(&self, len: usize, more: usize) -> bool {
        let fits = len.saturating_add(more) <= self.body_bytes_max;
        let all = self.taken.load(Ordering::Relaxed).saturating_add(more);
        let fits = fits && all <= self.body_bytes_max.saturating_mul(BODIES_AT_A_TIME);
        if fits {
            self.taken.store(all, Ordering::Relaxed);
        }
        fits
    }

    /// `outgoing-request.body`. It fails the second time for a request, and if the header `content-length`
    /// is no number.
    pub(in super::super) fn body_of(
        &self,
        table: &mut ResourceTable,
        request: &Resource<HostOutgoingRequest>,
    ) -> Result<Result<Resource<OutgoingBody>, ()>> {
        let request = table.get_mut(request)?;
        let length = request.headers.get("content-length").map(|length| length.to_str().ok()?.parse().ok());
        let length = match (&request.body, length) {
            (Some(_), _) | (None, Some(None)) => return Ok(Err(())),
            (None, length) => length.flatten(),
        };
        let written = Written { room: self.clone(), bytes: Vec::new(), state: Writing::Open };
        let content = Content(Arc::new(Mutex::new(written)));
        request.body = Some(content.clone().boxed_unsync());
        Ok(Ok(table.push(OutgoingBody { content, length, has_stream: false })?))
    }
}

/// The bytes that the guest has written so far. The request and the guest's handle share them.
#[derive(Clone)]
struct Content(Arc<Mutex<Written>>);

struct Written {
    room: Room,
    bytes: Vec<u8>,
    state: Writing,
}

enum Writing {
    Open,
    Finished,
    Refused(ErrorCode),
}

impl Drop for Written {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Content {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the bytes a body for wasmtime-wasi-http's request type. The whole body is one frame.
impl Body for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let written = self.written();
        match &written.state {
            Writing::Open => Poll::Pending,
            Writing::Finished => Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&written.bytes))))),
            Writing::Refused(ErrorCode::HttpRequestBodySize(size)) => {
                Poll::Ready(Some(Err(Error::HttpRequestBodySize(*size))))
            }
            Writing::Refused(_) => Poll::Ready(Some(Err(Error::HttpProtocolError))),
        }
    }
}

/// The whole body of a request; pending until the guest has finished it.
pub(super) fn whole(body: &mut WasiBody) -> Poll<Result<Vec<u8>, ErrorCode>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())).map(|frame| match frame {
        Some(Ok(frame)) => frame.into_data().map(Vec::from).map_err(|_| ErrorCode::HttpProtocolError),
        Some(Err(Error::HttpRequestBodySize(size))) => Err(ErrorCode::HttpRequestBodySize(size)),
        Some(Err(_)) => Err(ErrorCode::HttpProtocolError),
        None => Ok(Vec::new()),
    })
}

/// The guest's handle of a body. If the guest drops it before the body is finished, the request fails.
pub(in super::super) struct OutgoingBody {
    content: Content,
    /// The length according to the header `content-length`, if the guest set it.
    length: Option<u64>,
    has_stream: bool,
}

impl OutgoingBody {
    /// `outgoing-body.write`. It fails the second time for a body.
    pub(in super::super) fn stream(
        table: &mut ResourceTable,
        this: &Resource<Self>,
    ) -> Result<Result<Resource<DynOutputStream>, ()>> {
        let body = table.get_mut(this)?;
        if std::mem::replace(&mut body.has_stream, true) {
            return Ok(Err(()));
        }
        let stream: DynOutputStream = Box::new(Stream(body.content.clone()));
        Ok(Ok(table.push_child(stream, this)?))
    }

    /// `outgoing-body.finish`. Trailers are refused, because a call has no place for them.
    pub(in super::super) fn finish(self, trailers: Option<&FieldMap>) -> Result<(), ErrorCode> {
        let mut written = self.content.written();
        let length = written.bytes.len() as u64;
        let refused = match &written.state {
            Writing::Refused(code) => Some(code.clone()),
            Writing::Open | Writing::Finished if trailers.is_some_and(|trailers| !trailers.is_empty()) => {
                Some(ErrorCode::HttpRequestTrailerSectionSize(Some(0)))
            }
            Writing::Open | Writing::Finished => {
                self.length.filter(|stated| *stated != length).map(|_| ErrorCode::HttpRequestBodySize(Some(length)))
            }
        };
        written.state = refused.clone().map_or(Writing::Finished, Writing::Refused);
        refused.map_or(Ok(()), Err)
    }
}

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        let mut written = self.content.written();
        if let Writing::Open = written.state {
            written.state = Writing::Refused(ErrorCode::HttpProtocolError);
        }
    }
}

struct Stream(Content);

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        let mut written = self.0.written();
        let (len, more) = (written.bytes.len(), bytes.len());
        if matches!(written.state, Writing::Open) && written.room.take(len, more) {
            written.bytes.extend_from_slice(&bytes);
            return Ok(());
        }
        // INVARIANT: no request is sent with a part of its body. If the body is too long, the request fails.
        let code = ErrorCode::HttpRequestBodySize(Some(len.saturating_add(more) as u64));
        written.state = Writing::Refused(code.clone());
        Err(StreamError::LastOperationFailed(code.into()))
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}
