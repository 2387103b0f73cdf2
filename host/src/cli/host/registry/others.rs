//! Foreign functions: the configured rules for functions and interfaces, and the programs that serve them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use holdshort_gate::{FunctionType, MODEL_UNCERTAINTY, WitType};

use super::settings::program;
use super::{ConfiguredConnector, OpenedConnector, by_command, wrong};
use crate::config::{CapabilityRule, Config};
use crate::connectors::command::{self, CommandOptions, EffectCommand, FactsProgram, RoutineCommand};
use crate::connectors::file_drop::{self, FileDrop};
use crate::connectors::history::model_uncertainty_type;

/// The connector of one section `[capabilities.…]`.
pub(super) fn served<'a>(rule: &'a CapabilityRule, config: &'a Config) -> ConfiguredConnector<'a> {
    match rule {
        CapabilityRule::Routine(command) => ConfiguredConnector::new(command::ANSWERS, "", move |context| {
            let answers = RoutineCommand::new(program(command, &config.folder), context.command_context()?);
            Ok(OpenedConnector::Routine(Arc::new(answers)))
        }),
        CapabilityRule::FileDrop(rule) => {
            let folder = rule.folder.display();
            let settings = file_drop::FileDropSettings {
                folder: rule.folder.clone(),
                name_from: rule.name_from.clone(),
                content_from: rule.content_from.clone(),
            };
            let opened = settings.clone();
            let served = ConfiguredConnector::new(
                file_drop::DESCRIPTOR,
                format!("putting a file into {folder}"),
                move |context| {
                    if is_within(&rule.folder, &config.state) {
                        return Err(wrong(&format!(
                            "the folder `{folder}` is the host's state folder, or is inside it: choose another folder"
                        )));
                    }
                    let drop = FileDrop::open(opened, context.types());
                    Ok(OpenedConnector::acts(
                        drop.map_err(|error| wrong(&format!("the folder `{folder}` cannot be used: {error}")))?,
                    ))
                },
            );
            let servable = Arc::new(move |ty: &FunctionType| settings.check(ty));
            ConfiguredConnector { refusal: rule.refusal.clone(), servable, ..served }
        }
        CapabilityRule::Consequential(rule) => {
            let options = CommandOptions {
                idempotent: rule.idempotent,
                preview: rule.preview.clone(),
                lookup: rule.lookup.clone(),
                facts: rule.facts.clone().map(|argv| FactsProgram { argv, types: types(rule) }),
            };
            let served =
                ConfiguredConnector::new(options.descriptor(), by_command(&rule.command.argv), move |context| {
                    Ok(OpenedConnector::acts(EffectCommand::new(
                        program(&rule.command, &config.folder),
                        options,
                        context.command_context()?,
                    )))
                });
            ConfiguredConnector { refusal: rule.refusal.clone(), ..served }
        }
    }
}

/// The facts for policies about calls of a foreign function; `None` if the function is routine.
pub(in crate::cli) fn facts(rule: &CapabilityRule) -> Option<BTreeMap<String, WitType>> {
    let mut facts = match rule {
        CapabilityRule::Routine(_) => return None,
        CapabilityRule::Consequential(rule) => types(rule),
        CapabilityRule::FileDrop(_) => file_drop::DESCRIPTOR.facts(),
    };
    facts.insert(MODEL_UNCERTAINTY.into(), model_uncertainty_type());
    Some(facts)
}

fn types(rule: &crate::config::Perform) -> BTreeMap<String, WitType> {
    rule.fact_types.iter().map(|(name, ty)| (name.clone(), ty.wit())).collect()
}

/// Whether `folder` is `outer` or lies inside it. A folder that does not exist lies inside no folder.
fn is_within(folder: &Path, outer: &Path) -> bool {
    folder.canonicalize().is_ok_and(|folder| outer.canonicalize().is_ok_and(|outer| folder.starts_with(outer)))
}
