//! The host's evidence on pages: the whole of it where it is short, page by page where it is long, never cut.
//!
//! **Invariant:** A page draws its own lines of long evidence and counts the rest. Work that takes longer with the length of the evidence waits
//! for the threads of `aside`.

use askama::Template;
use axum::extract::State;
use holdshort_gate::{Call, Digest, ExhibitRef};
use serde::Deserialize;

use super::frame::{Answer, Frame, Signed, Trouble, page};
use crate::api::limits::{Path, Query};
use crate::api::problem::Problem;
use crate::api::{Api, approvals, ids};
use crate::review::{Leaf, Numbered, Patch, Text};
use holdshort_common::aside;

/// Bytes of evidence on a review page: one piece, and all together. What is longer has pages of its own.
const ONE_BYTES_MAX: u64 = 24 * 1024;
const ALL_BYTES_MAX: u64 = 48 * 1024;
/// Bytes of evidence on a page for printing. A browser that is given much more is busy with it for minutes.
const PRINTED_BYTES_MAX: u64 = 1024 * 1024;

/// A piece of evidence on a review page.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) title: Text,
    pub(super) media: Text,
    pub(super) bytes: u64,
    pub(super) digest: Digest,
    /// Whose words it is, if it is not what the host says.
    pub(super) whose: Option<Text>,
    pub(super) body: Body,
}

/// What is shown of it.
#[derive(Debug)]
pub(super) enum Body {
    /// A diff.
    Patch(Patch),
    /// Any other text.
    Lines(Vec<Text>),
    /// Nothing here: it has pages of its own.
    Elsewhere,
}

/// All evidence of a call, in order; with `whole` all of it that a page for printing holds. Bytes that the journal does not hold are an error: nobody
/// approves what cannot be shown.
pub(super) async fn all(api: &Api, call: &Call, whole: bool) -> Result<Vec<Evidence>, Trouble> {
    these(api, call.proposal().map(|proposal| proposal.exhibits.as_slice()).unwrap_or_default(), whole).await
}

/// The same of any evidence in the journal.
pub(super) async fn these(api: &Api, exhibits: &[ExhibitRef], whole: bool) -> Result<Vec<Evidence>, Trouble> {
    let mut shown = Vec::new();
    let limits = if whole { (PRINTED_BYTES_MAX, PRINTED_BYTES_MAX) } else { (ONE_BYTES_MAX, ALL_BYTES_MAX) };
    for (exhibit, fits) in fitting(exhibits, limits) {
        let body = if fits { body(exhibit, bytes(api, exhibit).await?).await? } else { Body::Elsewhere };
        let ExhibitRef { title, media, digest, bytes, whose } = exhibit;
        shown.push(Evidence {
            title: Text::line(title),
            media: Text::line(media),
            bytes: *bytes,
            digest: *digest,
            whose: whose.as_deref().map(Text::line),
            body,
        });
    }
    Ok(shown)
}

/// Whether evidence is too long for its review page. It is asked of the call and not of a page, so that whoever was shown all of it
/// on one page is asked for the same.
pub(super) fn is_long(exhibits: &[ExhibitRef]) -> bool {
    fitting(exhibits, (ONE_BYTES_MAX, ALL_BYTES_MAX)).any(|(_, fits)| !fits)
}

/// Each piece, and whether it stands on a page beside those before it, on which one piece may have so many bytes, and all together so many.
fn fitting(exhibits: &[ExhibitRef], (one_max, all_max): (u64, u64)) -> impl Iterator<Item = (&ExhibitRef, bool)> {
    exhibits.iter().scan(0_u64, move |taken, exhibit| {
        let fits = exhibit.bytes <= one_max && taken.saturating_add(exhibit.bytes) <= all_max;
        *taken += if fits { exhibit.bytes } else { 0 };
        Some((exhibit, fits))
    })
}

/// Draws it: at once what every review page may have, elsewhere what is longer.
async fn body(exhibit: &ExhibitRef, bytes: Vec<u8>) -> Result<Body, Trouble> {
    let is_patch = exhibit.media == "text/x-diff";
    let draw = move || {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if is_patch { Body::Patch(Patch::read(bytes)) } else { Body::Lines(Text::byte_lines(bytes)) }
    };
    Ok(if exhibit.bytes <= ONE_BYTES_MAX { draw() } else { aside::for_people(draw).await? })
}

/// The journal checks the digest when it reads.
async fn bytes(api: &Api, exhibit: &ExhibitRef) -> Result<Vec<u8>, Trouble> {
    let missing = || Problem::not_found(format_args!("evidence `{}` in the journal", exhibit.digest));
    Ok(api.journal().blob(&exhibit.digest).await?.ok_or_else(missing)?)
}

/// Which page of a piece of evidence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvidenceQuery {
    page: Option<usize>,
}

#[derive(Template)]
#[template(path = "evidence.html")]
struct EvidencePage {
    frame: Frame,
    id: Text,
    title: Text,
    digest: Digest,
    whose: Option<Text>,
    lines: Vec<Numbered>,
    number: usize,
    pages: usize,
    count: usize,
}

/// Shows a piece of evidence line by line. Only through an approval that rests on it now, like the endpoint.
pub(super) async fn show(
    State(api): State<Api>,
    signed: Signed,
    Path((id, digest)): Path<(String, String)>,
    Query(query): Query<EvidenceQuery>,
) -> Answer {
    let (run, number) = ids::approval(&id)?;
    let missing = || Problem::not_found(format_args!("such evidence of approval `{run}.{number}`"));
    let wanted = digest.parse::<Digest>().map_err(|_| missing())?;
    let (_, call) = approvals::load(&api, &run, number).await?;
    let exhibits = call.proposal().map(|proposal| proposal.exhibits.as_slice()).unwrap_or_default();
    let exhibit = exhibits.iter().find(|exhibit| exhibit.digest == wanted).ok_or_else(missing)?;
    let (bytes, at) = (bytes(&api, exhibit).await?, query.page.unwrap_or(1));
    let leaf = move || Leaf::of(bytes.strip_suffix(b"\n").unwrap_or(&bytes), at);
    let Leaf { lines, pages, count } = aside::for_people(leaf).await?.ok_or_else(missing)?;
    let (frame, id, title) = (signed.frame(""), Text::line(&id), Text::line(&exhibit.title));
    let whose = exhibit.whose.as_deref().map(Text::line);
    page(&EvidencePage { frame, id, title, digest: wanted, whose, lines, number: at, pages, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_keeps_no_room_from_what_follows() {
        let exhibit = |bytes| ExhibitRef {
            whose: None,
            title: "e".into(),
            media: "text/plain".into(),
            digest: Digest::of(b""),
            bytes,
        };
        let fits = |sizes: &[u64]| -> Vec<bool> {
            let exhibits: Vec<ExhibitRef> = sizes.iter().copied().map(exhibit).collect();
            fitting(&exhibits, (ONE_BYTES_MAX, ALL_BYTES_MAX)).map(|(_, fits)| fits).collect()
        };
        assert_eq!(fits(&[ONE_BYTES_MAX, ONE_BYTES_MAX]), [true, true]);
        assert_eq!(fits(&[ONE_BYTES_MAX + 1, ONE_BYTES_MAX, u64::MAX, 1]), [false, true, false, true]);
        assert_eq!(fits(&[ONE_BYTES_MAX, ONE_BYTES_MAX, 1]), [true, true, false], "all together");
    }
}
