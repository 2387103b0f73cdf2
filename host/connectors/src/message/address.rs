//! Checks addresses as a relay reads them. The message must end up at the domain after `@`.

use lettre::Address;

use super::{Sentence, Trusted, quote, quote_start, say};

/// Characters in a local part by which a relay may forward a message to another host: `ann%evil.example@own.example`
/// and `evil.example!ann@own.example` go to `evil.example` (RFC 5321, appendix F; RFC 1123, 5.2.16). `/` separates
/// fields of X.400 or names a file, and `|` starts a program.
const ROUTING: [char; 4] = ['%', '!', '/', '|'];

/// Parses a bare address, and converts its host to ASCII. Source routes, quoted local parts, comments, literal IP
/// addresses and local parts that a relay could read as a route are refused: few people need them, and a relay could
/// deliver such a message to another place.
pub(super) fn address(text: &str) -> Result<Address, Sentence> {
    let refuse = |why: Sentence| say!("{} is not a valid mail address: {}", quote_start(text, 320), why);
    let (user, domain) = text.rsplit_once('@').ok_or_else(|| refuse("the address has no `@`".into()))?;
    if let Some(sign) = user.chars().find(|sign| ROUTING.contains(sign)) {
        let sign = Trusted::label(sign);
        return Err(refuse(say!("relays may read `{}` before the `@` as a route to another host", sign)));
    }
    if !user.chars().all(|c| c.is_ascii_alphanumeric() || "#$&'*+-=?^_`{}~.".contains(c)) {
        return Err(refuse("write only the address, with only plain ASCII characters before the `@`".into()));
    }
    // Mail readers decode such a part as a name in another character set. Relays that rewrite addresses could
    // do so too.
    if user.contains("=?") || user.contains("?=") {
        return Err(refuse("the address has an encoded word (`=?…?=`, RFC 2047)".into()));
    }
    // A relay could read this as an option of its mail program.
    if user.starts_with('-') {
        return Err(refuse("the address begins with `-`".into()));
    }
    let domain =
        idna::domain_to_ascii_strict(domain).map_err(|_| refuse("the part after the `@` is not a domain".into()))?;
    let last = domain.rsplit('.').next().unwrap_or_default();
    // Resolvers read a name that ends in digits as an IP address, even in hexadecimal (`0x7f`). It could be
    // this machine's address.
    let digits = last.strip_prefix("0x").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if last.bytes().all(|byte| byte.is_ascii_digit()) || digits.is_some() {
        return Err(refuse(
            "the part after the `@` is not a domain: it ends with a dot, or is the IP address of a host".into(),
        ));
    }
    Address::new(user, domain).map_err(|error| refuse(quote(error).into()))
}
