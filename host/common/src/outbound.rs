//! HTTP requests to hosts that an operator named: only to permitted addresses, without following redirects, without a
//! proxy, and each on a connection of its own.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::Agent;
use ureq::config::AutoHeaderValue;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};

pub mod address;

/// The maximum size of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A rule for addresses: a function that returns the reason to refuse an address, or `None` if the address is
/// permitted.
pub type Rule = fn(IpAddr) -> Option<&'static str>;

/// Looks up the addresses of a host name and port.
pub type Lookup = dyn Fn(&str, u16) -> std::io::Result<Vec<SocketAddr>> + Send + Sync;

/// A rule that permits every address, for targets in the operator's network.
pub fn anywhere(_: IpAddr) -> Option<&'static str> {
    None
}

/// A rule that permits the addresses of this machine alone.
pub fn this_machine(address: IpAddr) -> Option<&'static str> {
    if address.is_loopback() { None } else { Some("the address is not this machine") }
}

/// The addresses that may be reached, and how names are looked up.
#[derive(Clone)]
pub struct Addresses {
    pub rule: Rule,
    /// The function that looks up names; with `None`, the system's resolver looks them up.
    pub lookup: Option<Arc<Lookup>>,
}

impl Addresses {
    /// The reason why a request to this host would be refused now; `None` if it would not be refused. A name that
    /// cannot be looked up now is not refused.
    pub fn refuse(&self, uri: &Uri) -> Option<String> {
        let (host, port) = (uri.host()?, port_of(uri));
        let found = match &self.lookup {
            Some(lookup) => lookup(host, port).ok()?,
            None => (host.trim_matches(['[', ']']), port).to_socket_addrs().ok()?.collect(),
        };
        address::check(host, &found, self.rule).err()
    }
}

/// The client for one attempt.
pub struct Attempt {
    pub agent: Agent,
    refused: Arc<Mutex<Option<String>>>,
    connected: Arc<AtomicBool>,
}

impl Attempt {
    /// A new client, so that neither a connection nor an address is reused. The client ignores a proxy that the
    /// environment names, because a proxy would look up the names, and its addresses would not be checked.
    pub fn new(addresses: &Addresses, time_out: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .accept(AutoHeaderValue::None)
            .user_agent(concat!("holdshort/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(HEAD_BYTES_MAX)
            .timeout_global(Some(time_out))
            .build();
        let (refused, connected) = (Arc::default(), Arc::default());
        let resolver = Checked { addresses: addresses.clone(), refused: Arc::clone(&refused) };
        let connector = DefaultConnector::default().chain(Noted(Arc::clone(&connected)));
        Self { agent: Agent::with_parts(config, connector, resolver), refused, connected }
    }

    /// The reason why an address was refused, if one was.
    pub fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a connection was made, with TLS if the URL asks for it. Before that, nothing of the request was sent.
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }
}

fn port_of(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 })
}

/// A resolver that checks addresses. The connection uses exactly the checked addresses: there is no second lookup, in
/// which the name could mean another address.
struct Checked {
    addresses: Addresses,
    refused: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checked")
    }
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let found = match &self.addresses.lookup {
            Some(lookup) => {
                let mut found = self.empty();
                lookup(host, port_of(uri))?.into_iter().for_each(|address| found.push(address));
                found
            }
            None => DefaultResolver::default().resolve(uri, config, timeout)?,
        };
        address::check(host, &found, self.addresses.rule).map_err(|why| {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            ureq::Error::HostNotFound
        })?;
        Ok(found)
    }
}

/// The last part of the HTTP client's chain of connectors. It opens nothing itself, and notes that the parts before it
/// have made a connection.
#[derive(Debug)]
struct Noted(Arc<AtomicBool>);

impl Connector<Box<dyn Transport>> for Noted {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        _: &ConnectionDetails,
        made: Option<Box<dyn Transport>>,
    ) -> Result<Option<Box<dyn Transport>>, ureq::Error> {
        self.0.store(made.is_some(), Ordering::Release);
        Ok(made)
    }
}
