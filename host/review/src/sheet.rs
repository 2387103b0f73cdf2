//! An action as a page shows it. Content and order are the same as in [`terminal`](super::terminal). A template puts
//! the parts on the page.

use holdshort_gate::{RATIONALE, WitType};
use serde_json::Value;

use super::changes::ValueChange;
use super::outline::{self, Row, RowContent};
use super::terminal::{ShownCall, split};
use super::text::Text;

/// The parts of an action, in their order.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The connector's summary in one line.
    pub summary: Text,
    /// Warnings about texts that are likely to be misread, and about claims that contradict the
    /// facts.
    pub warnings: Vec<Text>,
    /// Notes about texts with spellings that a reader could confuse with other spellings.
    pub notes: Vec<Text>,
    /// The action, without the agent's rationale.
    pub done: Vec<Item>,
    /// The facts that are compared again before the effect starts.
    pub holds: Vec<Item>,
    pub claims: Vec<Item>,
}

/// A label and its value.
#[derive(Clone, Debug)]
pub struct Item {
    /// The depth of the item's indentation.
    pub depth: usize,
    /// The field's name, or the item's number. It is empty for a single value, which has neither.
    pub label: Text,
    pub shape: Shape,
}

/// The layout of a value.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A value on one line.
    Inline(Text),
    /// A text of several lines, and its length in bytes.
    Block(Vec<Text>, usize),
    /// A group. Its entries follow, one level deeper. The text says how many entries there are.
    Group(Text),
}

impl Sheet {
    /// Lays out the content of a call.
    pub fn of(content: &ShownCall<'_>) -> Self {
        let params = content.function.map(|function| function.params.as_slice());
        let (done, claimed) = split(content.arguments);
        let rows = match &done {
            Ok(fields) => outline::arguments(fields, params),
            Err(value) => outline::outline(value, None),
        };
        let ty = params.and_then(|params| params.iter().find(|(name, _)| name == RATIONALE)).map(|(_, ty)| ty);
        let holds = Some(content.preconditions).filter(|value| !value.is_null());
        Self {
            summary: Text::line(content.summary),
            warnings: content.warnings().into_iter().map(Text::seen).collect(),
            notes: content.notes().into_iter().map(Text::seen).collect(),
            done: rows.into_iter().map(Item::from).collect(),
            holds: holds.map(|value| Item::all(value, None)).unwrap_or_default(),
            claims: claimed.map(|claimed| Item::all(claimed, ty)).unwrap_or_default(),
        }
    }
}

impl Item {
    /// The rows of one value. The type, if known, gives the order of fields.
    pub fn all(value: &Value, ty: Option<&WitType>) -> Vec<Self> {
        outline::outline(value, ty).into_iter().map(Self::from).collect()
    }

    /// The changes of an edit: position, old value, new value.
    pub fn changes(changes: &[ValueChange]) -> Vec<(Text, Vec<Self>, Vec<Self>)> {
        let side = |value: &Option<Value>| value.as_ref().map(|value| Self::all(value, None)).unwrap_or_default();
        let place = |change: &ValueChange| Text::seen(change.place.clone());
        changes.iter().map(|change| (place(change), side(&change.before), side(&change.after))).collect()
    }
}

impl From<Row> for Item {
    fn from(Row { depth, label, content }: Row) -> Self {
        let shape = match content {
            RowContent::Inline(text) => Shape::Inline(Text::seen(text)),
            RowContent::Block { lines, bytes } => Shape::Block(lines.into_iter().map(Text::seen).collect(), bytes),
            RowContent::Group(note) => Shape::Group(Text::seen(note)),
        };
        Self { depth, label: Text::seen(label), shape }
    }
}
