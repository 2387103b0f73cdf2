//! HTTP over the socket in the state folder.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

use crate::cli::socket;

/// Connects to the host of a state folder, whatever address a request names.
#[derive(Debug)]
pub(super) struct LocalConnector(pub(super) PathBuf);

impl<In: Transport> Connector<In> for LocalConnector {
    type Out = LocalTransport;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<In>) -> Result<Option<LocalTransport>, Error> {
        let stream = socket::connect(&self.0)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(LocalTransport { stream, buffers }))
    }
}

/// One connection.
pub(super) struct LocalTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl std::fmt::Debug for LocalTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalTransport")
    }
}

impl Transport for LocalTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.stream.set_write_timeout(timeout.not_zero().map(|time| *time))?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|error| io_error(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.stream.set_read_timeout(timeout.not_zero().map(|time| *time))?;
        let amount = loop {
            match self.stream.read(self.buffers.input_append_buf()) {
                // A signal such as Ctrl-C interrupts the read. Another part of the program handles the signal, so the
                // read is repeated.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| io_error(error, timeout))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// The host sends nothing without a request. So readable data, or the end of the stream, means
    /// that the connection is unusable.
    fn is_open(&mut self) -> bool {
        let mut looks = || {
            self.stream.set_nonblocking(true)?;
            let read = self.stream.read(&mut [0]);
            self.stream.set_nonblocking(false)?;
            read
        };
        looks().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

fn io_error(error: io::Error, timeout: NextTimeout) -> Error {
    let is_late = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
    if is_late { Error::Timeout(timeout.reason) } else { error.into() }
}
