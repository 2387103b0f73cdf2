//! The parts of a form for a draft, in their order.

use holdshort_gate::WitType;

use super::{Draft, Name, Shape, Wrong, expected};
use crate::review::Text;

/// Labels of text fields that always get several lines.
const LONG: [&str; 6] = ["body", "content", "description", "message", "notes", "text"];

/// A field, or the beginning or end of a group.
#[derive(Debug)]
pub(in crate::page) struct Part {
    pub(in crate::page) name: Name,
    pub(in crate::page) label: Text,
    pub(in crate::page) hint: Text,
    pub(in crate::page) wrong: Option<Text>,
    /// Warnings and notes about the text in the field.
    pub(in crate::page) remarks: Vec<Text>,
    pub(in crate::page) kind: Kind,
}

/// The kinds of parts.
#[derive(Debug)]
pub(in crate::page) enum Kind {
    Line(Text),
    Area(Text),
    /// A number; the flag allows a fraction.
    Number(Text, bool),
    Tick(bool),
    /// A choice; the flag marks the chosen option.
    Pick(Vec<(Text, bool)>),
    /// A number in a hidden field, which the browser sends back.
    Hidden(usize),
    /// The beginning of a group.
    Open,
    /// The end of a group.
    Close,
    /// A button that adds an item to this list.
    More,
    /// A button that shows the fields of the chosen case.
    Fields,
}

/// The parts of a draft. The form itself is the group of the whole value.
pub(in crate::page) fn parts(draft: &Draft, ty: &WitType, wrong: &Wrong) -> Vec<Part> {
    let mut layout = Layout { wrong, parts: Vec::new() };
    match (draft, Shape::of(ty, 0)) {
        (Draft::All(drafts), Shape::All(types)) => layout.all(drafts, &types, &Name::root(), 1),
        _ => layout.add(draft, ty, &Name::root(), "value", 0),
    }
    layout.parts
}

struct Layout<'a> {
    wrong: &'a Wrong,
    parts: Vec<Part>,
}

impl Layout<'_> {
    fn push(&mut self, name: Name, label: &str, hint: &str, kind: Kind) {
        let wrong = self.wrong.get(&name).filter(|_| !matches!(kind, Kind::Close | Kind::Hidden(_))).cloned();
        let (label, hint) = (Text::line(label), Text::line(hint));
        self.parts.push(Part { name, label, hint, wrong, remarks: Vec::new(), kind });
    }

    fn all(&mut self, drafts: &[Draft], types: &[(Option<&str>, &WitType)], name: &Name, depth: usize) {
        for (index, (draft, (label, ty))) in drafts.iter().zip(types).enumerate() {
            let entry = format!("{}.", index + 1);
            self.add(draft, ty, &name.part(index), label.unwrap_or(&entry), depth);
        }
    }

    fn add(&mut self, draft: &Draft, ty: &WitType, name: &Name, label: &str, depth: usize) {
        match (draft, Shape::of(ty, depth)) {
            (Draft::Typed(text), shape) => self.typed(text, ty, &shape, name, label),
            (Draft::Ticked(yes), _) => self.push(name.clone(), label, "", Kind::Tick(*yes)),
            (Draft::Picked(index), Shape::Pick(cases)) => {
                self.push(name.clone(), label, "", pick(cases.iter().map(String::as_str), *index));
            }
            (draft, shape) => {
                let count =
                    if let Draft::List(items) = draft { format!("a list of {}", items.len()) } else { String::new() };
                self.push(name.of("group"), label, &count, Kind::Open);
                self.group(draft, shape, name, label, depth + 1);
                self.push(name.of("group"), "", "", Kind::Close);
            }
        }
    }

    fn typed(&mut self, text: &str, ty: &WitType, shape: &Shape<'_>, name: &Name, label: &str) {
        let shown = Text::field(text);
        let long = text.contains('\n') || (*ty == WitType::String && LONG.contains(&label));
        let (hint, kind) = if matches!(shape, Shape::Number) {
            (expected(ty), Kind::Number(Text::line(text), matches!(ty, WitType::F32 | WitType::F64)))
        } else if matches!(shape, Shape::Json) {
            (format!("{}, as JSON", expected(ty)), Kind::Area(shown))
        } else {
            let hint = if *ty == WitType::String { String::new() } else { expected(ty) };
            (hint, if long { Kind::Area(shown) } else { Kind::Line(shown) })
        };
        self.push(name.clone(), label, &hint, kind);
        if let Some(part) = self.parts.last_mut() {
            part.remarks = Text::remarks(label, text);
        }
    }

    fn group(&mut self, draft: &Draft, shape: Shape<'_>, name: &Name, label: &str, depth: usize) {
        match (draft, shape) {
            (Draft::Flags(set), Shape::Flags(flags)) => {
                for (index, (flag, set)) in flags.iter().zip(set).enumerate() {
                    self.push(name.part(index), flag, "", Kind::Tick(*set));
                }
            }
            (Draft::Maybe(given, draft), Shape::Maybe(inner)) => {
                self.push(name.of("given"), "given", "leave the box empty for no value", Kind::Tick(*given));
                self.add(draft, inner, &name.part(0), label, depth);
            }
            (Draft::All(drafts), Shape::All(types)) => self.all(drafts, &types, name, depth),
            (Draft::List(items), Shape::List(inner)) => {
                for (index, item) in items.iter().enumerate() {
                    let (name, number) = (name.part(index), index + 1);
                    self.push(name.of("item"), "", "", Kind::Hidden(1));
                    self.add(item, inner, &name, &format!("{label} {number}"), depth);
                    self.push(name.of("remove"), &format!("remove {label} {number}"), "", Kind::Tick(false));
                }
                self.push(name.clone(), label, "", Kind::More);
            }
            (Draft::Case { picked, payload, .. }, Shape::Case(cases)) => {
                self.push(name.clone(), "which", "", pick(cases.iter().map(|(case, _)| *case), *picked));
                self.push(name.of("was"), "", "", Kind::Hidden(*picked));
                if let Some((draft, (case, Some(ty)))) = payload.as_deref().zip(cases.get(*picked)) {
                    self.add(draft, ty, &name.part(0), case, depth);
                }
                if cases.iter().any(|(_, ty)| ty.is_some()) {
                    self.push(name.of("fields"), label, "", Kind::Fields);
                }
            }
            // A draft always matches its type, so this case does not occur.
            _ => {}
        }
    }
}

fn pick<'a>(words: impl Iterator<Item = &'a str>, picked: usize) -> Kind {
    Kind::Pick(words.enumerate().map(|(index, word)| (Text::line(word), index == picked)).collect())
}
