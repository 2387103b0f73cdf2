//! The address of the HTTP endpoint, and its host names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Serialize;

/// The HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Server {
    /// The socket's address.
    pub listen: SocketAddr,
    /// The accepted values of `Host`, if the operator configured them; see [`hosts`](Self::hosts).
    pub allowed_hosts: Option<Vec<String>>,
    /// The accepted values of `Origin`, if the operator configured them; see
    /// [`origins`](Self::origins).
    pub allowed_origins: Option<Vec<String>>,
    /// Whether a TLS proxy is in front of the host.
    pub behind_proxy: bool,
    /// The base address of links; by default the socket's address.
    pub public_url: Option<String>,
    /// Whether each browser session gets a host name of its own; see [`twin`](Self::twin).
    pub session_names: bool,
}

/// The error for an address at which other machines could reach the host without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is reachable from other machines, but the host itself does not speak TLS: listen on 127.0.0.1, or put a TLS proxy in front of the host and write `behind-proxy = true`"
)]
pub struct ListenError(pub SocketAddr);

impl Server {
    /// The same endpoint at another address, for `serve --listen`.
    pub fn with_listen(mut self, listen: SocketAddr) -> Result<Self, ListenError> {
        self.listen = listen;
        if listen.ip().is_loopback() || self.behind_proxy { Ok(self) } else { Err(ListenError(listen)) }
    }

    /// The accepted values of `Host` for a socket bound to `bound`. If the operator configured
    /// none, these are the address and, on loopback, its name. The name is not accepted for another
    /// address, because another program may listen on loopback.
    pub fn hosts(&self, bound: SocketAddr) -> Vec<String> {
        let port = bound.port();
        self.allowed_hosts.clone().unwrap_or_else(|| {
            let local = bound.ip().is_loopback().then(|| format!("localhost:{port}"));
            std::iter::once(bound.to_string()).chain(local).collect()
        })
    }

    /// The second loopback address, if browser sessions have names below `localhost`. A browser
    /// resolves these names to both addresses. If another program listened at the second address,
    /// it would receive requests meant for the host.
    pub fn twin(&self, bound: SocketAddr) -> Option<SocketAddr> {
        let (four, six) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        let other = [(four, six), (six, four)].into_iter().find(|(one, _)| *one == bound.ip());
        other
            .filter(|_| self.session_names && !self.behind_proxy)
            .map(|(_, other)| SocketAddr::new(other, bound.port()))
    }

    /// Why links in notifications do not work, or lead to a page on which nobody can decide. `None`
    /// if they work, or if neither `public-url` nor a notification is configured.
    pub fn broken_links(&self, bound: SocketAddr, anybody_is_told: bool) -> Option<String> {
        let Some(url) = &self.public_url else {
            let here = bound.ip().is_loopback() || bound.ip().is_unspecified();
            return (here && anybody_is_told).then(|| {
                format!("links in messages begin with `http://{bound}`, which other machines cannot open; set `public-url` in the section `[server]`")
            });
        };
        let host = url.split_once("://").map_or(&**url, |(_, host)| host);
        let (hosts, origins) = (self.hosts(bound), self.origins(bound));
        if !hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            let hosts = hosts.join("`, `");
            return Some(format!(
                "`public-url` is `{url}`, but the host answers only to `{hosts}`, so links would be refused; add `{host}` to `allowed-hosts`"
            ));
        }
        let origins_told = origins.join("`, `");
        (!origins.iter().any(|known| known.eq_ignore_ascii_case(url))).then(|| {
            format!("`public-url` is `{url}`, but only pages of `{origins_told}` may send decisions: add `{url}` to `allowed-origins`, or set `behind-proxy` if there is a TLS proxy")
        })
    }

    /// The accepted values of `Origin`. If the operator configured none, these are the origins of
    /// the accepted hosts, with `https` behind a TLS proxy.
    pub fn origins(&self, bound: SocketAddr) -> Vec<String> {
        let scheme = if self.behind_proxy { "https" } else { "http" };
        let of_hosts = || self.hosts(bound).iter().map(|host| format!("{scheme}://{host}")).collect();
        self.allowed_origins.clone().unwrap_or_else(of_hosts)
    }
}
