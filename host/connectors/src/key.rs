//! The idempotency key of an effect, in a form for file names and message ids.

use holdshort_gate::{Digest, EffectKey};

/// The key itself if it has 1 to 128 letters, digits, `-` and `_`, and does not begin with `-`. For any other key,
/// the hexadecimal digits of its digest.
///
/// Connectors put the result into file names and message ids, where `/`, `:`, `.` and `@` have a meaning.
pub fn plain(key: &EffectKey) -> String {
    let text = &key.0;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=128).contains(&text.len()) && text.chars().all(is_plain) && !text.starts_with('-') {
        text.clone()
    } else {
        Digest::tagged("holdshort/plain-key", text.as_bytes()).to_string().replace("sha256:", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_key_stays_and_any_other_becomes_digits() {
        assert_eq!(plain(&EffectKey("hs_0a-Z".into())), "hs_0a-Z");
        for odd in ["", "../x", "a:2,S", "a@b", "-rf", "a b", &"x".repeat(129)] {
            let name = plain(&EffectKey(odd.into()));
            assert_eq!(name.len(), 64, "{odd}");
            assert!(name.chars().all(|c| c.is_ascii_hexdigit()), "{odd}");
        }
        assert_ne!(plain(&EffectKey("a/b".into())), plain(&EffectKey("a/c".into())));
    }
}
