//! The tables of connectors and facts in `CONFIGURATION.md`, written from the descriptors.
//!
//! `HOLDSHORT_BLESS=1` writes them anew.

use std::path::Path;

use crate::connectors::DESCRIPTORS;
use crate::connectors::descriptor::{
    Class, Comparison, DeclaredFacts, Descriptor, Effect, Fact, FactReaders, FactType, Precondition,
};

#[test]
fn the_operators_page_has_the_tables_that_the_descriptors_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIGURATION.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut expected = page.clone();
    for (name, table) in [("connectors", connectors()), ("facts", facts())] {
        let (begin, end) = (format!("<!-- {name}: written by a test -->\n"), format!("<!-- end of {name} -->\n"));
        let (before, rest) = expected.split_once(&begin).unwrap_or_else(|| panic!("`{begin}` is not in the page"));
        let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("`{end}` is not in the page"));
        expected = format!("{before}{begin}\n{table}\n{end}{after}");
    }
    if std::env::var_os("HOLDSHORT_BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
    } else {
        assert!(page == expected, "the tables of {} are not those of the descriptors", path.display());
    }
}

/// A row for each connector with an effect. Routine connectors have no effect to look up and no facts.
fn connectors() -> String {
    let mut table =
        "| connector | section | serves | after a lost outcome | must still hold |\n|---|---|---|---|---|\n".to_owned();
    for (descriptor, effect) in effects() {
        let serves = match descriptor.interface {
            Some(interface) => {
                let short = interface.rsplit('/').next().and_then(|name| name.split('@').next()).unwrap();
                descriptor.functions.iter().map(|name| format!("`{short}.{name}`")).collect::<Vec<_>>().join(", ")
            }
            None => "functions of other interfaces".into(),
        };
        let section = if descriptor.section.is_empty() { String::new() } else { format!("`{}`", descriptor.section) };
        let holds = effect.preconditions.iter().map(held).collect::<Vec<_>>().join(", ");
        let class = serde_json::to_value(effect.class).unwrap();
        let (class, evidence) = (class.as_str().unwrap(), effect.evidence);
        table += &format!("| `{}` | {section} | {serves} | {class}: {evidence} | {holds} |\n", effect.connector);
    }
    table
}

fn held(Precondition { name, compares }: &Precondition) -> String {
    match compares {
        Comparison::Same => format!("`{name}`"),
        Comparison::AtLeast => format!("`{name}` (may change, but not below the needed value)"),
        Comparison::NothingNew => format!("`{name}` (may grow, but only by calls that the approval listed as waiting)"),
    }
}

/// A row for each fact. Connectors with the same facts share their rows.
fn facts() -> String {
    let mut groups: Vec<(&[Fact], String)> = Vec::new();
    for (descriptor, effect) in effects() {
        let DeclaredFacts::Fixed(facts) = effect.facts else { continue };
        let name = format!("`{}` of `{}`", effect.connector, descriptor.section);
        match groups.iter_mut().find(|(others, _)| *others == facts) {
            Some((_, names)) => *names += &format!(", {name}"),
            None => groups.push((facts, name)),
        }
    }
    let mut table = "| connector | fact | type | means |\n|---|---|---|---|\n".to_owned();
    for (facts, mut names) in groups {
        for fact in facts {
            let note = match fact.readers {
                FactReaders::All => "",
                FactReaders::Programs => ". Not for policies",
                FactReaders::Policies => ". Only for policies",
            };
            let connector = std::mem::take(&mut names);
            table += &format!("| {connector} | `{}` | {} | {}{note} |\n", fact.name, type_text(fact.ty), fact.means);
        }
    }
    table
}

fn type_text(ty: FactType) -> String {
    match ty {
        FactType::Bool => "true or false".into(),
        FactType::Count => "number".into(),
        FactType::Amount => "string of digits".into(),
        FactType::Text => "string".into(),
        FactType::List(FactType::Text) => "list of strings".into(),
        FactType::List(item) => format!("list of {}", type_text(*item)),
        FactType::Maybe(inner) => format!("{} or `null`", type_text(*inner)),
        FactType::Record(fields) => {
            let names = fields.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            format!("`{{{}}}`", names.join(", "))
        }
    }
}

fn effects() -> impl Iterator<Item = (Descriptor, Effect)> {
    DESCRIPTORS.into_iter().filter_map(|descriptor| match descriptor.class {
        Class::Consequential(effect) => Some((descriptor, effect)),
        Class::Log | Class::Routine => None,
    })
}
