//! Bytes that are kept by their digest: components and evidence.
//!
//! **Invariant:** Bytes stored by digest are checked whenever they are read. A component or an exhibit that was swapped in the journal is neither
//! run nor shown; a run that needs it waits until the right bytes are back. So a run diverges only if somebody changed the journal by hand, or if
//! this host runs agents differently from the host that began the run.

use holdshort_gate::Digest;

use crate::error::{ReadError, SubmitError};
use crate::flushed::Flushed;
use crate::journal::Journal;
use crate::submit::{Submitted, Task};

/// Bytes with their digest, which can be computed on a thread of the caller's choice.
#[derive(Clone, Debug)]
pub struct Blob {
    digest: Digest,
    bytes: Vec<u8>,
}

impl Blob {
    /// Digests the bytes, which takes time in proportion to their number.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), bytes }
    }
}

impl Journal {
    /// Keeps some bytes by their digest. They are on disk when it returns; putting them again changes nothing.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<Flushed<Digest>, SubmitError> {
        // A component has up to 128 MiB, and what serves people must not wait for its digest.
        let digested = self.blocking(move || Blob::of(bytes)).await;
        let blob = digested.map_err(|stopped| SubmitError::NotWritten(stopped.to_string()))?;
        self.keep(blob).await
    }

    /// Keeps bytes whose digest is already computed.
    pub async fn keep(&self, Blob { digest, bytes }: Blob) -> Result<Flushed<Digest>, SubmitError> {
        let (reply, submitted) = Submitted::new();
        self.send(Task::Blob { digest, bytes, reply });
        submitted.await
    }

    /// The bytes of a digest, if they are kept. Bytes with another digest in their place are an error: they must be neither run nor shown.
    pub async fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        let digest = *digest;
        let checked = move |bytes: Vec<u8>| match Digest::of(&bytes) {
            found if found == digest => Ok(bytes),
            found => Err(ReadError::Damaged(format!("the bytes that should be {digest} are {found}"))),
        };
        self.read(move |reader| reader.blob(&digest)?.map(checked).transpose()).await
    }
}
