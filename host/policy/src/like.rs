//! A policy that would clear calls like those that were seen: within their texts where there were few, and below their largest numbers.
//!
//! **Invariant:** A suggestion is no wider than the calls that were seen, and there is none where money could not be bounded. It is a text that a
//! person reads, tries and copies into a file; the host never writes policy.

use std::collections::{BTreeMap, BTreeSet};

use holdshort_gate::{Capability, Proposal, RATIONALE, WitType, totals};
use serde_json::Value;

use super::facts;
use super::schema::{Types, attribute, entity_type, is_money, optional, word};

/// So many different texts are few: a policy names them. More, and it takes any.
const FEW: usize = 5;
/// A longer text is none that a policy would name.
const TEXT_BYTES_MAX: usize = 100;
/// What the agent's calls of a day have moved, in the currency of the call.
const SUM: &str = "context.totals.agent_today.sum";

/// What calls had in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Like {
    arguments: BTreeMap<String, Field>,
    facts: BTreeMap<String, Field>,
    /// Of a single call: what it moves, by currency.
    money: BTreeMap<String, u64>,
}

/// A policy, and what it leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggested {
    /// Its text.
    pub text: String,
    /// The attributes that may be anything.
    pub open: Vec<String>,
}

/// What was cleared or approved on the fullest day, of the agent's calls of a capability.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fullest {
    /// How many calls.
    pub count: u64,
    /// Their money, by currency, each on its own fullest day.
    pub sums: BTreeMap<String, u64>,
}

/// An attribute: what was seen where it was there, and whether it was not.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    optional: bool,
    missing: bool,
    shape: Option<Shape>,
}

/// The values that were seen at one place.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// Too many, or such as no policy compares.
    Any,
    Flag(BTreeSet<bool>),
    Number(i64, i64),
    Text(BTreeSet<String>),
    Bytes(u64),
    /// The longest, the texts that some had, and those that all had.
    List(u64, Option<BTreeSet<String>>, BTreeSet<String>),
    /// The most by currency.
    Money(BTreeMap<String, i64>),
    Record(BTreeMap<String, Field>),
}

impl Like {
    /// What one call asks for; nothing if its type is not known, or no policy could bound it.
    pub fn of(proposal: &Proposal, types: &Types) -> Option<Self> {
        let capability = proposal.action.capability();
        let ty = types.get(capability)?;
        let params = ty.params.iter().filter(|(name, _)| name != RATIONALE).map(|(name, ty)| (name.as_str(), ty));
        let arguments = fields(params, proposal.action.arguments())?;
        let types = types.facts(capability);
        let facts = fields(types.iter().map(|(name, ty)| (name.as_str(), ty)), &facts::with_checks(&proposal.facts))?;
        Some(Self { arguments, facts, money: totals::money(&proposal.action) })
    }

    /// What it moves, by currency.
    pub fn money(&self) -> &BTreeMap<String, u64> {
        &self.money
    }

    /// Takes another call in.
    pub fn join(&mut self, other: &Self) {
        join(&mut self.arguments, &other.arguments);
        join(&mut self.facts, &other.facts);
        self.money.extend(other.money.clone());
    }

    /// The policy that clears such calls of an agent, so many of them on a day. Nothing, if their money could not be bounded.
    pub fn policy(&self, id: &str, agent: &str, capability: &Capability, fullest: &Fullest) -> Option<Suggested> {
        let mut say = Saying::default();
        say.record(&self.arguments, "resource.arguments");
        if say.unbounded {
            return None;
        }
        for (name, field) in self.facts.iter().filter(|(_, field)| !field.missing) {
            say.fact(name, field.shape.as_ref(), &place("resource.facts", name));
        }
        say.conditions.push(format!("context.totals.agent_today.count < {}", fullest.count));
        match &say.amounts[..] {
            [] => {}
            [(at, true)] => {
                for currency in self.money.keys() {
                    let most = i64::try_from(fullest.sums.get(currency).copied().unwrap_or(0)).ok()?;
                    let sum = format!("{SUM} + {at}.minor_units <= {most}");
                    let other = format!("{at}.currency != {} ||", quoted(currency));
                    say.conditions.push(if self.money.len() == 1 { sum } else { format!("({other} {sum})") });
                }
            }
            _ => say.open.push(SUM.into()),
        }
        let (space, name) = entity_type(capability);
        let conditions = say.conditions.join(" &&\n    ");
        let text = format!(
            "@id({})\npermit (principal == Agent::{}, action == Action::\"call\", resource is {space}::{name})\nwhen {{\n    {conditions}\n}};\n",
            quoted(id),
            quoted(agent)
        );
        Some(Suggested { text, open: say.open })
    }
}

/// The conditions of a policy, as they are found.
#[derive(Default)]
struct Saying {
    conditions: Vec<String>,
    open: Vec<String>,
    /// Where the amounts of money stand, and whether each is always there.
    amounts: Vec<(String, bool)>,
    /// There is money for which nothing can be said.
    unbounded: bool,
}

