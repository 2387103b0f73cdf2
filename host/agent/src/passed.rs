//! The size of one call of a guest. The engine has one limit for all functions, and a conversation with a model may be
//! larger than any other call.

use std::sync::Arc;

use holdshort_gate::{Capability, FunctionType};
use wasmtime::component::Val;

use super::package::is_model;

/// The maximum size of a question to a model.
const MODEL_BYTES_MAX: usize = 2 << 20;

/// The engine's limit for a component with these imports.
pub(super) fn engine_limit(imports: &[(Arc<Capability>, Arc<FunctionType>)], arguments_max_bytes: usize) -> usize {
    if imports.iter().any(|(capability, _)| is_model(capability)) {
        arguments_max_bytes.max(MODEL_BYTES_MAX)
    } else {
        arguments_max_bytes
    }
}

/// Whether a call is larger than its function allows. Without a model, the engine has judged that already.
pub(super) fn is_too_large(capability: &Capability, params: &[Val], arguments_max_bytes: usize) -> bool {
    !is_model(capability) && params.iter().map(bytes).sum::<usize>() > arguments_max_bytes
}

/// The size of a value, as the engine counts it.
fn bytes(value: &Val) -> usize {
    const EACH: usize = size_of::<Val>();
    let payload = |payload: &Option<Box<Val>>| payload.as_ref().map_or(0, |payload| EACH + bytes(payload));
    match value {
        Val::String(text) | Val::Enum(text) => text.len(),
        Val::List(items) | Val::Tuple(items) => items.iter().map(|item| EACH + bytes(item)).sum(),
        Val::Record(fields) => fields.iter().map(|(name, field)| EACH + name.len() + bytes(field)).sum(),
        Val::Variant(case, inner) => case.len() + payload(inner),
        Val::Option(inner) | Val::Result(Ok(inner) | Err(inner)) => payload(inner),
        Val::Bool(_)
        | Val::S8(_)
        | Val::U8(_)
        | Val::S16(_)
        | Val::U16(_)
        | Val::S32(_)
        | Val::U32(_)
        | Val::S64(_)
        | Val::U64(_)
        | Val::Float32(_)
        | Val::Float64(_)
        | Val::Char(_)
        | Val::Flags(_)
        // Functions with the other types are refused when the component is loaded.
        | Val::Map(_)
        | Val::FixedLengthList(_)
        | Val::Resource(_)
        | Val::Future(_)
        | Val::Stream(_)
        | Val::ErrorContext(_) => 0,
    }
}
