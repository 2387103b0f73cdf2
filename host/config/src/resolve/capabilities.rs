//! The section `[capabilities."…"]`. It classifies foreign functions and names their connectors. This file has the
//! section's keys, the types that other packages use, and the code that resolves the section.

use std::collections::BTreeMap;
use std::path::PathBuf;

use holdshort_gate::Capability;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Spanned;

use super::keys::{codes, misplaced, names};
use super::{Folder, RuleViolation, defaults};
use crate::command::Command;
use crate::fact::{FACTS_MAX, FactName, FactType};
use crate::value::{Argv, ExitCode, Named, Span, Text, Variable};
use holdshort_common::once::once;

/// A capability's class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`consequential` or `routine`")]
pub(crate) enum Class {
    Consequential,
    Routine,
}

/// The connectors for third-party interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`command` or `file-drop`")]
pub(crate) enum CapabilityConnector {
    Command,
    FileDrop,
}

/// `[capabilities."package:name/interface@version#function"]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct Section {
    pub(crate) class: Class,
    pub(crate) connector: Option<Spanned<CapabilityConnector>>,
    pub(crate) command: Option<Spanned<Argv>>,
    pub(crate) timeout: Option<Spanned<Span>>,
    pub(crate) environment: Option<Spanned<Vec<Variable>>>,
    pub(crate) not_done_codes: Option<Spanned<Vec<ExitCode>>>,
    pub(crate) idempotent: Option<Spanned<bool>>,
    pub(crate) preview: Option<Spanned<Argv>>,
    pub(crate) lookup: Option<Spanned<Argv>>,
    pub(crate) facts: Option<Spanned<Argv>>,
    pub(crate) fact_types: Option<Spanned<BTreeMap<FactName, FactType>>>,
    pub(crate) refusal: Option<Spanned<String>>,
    pub(crate) folder: Option<Spanned<PathBuf>>,
    pub(crate) name_from: Option<Spanned<Text>>,
    pub(crate) content_from: Option<Spanned<Text>>,
}

/// The functions that a rule applies to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CapabilityPattern {
    Function(Capability),
    /// Every function of an interface, except functions with a rule of their own. Written
    /// `package:name/interface@version#*`.
    Interface(String),
}

impl Serialize for CapabilityPattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Function(capability) => serializer.collect_str(capability),
            Self::Interface(interface) => serializer.collect_str(&format_args!("{interface}#*")),
        }
    }
}

/// How a foreign function is served.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "class")]
pub enum CapabilityRule {
    /// The command answers: it reads the arguments on its input and writes the result on its
    /// output.
    Routine(Command),
    /// The call is held, and after clearance the command performs it.
    Consequential(Perform),
    /// The call is held, and after clearance a file is put into a folder.
    #[serde(rename = "consequential")]
    FileDrop(FileDrop),
}

/// How a cleared call of a foreign function is performed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "connector", rename = "command")]
pub struct Perform {
    /// The command that performs the effect.
    pub command: Command,
    /// Whether the remote system recognises the idempotency key, so that a reviewer may send the
    /// call again.
    pub idempotent: bool,
    /// The command that shows the expected effect beforehand. It must change nothing.
    pub preview: Option<Vec<String>>,
    /// The command that looks up whether an attempt in doubt had its effect. It must change nothing.
    pub lookup: Option<Vec<String>>,
    /// The command that finds the facts for policies. It must change nothing.
    pub facts: Option<Vec<String>>,
    /// The value of the function's error type that tells the agent of a refusal. It is needed if the error type is
    /// neither a `refusal` nor a string.
    #[serde(serialize_with = "as_json_text")]
    pub refusal: Option<Value>,
    /// The types of the facts by name.
    pub fact_types: BTreeMap<String, FactType>,
}

/// The settings of a connector that puts files into a folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "connector", rename = "file-drop")]
pub struct FileDrop {
    /// The folder.
    pub folder: PathBuf,
    /// The parameter with the file's name.
    pub name_from: String,
    /// The parameter with the file's content.
    pub content_from: String,
    /// The same as [`Perform::refusal`].
    #[serde(serialize_with = "as_json_text")]
    pub refusal: Option<Value>,
}

