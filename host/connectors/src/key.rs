//! An effect's key in file names and message ids.

use holdshort_gate::{Digest, EffectKey};

/// The key itself if it is plain (letters, digits, `-` and `_`, at most 128), or else the digits of
/// its digest.
///
/// Connectors use it in foreign name spaces, so it must contain no character with a meaning there,
/// such as `/`, `:`, `.` or `@`.
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
