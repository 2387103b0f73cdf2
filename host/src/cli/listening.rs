//! The sockets of a host: at the configured address, and at the second address to which browsers
//! resolve session names.

use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;

use rustix::io::Errno;
use tokio::net::TcpListener;

use crate::config::Server;

/// The number of ports to try if the operator accepts any port.
const PORTS_MAX: usize = 20;

/// The listeners for reviewers and programs.
#[derive(Debug)]
pub(super) struct Listening {
    /// The listener at the configured address.
    pub(super) main: TcpListener,
    /// The listener at the other loopback address, if browser sessions have names and this machine
    /// has that address.
    pub(super) twin: Option<TcpListener>,
}

impl Listening {
    /// Listens at both addresses or at neither.
    pub(super) async fn at(server: &Server, address: SocketAddr) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            let main = TcpListener::bind(address).await?;
            match twin(server, main.local_addr()?).await {
                Ok(twin) => return Ok(Self { main, twin }),
                Err(_) if address.port() == 0 && tries < PORTS_MAX => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Listens at the other loopback address. Without this, another program could listen there and
/// receive what browsers send to session names.
async fn twin(server: &Server, bound: SocketAddr) -> io::Result<Option<TcpListener>> {
    let Some(at) = server.twin(bound) else { return Ok(None) };
    match TcpListener::bind(at).await {
        Ok(listener) => Ok(Some(listener)),
        // If this machine lacks the address, no program can listen there.
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Ok(None),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::AFNOSUPPORT) => Ok(None),
        Err(error) => {
            let told = format!(
                "the host must also listen at {at}, which browsers use for the host names of sessions: {error}"
            );
            Err(io::Error::new(error.kind(), told))
        }
    }
}
