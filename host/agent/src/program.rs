//! A component that is ready to run.

use std::sync::Arc;

use holdshort_gate::{Capability, FunctionType};
use wasmtime::component::{ComponentExportIndex, InstancePre};

use super::manifest::Entry;
use super::state::State;
use super::ticker::Ticker;

/// A compiled component, which can be started any number of times. A clone is cheap.
#[derive(Clone)]
pub struct Program(pub(super) Arc<Compiled>);

/// Compiled code, with its imports and its entry point, which the host looks up once for all runs.
pub(super) struct Compiled {
    pub(super) ticker: Option<Arc<Ticker>>,
    pub(super) instance: InstancePre<State>,
    pub(super) run: ComponentExportIndex,
    pub(super) entry: Entry,
    pub(super) imports: Vec<(Arc<Capability>, Arc<FunctionType>)>,
    pub(super) bytes: usize,
}

impl Program {
    /// The memory that the program's code takes.
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// Whether a guest uses the program now, or will use it soon.
    pub fn is_running(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}
