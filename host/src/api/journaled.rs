//! The schema of recorded events: the gate's events, each kind with a schema of its own, shared by a run's history and
//! the stream.
//!
//! `tests/http` checks the schema: it validates one event of each kind, the events in the gate's golden files, and
//! every event that a host sends.

use holdshort_gate::{Event, RunId};
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{OneOf, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::events::FeedEvent;
use super::history::RunEvent;
use super::shapes::Moment;

/// A schema with one alternative for each kind of event. `beside` has the members of an event besides `type` and
/// `data`.
fn alternatives(description: &str, beside: &[(&str, RefOr<Schema>)]) -> RefOr<Schema> {
    let mut all = OneOf::new();
    all.description = Some(description.into());
    all.items = kinds(|mut kind, name, _| {
        kind.properties.extend(beside.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())));
        kind.required.extend(beside.iter().map(|(name, _)| (*name).to_owned()));
        kind.properties.insert("data".into(), Ref::from_schema_name(name).into());
        RefOr::T(Schema::Object(kind))
    });
    RefOr::T(Schema::OneOf(all))
}

/// Calls `each` for every kind of event, with the kind's schema, the name of the schema of its `data`, and that schema.
fn kinds<T>(each: impl Fn(Object, String, RefOr<Schema>) -> T) -> Vec<T> {
    let RefOr::T(Schema::OneOf(all)) = Event::schema() else { return Vec::new() };
    let one = |kind: RefOr<Schema>| {
        let RefOr::T(Schema::Object(mut kind)) = kind else { return None };
        let data = kind.properties.remove("data")?;
        let RefOr::T(Schema::Object(word)) = kind.properties.get("type")? else { return None };
        let word = word.enum_values.as_ref()?.first()?.as_str()?;
        let capital = |part: &str| {
            part.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(part.chars().skip(1)).collect::<String>()
        };
        let name = word.split('-').map(capital).collect::<String>() + "Data";
        Some(each(kind, name, data))
    };
    all.items.into_iter().filter_map(one).collect()
}

/// Adds the schemas that the alternatives refer to.
fn parts(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    Event::schemas(schemas);
    schemas.extend(kinds(|_, name, data| (name, data)));
    schemas.push((Moment::name().into(), Moment::schema()));
    schemas.push((RunId::name().into(), RunId::schema()));
}

fn named<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

impl PartialSchema for RunEvent {
    fn schema() -> RefOr<Schema> {
        let description = "An event of a run, as in the journal; `seq` is its number within the run, from 1. Times inside `data` are microseconds since 1970.";
        alternatives(description, &[("seq", u64::schema()), ("at", named::<Moment>())])
    }
}

impl ToSchema for RunEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        parts(schemas);
    }
}

impl PartialSchema for FeedEvent {
    fn schema() -> RefOr<Schema> {
        let description = "The `data` of one event of the stream. `position` is the position among all events of all runs, and is also the event's `id`; `type` is also the event's `event`; the other members are as in a run's history.";
        let number = u64::schema;
        let beside = [("position", number()), ("run", named::<RunId>()), ("seq", number()), ("at", named::<Moment>())];
        alternatives(description, &beside)
    }
}

impl ToSchema for FeedEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        parts(schemas);
    }
}
