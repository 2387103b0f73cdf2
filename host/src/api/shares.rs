//! Counts each reviewer's share of a limited resource, so that no reviewer can use all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::auth::Reviewer;

/// The current counts.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<HashMap<Reviewer, usize>>);

/// One unit of a reviewer's share. Dropping it returns the unit.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Shares>,
    whose: Reviewer,
}

impl Shares {
    /// Takes one unit for this reviewer, if they have fewer than `most`.
    pub(super) fn take(self: &Arc<Self>, whose: &Reviewer, most: usize) -> Option<Share> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(whose.clone()).or_default();
        (*own < most).then(|| {
            *own += 1;
            Share { of: self.clone(), whose: whose.clone() }
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(&self.whose) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.whose);
            }
        }
    }
}
