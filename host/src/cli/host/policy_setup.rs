//! Sets policy up: reads the configured policy files and checks them against this host's
//! capabilities. Without files, every consequential call is held.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use holdshort_gate::{Requirement, ReviewerName, Time};

use super::{registry, this_program};
use crate::agent::{self, Manifest, Reader};
use crate::cli::exit::{Exit, Failure};
use crate::config::Config;
use crate::connectors;
use crate::policy::isolated;
use crate::policy::load::Source;
use crate::policy::schema::Types;
use crate::policy::{Defaults, HoldEverything, People, Policy, PolicySetup};
use holdshort_common::isolate::Limits;

/// The policy of a configuration. Probable mistakes in it are logged.
pub(in crate::cli) fn policy(config: &Config, policy_setup: &PolicySetup) -> Arc<dyn Policy> {
    let Some(present) = policy_setup.present.clone() else { return Arc::new(HoldEverything(config.approval.clone())) };
    for warning in present.warnings() {
        tracing::warn!("{warning}");
    }
    present
}

/// The context in which policies are read, with the policies in `sources` in force.
pub(in crate::cli) fn load(config: &Config, sources: Vec<Source>, reader: &Reader) -> Result<PolicySetup, Failure> {
    let everybody = config.reviewers.iter().map(|reviewer| &reviewer.name).chain([&config.operator]);
    let mut names: Vec<ReviewerName> = everybody.cloned().collect();
    names.sort();
    names.dedup();
    let people = People::new(names, config.groups.clone());
    let approval = config.approval.clone();
    let base =
        Defaults::new(move |now: Time| -> Requirement { approval.requirement(now) }).in_zone(config.time_zone.clone());
    let limits = Limits {
        settings: "policy",
        memory_mib: config.limits.policy_memory_mib,
        cpu_seconds: config.limits.policy_cpu_seconds,
        seconds: config.limits.policy_seconds,
        file_mib: 0,
    };
    PolicySetup::new(sources, types(config, reader)?, people, base, isolated::Reader::isolated(this_program(), limits))
        .map_err(|problems| Failure::new(Exit::Usage, problems.to_string()))
}

/// Reads the configured policy files.
pub(in crate::cli) fn sources(config: &Config) -> Result<Vec<Source>, Failure> {
    let advised = |failure: Failure| failure.hint("correct `files` under `[policy]`");
    config.policies.iter().map(|path| read(path).map_err(advised)).collect()
}

/// Reads one policy file.
pub(in crate::cli) fn read(path: &Path) -> Result<Source, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Usage, format!("the policy file `{}` cannot be read: {error}", path.display()))
    })?;
    Ok(Source { path: path.to_path_buf(), text })
}

/// The types of our consequential functions, and of the foreign consequential functions that the
/// configured agents import. An unreadable agent adds no types; its error is reported when it is
/// started. Agents are read only if a foreign function is consequential.
pub(in crate::cli) fn types(config: &Config, reader: &Reader) -> Result<Types, Failure> {
    let ours = agent::functions().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let mut facts = connectors::facts();
    let ours = ours.into_iter().chain(agent::http_import()).filter(|import| facts.contains_key(&import.capability));
    let ours: Vec<_> = ours.map(|import| (import.capability, import.ty)).collect();
    let mut others = BTreeMap::new();
    let asked = config.capabilities.values().any(|rule| registry::facts(rule).is_some());
    for agent in config.agents.values().filter(|_| asked) {
        let Some(manifest) = component(&agent.component, reader) else { continue };
        for import in &manifest.imports {
            if let Some(found) = config.rule(&import.capability).and_then(registry::facts) {
                others.insert(import.capability.clone(), import.ty.clone());
                facts.insert(import.capability.clone(), found);
            }
        }
    }
    Ok(others.into_iter().chain(ours).collect::<Types>().with_facts(facts))
}

/// Reads the manifest of a component, if possible.
fn component(path: &Path, reader: &Reader) -> Option<Arc<Manifest>> {
    reader.check_size(std::fs::metadata(path).ok()?.len()).ok()?;
    reader.manifest(&std::fs::read(path).ok()?).ok()
}
