//! Evidence and sentences of connectors.
//!
//! A connector's text for a reviewer is a [`Sentence`], which contains words of others only as
//! quotations ([`quote`]). Evidence that others wrote completely, such as a diff or a program's
//! output, names its author and is shown under the author's name. One exhibit never contains both such evidence and
//! the host's sentences.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::Path;

use holdshort_gate::LIMIT;
use holdshort_words::{HostText, configured};
pub use holdshort_words::{Sentence, quote, quote_start, quote_value, say, sentence_error};
use lettre::Address;

use super::CannotPreview;
use super::git::CommitId;
use holdshort_common::money::Currency;

/// The maximum size of an exhibit. People read far less, so the host rarely refuses a call because of this limit.
pub const EXHIBIT_BYTES_MAX: usize = 16 << 20;

/// The maximum number of lines in an exhibit. A page draws each line separately, even an empty line, so a limit on
/// bytes alone would not limit the work.
pub const EXHIBIT_LINES_MAX: usize = 2_000_000;

/// An exhibit of at most [`EXHIBIT_BYTES_MAX`] and [`EXHIBIT_LINES_MAX`].
// INVARIANT: an exhibit is complete. If it were cut, the decisive line could be missing, and a
// reviewer would approve content that no reviewer was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibit {
    pub(super) title: Sentence,
    media: &'static str,
    pub(super) bytes: Vec<u8>,
    whose: Option<&'static str>,
}

impl Exhibit {
    /// A text of the host's own, in lines.
    pub fn text(title: Sentence, text: Sentence) -> Self {
        Self { title, media: "text/plain", bytes: text.into_string().into_bytes(), whose: None }
    }

    /// Data of the host's own as JSON. Its texts need no quotation, because JSON itself shows where a text
    /// begins and ends.
    pub fn json(title: Sentence, value: &serde_json::Value) -> Self {
        Self { title, media: "application/json", bytes: format!("{value:#}\n").into_bytes(), whose: None }
    }

    /// A text that is completely written by `whose`, such as `the repository`.
    pub fn words(whose: &'static str, title: Sentence, media: &'static str, bytes: Vec<u8>) -> Self {
        Self { title, media, bytes, whose: Some(whose) }
    }

    /// The title, such as `diff production..3f2a1b0`.
    pub fn title(&self) -> &str {
        self.title.as_str()
    }

    /// `text/plain`, `text/x-diff` or `application/json`.
    pub fn media(&self) -> &'static str {
        self.media
    }

    /// The complete content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The author of the words; `None` for the host.
    pub fn whose(&self) -> Option<&'static str> {
        self.whose
    }

    /// Checks that the exhibit is small enough to be shown completely. If it is too large, the call is refused without
    /// asking a reviewer.
    pub fn is_readable(&self) -> Result<(), CannotPreview> {
        let (bytes, lines) = (self.bytes.len(), self.bytes.split(|byte| *byte == b'\n').count());
        if bytes <= EXHIBIT_BYTES_MAX && lines <= EXHIBIT_LINES_MAX {
            return Ok(());
        }
        Err(CannotPreview::Impossible(say!(
            "{}: `{}` is {} bytes and {} lines; a reviewer is shown at most {} bytes and {} lines, and evidence is never cut: make a smaller call, or ask the operator to do the work by hand",
            LIMIT,
            self.title.clone(),
            bytes,
            lines,
            EXHIBIT_BYTES_MAX,
            EXHIBIT_LINES_MAX
        )))
    }

    /// The complete content, for storing.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A text that a sentence shows without quotation marks, because the operator wrote it, or the host made or checked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trusted(Sentence);

impl Trusted {
    fn new(text: impl Display) -> Self {
        Self(configured(text))
    }

    /// An operator's name from the configuration.
    pub(super) fn configured(name: impl Display) -> Self {
        Self::new(name)
    }

    /// A path of the operator or the host.
    pub(super) fn path(path: &Path) -> Self {
        Self::new(path.display())
    }

