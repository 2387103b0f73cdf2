//! Bytes that are stored under their digest: components and evidence.
//!
//! **Invariant:** Stored bytes are checked against their digest whenever they are read. If a component or an exhibit
//! was replaced in the journal, the host neither runs nor shows it; a run that needs it waits until the right bytes are
//! back. A run therefore diverges only if somebody changed the journal by hand, or if this host runs agents differently
//! from the host that began the run.

use holdshort_gate::{CallNumber, Command, Digest, RunId};

use crate::error::{ReadError, SubmitError};
use crate::fence::Fence;
use crate::flushed::Flushed;
use crate::journal::Journal;
use crate::submit::{Submitted, Task, Typed};

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

    /// The name that the bytes are kept by.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Journal {
    /// Submits a command as [`submit`](Self::submit) does. `evidence` is written in the same transaction, so that the
    /// command's events never name bytes that are not stored. A command without events writes no evidence.
    pub fn submit_with<C: Command>(
        &self,
        run: &RunId,
        call: Option<CallNumber>,
        fence: Fence,
        command: C,
        evidence: Vec<Blob>,
    ) -> Submitted<C::Out> {
        let (reply, submitted) = Submitted::new();
        let work = Box::new(Typed::new(command, reply));
        self.send(Task::Command { run: run.clone(), call, fence, work, evidence });
        submitted
    }

    /// Stores bytes under their digest. They are on disk when the method returns; storing them again changes nothing.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<Flushed<Digest>, SubmitError> {
        // A component may have up to 128 MiB, and tasks that serve people must not wait for its digest.
        let digested = self.blocking(move || Blob::of(bytes)).await;
        let blob = digested.map_err(|stopped| SubmitError::NotWritten(stopped.to_string()))?;
        self.keep(blob).await
    }

    /// Stores bytes whose digest is already computed.
    pub async fn keep(&self, Blob { digest, bytes }: Blob) -> Result<Flushed<Digest>, SubmitError> {
        let (reply, submitted) = Submitted::new();
        self.send(Task::Blob { digest, bytes, reply });
        submitted.await
    }

    /// The bytes with this digest, if they are stored. If other bytes are stored in their place, the result is an
    /// error: such bytes must be neither run nor shown.
    pub async fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        let digest = *digest;
        let checked = move |bytes: Vec<u8>| match Digest::of(&bytes) {
            found if found == digest => Ok(bytes),
            found => Err(ReadError::Damaged(format!("the bytes that should be {digest} are {found}"))),
        };
        self.read(move |reader| reader.blob(&digest)?.map(checked).transpose()).await
    }
}
