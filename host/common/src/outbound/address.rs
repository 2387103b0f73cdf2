//! Decides which addresses a request of the host may reach.
//!
//! Without these rules, somebody who chooses the URL of a webhook could make the host send requests to addresses that
//! only this machine or its network can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The reason to refuse an address; `None` for a public one.
///
/// Of IPv6, only global unicast (`2000::/3`) is public. An IPv6 address that embeds an IPv4 address, mapped or
/// translated, is judged by the IPv4 address, because gateways convert it.
pub fn refused(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refused_v4(v4),
        IpAddr::V6(v6) => refused_v6(v6),
    }
}

/// Refuses the addresses in IANA's registry of special addresses, and a service address of a cloud provider.
fn refused_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, d] = address.octets();
    match (a, b, c, d) {
        (0, ..) => Some("the address means this network"),
        (127, ..) => Some("the address is this machine"),
        (10, ..) | (172, 16..=31, ..) | (192, 168, ..) => Some("the address is private"),
        (100, 64..=127, ..) => Some("the address is shared by a provider's customers"),
        (169, 254, ..) => Some("the address is link-local, where clouds keep their metadata"),
        (168, 63, 129, 16) => Some("the address is a service of a cloud provider"),
        (192, 0, 0, _) | (192, 31, 196, _) | (192, 52, 193, _) | (192, 88, 99, _) | (192, 175, 48, _) => {
            Some("the address is reserved for protocols")
        }
        (192, 0, 2, _) | (198, 51, 100, _) | (203, 0, 113, _) => Some("the address is reserved for examples"),
        (198, 18..=19, ..) => Some("the address is reserved for network measurements"),
        (224..=239, ..) => Some("the address is multicast"),
        (240..=255, ..) => Some("the address is reserved"),
        _ => None,
    }
}

fn refused_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(v4) = embedded(address) {
        return refused_v4(v4);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("the address is this machine"),
        [0xfc00..=0xfdff, ..] => Some("the address is private"),
        [0xfe80..=0xfebf, ..] => Some("the address is link-local"),
        [0xff00..=0xffff, ..] => Some("the address is multicast"),
        [0x2001, 0..=0x1ff, ..] => Some("the address is reserved for protocols"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("the address is reserved for examples"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("the address is not on the public internet"),
    }
}

/// The IPv4 address inside an IPv6 address: mapped, compatible, translated (NAT64), 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Checks all addresses of a host name. One refused address refuses the name, because a connection could use that
/// address.
pub(super) fn check(
    host: &str,
    addresses: &[SocketAddr],
    rule: fn(IpAddr) -> Option<&'static str>,
) -> Result<(), String> {
    let refusal = addresses.iter().find_map(|address| Some((address.ip(), rule(address.ip())?)));
    refusal.map_or(Ok(()), |(address, why)| {
        let of = if address.to_string() == host { String::new() } else { format!(", the address of `{host}`,") };
        Err(format!(
            "{address}{of} is refused: {why}; if this is intended, write `allow-private = true` for this target"
        ))
    })
}
