//! Foreign functions: their class, and the commands that perform them.

use std::collections::BTreeMap;

use holdshort_gate::Capability;
use toml::Spanned;

use super::connectors::{codes, names};
use super::{Folder, Wrong, authored, defaults};
use crate::fact::{FACTS_MAX, FactName, FactType};
use crate::resolved::{CapabilityPattern, CapabilityRule, Command, Perform};
use crate::value::Argv;
use holdshort_common::once::once;

/// The package whose functions the host classifies itself.
const OWN_PACKAGE: &str = "holdshort:agent/";

/// Rules apply only to foreign interfaces. The host's own functions keep their class.
pub(super) fn rules(
    authored: Option<authored::Named<authored::Capability>>,
    folder: &Folder,
) -> Result<BTreeMap<CapabilityPattern, CapabilityRule>, Wrong> {
    authored.into_iter().flatten().map(|(name, section)| Ok((pattern(&name)?, rule(section, folder)?))).collect()
}

fn pattern(name: &Spanned<String>) -> Result<CapabilityPattern, Wrong> {
    let text = name.get_ref();
    if text.starts_with(OWN_PACKAGE) {
        let hint = "use the sections `[email]`, `[deployment]`, `[payments]`, `[repository]` and `[checks.NAME]`";
        return Err(Wrong::at(name, "the host serves this interface itself, and its class cannot be changed", hint));
    }
    if text.starts_with("wasi:") {
        let what = "the WASI interfaces of this host are fixed";
        return Err(Wrong::at(name, what, "remove the section; `holdshort inspect` shows what an agent gets of WASI"));
    }
    // While the interface is parsed, `x` replaces the missing function name.
    let (whole, any) = match text.strip_suffix("#*") {
        Some(interface) => (format!("{interface}#x"), true),
        None => (text.clone(), false),
    };
    let capability: Capability = whole.parse().map_err(|_| {
        let what = format!("`{}` does not name a capability", text.escape_debug());
        Wrong::at(name, what, "write `[capabilities.\"package:name/interface@version#function\"]`, or `#*` for every function of the interface")
    })?;
    if any {
        Ok(CapabilityPattern::Interface(capability.interface().into()))
    } else {
        Ok(CapabilityPattern::Function(capability))
    }
}

/// Resolves one rule. The class has no default. For a consequential function the defaults assume
/// the least: without `idempotent` the host offers no second attempt, and without `lookup` a
/// reviewer resolves a lost reply.
fn rule(section: authored::Capability, folder: &Folder) -> Result<CapabilityRule, Wrong> {
    let authored::Capability { class, connector: None | Some(authored::CapabilityConnector::Command), .. } = section;
    if class == authored::Class::Routine {
        for_consequential(section.not_done_codes.as_ref())?;
        for_consequential(section.idempotent.as_ref())?;
        for_consequential(section.preview.as_ref())?;
        for_consequential(section.lookup.as_ref())?;
        for_consequential(section.facts.as_ref())?;
        for_consequential(section.fact_types.as_ref())?;
        for_consequential(section.refusal.as_ref())?;
    }
    both(section.facts.as_ref(), section.fact_types.as_ref())?;
    let refusal = section.refusal.map(|text| {
        let wrong = |error: serde_json::Error| {
            let what = format!("not JSON: {error}");
            Wrong::at(&text, what, "write the value of the function's error type as JSON in single quotes, such as `refusal = '\"denied\"'`")
        };
        once(text.get_ref().as_bytes()).map_err(wrong)
    });
    let command = Command {
        argv: folder.argv(section.command.0),
        timeout_ms: section.timeout.map_or(defaults::CAPABILITY_TIMEOUT_MS, |span| span.0),
        environment: names(section.environment),
        not_done_codes: codes(section.not_done_codes.map(Spanned::into_inner)),
    };
    let argv = |argv: Option<Spanned<Argv>>| argv.map(|argv| folder.argv(argv.into_inner().0));
    let types = section.fact_types.map(Spanned::into_inner).unwrap_or_default();
    let types = types.into_iter().map(|(FactName(name), ty)| (name, ty)).collect();
    Ok(match class {
        authored::Class::Routine => CapabilityRule::Routine(command),
        authored::Class::Consequential => CapabilityRule::Consequential(Perform {
            command,
            idempotent: section.idempotent.is_some_and(Spanned::into_inner),
            preview: argv(section.preview),
            lookup: argv(section.lookup),
            facts: argv(section.facts),
            refusal: refusal.transpose()?,
            fact_types: types,
        }),
    })
}

/// A program for facts needs declared types, and declared types need a program.
fn both(facts: Option<&Spanned<Argv>>, types: Option<&Spanned<BTreeMap<FactName, FactType>>>) -> Result<(), Wrong> {
    match (facts, types) {
        (None, None) => Ok(()),
        (Some(facts), None) => Err(Wrong::at(
            facts,
            "the types of the program's facts are missing",
            "declare it beside `facts`: `fact-types = { open-orders = \"s64\", owner = \"string\" }`",
        )),
        (None, Some(types)) => Err(Wrong::at(
            types,
            "the program that finds these facts is missing",
            "name the program that does: `facts = [\"tools/crm\", \"facts\"]`",
        )),
        (Some(_), Some(types)) if !(1..=FACTS_MAX).contains(&types.get_ref().len()) => {
            let count = types.get_ref().len();
            Err(Wrong::at(types, format!("{count} facts are declared"), format!("declare 1 to {FACTS_MAX} facts")))
        }
        (Some(_), Some(_)) => Ok(()),
    }
}

fn for_consequential<T>(key: Option<&Spanned<T>>) -> Result<(), Wrong> {
    key.map_or(Ok(()), |key| {
        Err(Wrong::at(
            key,
            "this setting belongs to `class = \"consequential\"`",
            "remove it: a routine call is answered at once and has no effect",
        ))
    })
}