    /// A floating-point number.
    pub(super) fn number(number: f64) -> Self {
        Self::new(number)
    }

    /// An amount of money in readable form.
    pub(super) fn amount(currency: &Currency, minor_units: i64) -> Self {
        Self::new(currency.show(minor_units))
    }

    /// The first digits of a commit's id.
    pub(super) fn commit(commit: &CommitId) -> Self {
        Self::new(commit.short())
    }

    /// A checked address, which has no space and no quotation mark.
    pub(super) fn address(address: &Address) -> Self {
        Self::new(address)
    }

    /// The host of a checked address.
    pub(super) fn host(address: &Address) -> Self {
        Self::new(address.domain())
    }

    /// A content type from the host's own tables.
    pub(super) fn label(content_type: impl Display) -> Self {
        Self::new(content_type)
    }

    /// A date or a time.
    pub(super) fn day(day: impl Display) -> Self {
        Self::new(day)
    }
}

impl HostText for Trusted {
    fn host_text(&self) -> Cow<'_, str> {
        self.0.host_text()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use holdshort_words::{Piece, pieces};

    use super::super::Previewed;
    use super::*;

    /// Texts that imitate the host's words.
    pub(crate) fn words() -> Vec<String> {
        let words: Vec<String> =
            serde_json::from_str(include_str!("../../../tests/data/deception/words.json")).unwrap();
        assert!(words.len() > 150);
        words
    }

    /// The sentence with this text.
    pub(crate) fn sentence(text: &str) -> Sentence {
        holdshort_words::reread(text)
    }

    /// Checks that the host's part of a refusal is the same for every content of a field; returns
    /// the number of tries.
    pub(crate) fn refused_alike(field: &str, refused: impl Fn(&str) -> Option<String>) -> usize {
        let (mut own, mut tried) = (std::collections::BTreeSet::new(), 0);
        for words in words() {
            let Some(reason) = refused(&words) else { continue };
            let host = pieces(&reason).into_iter().filter(|piece| matches!(piece, Piece::Host(_)));
            own.insert(host.map(|piece| piece.to_string()).collect::<String>());
            tried += 1;
        }
        assert!(own.len() <= 12, "{field}: {own:?}");
        tried
    }

    /// The host's own part of a preview, without quotations and foreign exhibits.
    pub(crate) fn host_words(previewed: &Previewed) -> Vec<String> {
        let evidence = previewed.exhibits.iter().filter(|exhibit| exhibit.whose().is_none());
        let evidence = evidence.flat_map(|exhibit| [exhibit.title(), std::str::from_utf8(exhibit.bytes()).unwrap()]);
        let host = |sentence: &str| {
            let host = pieces(sentence).into_iter().filter(|piece| matches!(piece, Piece::Host(_)));
            host.map(|piece| piece.to_string()).collect::<String>()
        };
        std::iter::once(previewed.summary.as_str()).chain(evidence).map(host).collect()
    }

    #[test]
    fn evidence_is_as_long_as_somebody_can_be_shown() {
        let of = |bytes: Vec<u8>| Exhibit::words("the repository", say!("diff"), "text/x-diff", bytes).is_readable();
        let lines = |count: usize| b"\n".repeat(count - 1);
        let long = |count: usize| vec![b'x'; count];
        for fits in [vec![], long(EXHIBIT_BYTES_MAX), lines(EXHIBIT_LINES_MAX)] {
            assert_eq!(of(fits), Ok(()));
        }
        for (over, host_text) in [
            (lines(EXHIBIT_LINES_MAX + 1), "`diff` is 2000000 bytes and 2000001 lines; a reviewer is shown at most"),
            (lines(7_500_000), "7500000 lines"),
            (long(EXHIBIT_BYTES_MAX + 1), "is 16777217 bytes and 1 lines"),
        ] {
            let Err(CannotPreview::Impossible(why)) = of(over) else { panic!("it is shown") };
            assert!(why.as_str().starts_with(LIMIT) && why.as_str().contains(host_text), "{}", why.as_str());
        }
    }
}
