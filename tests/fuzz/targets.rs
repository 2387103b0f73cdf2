//! The fuzz targets, which the ordinary test runs too: one function for each kind of input that comes from outside.
//!
//! Each function fails with a panic. It returns whether the bytes were accepted to the end. A corpus has inputs that
//! are accepted and inputs that are not.
#![allow(dead_code, reason = "a fuzz target uses one of them")]

use std::path::{Path, PathBuf};

use holdshort::agent::Manifest;
use holdshort::api::decisions;
use holdshort::config::{Config, ConfigContext};
use holdshort::review::terminal;
use holdshort::review::{ShownCall, ShownExhibit, changes};
use holdshort_gate::command::Subject;
use holdshort_gate::{Action, Capability, Digest, EffectKey, Event, FunctionType, JournalId, RunId, Time, WitType};
use serde::Deserialize;
use serde_json::Value;

/// The name of a target, and its function.
pub(crate) type Target = (&'static str, fn(&[u8]) -> bool);

/// All targets. The review page (HTML) and the policy language have no target here.
pub(crate) const TARGETS: &[Target] = &[
    ("action", action),
    ("component", component),
    ("config", config),
    ("decision", decision),
    ("event", event),
    ("ids", ids),
    ("terminal", terminal),
    ("wit-value", wit_value),
];

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// An agent's call. Arguments that fit their type have one spelling and one digest, however often they are read and
/// written.
pub(crate) fn action(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Call {
        #[serde(rename = "type")]
        ty: FunctionType,
        arguments: Value,
    }
    let Some(Call { ty, arguments }) = json(bytes) else { return false };
    let capability: Capability = "acme:mail/send@1.0.0#send".parse().unwrap();
    let make = |arguments: &Value| Action::new(Digest::of(b"component"), capability.clone(), &ty, arguments);
    if !ty.params.iter().all(|(_, ty)| is_wit(ty)) || !are_names(ty.params.iter().map(|(name, _)| name)) {
        return false;
    }
    let Ok(action) = make(&arguments) else { return false };
    let canonical = action.canonical();
    let again = make(action.arguments()).unwrap();
    assert_eq!(
        (again.canonical(), again.digest()),
        (canonical.clone(), action.digest()),
        "its own normal form is another"
    );
    let read: Value = serde_json::from_str(&action.canonical_arguments()).unwrap();
    assert_eq!(make(&read).unwrap(), action, "read back from its canonical bytes it is another");
    let kept: Action = serde_json::from_str(&serde_json::to_string(&action).unwrap()).unwrap();
    assert_eq!(kept.canonical(), canonical, "read back from the journal it is another");
    true
}

/// Whether a type is possible in WIT: no name occurs twice.
fn is_wit(ty: &WitType) -> bool {
    match ty {
        WitType::List(inner) | WitType::Option(inner) => is_wit(inner),
        WitType::Tuple(types) => !types.is_empty() && types.iter().all(is_wit),
        WitType::Record(fields) => {
            are_names(fields.iter().map(|(name, _)| name)) && fields.iter().all(|(_, ty)| is_wit(ty))
        }
        WitType::Variant(cases) => {
            are_names(cases.iter().map(|(name, _)| name)) && cases.iter().all(|(_, ty)| ty.as_ref().is_none_or(is_wit))
        }
        WitType::Enum(names) | WitType::Flags(names) => are_names(names.iter()),
        WitType::Result { ok, err } => [ok, err].into_iter().all(|ty| ty.as_deref().is_none_or(is_wit)),
        WitType::Bool
        | WitType::U8
        | WitType::U16
        | WitType::U32
        | WitType::U64
        | WitType::S8
        | WitType::S16
        | WitType::S32
        | WitType::S64
        | WitType::F32
        | WitType::F64
        | WitType::Char
        | WitType::String => true,
    }
}

fn are_names<'a>(names: impl Iterator<Item = &'a String>) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    names.into_iter().all(|name| !name.is_empty() && seen.insert(name))
}

/// A value of some type. Normalising a normal form again must not change it.
pub(crate) fn wit_value(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        ty: WitType,
        value: Value,
    }
    let Some(Typed { ty, value }) = json(bytes) else { return false };
    assert!(!ty.name().is_empty());
    let written = serde_json::to_string(&ty).unwrap();
    assert_eq!(serde_json::from_str::<WitType>(&written).unwrap(), ty);
    if !is_wit(&ty) {
        return false;
    }
    match ty.normalise(&value) {
        Ok(normal) => {
            assert_eq!(ty.normalise(&normal).as_ref(), Ok(&normal), "{value}");
            true
        }
        Err(mismatch) => {
            assert!(!mismatch.to_string().is_empty());
            false
        }
    }
}

