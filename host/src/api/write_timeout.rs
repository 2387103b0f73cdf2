//! A socket with a write timeout for slow readers. It also reports when a read found no data.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::server::Connection;

/// A connection of any kind.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A socket that fails if nothing could be written for `time_max`. hyper has no such timeout: a
/// client that does not read its answer would stay connected forever, with the answer in memory.
pub(super) struct WriteTimeout {
    socket: Box<dyn Socket>,
    time_max: Duration,
    line: Arc<Connection>,
    /// The end of the timeout; `None` if no write is blocked.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl WriteTimeout {
    /// Adds a write timeout of `time_max` to a socket.
    pub(super) fn new(socket: Box<dyn Socket>, time_max: Duration, line: Arc<Connection>) -> Self {
        Self { socket, time_max, line, stalled: None }
    }

    /// Starts or stops the timeout after an attempt to write.
    fn attempted(&mut self, cx: &mut Context, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let time_max = self.time_max;
        ready!(self.stalled.get_or_insert_with(|| Box::pin(sleep(time_max))).as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client no longer reads")))
    }
}

impl AsyncWrite for WriteTimeout {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.attempted(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        parts: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.attempted(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl AsyncRead for WriteTimeout {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context, into: &mut ReadBuf) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, into);
        if read.is_pending() {
            self.line.heard_nothing();
        }
        read
    }
}