impl CapabilityRule {
    /// The command lines of all programs that the host runs for the capability.
    pub fn programs(&self) -> Vec<&[String]> {
        match self {
            Self::FileDrop(_) => Vec::new(),
            Self::Routine(command) => vec![&command.argv],
            Self::Consequential(perform) => {
                let others = [&perform.preview, &perform.lookup, &perform.facts].into_iter().flatten();
                [&perform.command.argv].into_iter().chain(others).map(Vec::as_slice).collect()
            }
        }
    }
}

/// Writes a value as JSON text, as in the file, because TOML has no null.
fn as_json_text<S: serde::Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Value::to_string).serialize(serializer)
}

/// The package whose functions the host classifies itself.
const OWN_PACKAGE: &str = "holdshort:agent/";

/// Resolves all rules. They apply only to third-party interfaces; the host's own functions keep their class.
pub(super) fn rules(
    authored: Option<Named<Section>>,
    folder: &Folder,
) -> Result<BTreeMap<CapabilityPattern, CapabilityRule>, RuleViolation> {
    authored.into_iter().flatten().map(|(name, section)| Ok((pattern(&name)?, rule(&name, section, folder)?))).collect()
}

fn pattern(name: &Spanned<String>) -> Result<CapabilityPattern, RuleViolation> {
    let text = name.get_ref();
    if text.starts_with(OWN_PACKAGE) {
        let hint = "use the sections `[email]`, `[deployment]`, `[payments]`, `[repository]` and `[checks.NAME]`";
        return Err(RuleViolation::at(
            name,
            "the host serves this interface itself, so the class cannot be changed",
            hint,
        ));
    }
    if text.starts_with("wasi:") {
        let what = "the class of a WASI interface cannot be changed";
        return Err(RuleViolation::at(
            name,
            what,
            "remove the section; `holdshort inspect` shows what an agent gets of WASI",
        ));
    }
    // A pattern has no function name, but only a full name can be parsed. So `x` stands for the function.
    let (whole, any) = match text.strip_suffix("#*") {
        Some(interface) => (format!("{interface}#x"), true),
        None => (text.clone(), false),
    };
    let capability: Capability = whole.parse().map_err(|_| {
        let what = format!("`{}` does not name a capability", text.escape_debug());
        RuleViolation::at(name, what, "write `[capabilities.\"package:name/interface@version#function\"]`, or `#*` for every function of the interface")
    })?;
    if any {
        Ok(CapabilityPattern::Interface(capability.interface().into()))
    } else {
        Ok(CapabilityPattern::Function(capability))
    }
}

