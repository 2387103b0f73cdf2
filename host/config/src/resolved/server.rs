//! Where the host is reached, and by which names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Serialize;

/// The HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Server {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The values of `Host` that are answered, if the operator named them; see [`hosts`](Self::hosts).
    pub allowed_hosts: Option<Vec<String>>,
    /// The values of `Origin` that are answered, if the operator named them; see [`origins`](Self::origins).
    pub allowed_origins: Option<Vec<String>>,
    /// Whether a proxy that ends TLS stands in front.
    pub behind_proxy: bool,
    /// Where people reach it, for links; where it listens, if absent.
    pub public_url: Option<String>,
    /// Whether each browser session has a name of its own; see [`twin`](Self::twin).
    pub session_names: bool,
}

/// The host would be reachable from other machines without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is reachable from other machines, and the host speaks no TLS of its own: listen on 127.0.0.1, or put a proxy that ends TLS in front and say `behind-proxy = true`"
)]
pub struct ListenError(pub SocketAddr);

impl Server {
    /// The same endpoint at another address, as `serve --listen` asks.
    pub fn with_listen(mut self, listen: SocketAddr) -> Result<Self, ListenError> {
        self.listen = listen;
        if listen.ip().is_loopback() || self.behind_proxy { Ok(self) } else { Err(ListenError(listen)) }
    }

    /// The values of `Host` that are answered when the socket is bound to `bound`: the configured ones, else the address and, on
    /// loopback, its name. At another address of this machine another program may listen.
    pub fn hosts(&self, bound: SocketAddr) -> Vec<String> {
        let port = bound.port();
        self.allowed_hosts.clone().unwrap_or_else(|| {
            let local = bound.ip().is_loopback().then(|| format!("localhost:{port}"));
            std::iter::once(bound.to_string()).chain(local).collect()
        })
    }

    /// The other address to which a browser leads names below `localhost`, where browser sessions have such names: without TLS, and where names lead at all.
    /// Whoever listened there would get what is meant for the host.
    pub fn twin(&self, bound: SocketAddr) -> Option<SocketAddr> {
        let (four, six) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        let other = [(four, six), (six, four)].into_iter().find(|(one, _)| *one == bound.ip());
        other
            .filter(|_| self.session_names && !self.behind_proxy)
            .map(|(_, other)| SocketAddr::new(other, bound.port()))
    }

    /// Why a link in a message would lead nowhere, or to a page on which nobody can decide; nothing if links work, or there are none to follow.
    pub fn broken_links(&self, bound: SocketAddr, anybody_is_told: bool) -> Option<String> {
        let Some(url) = &self.public_url else {
            let here = bound.ip().is_loopback() || bound.ip().is_unspecified();
            return (here && anybody_is_told).then(|| {
                format!("links in messages begin with `http://{bound}`, which nobody can open from another machine; set `public-url` in the section `[server]`")
            });
        };
        let host = url.split_once("://").map_or(&**url, |(_, host)| host);
        let (hosts, origins) = (self.hosts(bound), self.origins(bound));
        if !hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            let hosts = hosts.join("`, `");
            return Some(format!(
                "`public-url` is `{url}`, and the host answers to `{hosts}` alone: whoever follows a link is refused; add `{host}` to `allowed-hosts`"
            ));
        }
        let origins_told = origins.join("`, `");
        (!origins.iter().any(|known| known.eq_ignore_ascii_case(url))).then(|| {
            format!("`public-url` is `{url}`, and pages of `{origins_told}` alone may decide: add `{url}` to `allowed-origins`, or set `behind-proxy` if a proxy ends TLS")
        })
    }

    /// The values of `Origin` that are answered: the configured ones, else those of the hosts, with TLS if a proxy ends it.
    pub fn origins(&self, bound: SocketAddr) -> Vec<String> {
        let scheme = if self.behind_proxy { "https" } else { "http" };
        let of_hosts = || self.hosts(bound).iter().map(|host| format!("{scheme}://{host}")).collect();
        self.allowed_origins.clone().unwrap_or_else(of_hosts)
    }
}