/// The events of a journal, possibly changed by hand. Events that do not fit are an error, and events that fit are read
/// as they were written.
pub(crate) fn event(bytes: &[u8]) -> bool {
    let Some(events) = json::<Vec<Event>>(bytes) else { return false };
    let mut subject = Subject::new(JournalId("journal".into()), RunId("run".into()), EffectKey("key".into()));
    let mut all_fit = !events.is_empty();
    for (event, at) in events.iter().zip(1..) {
        let written = serde_json::to_string(event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&written).unwrap(), *event, "{written}");
        all_fit &= subject.apply(event, Time(at)).is_ok();
    }
    all_fit
}

/// A request to decide: the id of the approval on the first line, the body below.
pub(crate) fn decision(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (id, body) = (String::from_utf8_lossy(&bytes[..end]), bytes.get(end + 1..).unwrap_or_default());
    let checked = decisions::check(&id, body);
    if checked.is_ok() {
        let body: Value = serde_json::from_slice(body).unwrap();
        let digest = body["digest"].as_str().unwrap();
        assert_eq!(digest.parse::<Digest>().unwrap().to_string(), digest);
    }
    checked.is_ok()
}

/// Call content on a reviewer's terminal: no character that a terminal obeys, and two different values never look
/// alike.
pub(crate) fn terminal(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Shown {
        columns: u16,
        summary: String,
        arguments: Value,
        other: Value,
        preconditions: Value,
        evidence: Vec<(String, String, Option<String>)>,
    }
    let text = String::from_utf8_lossy(bytes);
    for lines in [terminal::said("claims: ", &text, 80), terminal::row("task: ", &text, 40)] {
        are_harmless(&lines);
    }
    let Some(shown) = json::<Shown>(bytes) else { return false };
    let exhibits: Vec<ShownExhibit> = shown
        .evidence
        .into_iter()
        .map(|(title, kind, text)| ShownExhibit { title, kind, bytes: text.map(Into::into) })
        .collect();
    let page = |arguments: &Value| {
        let facts = [("Agent", shown.summary.clone())];
        let content = ShownCall {
            summary: &shown.summary,
            facts: &facts,
            arguments,
            function: None,
            exhibits: &exhibits,
            preconditions: &shown.preconditions,
            differences: Vec::new(),
        };
        let lines = terminal::action(&content, shown.columns.into());
        are_harmless(&lines);
        are_harmless(&terminal::refused(&facts, arguments, shown.columns.into()));
        terminal::plain(&lines)
    };
    let (one, other) = (normal(&shown.arguments), normal(&shown.other));
    let (Value::Object(_), Value::Object(_)) = (&one, &other) else { return false };
    let (one_page, other_page) = (page(&one), page(&other));
    let changed = changes(&one, &other);
    are_harmless(&terminal::changes(&changed, shown.columns.into()));
    assert_eq!(one == other, changed.is_empty());
    assert_eq!(one == other, one_page == other_page, "{one} and {other} look alike:\n{one_page}\n{other_page}");
    true
}

fn are_harmless(lines: &[terminal::Line]) {
    for line in lines {
        let wrong = line.text().chars().find(|c| c.is_control());
        assert_eq!(wrong, None, "{:?}", line.text());
    }
}

/// Numbers in the form that an action uses: one spelling each.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(_) => WitType::F64.normalise(value).unwrap_or(Value::Null),
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), normal(value))).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// An operator's configuration file.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let around = ConfigContext { folder: PathBuf::from("/nowhere"), is_repository: false, operator: "olga".into() };
    match Config::parse(text, Some(Path::new("/nowhere/holdshort.toml")), &around) {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// An agent's file, before any of it is compiled.
pub(crate) fn component(bytes: &[u8]) -> bool {
    match Manifest::read(bytes) {
        Ok(manifest) => {
            assert_eq!(manifest.digest, Digest::of(bytes));
            for import in &manifest.imports {
                assert_eq!(import.capability.to_string().parse::<Capability>().unwrap(), import.capability);
                assert!(import.ty.params.iter().all(|(_, ty)| is_wit(ty)), "{import:?}");
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Names as text. A name that was read is written in the same spelling, so that one thing has one name.
pub(crate) fn ids(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let digest = text.parse::<Digest>().map(|digest| digest.to_string());
    let capability = text.parse::<Capability>().map(|capability| capability.to_string());
    let read = [digest.ok(), capability.ok()];
    for written in read.iter().flatten() {
        assert_eq!(written, text);
    }
    read.iter().any(Option::is_some)
}
