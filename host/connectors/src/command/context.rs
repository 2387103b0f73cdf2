//! Runs a program that changes nothing, and reads the JSON that it prints.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use holdshort_gate::{Action, FunctionType, WitType};
use serde_json::Value;

use super::super::child::{ChildCommand, ChildEnd, ChildOutput, Children, Leftovers, NotStarted};
use super::super::program::{KEPT_BYTES_MAX, Program};
use super::super::{Sentence, quote, say};
use holdshort_common::once::once;

/// The types of foreign functions, which come from the calling component.
pub trait FunctionTypes: Send + Sync {
    /// The type of the action's function in its component, or the reason why it is unknown.
    fn of<'a>(&'a self, action: &'a Action) -> BoxFuture<'a, Result<Arc<FunctionType>, Sentence>>;
}

/// The context that all programs of a host share.
#[derive(Clone)]
pub struct CommandContext {
    pub(super) types: Arc<dyn FunctionTypes>,
    pub(super) children: Children,
    /// The number of programs that [`look`](Self::look) has started. The output files of a program are named
    /// after its number.
    looks: Arc<AtomicU64>,
}

impl CommandContext {
    /// `children` is the folder for the output of running programs.
    pub fn new(children: Children, types: Arc<dyn FunctionTypes>) -> Self {
        Self { types, children, looks: Arc::default() }
    }

    /// Runs `argv` within the limits of `program`. Processes that the program leaves behind are killed, because a
    /// program that only looks something up needs none.
    pub(super) async fn look(
        &self,
        program: &Program,
        argv: &[String],
        action: &Action,
        own: &[(&str, String)],
    ) -> Result<ChildEnd, Sentence> {
        let order = program.order(argv, action.canonical().into_bytes(), own);
        let order = ChildCommand { leftovers: Leftovers::Kill, ..order };
        loop {
            // Each start of the host numbers its programs from 0 again. So it overwrites the files of a killed host,
            // and files do not accumulate.
            let name = format!("look-{}", self.looks.fetch_add(1, Ordering::Relaxed));
            match self.children.run(&name, order.clone()).await {
                Ok(ended) => {
                    self.children.forget(&name).await;
                    return Ok(ended);
                }
                // A program of an earlier host still runs under this number, so the next number is tried.
                Err(NotStarted::Busy(_)) => {}
                Err(error) => return Err(error.sentence()),
            }
        }
    }
}

/// The variables that the host adds to every program's environment.
pub(super) fn own(action: &Action) -> Vec<(&'static str, String)> {
    vec![("HOLDSHORT_CAPABILITY", action.capability().to_string())]
}

/// The printed JSON; `None` if nothing was printed.
pub(super) fn printed_json(output: &ChildOutput) -> Result<Option<Value>, Sentence> {
    if output.is_cut() {
        return Err(say!("the program printed {} bytes; at most {} are read", output.written_bytes, KEPT_BYTES_MAX));
    }
    let text = output.bytes.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    once(text).map(Some).map_err(|error| say!("the output is not JSON: {}", quote(error)))
}

/// The printed JSON of type `ty`, in normal form. If the function returns nothing (`ty` is `None`), the program must
/// print nothing or `null`.
pub(super) fn printed(output: &ChildOutput, ty: Option<&WitType>) -> Result<Value, Sentence> {
    let value = match printed_json(output)? {
        Some(value) => value,
        None if ty.is_none() => Value::Null,
        None => return Err("the output is empty, although the function returns a value".into()),
    };
    match ty {
        Some(ty) => ty
            .normalise(&value)
            .map_err(|error| say!("the output is not a value of the function's type: {}", quote(error))),
        None if value.is_null() => Ok(value),
        None => Err("the program printed a value, although the function returns no value".into()),
    }
}
