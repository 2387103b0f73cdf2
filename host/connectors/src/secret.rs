//! Secrets of the operator: texts that no message, log or page shows.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

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
/// alphabets of Base64 at any place of a longer text and with line breaks.
///
/// The time is proportional to the size of the bytes, whatever they and the secrets are: both may come from a hostile
/// server.
#[derive(Default)]
pub struct Mask {
    /// All secrets, and the tokens that are still good. They are replaced as a whole, so that no reader waits.
    all: RwLock<Arc<Vec<Masked>>>,
}

#[derive(Clone)]
struct Masked {
    secret: Secret,
    forms: Arc<[Finder<'static>]>,
    name: String,
    /// The end of a token, from which on it is not removed any more.
    until: Option<Instant>,
}

impl Masked {
    fn new(secret: Secret, name: String, until: Option<Instant>) -> Self {
        let plain = secret.text().as_bytes().to_vec();
        // What an escape in the secret itself becomes, when the escapes of a text are undone.
        let unescaped = Some(Unescaped::of(&plain).bytes).filter(|unescaped| *unescaped != plain);
        let encoded = encoded(secret.text()).into_iter().map(String::into_bytes);
        let forms = [plain].into_iter().chain(unescaped).chain(encoded);
        let forms = forms.filter(|form| form.len() >= MASKED_CHARS_MIN).map(|form| Finder::new(&form).into_owned());
        Self { forms: forms.collect(), secret, name, until }
    }
}

impl Mask {
    /// Replaces this secret with `name` from now on, until this time if there is one.
    pub(crate) fn add(&self, secret: &Secret, name: &str, until: Option<Instant>) {
        let added = Masked::new(secret.clone(), name.to_owned(), until);
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_kept = |masked: &&Masked| masked.until.is_none_or(|until| now < until);
        *all = Arc::new(all.iter().filter(is_kept).cloned().chain([added]).collect());
    }

    fn all(&self) -> Arc<Vec<Masked>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A text without the secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.apply(text.into())).into_owned()
    }

    /// The bytes without the secrets.
    pub(crate) fn apply(&self, bytes: Vec<u8>) -> Vec<u8> {
        let all = self.all();
        let unescaped = Unescaped::of(&bytes);
        let mut found: Vec<(Range<usize>, &Masked)> = Vec::new();
        for masked in all.iter() {
            for form in masked.forms.iter() {
                let len = form.needle().len();
                found.extend(form.find_iter(&bytes).map(|at| (at..at + len, masked)));
                found.extend(form.find_iter(&unescaped.bytes).map(|at| (unescaped.range(at..at + len), masked)));
            }
        }
        if found.is_empty() {
            return bytes;
        }
        found.sort_by_key(|(range, _)| range.start);
        without(&bytes, found)
    }
}

/// The bytes with a name in the place of each range; the ranges are sorted by their beginnings. In the place of
/// overlapping ranges is the name of the longest secret.
fn without(bytes: &[u8], found: Vec<(Range<usize>, &Masked)>) -> Vec<u8> {
    let mut places: Vec<(Range<usize>, &Masked)> = Vec::new();
    for (range, masked) in found {
        match places.last_mut() {
            Some((place, longest)) if range.start < place.end => {
                place.end = place.end.max(range.end);
                if masked.secret.text().len() > longest.secret.text().len() {
                    *longest = masked;
                }
            }
            _ => places.push((range, masked)),
        }
    }
    let (mut kept, mut done) = (Vec::with_capacity(bytes.len()), 0);
    for (place, masked) in places {
        kept.extend_from_slice(bytes.get(done..place.start).unwrap_or_default());
        kept.extend_from_slice(masked.name.as_bytes());
        done = place.end;
    }
    kept.extend_from_slice(bytes.get(done..).unwrap_or_default());
    kept
}