impl Saying {
    /// A condition for each field that was always alike.
    fn record(&mut self, fields: &BTreeMap<String, Field>, at: &str) {
        for (name, field) in fields {
            let (here, has) = (place(at, name), format!("{at} has {}", key(name)));
            let Some(shape) = &field.shape else {
                self.conditions.push(format!("!({has})"));
                continue;
            };
            let before = self.conditions.len();
            if field.optional && !field.missing {
                self.conditions.push(has.clone());
            }
            self.shape(shape, &here);
            if field.missing && self.conditions.len() > before {
                let inner = self.conditions.split_off(before).join(" && ");
                self.conditions.push(format!("(if {has} then {inner} else true)"));
                // What may be missing cannot be added up.
                self.amounts
                    .iter_mut()
                    .filter(|(amount, _)| amount.starts_with(&here))
                    .for_each(|(_, there)| *there = false);
            }
        }
    }

    /// A condition for a value, as wide as what was seen.
    fn shape(&mut self, shape: &Shape, at: &str) {
        match shape {
            Shape::Any => self.open.push(at.to_owned()),
            Shape::Flag(seen) => match seen.iter().collect::<Vec<_>>()[..] {
                [true] => self.conditions.push(at.to_owned()),
                [false] => self.conditions.push(format!("!{at}")),
                _ => {}
            },
            Shape::Number(least, most) if least == most => self.conditions.push(format!("{at} == {most}")),
            Shape::Number(least, most) => {
                self.conditions.extend((*least < 0).then(|| format!("{at} >= {least}")));
                self.conditions.push(format!("{at} <= {most}"));
            }
            Shape::Text(texts) => self.conditions.push(one_of(texts, at)),
            Shape::Bytes(most) => self.conditions.push(format!("{at}.bytes <= {most}")),
            Shape::List(0, ..) => self.conditions.push(format!("{at}.count == 0")),
            Shape::List(most, texts, _) => {
                self.conditions.push(format!("{at}.count <= {most}"));
                match texts {
                    Some(texts) => self.conditions.push(format!("{}.containsAll({at}.items)", set(texts))),
                    None => self.open.push(format!("{at}.items")),
                }
            }
            Shape::Money(most) => {
                let each = most.iter().map(|(currency, units)| {
                    format!("{at}.currency == {} && {at}.minor_units <= {units}", quoted(currency))
                });
                match &each.collect::<Vec<_>>()[..] {
                    [] => self.unbounded = true,
                    [one] => self.conditions.push(one.clone()),
                    several => self.conditions.push(format!("(({}))", several.join(") || ("))),
                }
                self.amounts.push((at.to_owned(), true));
            }
            Shape::Record(fields) => self.record(fields, at),
        }
    }

    /// What the host found out bounds a policy where it was always the same, and is left open where it was not: much of it grows by itself.
    fn fact(&mut self, name: &str, shape: Option<&Shape>, at: &str) {
        let Some(shape) = shape else { return };
        let same = match shape {
            Shape::List(_, _, all) if name == "checks-passed" && !all.is_empty() => {
                self.conditions.push(format!("{at}.items.containsAll({})", set(all)));
                return;
            }
            Shape::Number(least, most) => least == most,
            Shape::Text(texts) => texts.len() == 1,
            Shape::Flag(seen) => seen.len() == 1,
            Shape::List(0, ..) => true,
            Shape::List(_, texts, _) => texts.is_some() && name != "checks-passed",
            Shape::Any | Shape::Bytes(_) | Shape::Money(_) | Shape::Record(_) => false,
        };
        if same {
            self.shape(shape, at);
        } else {
            self.open.push(at.to_owned());
        }
    }
}

/// One of these texts.
fn one_of(texts: &BTreeSet<String>, at: &str) -> String {
    match texts.first() {
        Some(only) if texts.len() == 1 => format!("{at} == {}", quoted(only)),
        _ => format!("{}.contains({at})", set(texts)),
    }
}

/// Texts as a set.
fn set(texts: &BTreeSet<String>) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// A text as Cedar writes it; its escapes are Rust's.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug().to_string().replace("\\'", "'"))
}

/// The way to a field.
fn place(at: &str, name: &str) -> String {
    let name = attribute(name);
    if word(&name) == name { format!("{at}.{name}") } else { format!("{at}[{}]", quoted(&name)) }
}

/// An attribute's name behind `has`.
fn key(name: &str) -> String {
    let name = attribute(name);
    if word(&name) == name { name } else { quoted(&name) }
}

/// The attributes of a record; nothing if one of them is such as no policy could bound.
fn fields<'a>(types: impl Iterator<Item = (&'a str, &'a WitType)>, value: &Value) -> Option<BTreeMap<String, Field>> {
    let mut made = BTreeMap::new();
    for (name, ty) in types {
        let (optional, inner) = optional(ty);
        let found = value.get(name).filter(|found| !(optional && found.is_null()));
        let shape = match found {
            None => None,
            Some(found) => Some(shape(inner, found)?),
        };
        made.insert(name.to_owned(), Field { optional, missing: shape.is_none(), shape });
    }
    Some(made)
}

