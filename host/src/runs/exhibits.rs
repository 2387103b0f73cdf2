//! Stores a preview's exhibits in the journal. An agent chooses their length, so long ones are
//! hashed on separate threads.

use futures_util::future::try_join_all;
use holdshort_gate::ExhibitRef;
use holdshort_journal::{Blob, Driver, SubmitError};

use crate::connectors::{CannotPreview, Exhibit};
use holdshort_common::aside;

/// Exhibits of at most this many bytes in total are counted and hashed on this thread, because handing them to another
/// thread would take longer.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// An exhibit within the display limit, with its digest. It is not stored yet.
pub(super) struct MeasuredExhibit {
    title: String,
    media: String,
    bytes: u64,
    whose: Option<String>,
    blob: Blob,
}

impl MeasuredExhibit {
    fn of(exhibit: Exhibit) -> Result<Self, CannotPreview> {
        exhibit.is_readable()?;
        let (title, media) = (exhibit.title().to_owned(), exhibit.media().to_owned());
        let (bytes, whose) = (exhibit.bytes().len() as u64, exhibit.whose().map(str::to_owned));
        Ok(Self { title, media, bytes, whose, blob: Blob::of(exhibit.into_bytes()) })
    }
}

/// Checks that all exhibits can be shown to a reviewer, and computes their digests.
pub(super) async fn measure(exhibits: Vec<Exhibit>) -> Result<Vec<MeasuredExhibit>, CannotPreview> {
    let bytes: usize = exhibits.iter().map(|exhibit| exhibit.bytes().len()).sum();
    let all = move || exhibits.into_iter().map(MeasuredExhibit::of).collect();
    if bytes <= AT_ONCE_BYTES_MAX {
        return all();
    }
    aside::for_agents(all).await?
}

/// The references to exhibits that a proposal holds, and the bytes that the references name.
pub(super) fn named(evidence: Vec<MeasuredExhibit>) -> (Vec<ExhibitRef>, Vec<Blob>) {
    let named = evidence.into_iter().map(|MeasuredExhibit { title, media, bytes, whose, blob }| {
        (ExhibitRef { title, media, digest: blob.digest(), bytes, whose }, blob)
    });
    named.unzip()
}

/// Writes exhibits to disk by digest, before a proposal refers to them.
pub(super) async fn freeze(journal: &Driver, evidence: Vec<MeasuredExhibit>) -> Result<Vec<ExhibitRef>, SubmitError> {
    let (references, blobs) = named(evidence);
    try_join_all(blobs.into_iter().map(|blob| journal.keep(blob))).await?;
    Ok(references)
}
