//! An index by which similar calls are found: the waiting calls by the digests of their effect and their subject.

use std::collections::{BTreeSet, HashMap};

use holdshort_gate::{CallId, Digest, Similarity};

/// An index of the waiting calls.
#[derive(Default)]
pub(super) struct SimilarIndex {
    calls: HashMap<CallId, Similarity>,
    found: HashMap<Digest, BTreeSet<CallId>>,
}

impl SimilarIndex {
    /// Sets the digests by which the call is found. With `None` the call is no longer found, because it no longer
    /// waits.
    pub(super) fn changed(&mut self, id: &CallId, similarity: Option<&Similarity>) {
        let before = self.calls.remove(id);
        for digest in before.into_iter().flat_map(digests) {
            if let Some(ids) = self.found.get_mut(&digest) {
                ids.remove(id);
            }
        }
        if let Some(similarity) = similarity {
            for digest in digests(similarity.clone()) {
                self.found.entry(digest).or_default().insert(id.clone());
            }
            self.calls.insert(id.clone(), similarity.clone());
        }
    }

    /// The calls with this digest, the oldest first: ids of runs sort by the time at which the run began.
    pub(super) fn found(&self, digest: &Digest, most: usize) -> Vec<CallId> {
        self.found.get(digest).into_iter().flatten().take(most).cloned().collect()
    }
}

fn digests(Similarity { effect_digest, about }: Similarity) -> impl Iterator<Item = Digest> {
    std::iter::once(effect_digest).chain(about)
}
