//! Secrets of the operator: texts that no message, log or page shows.

use std::collections::VecDeque;
use std::sync::{PoisonError, RwLock};

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

/// A text that no message, log or page shows.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that sends it.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// The shortest secret that is removed from an answer. A shorter text also occurs in answers by chance.
pub(crate) const MASKED_CHARS_MIN: usize = 8;

/// Removes secrets from the bytes that other systems sent. A system may repeat a secret in several forms: as it is,
/// escaped for JSON, for URLs or for HTML (each character perhaps in another way), in hexadecimal digits, and in both
/// alphabets of Base64 at any place of a longer text.
pub(crate) struct Mask {
    secrets: Vec<Masked>,
    /// Secrets of a short life, the oldest first.
    tokens: RwLock<VecDeque<Masked>>,
}

/// This many tokens are removed, the newest ones. The others have expired, unless a server gives a new token for each
/// request.
const TOKENS_MAX: usize = 64;

struct Masked {
    secret: Secret,
    /// The forms in which the whole secret is encoded: hexadecimal digits and Base64.
    encoded: Vec<Finder<'static>>,
    name: String,
}

impl Masked {
    fn new(secret: Secret, name: String) -> Self {
        let encoded = encoded(secret.text()).iter().map(|form| Finder::new(form).into_owned()).collect();
        Self { secret, encoded, name }
    }
}

impl Mask {
    /// Makes a mask that replaces each secret with the text beside it.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = (&'a Secret, String)>) -> Self {
        let secrets = secrets.into_iter().map(|(secret, name)| Masked::new(secret.clone(), name)).collect();
        Self { secrets, tokens: RwLock::default() }
    }

    /// Removes this secret too.
    pub(crate) fn add(&self, token: Secret, name: String) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.push_back(Masked::new(token, name));
        if tokens.len() > TOKENS_MAX {
            tokens.pop_front();
        }
    }

    /// A text without the secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.apply(text.into())).into_owned()
    }

    /// The bytes without the secrets.
    pub(crate) fn apply(&self, bytes: Vec<u8>) -> Vec<u8> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<&Masked> = self.secrets.iter().chain(tokens.iter()).collect();
        // Longer secrets come first, so that a secret that contains another one is removed as a whole.
        all.sort_by_key(|masked| std::cmp::Reverse(masked.secret.text().len()));
        all.into_iter().fold(bytes, |bytes, Masked { secret, encoded, name }| {
            let secret = secret.text();
            let start = *secret.as_bytes().first().unwrap_or(&0);
            let starts = |byte: u8| byte == start || matches!(byte, b'\\' | b'%' | b'&');
            let escaped =
                |rest: &[u8]| if rest.first().is_some_and(|byte| starts(*byte)) { after(rest, secret) } else { None };
            let bytes =
                replace(bytes, name, |rest| (0..rest.len()).find_map(|at| Some((at, escaped(rest.get(at..)?)?))));
            encoded.iter().fold(bytes, |bytes, form| {
                replace(bytes, name, |rest| form.find(rest).map(|at| (at, form.needle().len())))
            })
        })
    }
}

/// The length of the secret, escaped in any way, at the beginning of a text; `None` if the text does not begin with it.
fn after(text: &[u8], secret: &str) -> Option<usize> {
    let mut rest = text;
    for byte in secret.bytes() {
        rest = after_byte(rest, byte)?;
    }
    Some(text.len() - rest.len())
}

/// The text after `byte`, if the text begins with `byte`, escaped in any way or not at all.
fn after_byte(text: &[u8], byte: u8) -> Option<&[u8]> {
    let hexadecimal = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let is = |code: Option<u32>| code == Some(u32::from(byte));
    match text {
        [b'\\', b'u', a, b, c, d, rest @ ..] if is(hexadecimal(&[*a, *b, *c, *d])) => Some(rest),
        [b'\\', escaped, rest @ ..] if *escaped == byte => Some(rest),
        [b'%', a, b, rest @ ..] if is(hexadecimal(&[*a, *b])) => Some(rest),
        [b'&', rest @ ..]
            if let Some((name, rest)) = entity(rest)
                && is(code(name)) =>
        {
            Some(rest)
        }
        [same, rest @ ..] if *same == byte => Some(rest),
        _ => None,
    }
}

/// The maximum length of the name of an HTML entity; a longer name is not read.
const ENTITY_BYTES_MAX: usize = 10;

/// The name of an HTML entity and the text after it.
fn entity(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().take(ENTITY_BYTES_MAX).position(|byte| *byte == b';')?;
    Some((std::str::from_utf8(text.get(..end)?).ok()?, text.get(end + 1..)?))
}

fn code(entity: &str) -> Option<u32> {
    match entity {
        "amp" => Some(u32::from('&')),
        "lt" => Some(u32::from('<')),
        "gt" => Some(u32::from('>')),
        "quot" => Some(u32::from('"')),
        "apos" => Some(u32::from('\'')),
        _ => match entity.strip_prefix('#')?.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => entity.get(1..)?.parse().ok(),
        },
    }
}

