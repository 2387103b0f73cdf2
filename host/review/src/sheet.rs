//! An action as a page shows it: the same content in the same order as [`terminal`](super::terminal), in parts that a template lays out.

use holdshort_gate::{RATIONALE, WitType};
use serde_json::Value;

use super::changes::Change;
use super::outline::{self, Content, Row};
use super::terminal::{Matter, split};
use super::text::Text;

/// The parts, in their order.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// One line by the connector.
    pub summary: Text,
    /// What is made to be misread, and what is claimed and not so.
    pub warnings: Vec<Text>,
    /// How texts are written that could be taken for others.
    pub notes: Vec<Text>,
    /// The action, without the agent's reasons.
    pub done: Vec<Item>,
    /// What must still hold when the effect starts.
    pub holds: Vec<Item>,
    /// The agent's own words.
    pub claims: Vec<Item>,
}

/// A label and what stands there.
#[derive(Clone, Debug)]
pub struct Item {
    /// How deep it stands.
    pub depth: usize,
    /// A field's name, or an entry's number; empty for a value on its own.
    pub label: Text,
    /// What stands there.
    pub shape: Shape,
}

/// What stands at a place.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A value on one line.
    Inline(Text),
    /// A text of several lines, with its length in bytes.
    Block(Vec<Text>, usize),
    /// Entries that follow, one deeper; the text says how many.
    Group(Text),
}

impl Sheet {
    /// What is shown of an action.
    pub fn of(matter: &Matter<'_>) -> Self {
        let params = matter.function.map(|function| function.params.as_slice());
        let (done, claimed) = split(matter.arguments);
        let rows = match &done {
            Ok(fields) => outline::arguments(fields, params),
            Err(value) => outline::outline(value, None),
        };
        let ty = params.and_then(|params| params.iter().find(|(name, _)| name == RATIONALE)).map(|(_, ty)| ty);
        let holds = Some(matter.preconditions).filter(|value| !value.is_null());
        Self {
            summary: Text::line(matter.summary),
            warnings: matter.warnings().into_iter().map(Text::seen).collect(),
            notes: matter.notes().into_iter().map(Text::seen).collect(),
            done: rows.into_iter().map(Item::from).collect(),
            holds: holds.map(|value| Item::all(value, None)).unwrap_or_default(),
            claims: claimed.map(|claimed| Item::all(claimed, ty)).unwrap_or_default(),
        }
    }
}

impl Item {
    /// All of a value. Its type, if it is known, gives the order of fields.
    pub fn all(value: &Value, ty: Option<&WitType>) -> Vec<Self> {
        outline::outline(value, ty).into_iter().map(Self::from).collect()
    }

    /// What an edit changes, place by place: what stood there, and what stands there now.
    pub fn changes(changes: &[Change]) -> Vec<(Text, Vec<Self>, Vec<Self>)> {
        let side = |value: &Option<Value>| value.as_ref().map(|value| Self::all(value, None)).unwrap_or_default();
        let place = |change: &Change| Text::seen(change.place.clone());
        changes.iter().map(|change| (place(change), side(&change.before), side(&change.after))).collect()
    }
}

impl From<Row> for Item {
    fn from(Row { depth, label, content }: Row) -> Self {
        let shape = match content {
            Content::Inline(text) => Shape::Inline(Text::seen(text)),
            Content::Block { lines, bytes } => Shape::Block(lines.into_iter().map(Text::seen).collect(), bytes),
            Content::Group(note) => Shape::Group(Text::seen(note)),
        };
        Self { depth, label: Text::seen(label), shape }
    }
}
