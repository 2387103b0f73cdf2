//! Bytes that are stored under their digest: components and evidence.
//!
//! **Invariant:** Stored bytes are checked against their digest whenever they are read. If a component or an exhibit
//! was replaced in the journal, the host neither runs nor shows it; a run that needs it waits until the right bytes are
//! back. A run therefore diverges only if somebody changed the journal by hand, or if this host runs agents differently
//! from the host that began the run.

use holdshort_gate::Digest;

use crate::error::ReadError;
use crate::journal::Journal;

/// Bytes with their digest. The caller chooses the thread on which the digest is computed.
#[derive(Clone, Debug)]
pub struct Blob {
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    /// Computes the digest. The time grows with the number of bytes.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), bytes }
    }

    /// The digest under which the bytes are stored.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Journal {
    /// The bytes with this digest, if they are stored. If other bytes are stored in their place, the result is an
    /// error: such bytes must be neither run nor shown.
    pub async fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        let digest = *digest;
        let checked = move |bytes: Vec<u8>| match Digest::of(&bytes) {
            found if found == digest => Ok(bytes),
            found => Err(ReadError::Damaged(format!("the bytes stored under {digest} have the digest {found}"))),
        };
        self.read(move |reader| reader.blob(&digest)?.map(checked).transpose()).await
    }
}
