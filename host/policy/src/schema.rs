//! Writes this host's Cedar schema from the WIT types of its capabilities, so that a policy about
//! something unknown is refused when it is loaded.
//!
//! A call is the `resource` of every question. The type of a call is named after its function:
//! `payments::TransferFunds` for a function of this project, `acme::crm::contacts::DeleteContact` for a function of
//! another package. WIT's `minor-units` is `minor_units` here. All versions of an interface share one type name. If a
//! version lacks an attribute that a policy uses, evaluation fails, and the call is held.
//!
//! **Invariant:** each capability has a Cedar type of its own, and the call is the resource of every question. So
//! arguments and facts are type-checked when policies are loaded, in policies on clearing, reviewing and deciding
//! alike.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use holdshort_gate::{Capability, FunctionType, WitType};
use serde::{Deserialize, Serialize};

/// The part of the schema that is the same on every host.
const COMMON: &str = r#"
// People and the groups that the configuration names.
entity Group;
entity Person in [Group];

// The caller: an agent by its configured name, with the digest of its component.
entity Agent {
    digest: String,
};

// The earlier calls of this capability that were cleared or approved: their number, and their money in the currency of this call, in the smallest unit.
type Total = {
    count: Long,
    sum: Long,
};

// What language models have cost so far, in millionths of the currency of the configured prices, or the tokens that they took.
type Spent = {
    run: Long,
    agent: Long,
    agent_today: Long,
    today: Long,
};

// The date and the time of day in the configured time zone (`time-zone` under `[policy]`; by default UTC), with daylight saving time.
type LocalTime = {
    // The zone's name, such as "Europe/Zagreb".
    zone: String,
    // "2026-11-27"
    date: String,
    year: Long,
    month: Long,
    day: Long,
    // "monday" to "sunday"
    weekday: String,
    // 0 to 23, and 0 to 59.
    hour: Long,
    minute: Long,
    // The time of day: `local.time >= duration("15h30m")` from half past three.
    time: duration,
};

type Question = {
    now: datetime,
    local: LocalTime,
    run: { id: String, started_by: Person },
    totals: { run: Total, agent: Total, agent_today: Total, today: Total, model_cost: Spent, model_tokens: Spent },
    // The agent's own claim, between 0 and 1; rounded down to four digits.
    confidence?: decimal,
    // "low", "medium" or "high", as the connector sees it.
    consequence: String,
};
"#;

/// The capabilities in use: the types of their functions and of their facts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Types {
    functions: BTreeMap<Capability, FunctionType>,
    facts: BTreeMap<Capability, FactTypes>,
}

/// The facts of a capability with their types.
pub type FactTypes = BTreeMap<String, WitType>;

impl Types {
    /// Replaces the facts of all capabilities.
    #[must_use]
    pub fn with_facts(self, facts: BTreeMap<Capability, FactTypes>) -> Self {
        Self { facts, ..self }
    }

    /// The type of a function in use.
    pub fn get(&self, capability: &Capability) -> Option<&FunctionType> {
        self.functions.get(capability)
    }

    /// All functions in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Capability, &FunctionType)> {
        self.functions.iter()
    }

    /// The facts of a capability. A fact can be missing for a call. Then a policy that uses the fact fails, and the
    /// call is held.
    pub fn facts(&self, capability: &Capability) -> FactTypes {
        self.facts.get(capability).cloned().unwrap_or_default()
    }
}

impl FromIterator<(Capability, FunctionType)> for Types {
    fn from_iter<T: IntoIterator<Item = (Capability, FunctionType)>>(functions: T) -> Self {
        Self { functions: functions.into_iter().collect(), facts: BTreeMap::new() }
    }
}

/// The schema for these capabilities.
pub fn schema(types: &Types) -> String {
    let mut spaces = BTreeMap::<String, BTreeMap<String, String>>::new();
    for (capability, ty) in types.iter() {
        let (space, name) = entity_type(capability);
        let body = format!(
            "        arguments: {},\n        facts: {},\n",
            record(ty.params.iter().map(|(name, ty)| (name.as_str(), ty)), 2),
            record(types.facts(capability).iter().map(|(name, ty)| (name.as_str(), ty)), 2)
        );
        spaces.entry(space).or_default().insert(name, body);
    }
    let mut text = COMMON.trim_start().to_owned();
    let mut resources = Vec::new();
    for (space, entities) in &spaces {
        // Writing to a string cannot fail.
        let _ = write!(text, "\nnamespace {space} {{\n");
        for (name, body) in entities {
            let _ = write!(text, "    entity {name} {{\n{body}    }};\n");
            resources.push(format!("{space}::{name}"));
        }
        text += "}\n";
    }
    let resources = resources.join(", ");
    for (action, principal, says) in [
        ("call", "Agent", "`permit` clears a call, `forbid` refuses it; if no policy matches, the call is held."),
        ("review", "Agent", "`permit` says by its annotations who must decide on a call that is held."),
        ("decide", "Person", "`permit` says who may decide at all."),
        (
            "grant",
            "Person",
            "`permit` says who may make a grant with their approval of a call that needs no other reviewer.",
        ),
    ] {
        let _ = write!(text, "\n// {says}\naction \"{action}\" appliesTo {{\n    principal: [{principal}],\n");
        let _ = write!(text, "    resource: [{resources}],\n    context: Question,\n}};\n");
    }
    text
}

