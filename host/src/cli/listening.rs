//! Where a host listens: at the configured address, and at the other one to which browsers lead the names of sessions.

use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;

use rustix::io::Errno;
use tokio::net::TcpListener;

use crate::config::Server;

/// How many ports are tried where any will do.
const PORTS_MAX: usize = 20;

/// The listeners of a host for people and programs.
#[derive(Debug)]
pub(super) struct Listening {
    /// At the configured address.
    pub(super) main: TcpListener,
    /// At the other address of loopback, where browser sessions have names and this machine has that address.
    pub(super) twin: Option<TcpListener>,
}

impl Listening {
    /// Listens at an address; at both or at none.
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

/// Whoever had this port there would be sent what a browser sends to the host.
async fn twin(server: &Server, bound: SocketAddr) -> io::Result<Option<TcpListener>> {
    let Some(at) = server.twin(bound) else { return Ok(None) };
    match TcpListener::bind(at).await {
        Ok(listener) => Ok(Some(listener)),
        // What this machine does not have, nobody has.
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Ok(None),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::AFNOSUPPORT) => Ok(None),
        Err(error) => {
            let told = format!("{at}, to which browsers lead the names of sessions too: {error}");
            Err(io::Error::new(error.kind(), told))
        }
    }
}