/// Bytes without escapes and line breaks, and where they were.
struct Unescaped {
    bytes: Vec<u8>,
    /// After each place where the bytes differ: the position in these bytes, and that in the original.
    places: Vec<(usize, usize)>,
}

impl Unescaped {
    fn of(original: &[u8]) -> Self {
        let (mut bytes, mut places, mut at) = (Vec::with_capacity(original.len()), Vec::new(), 0);
        while let Some(rest) = original.get(at..).filter(|rest| !rest.is_empty()) {
            let (character, len) = character(rest);
            let mut utf8 = [0; 4];
            let written: &[u8] = match character {
                Character::Byte(byte) => {
                    utf8[0] = byte;
                    utf8.get(..1).unwrap_or_default()
                }
                Character::Escaped('\n' | '\r') => &[],
                Character::Escaped(escaped) => escaped.encode_utf8(&mut utf8).as_bytes(),
            };
            bytes.extend_from_slice(written);
            at += len;
            if written.len() != len {
                places.push((bytes.len(), at));
            }
        }
        Self { bytes, places }
    }

    /// The range in the original.
    fn range(&self, range: Range<usize>) -> Range<usize> {
        // The begin is after the escapes before it, and the end is before those after it.
        let of = |position: usize, places: usize| match places.checked_sub(1).and_then(|last| self.places.get(last)) {
            Some((here, there)) => there + (position - here),
            None => position,
        };
        let begin = self.places.partition_point(|(here, _)| *here <= range.start);
        let end = self.places.partition_point(|(here, _)| *here < range.end);
        let end = match self.places.get(end).filter(|(here, _)| *here == range.end) {
            Some((_, there)) => *there,
            None => of(range.end, end),
        };
        of(range.start, begin)..end
    }
}

/// The first character of a text.
enum Character {
    Byte(u8),
    /// A character that is escaped for JSON, for URLs or for HTML, or a line break.
    Escaped(char),
}

/// The first character of a text that is not empty, and its length in the text.
fn character(text: &[u8]) -> (Character, usize) {
    let code = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let escaped = |code: Option<u32>| code.and_then(char::from_u32).map(Character::Escaped);
    let found = match text {
        [b'\r' | b'\n', ..] => Some((Character::Escaped('\n'), 1)),
        [b'\\', b'u', a, b, c, d, ..] => escaped(code(&[*a, *b, *c, *d])).map(|found| (found, 6)),
        [b'\\', b'x', a, b, ..] => code(&[*a, *b]).and_then(byte).map(|found| (found, 4)),
        [b'\\', b'n' | b'r', ..] => Some((Character::Escaped('\n'), 2)),
        [b'\\', other, ..] if !other.is_ascii_alphanumeric() => Some((Character::Byte(*other), 2)),
        [b'%', a, b, ..] => code(&[*a, *b]).and_then(byte).map(|found| (found, 3)),
        [b'&', rest @ ..] => entity(rest).and_then(|(name, len)| Some((escaped(code_of(name))?, len + 2))),
        _ => None,
    };
    found.unwrap_or((Character::Byte(text.first().copied().unwrap_or_default()), 1))
}

/// The byte with this code.
fn byte(code: u32) -> Option<Character> {
    u8::try_from(code).ok().map(Character::Byte)
}

/// The maximum length of the name of an HTML entity; a longer name is not read.
const ENTITY_BYTES_MAX: usize = 16;

/// The name of an HTML entity, and its length.
fn entity(text: &[u8]) -> Option<(&str, usize)> {
    let end = text.iter().take(ENTITY_BYTES_MAX).position(|byte| *byte == b';')?;
    Some((std::str::from_utf8(text.get(..end)?).ok()?, end))
}

