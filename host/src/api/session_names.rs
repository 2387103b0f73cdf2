//! Host names of browser sessions: without TLS, each session gets a name such as `0f3a….localhost`,
//! which browsers resolve to this machine.
//!
//! A browser sends the cookies of `127.0.0.1` to every port, so to every program on this machine that a page makes it
//! contact. The cookies of a session's name go only to that name, and no page can guess the name. Data that another
//! program left in the browser for an address of this machine (a cookie, a service worker, a cached file) does not
//! exist under a new name.

use super::problem::Problem;
use super::sessions::no_randomness;

/// The suffix of session names. Browsers resolve it without a lookup.
const BELOW: &str = ".localhost";
/// The length of the random part: 128 bits in hexadecimal.
const CHARS: usize = 32;

/// A new random part.
pub(super) fn random() -> Result<String, Problem> {
    let mut random = [0; CHARS / 2];
    getrandom::fill(&mut random).map_err(no_randomness)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The random part of a session's name in a `Host` header.
pub(super) fn in_host(host: &str) -> Option<&str> {
    let (name, rest) = host.split_once('.')?;
    let is_port = |port: &str| {
        port.is_empty()
            || port.strip_prefix(':').is_some_and(|port| !port.starts_with('+') && port.parse::<u16>().is_ok())
    };
    let is_ours = name.len() == CHARS && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_ours && rest.strip_prefix(&BELOW[1..]).is_some_and(is_port)).then_some(name)
}

/// The `Host` header of a session. `host` is the name under which the client reaches this machine. Its port may differ
/// from this host's own, for example through a tunnel.
pub(super) fn host(name: &str, host: &str) -> String {
    format!("{name}{BELOW}{}", port(host))
}

/// The port of a `Host` header with its colon.
pub(super) fn port(host: &str) -> &str {
    let after_address = host.rfind(']').unwrap_or(0);
    host.rfind(':').filter(|at| *at > after_address).and_then(|at| host.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_label_that_nobody_guesses() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(one, other);
        for (by, at) in [
            ("127.0.0.1:7411", format!("{one}.localhost:7411")),
            ("localhost:9000", format!("{one}.localhost:9000")),
            ("localhost", format!("{one}.localhost")),
            ("[::1]:7411", format!("{one}.localhost:7411")),
            ("[::1]", format!("{one}.localhost")),
        ] {
            assert_eq!(host(&one, by), at);
            assert_eq!(in_host(&at), Some(one.as_str()));
        }
        let upper = one.to_ascii_uppercase().replace(|c: char| c.is_ascii_digit(), "A");
        for no in [
            "localhost",
            "localhost:7411",
            "127.0.0.1:7411",
            ".localhost",
            &format!("{one}.localhost.example:7411"),
            &format!("{one}.localhost:7411:7411"),
            &format!("{one}.localhost:65536"),
            &format!("{one}.localhost:"),
            &format!("{one}.localhost:+1"),
            &format!("{one}.localhost/"),
            &format!("{one}0.localhost"),
            &format!("x.{one}.localhost"),
            &format!("{one}.localhosts"),
            &format!("{upper}.localhost"),
            &one,
        ] {
            assert_eq!(in_host(no), None, "{no}");
        }
    }
}
