//! The types of foreign functions, read from the calling component. The component's bytes are in
//! the journal under the digest that the action names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, Capability, Digest, FunctionType};
use holdshort_journal::Journal;
use holdshort_words::{Sentence, quote, say};

use crate::agent::Reader;
use crate::connectors::command::FunctionTypes;
use crate::runs::manifest;

/// The maximum number of cached types. A full cache is emptied, and types are read again.
const KNOWN_MAX: usize = 4_096;

/// Reads types from the components in the journal.
pub(super) struct ComponentTypes {
    journal: Journal,
    reader: Reader,
    known: Mutex<HashMap<(Digest, Capability), Arc<FunctionType>>>,
}

impl ComponentTypes {
    /// A reader for the components in `journal`.
    pub(super) fn of(journal: Journal, reader: Reader) -> Self {
        Self { journal, reader, known: Mutex::default() }
    }

    /// Reads the type of the called function. Caches the types of all imports of the component,
    /// because an agent that calls one function probably calls the others.
    async fn read(&self, action: &Action) -> Result<Arc<FunctionType>, Sentence> {
        let (component, capability) = (action.component(), action.capability());
        let manifest = manifest(&self.journal, &self.reader, component).await.map_err(quote)?;
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        for import in &manifest.imports {
            known.insert((component, import.capability.clone()), Arc::new(import.ty.clone()));
        }
        let found = known.get(&(component, capability.clone())).cloned();
        found.ok_or_else(|| say!("the component {} does not import `{}`", component, capability.clone()))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(Digest, Capability), Arc<FunctionType>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FunctionTypes for ComponentTypes {
    fn of<'a>(&'a self, action: &'a Action) -> BoxFuture<'a, Result<Arc<FunctionType>, Sentence>> {
        async move {
            let known = self.known().get(&(action.component(), action.capability().clone())).cloned();
            match known {
                Some(ty) => Ok(ty),
                None => self.read(action).await,
            }
        }
        .boxed()
    }
}