fn encoded(secret: &str) -> Vec<String> {
    let digits: [fn(u8) -> String; 2] = [|byte| format!("{byte:02x}"), |byte| format!("{byte:02X}")];
    let mut forms: Vec<String> = digits.map(|digits| secret.bytes().map(digits).collect()).into();
    for before in 0..3 {
        forms.extend([STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|base64| within_base64(&base64, secret, before)));
    }
    forms
}

/// The characters of a Base64 text that depend on the secret alone. `before` is the number of bytes before the secret,
/// modulo 3.
fn within_base64(base64: &impl base64::Engine, secret: &str, before: usize) -> String {
    let bytes = [&vec![0; before][..], secret.as_bytes()].concat();
    let (first, after) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    base64.encode(bytes).get(first..after).unwrap_or_default().to_owned()
}

/// Replaces every occurrence with `by`. `find` returns the position and the length of the next occurrence.
fn replace(bytes: Vec<u8>, by: &str, find: impl Fn(&[u8]) -> Option<(usize, usize)>) -> Vec<u8> {
    let (mut masked, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((before, after)) = find(rest).and_then(|(at, len)| Some((rest.get(..at)?, rest.get(at + len..)?))) {
        masked.extend_from_slice(before);
        masked.extend_from_slice(by.as_bytes());
        rest = after;
    }
    if masked.is_empty() && rest.len() == bytes.len() {
        return bytes;
    }
    masked.extend_from_slice(rest);
    masked
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn a_secret_is_removed_in_every_form_that_systems_repeat() {
        let mask = |secret: &str| Mask::new([(&Secret::new(secret.into()), "[credential api]".to_owned())]);
        let secret = "sk-\"Tr0ub4dor\"&3/ü+x";
        let mask = mask(secret);
        let json = serde_json::json!({ "authorization": format!("Bearer {secret}") }).to_string();
        let url = ["sk-%22Tr0ub4dor%22%263%2F%C3%BC%2Bx", "sk-%22Tr0ub4dor%22%263%2f%c3%bc%2bx"].map(str::to_owned);
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        // The spellings of PHP, Gson, Go, Python's `quote` and HTML, and a text that mixes them.
        let others = [
            "sk-\\\"Tr0ub4dor\\\"&3\\/ü+x",
            "sk-\\u0022Tr0ub4dor\\u0022\\u00263/ü\\u002bx",
            "sk-%22Tr0ub4dor%22%263/%C3%BC%2Bx",
            "sk-&quot;Tr0ub4dor&#34;&amp;3&#x2F;ü&#43;x",
            "%73k-\\u0022Tr0ub4dor&quot;%263\\/ü+%78",
        ];
        let mut texts = vec![secret.to_owned(), format!("a {secret} b {secret}"), json, hex.to_uppercase(), hex];
        texts.extend(url);
        texts.extend(others.map(str::to_owned));
        for before in ["", "a", "ab", "abc", "user:", "Bearer "] {
            for after in ["", "x", "xy", "xyz"] {
                texts.push(STANDARD_NO_PAD.encode(format!("{before}{secret}{after}")));
                texts.push(URL_SAFE_NO_PAD.encode(format!("{before}{secret}{after}")));
            }
        }
        for text in texts {
            let masked = String::from_utf8(mask.apply(text.clone().into_bytes())).unwrap();
            assert!(masked.contains("[credential api]"), "{text}: {masked}");
            // At most a few characters of the secret are left, which are of no use.
            assert!(!masked.contains("Tr0ub") && masked.len() < text.len().max(40) + 32, "{text}: {masked}");
        }
        let innocent = b"nothing of it \xff\x00".to_vec();
        assert_eq!(mask.apply(innocent.clone()), innocent);
    }

    #[test]
    fn of_two_secrets_the_one_that_contains_the_other_is_removed_whole() {
        let (long, short) = (Secret::new("abcdefgh-and-more".into()), Secret::new("abcdefgh".into()));
        let mask = Mask::new([(&short, "[short]".to_owned()), (&long, "[long]".to_owned())]);
        assert_eq!(mask.apply(b"x abcdefgh-and-more abcdefgh".to_vec()), b"x [long] [short]");
        mask.add(Secret::new("xx-abcdefgh-and-more".into()), "[token]".into());
        assert_eq!(mask.text("xx-abcdefgh-and-more abcdefgh"), "[token] [short]");
        // Only so many tokens are kept; the secrets stay.
        (0..TOKENS_MAX).for_each(|number| mask.add(Secret::new(format!("token-{number:03}-")), "[token]".into()));
        assert_eq!(mask.text("xx-abcdefgh-and-more token-000-"), "xx-[long] [token]");
    }
}
