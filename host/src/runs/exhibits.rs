//! From a preview's evidence to evidence in the journal. How long it is, an agent has chosen: what takes longer with its length is done aside.

use futures_util::future::try_join_all;
use holdshort_gate::ExhibitRef;
use holdshort_journal::{Blob, Journal, SubmitError};

use crate::connectors::{CannotPreview, Exhibit};
use holdshort_common::aside;

/// Bytes of evidence that are counted and digested at once: less work than to hand them over.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// A piece of evidence that a person can be shown all of, with its digest. Not kept yet.
pub(super) struct Weighed {
    title: String,
    media: String,
    bytes: u64,
    whose: Option<String>,
    blob: Blob,
}

impl Weighed {
    fn of(exhibit: Exhibit) -> Result<Self, CannotPreview> {
        exhibit.is_readable()?;
        let (title, media) = (exhibit.title().to_owned(), exhibit.media().to_owned());
        let (bytes, whose) = (exhibit.bytes().len() as u64, exhibit.whose().map(str::to_owned));
        Ok(Self { title, media, bytes, whose, blob: Blob::of(exhibit.into_bytes()) })
    }
}

/// Whether a person can be shown all of this evidence, and its digests.
pub(super) async fn weigh(exhibits: Vec<Exhibit>) -> Result<Vec<Weighed>, CannotPreview> {
    let bytes: usize = exhibits.iter().map(|exhibit| exhibit.bytes().len()).sum();
    let all = move || exhibits.into_iter().map(Weighed::of).collect();
    if bytes <= AT_ONCE_BYTES_MAX {
        return all();
    }
    aside::for_agents(all).await?
}

/// Puts evidence on disk, by digest, before anyone can be shown a reference to it.
pub(super) async fn freeze(journal: &Journal, evidence: Vec<Weighed>) -> Result<Vec<ExhibitRef>, SubmitError> {
    let frozen = evidence.into_iter().map(async |Weighed { title, media, bytes, whose, blob }| {
        let digest = *journal.keep(blob).await?;
        Ok(ExhibitRef { title, media, digest, bytes, whose })
    });
    try_join_all(frozen).await
}
