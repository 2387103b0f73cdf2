//! Shows the host's evidence on pages. Short evidence is on the review page, long evidence has pages of its own;
//! nothing is cut.

use askama::Template;
use axum::extract::State;
use holdshort_gate::{Call, Digest, ExhibitRef};
use serde::Deserialize;

use super::frame::{ErrorPage, Frame, PageResult, Signed, page};
use crate::api::limits::{Path, Query};
use crate::api::problem::Problem;
use crate::api::{Api, approvals, ids};
use crate::review::{NumberedLine, Patch, Text, TextPage};
use holdshort_common::aside;

/// The limit in bytes for one exhibit on a review page. A longer exhibit has pages of its own.
const ONE_BYTES_MAX: u64 = 24 * 1024;
/// The limit in bytes for all exhibits on a review page together. Exhibits beyond it have pages of their own.
const ALL_BYTES_MAX: u64 = 48 * 1024;
/// The limit in bytes for evidence on a page for printing. Browsers need minutes for much more.
const PRINTED_BYTES_MAX: u64 = 1024 * 1024;

/// An exhibit on a review page.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) title: Text,
    pub(super) media: Text,
    pub(super) bytes: u64,
    pub(super) digest: Digest,
    /// The author, if the exhibit is not the host's.
    pub(super) whose: Option<Text>,
    pub(super) body: Body,
}

/// The presentation of an exhibit.
#[derive(Debug)]
pub(super) enum Body {
    Patch(Patch),
    /// Any other text, line by line.
    Lines(Vec<Text>),
    /// Too long for this page; it has pages of its own.
    Elsewhere,
}

/// The evidence of a call in order. With `whole`, it includes all that a page for printing can
/// hold. Missing bytes are an error, because nobody may approve evidence that cannot be shown.
pub(super) async fn all(api: &Api, call: &Call, whole: bool) -> Result<Vec<Evidence>, ErrorPage> {
    these(api, call.proposal().map(|proposal| proposal.exhibits.as_slice()).unwrap_or_default(), whole).await
}

/// Like `all`, for any exhibits in the journal.
pub(super) async fn these(api: &Api, exhibits: &[ExhibitRef], whole: bool) -> Result<Vec<Evidence>, ErrorPage> {
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

/// Whether the call has evidence too long for the review page. What the reviewer has opened does not matter: a reviewer
/// who saw all evidence on a page for printing needs the confirmation word too.
pub(super) fn is_long(exhibits: &[ExhibitRef]) -> bool {
    fitting(exhibits, (ONE_BYTES_MAX, ALL_BYTES_MAX)).any(|(_, fits)| !fits)
}

/// Says of each exhibit whether it fits on the page after the exhibits before it. There is a limit in bytes for one
/// exhibit, and a limit for all together.
fn fitting(exhibits: &[ExhibitRef], (one_max, all_max): (u64, u64)) -> impl Iterator<Item = (&ExhibitRef, bool)> {
    exhibits.iter().scan(0_u64, move |taken, exhibit| {
        let fits = exhibit.bytes <= one_max && taken.saturating_add(exhibit.bytes) <= all_max;
        *taken += if fits { exhibit.bytes } else { 0 };
        Some((exhibit, fits))
    })
}

/// Draws an exhibit. Long exhibits are drawn on a separate thread.
async fn body(exhibit: &ExhibitRef, bytes: Vec<u8>) -> Result<Body, ErrorPage> {
    let is_patch = exhibit.media == "text/x-diff";
    let draw = move || {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if is_patch { Body::Patch(Patch::read(bytes)) } else { Body::Lines(Text::byte_lines(bytes)) }
    };
    Ok(if exhibit.bytes <= ONE_BYTES_MAX { draw() } else { aside::for_people(draw).await? })
}

/// Reads an exhibit. The journal verifies its digest.
async fn bytes(api: &Api, exhibit: &ExhibitRef) -> Result<Vec<u8>, ErrorPage> {
    let missing = || Problem::not_found(format_args!("evidence `{}` in the journal", exhibit.digest));
    Ok(api.journal().blob(&exhibit.digest).await?.ok_or_else(missing)?)
}

/// The number of the requested page.
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
    lines: Vec<NumberedLine>,
    number: usize,
    pages: usize,
    count: usize,
}

/// Shows an exhibit page by page. The approval must have the exhibit in its present revision, as for the API.
pub(super) async fn show(
    State(api): State<Api>,
    signed: Signed,
    Path((id, digest)): Path<(String, String)>,
    Query(query): Query<EvidenceQuery>,
) -> PageResult {
    let (run, number) = ids::approval(&id)?;
    let missing = || Problem::not_found(format_args!("such evidence of approval `{run}.{number}`"));
    let wanted = digest.parse::<Digest>().map_err(|_| missing())?;
    let (_, call) = approvals::load(&api, &run, number).await?;
    let exhibits = call.proposal().map(|proposal| proposal.exhibits.as_slice()).unwrap_or_default();
    let exhibit = exhibits.iter().find(|exhibit| exhibit.digest == wanted).ok_or_else(missing)?;
    let (bytes, at) = (bytes(&api, exhibit).await?, query.page.unwrap_or(1));
    let leaf = move || TextPage::of(bytes.strip_suffix(b"\n").unwrap_or(&bytes), at);
    let TextPage { lines, pages, count } = aside::for_people(leaf).await?.ok_or_else(missing)?;
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