/// What is seen of one value.
fn shape(ty: &WitType, value: &Value) -> Option<Shape> {
    Some(match ty {
        WitType::Bool => Shape::Flag([value.as_bool()?].into()),
        WitType::U8
        | WitType::U16
        | WitType::U32
        | WitType::U64
        | WitType::S8
        | WitType::S16
        | WitType::S32
        | WitType::S64 => {
            let number = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
            Shape::Number(number, number)
        }
        WitType::Char | WitType::String | WitType::Enum(_) => {
            named(value.as_str()?).map_or(Shape::Any, |text| Shape::Text([text].into()))
        }
        WitType::List(item) if **item == WitType::U8 => {
            Shape::Bytes(u64::try_from(value.as_str()?.len()).ok()? / 4 * 3)
        }
        WitType::List(item) if moves_money(item) => return None,
        WitType::List(item) => {
            let items = value.as_array()?;
            let texts: Option<BTreeSet<String>> = items.iter().map(|item| named(item.as_str()?)).collect();
            let texts = texts.filter(|texts| **item == WitType::String && texts.len() <= FEW);
            let all = texts.clone().unwrap_or_default();
            Shape::List(u64::try_from(items.len()).ok()?, texts, all)
        }
        WitType::Record(_) if is_money(ty) => {
            let units = value.get("minor-units")?.as_str()?.parse().ok()?;
            Shape::Money([(value.get("currency")?.as_str()?.to_owned(), units)].into())
        }
        WitType::Record(types) => Shape::Record(fields(types.iter().map(|(name, ty)| (name.as_str(), ty)), value)?),
        // Whatever else has money in it could hold any sum.
        _ if moves_money(ty) => return None,
        WitType::F32
        | WitType::F64
        | WitType::Flags(_)
        | WitType::Tuple(_)
        | WitType::Variant(_)
        | WitType::Result { .. }
        | WitType::Option(_) => Shape::Any,
    })
}

/// A text that a policy may name: short, and nothing in it that is not seen.
fn named(text: &str) -> Option<String> {
    let plain = |c: char| c.is_alphanumeric() || c == ' ' || c.is_ascii_punctuation();
    (text.len() <= TEXT_BYTES_MAX && text.chars().all(plain)).then(|| text.to_owned())
}

/// Whether a type holds an amount of money anywhere.
fn moves_money(ty: &WitType) -> bool {
    match ty {
        WitType::Record(_) if is_money(ty) => true,
        WitType::Record(types) => types.iter().any(|(_, ty)| moves_money(ty)),
        WitType::List(ty) | WitType::Option(ty) => moves_money(ty),
        WitType::Tuple(types) => types.iter().any(moves_money),
        WitType::Variant(cases) => cases.iter().filter_map(|(_, ty)| ty.as_ref()).any(moves_money),
        WitType::Result { ok, err } => [ok, err].into_iter().flatten().any(|ty| moves_money(ty)),
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
        | WitType::String
        | WitType::Enum(_)
        | WitType::Flags(_) => false,
    }
}

/// Widens what was seen by one more call.
fn join(ours: &mut BTreeMap<String, Field>, theirs: &BTreeMap<String, Field>) {
    for (name, their) in theirs {
        let Some(our) = ours.get_mut(name) else { continue };
        our.missing |= their.missing;
        our.shape = match (our.shape.take(), their.shape.clone()) {
            (Some(our), Some(their)) => Some(our.and(their)),
            (our, their) => our.or(their),
        };
    }
}

impl Shape {
    /// What was seen of both.
    fn and(self, other: Self) -> Self {
        let few = |texts: &BTreeSet<String>| texts.len() <= FEW;
        match (self, other) {
            (Self::Flag(ours), Self::Flag(theirs)) => Self::Flag(&ours | &theirs),
            (Self::Number(least, most), Self::Number(less, more)) => Self::Number(least.min(less), most.max(more)),
            (Self::Text(ours), Self::Text(theirs)) => Some(&ours | &theirs).filter(few).map_or(Self::Any, Self::Text),
            (Self::Bytes(ours), Self::Bytes(theirs)) => Self::Bytes(ours.max(theirs)),
            (Self::List(most, ours, all), Self::List(more, theirs, also)) => {
                let texts = ours.zip(theirs).map(|(ours, theirs)| &ours | &theirs).filter(few);
                Self::List(most.max(more), texts, &all & &also)
            }
            (Self::Money(mut ours), Self::Money(theirs)) => {
                // None at all once there are too many, and none again after that.
                if !ours.is_empty() {
                    for (currency, units) in theirs {
                        let most = ours.entry(currency).or_insert(units);
                        *most = units.max(*most);
                    }
                }
                Self::Money(if ours.len() > FEW { BTreeMap::new() } else { ours })
            }
            (Self::Record(mut ours), Self::Record(theirs)) => {
                join(&mut ours, &theirs);
                Self::Record(ours)
            }
            _ => Self::Any,
        }
    }
}

#[cfg(test)]
mod tests;