fn code_of(entity: &str) -> Option<u32> {
    const NAMED: [(&str, char); 9] = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("sol", '/'),
        ("plus", '+'),
        ("equals", '='),
        ("lowbar", '_'),
    ];
    if let Some((_, named)) = NAMED.iter().find(|(name, _)| *name == entity) {
        return Some(u32::from(*named));
    }
    match entity.strip_prefix('#')?.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => entity.get(1..)?.parse().ok(),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;

    use super::*;

    #[test]
    fn a_secret_is_removed_in_every_form_that_systems_repeat() {
        let secret = "sk-\"Tr0ub4dor\"&3/ü+x";
        let mask = Mask::default();
        mask.add(&Secret::new(secret.into()), "[credential api]", None);
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
            "sk-\\x22Tr0ub4dor&#0000000034;&amp;3&sol;\\u00fc&plus;x",
            "sk-\"Tr0\r\nub4dor\"&\\n3/ü+x",
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

    /// As `base64` and MIME write it.
    #[test]
    fn a_secret_is_removed_from_base64_in_lines() {
        let (mask, secret) = (Mask::default(), "a-secret-of-many-characters-and-more-of-them");
        mask.add(&Secret::new(secret.into()), "[key]", None);
        let base64 = STANDARD_NO_PAD.encode(format!("Authorization: Bearer {secret}\r\n"));
        for (width, end) in [(8, "\n"), (20, "\r\n"), (8, "\\n")] {
            let lines: Vec<&str> =
                (0..base64.len()).step_by(width).map(|at| &base64[at..base64.len().min(at + width)]).collect();
            let text = lines.join(end);
            let masked = mask.text(&text);
            assert!(masked.contains("[key]") && masked.len() < text.len() / 2 + 16, "{masked}");
        }
    }

    #[test]
    fn of_two_secrets_the_one_that_contains_the_other_is_removed_whole() {
        let add = |mask: &Mask, secret: &str, name: &str| mask.add(&Secret::new(secret.into()), name, None);
        let mask = Mask::default();
        add(&mask, "abcdefgh", "[short]");
        add(&mask, "abcdefgh-and-more", "[long]");
        assert_eq!(mask.apply(b"x abcdefgh-and-more abcdefgh".to_vec()), b"x [long] [short]");
        add(&mask, "xx-abcdefgh-and-more", "[token]");
        assert_eq!(mask.text("xx-abcdefgh-and-more abcdefgh%2Dand-more"), "[token] [long]");
        // A secret that has an escape itself.
        add(&mask, "100%41bcd&amp;ef", "[odd]");
        assert_eq!(mask.text("100%41bcd&amp;ef 100%2541bcd&amp;amp;ef"), "[odd] [odd]");
    }

    /// A token is removed as long as it is good, however many others there are.
    #[test]
    fn a_token_is_removed_until_its_end() {
        let (mask, now) = (Mask::default(), Instant::now());
        mask.add(&Secret::new("the-first-token".into()), "[first]", Some(now + Duration::from_secs(60)));
        mask.add(&Secret::new("an-old-token".into()), "[old]", Some(now));
        for number in 0..100 {
            let until = Some(now + Duration::from_secs(60));
            mask.add(&Secret::new(format!("token-{number:03}-")), "[token]", until);
        }
        assert_eq!(
            mask.text("the-first-token token-000- token-099- an-old-token"),
            "[first] [token] [token] an-old-token"
        );
        assert_eq!(mask.all().len(), 101, "the old token is gone");
    }

    /// A hostile server chooses a token and an answer together. Compared at each place of the answer, these would take
    /// minutes.
    #[test]
    fn a_text_that_nearly_is_a_secret_at_each_place_takes_no_longer_than_others() {
        let mask = Mask::default();
        for secret in ["a".repeat(8 * 1024) + "b", "%61".repeat(2 * 1024) + "b", "ab".repeat(4 * 1024) + "c"] {
            mask.add(&Secret::new(secret), "[token]", None);
        }
        for part in ["a", "%61", "ab", "\\u0061", "&#97;"] {
            let text = part.repeat((1 << 20) / part.len()).into_bytes();
            assert_eq!(mask.apply(text.clone()), text);
        }
    }
}
