//! Suggests a policy that would clear calls like those that were seen. Where the calls had few different texts, the
//! policy lists these texts. It limits each number to the largest that was seen.
//!
//! **Invariant:** a suggestion is no wider than the calls that were seen. If their money cannot be limited, nothing is
//! suggested. A suggestion is a text that a person reads, tries and copies into a file; the host never writes policy.

use std::collections::{BTreeMap, BTreeSet};

use holdshort_gate::{AgentName, Capability, Proposal, RATIONALE, WitType, totals};
use holdshort_policy::facts;
use holdshort_policy::schema::{Types, attribute, entity_type, is_money, optional, word};
use serde_json::Value;

/// A policy lists at most this many different texts. If there were more, it accepts any text.
const FEW: usize = 5;
/// A longer text is not listed in a policy.
const TEXT_BYTES_MAX: usize = 100;
/// In a policy: the money of the agent's calls today, in the call's currency.
const SUM: &str = "context.totals.agent_today.sum";

/// The properties that several calls share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SharedProperties {
    arguments: BTreeMap<String, Field>,
    facts: BTreeMap<String, Field>,
    /// The money of one call by currency. After calls were joined, only the currencies are used.
    money: BTreeMap<String, u64>,
}

/// A suggested policy, and the attributes that it does not restrict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SuggestedPolicy {
    pub(super) text: String,
    /// The attributes that the policy does not restrict.
    pub(super) open: Vec<String>,
}

/// The highest totals of one day, for the agent's calls of a capability.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DayMax {
    /// The number of calls.
    pub(super) count: u64,
    /// The money by currency. Each currency may have had its highest total on another day.
    pub(super) sums: BTreeMap<String, u64>,
}

/// An attribute: the values seen, and whether it was ever missing.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    optional: bool,
    missing: bool,
    shape: Option<Shape>,
}

/// The values seen at one position.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// Too many values, or values that no policy can compare.
    Any,
    Flag(BTreeSet<bool>),
    Number(i64, i64),
    Text(BTreeSet<String>),
    Bytes(u64),
    /// The length of the longest list, the texts that occur in any list, and the texts that occur in all lists.
    List(u64, Option<BTreeSet<String>>, BTreeSet<String>),
    /// The largest amount in each currency.
    Money(BTreeMap<String, i64>),
    Record(BTreeMap<String, Field>),
}

impl SharedProperties {
    /// The properties of one call; `None` if its type is unknown or no policy could limit it.
    pub(super) fn of(proposal: &Proposal, types: &Types) -> Option<Self> {
        let capability = proposal.action.capability();
        let ty = types.get(capability)?;
        let params = ty.params.iter().filter(|(name, _)| name != RATIONALE).map(|(name, ty)| (name.as_str(), ty));
        let arguments = fields(params, proposal.action.arguments())?;
        let types = types.facts(capability);
        let facts = fields(types.iter().map(|(name, ty)| (name.as_str(), ty)), &facts::with_checks(&proposal.facts))?;
        Some(Self { arguments, facts, money: totals::money(&proposal.action) })
    }

    /// The call's money by currency.
    pub(super) fn money(&self) -> &BTreeMap<String, u64> {
        &self.money
    }

    /// Widens the properties to include another call.
    pub(super) fn join(&mut self, other: &Self) {
        join(&mut self.arguments, &other.arguments);
        join(&mut self.facts, &other.facts);
        self.money.extend(other.money.clone());
    }

    /// The policy that clears such calls of an agent, up to the highest daily totals; `None` if their money could not
    /// be limited.
    pub(super) fn policy(&self, id: &str, agent: &AgentName, of: &Capability, day: &DayMax) -> Option<SuggestedPolicy> {
        let mut say = PolicyDraft::default();
        say.record(&self.arguments, "resource.arguments");
        if say.unbounded {
            return None;
        }
        for (name, field) in self.facts.iter().filter(|(_, field)| !field.missing) {
            say.fact(name, field.shape.as_ref(), &place("resource.facts", name));
        }
        say.conditions.push(format!("context.totals.agent_today.count < {}", day.count));
        match &say.amounts[..] {
            [] => {}
            [(at, true)] => {
                for currency in self.money.keys() {
                    let most = i64::try_from(day.sums.get(currency).copied().unwrap_or(0)).ok()?;
                    let sum = format!("{SUM} + {at}.minor_units <= {most}");
                    let other = format!("{at}.currency != {} ||", quoted(currency));
                    say.conditions.push(if self.money.len() == 1 { sum } else { format!("({other} {sum})") });
                }
            }
            _ => say.open.push(SUM.into()),
        }
        let (space, name) = entity_type(of);
        let conditions = say.conditions.join(" &&\n    ");
        let text = format!(
            "@id({})\npermit (principal == Agent::{}, action == Action::\"call\", resource is {space}::{name})\nwhen {{\n    {conditions}\n}};\n",
            quoted(id),
            quoted(agent.as_str())
        );
        Some(SuggestedPolicy { text, open: say.open })
    }
}

/// The conditions of a policy under construction.
#[derive(Default)]
struct PolicyDraft {
    conditions: Vec<String>,
    open: Vec<String>,
    /// The positions of amounts of money, and whether each is always present.
    amounts: Vec<(String, bool)>,
    /// Whether some money cannot be limited.
    unbounded: bool,
}

impl PolicyDraft {
    /// Adds conditions for the fields of a record, as wide as the values seen.
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
                // An amount that may be missing cannot be added to a total.
                self.amounts
                    .iter_mut()
                    .filter(|(amount, _)| amount.starts_with(&here))
                    .for_each(|(_, there)| *there = false);
            }
        }
    }

    /// Adds a condition for a value, as wide as the values seen.
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

    /// A fact that was always the same restricts the policy. Any other fact is left open, because many facts, such as
    /// totals, grow from call to call.
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

/// The condition that a value is one of these texts.
fn one_of(texts: &BTreeSet<String>, at: &str) -> String {
    match texts.first() {
        Some(only) if texts.len() == 1 => format!("{at} == {}", quoted(only)),
        _ => format!("{}.contains({at})", set(texts)),
    }
}

/// A set of texts in Cedar's notation.
fn set(texts: &BTreeSet<String>) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// A text in Cedar's notation. Cedar has the same escapes as Rust.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug().to_string().replace("\\'", "'"))
}

/// The path of a field in Cedar's notation.
fn place(at: &str, name: &str) -> String {
    let name = attribute(name);
    if word(&name) == name { format!("{at}.{name}") } else { format!("{at}[{}]", quoted(&name)) }
}

/// An attribute's name after `has`.
fn key(name: &str) -> String {
    let name = attribute(name);
    if word(&name) == name { name } else { quoted(&name) }
}

/// The attributes of a record; `None` if one of them cannot be limited by a policy.
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

/// The properties of one value; `None` if no policy could limit it.
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
        // In a value of any other type that contains money, no policy can limit the sum.
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

/// A text that a policy may list: short and completely visible.
fn named(text: &str) -> Option<String> {
    let plain = |c: char| c.is_alphanumeric() || c == ' ' || c.is_ascii_punctuation();
    (text.len() <= TEXT_BYTES_MAX && text.chars().all(plain)).then(|| text.to_owned())
}

/// Whether a type contains an amount of money anywhere.
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

/// Widens the properties by one more call.
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
    /// The properties that cover the values of both shapes.
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
                // The map becomes empty when there are too many currencies, and then stays empty.
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