/// The name of a call's type in two parts: the namespace, and the name within it.
pub fn entity_type(capability: &Capability) -> (String, String) {
    let interface = capability.interface().split('@').next().unwrap_or_default();
    let ours = interface.strip_prefix("holdshort:agent/");
    let parts = ours.unwrap_or(interface).split([':', '/', '.', '+']).filter(|part| !part.is_empty());
    let space = parts.map(|part| word(&attribute(part))).collect::<Vec<_>>().join("::");
    let capital = |part: &str| part.chars().take(1).flat_map(char::to_uppercase).chain(part.chars().skip(1)).collect();
    let name: String = capability.function().split('-').map(capital).collect::<Vec<String>>().concat();
    (space, name)
}

/// A WIT name as an attribute.
pub fn attribute(name: &str) -> String {
    name.replace('-', "_")
}

/// A name as a Cedar identifier: a keyword, and a name that does not begin with a letter, get `_` in
/// front.
pub fn word(name: &str) -> String {
    const RESERVED: [&str; 10] = ["true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"];
    let plain = !RESERVED.contains(&name) && name.starts_with(|first: char| first.is_ascii_alphabetic());
    if plain { name.to_owned() } else { format!("_{name}") }
}

fn record<'a>(fields: impl Iterator<Item = (&'a str, &'a WitType)>, depth: usize) -> String {
    let indent = "    ".repeat(depth + 1);
    let field = |(name, ty): (&str, &WitType)| {
        let (optional, ty) = optional(ty);
        let optional = if optional { "?" } else { "" };
        format!("{indent}\"{}\"{optional}: {},\n", attribute(name), cedar(ty, depth + 1))
    };
    let fields: String = fields.map(field).collect();
    if fields.is_empty() { "{}".into() } else { format!("{{\n{fields}{}}}", "    ".repeat(depth)) }
}

/// Whether a field is optional, and the type of its value.
pub fn optional(ty: &WitType) -> (bool, &WitType) {
    if let WitType::Option(inner) = ty { (true, inner) } else { (false, ty) }
}

/// The Cedar type of a WIT type; [`super::values`] converts the values.
fn cedar(ty: &WitType, depth: usize) -> String {
    match ty {
        WitType::Bool => "Bool".into(),
        WitType::U8
        | WitType::U16
        | WitType::U32
        | WitType::U64
        | WitType::S8
        | WitType::S16
        | WitType::S32
        | WitType::S64 => "Long".into(),
        WitType::F32 | WitType::F64 => "decimal".into(),
        WitType::Char | WitType::String | WitType::Enum(_) => "String".into(),
        WitType::Flags(_) => "Set<String>".into(),
        // Cedar cannot compare bytes, so a policy gets only their number.
        WitType::List(item) if **item == WitType::U8 => "{ \"bytes\": Long }".into(),
        WitType::List(item) => format!("{{ \"items\": Set<{}>, \"count\": Long }}", cedar(item, depth)),
        WitType::Tuple(items) => {
            let names: Vec<String> = (0..items.len()).map(|index| format!("item{index}")).collect();
            record(names.iter().map(String::as_str).zip(items), depth)
        }
        WitType::Record(fields) if is_money(ty) => {
            let amount = ("amount".to_owned(), WitType::Option(Box::new(WitType::F64)));
            record(fields.iter().chain([&amount]).map(|(name, ty)| (name.as_str(), ty)), depth)
        }
        WitType::Record(fields) => record(fields.iter().map(|(name, ty)| (name.as_str(), ty)), depth),
        WitType::Variant(cases) => {
            let cases: Vec<_> = cases.iter().map(|(name, ty)| (name.as_str(), ty.as_ref())).collect();
            choice(&cases, depth)
        }
        WitType::Result { ok, err } => choice(&[("ok", ok.as_deref()), ("err", err.as_deref())], depth),
        WitType::Option(inner) => choice(&[("some", Some(inner))], depth),
    }
}

/// The type of a variant: a record with the name of the case, and with the payload under that name.
fn choice(cases: &[(&str, Option<&WitType>)], depth: usize) -> String {
    let payload = |(name, ty): &(&str, Option<&WitType>)| {
        ty.map(|ty| ((*name).to_owned(), WitType::Option(Box::new(ty.clone()))))
    };
    let fields: Vec<(String, WitType)> =
        [("case".to_owned(), WitType::String)].into_iter().chain(cases.iter().filter_map(payload)).collect();
    record(fields.iter().map(|(name, ty)| (name.as_str(), ty)), depth)
}

/// Whether a record is an amount of money. It then has an additional `amount` in the currency's
/// main unit.
pub fn is_money(ty: &WitType) -> bool {
    let WitType::Record(fields) = ty else { return false };
    let [(units, WitType::U64), (currency, WitType::String)] = &fields[..] else { return false };
    units == "minor-units" && currency == "currency"
}
