//! Secrets of the operator: texts that no message, log or page shows.

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

/// The shortest secret that can be removed from an answer: a shorter one also stands in innocent texts.
pub(crate) const MASKED_CHARS_MIN: usize = 8;

/// Removes a secret from the bytes that another system sent, in each form in which systems repeat what they were sent: as it is, in
/// JSON, in a URL, in hexadecimal digits and in both alphabets of Base64, at any place of a longer text. `name` stands in its place.
pub(crate) fn mask(bytes: Vec<u8>, secret: &Secret, name: &str) -> Vec<u8> {
    forms(secret.text()).iter().fold(bytes, |bytes, form| replace(bytes, form.as_bytes(), name.as_bytes()))
}

fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::Value::from(secret).to_string();
    let json = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(&json);
    let digits: [fn(u8) -> String; 2] = [|byte| format!("{byte:02x}"), |byte| format!("{byte:02X}")];
    let url = |digits: fn(u8) -> String| {
        move |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{}", digits(byte)),
        }
    };
    let mut forms = vec![secret.to_owned(), json.to_owned()];
    forms.extend(digits.map(|digits| secret.bytes().map(url(digits)).collect()));
    forms.extend(digits.map(|digits| secret.bytes().map(digits).collect()));
    for before in 0..3 {
        forms.extend([STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|base64| within_base64(&base64, secret, before)));
    }
    // A form that contains another one is replaced first.
    forms.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    forms.dedup();
    forms
}

/// The characters of a Base64 text that depend on the secret alone, if so many bytes (modulo 3) stand before it.
fn within_base64(base64: &impl base64::Engine, secret: &str, before: usize) -> String {
    let bytes = [&vec![0; before][..], secret.as_bytes()].concat();
    let (first, after) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    base64.encode(bytes).get(first..after).unwrap_or_default().to_owned()
}

fn replace(bytes: Vec<u8>, form: &[u8], by: &[u8]) -> Vec<u8> {
    let finder = Finder::new(form);
    if form.is_empty() || finder.find(&bytes).is_none() {
        return bytes;
    }
    let (mut masked, mut rest) = (Vec::with_capacity(bytes.len()), &bytes[..]);
    while let Some((before, after)) =
        finder.find(rest).and_then(|at| Some((rest.get(..at)?, rest.get(at + form.len()..)?)))
    {
        masked.extend_from_slice(before);
        masked.extend_from_slice(by);
        rest = after;
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
        let secret = "sk-\"Tr0ub4dor\"&3/ü+x";
        let json = serde_json::json!({ "authorization": format!("Bearer {secret}") }).to_string();
        let url = ["sk-%22Tr0ub4dor%22%263%2F%C3%BC%2Bx", "sk-%22Tr0ub4dor%22%263%2f%c3%bc%2bx"].map(str::to_owned);
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut texts = vec![secret.to_owned(), format!("a {secret} b {secret}"), json, hex.to_uppercase(), hex];
        texts.extend(url);
        for before in ["", "a", "ab", "abc", "user:", "Bearer "] {
            for after in ["", "x", "xy", "xyz"] {
                texts.push(STANDARD_NO_PAD.encode(format!("{before}{secret}{after}")));
                texts.push(URL_SAFE_NO_PAD.encode(format!("{before}{secret}{after}")));
            }
        }
        for text in texts {
            let masked = mask(text.clone().into_bytes(), &Secret::new(secret.into()), "[credential api]");
            let masked = String::from_utf8(masked).unwrap();
            assert!(masked.contains("[credential api]"), "{text}: {masked}");
            // No part of the secret that would be of use is left.
            assert!(!masked.contains("Tr0ub") && masked.len() < text.len().max(40) + 32, "{text}: {masked}");
        }
        let innocent = b"nothing of it \xff\x00".to_vec();
        assert_eq!(mask(innocent.clone(), &Secret::new(secret.into()), "[x]"), innocent);
    }
}
