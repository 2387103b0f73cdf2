//! Evidence, and the sentences of connectors.
//!
//! Whatever a connector says to a reviewer is a [`Sentence`], into which somebody else's words come only as quotations ([`quote`]). Evidence that is
//! wholly somebody else's, such as a diff or a program's output, says whose words it is, and is shown under that label; it never stands in one
//! exhibit with sentences of the host's.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::Path;

use holdshort_gate::LIMIT;
use holdshort_words::{Said, configured};
pub use holdshort_words::{Sentence, error_said, quote, quote_start, quote_value, say};
use lettre::Address;

use super::CannotPreview;
use super::git::CommitId;
use holdshort_common::money::Currency;

/// The most that a piece of evidence may hold: far more than anybody reads, so that what is refused for it is the exception.
pub const EXHIBIT_BYTES_MAX: usize = 16 << 20;

/// The most lines that it may have. Each is drawn by itself, also an empty one, so bytes alone would be no limit of what it takes to show it.
pub const EXHIBIT_LINES_MAX: usize = 2_000_000;

/// A piece of evidence, at most [`EXHIBIT_BYTES_MAX`] and [`EXHIBIT_LINES_MAX`].
// INVARIANT: it is whole. In evidence that was cut the line that matters could be missing, and a person would approve what nobody was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibit {
    pub(super) title: Sentence,
    media: &'static str,
    pub(super) bytes: Vec<u8>,
    whose: Option<&'static str>,
}

impl Exhibit {
    /// What the host says itself, in lines.
    pub fn text(title: Sentence, text: Sentence) -> Self {
        Self { title, media: "text/plain", bytes: text.into_string().into_bytes(), whose: None }
    }

    /// The host's own data as JSON, which says by itself where a text ends.
    pub fn json(title: Sentence, value: &serde_json::Value) -> Self {
        Self { title, media: "application/json", bytes: format!("{value:#}\n").into_bytes(), whose: None }
    }

    /// Words that are wholly those of `whose`, such as `the repository`.
    pub fn words(whose: &'static str, title: Sentence, media: &'static str, bytes: Vec<u8>) -> Self {
        Self { title, media, bytes, whose: Some(whose) }
    }

    /// Its heading, such as `diff production..3f2a1b0`.
    pub fn title(&self) -> &str {
        self.title.as_str()
    }

    /// `text/plain`, `text/x-diff` or `application/json`.
    pub fn media(&self) -> &'static str {
        self.media
    }

    /// The whole of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whose words it is; none if it is what the host says.
    pub fn whose(&self) -> Option<&'static str> {
        self.whose
    }

    /// Whether a person can be shown all of it. The call is refused if not, as one is whose arguments are too long to be read.
    pub fn is_readable(&self) -> Result<(), CannotPreview> {
        let (bytes, lines) = (self.bytes.len(), self.bytes.split(|byte| *byte == b'\n').count());
        if bytes <= EXHIBIT_BYTES_MAX && lines <= EXHIBIT_LINES_MAX {
            return Ok(());
        }
        Err(CannotPreview::Impossible(say!(
            "{}: `{}` is {} bytes and {} lines; a reviewer is shown at most {} bytes and {} lines, and evidence is never cut: ask for less at once, or ask the \
             operator to do it by hand",
            LIMIT,
            self.title.clone(),
            bytes,
            lines,
            EXHIBIT_BYTES_MAX,
            EXHIBIT_LINES_MAX
        )))
    }

    /// The whole of it, to be kept.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A text of a checked form, or of the operator's own, that stands in a sentence without quotation marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known(Sentence);

impl Known {
    fn new(text: impl Display) -> Self {
        Self(configured(text))
    }

    /// A name of the operator's, from the configuration.
    pub(super) fn configured(name: impl Display) -> Self {
        Self::new(name)
    }

    /// A file of the operator's, or one of the host's own.
    pub(super) fn path(path: &Path) -> Self {
        Self::new(path.display())
    }

    /// A number that is none of the plain ones.
    pub(super) fn number(number: f64) -> Self {
        Self::new(number)
    }

    /// An amount as people read it.
    pub(super) fn amount(currency: &Currency, minor_units: i64) -> Self {
        Self::new(currency.show(minor_units))
    }

    /// A commit's first digits.
    pub(super) fn commit(commit: &CommitId) -> Self {
        Self::new(commit.short())
    }

    /// An address that was checked: it has no space and no quotation mark.
    pub(super) fn address(address: &Address) -> Self {
        Self::new(address)
    }

    /// The host of one.
    pub(super) fn host(address: &Address) -> Self {
        Self::new(address.domain())
    }

    /// A content type out of the host's own tables.
    pub(super) fn label(content_type: impl Display) -> Self {
        Self::new(content_type)
    }

    /// A day or a time.
    pub(super) fn day(day: impl Display) -> Self {
        Self::new(day)
    }
}

impl Said for Known {
    fn said(&self) -> Cow<'_, str> {
        self.0.said()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use holdshort_words::{Piece, pieces};

    use super::super::Previewed;
    use super::*;

    /// Words that are made to be taken for the host's.
    pub(crate) fn words() -> Vec<String> {
        let words: Vec<String> =
            serde_json::from_str(include_str!("../../../tests/data/deception/words.json")).unwrap();
        assert!(words.len() > 150);
        words
    }

    /// The sentence of which this is the text.
    pub(crate) fn sentence(text: &str) -> Sentence {
        holdshort_words::reread(text)
    }

    /// Whatever a field holds, the host's part of the reason why the call is impossible is one of a few; how often it was tried.
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

    /// The host's own part of everything that a preview says: what is left without the quotations, and without what is wholly somebody else's.
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
        for (over, said) in [
            (lines(EXHIBIT_LINES_MAX + 1), "`diff` is 2000000 bytes and 2000001 lines; a reviewer is shown at most"),
            (lines(7_500_000), "7500000 lines"),
            (long(EXHIBIT_BYTES_MAX + 1), "is 16777217 bytes and 1 lines"),
        ] {
            let Err(CannotPreview::Impossible(why)) = of(over) else { panic!("it is shown") };
            assert!(why.as_str().starts_with(LIMIT) && why.as_str().contains(said), "{}", why.as_str());
        }
    }
}