/// Resolves one rule. The class has no default. A consequential function has cautious defaults: without `idempotent`
/// the host offers no second attempt, and without `lookup` a reviewer resolves an effect in doubt.
fn rule(name: &Spanned<String>, section: Section, folder: &Folder) -> Result<CapabilityRule, RuleViolation> {
    if let Some(at) = section.connector.as_ref().filter(|at| *at.get_ref() == CapabilityConnector::FileDrop) {
        return file_drop(name, at, &section, folder);
    }
    misplaced(section.folder.as_ref(), "file-drop")?;
    misplaced(section.name_from.as_ref(), "file-drop")?;
    misplaced(section.content_from.as_ref(), "file-drop")?;
    let class = section.class;
    if class == Class::Routine {
        for_consequential(section.not_done_codes.as_ref())?;
        for_consequential(section.idempotent.as_ref())?;
        for_consequential(section.preview.as_ref())?;
        for_consequential(section.lookup.as_ref())?;
        for_consequential(section.facts.as_ref())?;
        for_consequential(section.fact_types.as_ref())?;
        for_consequential(section.refusal.as_ref())?;
    }
    both(section.facts.as_ref(), section.fact_types.as_ref())?;
    let refusal = section.refusal.as_ref().map(refusal);
    let Some(command) = section.command else { return Err(missing(name, "command")) };
    let command = Command {
        argv: folder.argv(command.into_inner().0),
        timeout_ms: section.timeout.map_or(defaults::CAPABILITY_TIMEOUT_MS, |span| span.into_inner().0),
        environment: names(section.environment.map(Spanned::into_inner)),
        not_done_codes: codes(section.not_done_codes.map(Spanned::into_inner)),
    };
    let argv = |argv: Option<Spanned<Argv>>| argv.map(|argv| folder.argv(argv.into_inner().0));
    let types = section.fact_types.map(Spanned::into_inner).unwrap_or_default();
    let types = types.into_iter().map(|(FactName(name), ty)| (name, ty)).collect();
    Ok(match class {
        Class::Routine => CapabilityRule::Routine(command),
        Class::Consequential => CapabilityRule::Consequential(Perform {
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

/// Checks that a program for facts has declared types, and that declared types have a program.
fn both(
    facts: Option<&Spanned<Argv>>,
    types: Option<&Spanned<BTreeMap<FactName, FactType>>>,
) -> Result<(), RuleViolation> {
    match (facts, types) {
        (None, None) => Ok(()),
        (Some(facts), None) => Err(RuleViolation::at(
            facts,
            "the types of the program's facts are missing",
            "declare the types beside `facts`: `fact-types = { open-orders = \"s64\", owner = \"string\" }`",
        )),
        (None, Some(types)) => Err(RuleViolation::at(
            types,
            "the program that finds these facts is missing",
            "add the program: `facts = [\"tools/crm\", \"facts\"]`",
        )),
        (Some(_), Some(types)) if !(1..=FACTS_MAX).contains(&types.get_ref().len()) => {
            let count = types.get_ref().len();
            Err(RuleViolation::at(
                types,
                format!("`fact-types` has {count} facts"),
                format!("declare from 1 to {FACTS_MAX} facts"),
            ))
        }
        (Some(_), Some(_)) => Ok(()),
    }
}

/// Resolves the settings of a file drop. This connector runs no program, so the keys of programs are an error.
fn file_drop(
    name: &Spanned<String>,
    at: &Spanned<CapabilityConnector>,
    section: &Section,
    folder: &Folder,
) -> Result<CapabilityRule, RuleViolation> {
    if section.class == Class::Routine {
        for_consequential(Some(at))?;
    }
    misplaced(section.command.as_ref(), "command")?;
    misplaced(section.timeout.as_ref(), "command")?;
    misplaced(section.environment.as_ref(), "command")?;
    misplaced(section.not_done_codes.as_ref(), "command")?;
    misplaced(section.idempotent.as_ref(), "command")?;
    misplaced(section.preview.as_ref(), "command")?;
    misplaced(section.lookup.as_ref(), "command")?;
    misplaced(section.facts.as_ref(), "command")?;
    misplaced(section.fact_types.as_ref(), "command")?;
    let Some(path) = &section.folder else { return Err(missing(name, "folder")) };
    let parameter = |key: &Option<Spanned<Text>>, usual: &str| {
        key.as_ref().map_or_else(|| usual.to_owned(), |text| text.get_ref().0.clone())
    };
    Ok(CapabilityRule::FileDrop(FileDrop {
        folder: folder.path(path.get_ref()),
        name_from: parameter(&section.name_from, "name"),
        content_from: parameter(&section.content_from, "content"),
        refusal: section.refusal.as_ref().map(refusal).transpose()?,
    }))
}

fn refusal(text: &Spanned<String>) -> Result<Value, RuleViolation> {
    let wrong = |error: serde_json::Error| {
        let what = format!("not JSON: {error}");
        RuleViolation::at(
            text,
            what,
            "write the value of the function's error type as JSON in single quotes, such as `refusal = '\"denied\"'`",
        )
    };
    once(text.get_ref().as_bytes()).map_err(wrong)
}

fn missing(section: &Spanned<String>, key: &str) -> RuleViolation {
    RuleViolation::at(section, format!("`{key}` is missing"), format!("add `{key} = …` to this section"))
}

fn for_consequential<T>(key: Option<&Spanned<T>>) -> Result<(), RuleViolation> {
    key.map_or(Ok(()), |key| {
        Err(RuleViolation::at(
            key,
            "this setting belongs to `class = \"consequential\"`",
            "remove the setting: a routine call is answered at once and has no effect",
        ))
    })
}
