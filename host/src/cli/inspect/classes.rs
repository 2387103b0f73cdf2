//! The class of each import on this host, derived from the configuration alone, without opening or
//! creating anything.
//!
//! A test compares it with the offer of a real host.

use std::collections::BTreeMap;

use holdshort_gate::{Capability, FunctionType};

use crate::agent::{self, BadPackage, Import};
use crate::cli::host::kinds::{Kind, kind};
use crate::cli::host::{NO_DEPLOYMENT, NO_REPOSITORY};
use crate::config::{CapabilityRule, Config, Deploy, Mail, Payments};
use crate::connectors::{self, IfLost, deploy_command, deploy_git, guidance, ledger, maildir, smtp};
use crate::runs::{BindError, RefusalForm};

/// How an import is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Writes a line to the operator's log.
    Log,
    /// Answered at once.
    Routine,
    /// Held until the required reviewers have cleared it, and then performed by `by`.
    Consequential { by: String, if_lost: IfLost },
}

/// The classes under one configuration.
pub(super) struct Classes<'a> {
    config: &'a Config,
    own: BTreeMap<Capability, FunctionType>,
}

impl<'a> Classes<'a> {
    pub(super) fn new(config: &'a Config) -> Result<Self, BadPackage> {
        let own = agent::functions()?.into_iter().map(|import| (import.capability, import.ty)).collect();
        Ok(Self { config, own })
    }

    /// The class of an import, or the reason to refuse it.
    pub(super) fn of(&self, Import { capability, ty }: &Import) -> Result<Class, BindError> {
        if let Some(own) = self.own.get(capability) {
            let class = self.own(capability)?;
            return if own == ty { Ok(class) } else { Err(BindError::OtherType(capability.clone())) };
        }
        match self.config.rule(capability) {
            None => Err(BindError::Unclassified(capability.clone())),
            Some(CapabilityRule::Routine(_)) => Ok(Class::Routine),
            Some(CapabilityRule::Consequential(rule)) => {
                let form = RefusalForm::of(ty, rule.refusal.as_ref());
                form.map_err(|why| BindError::CannotRefuse(capability.clone(), why))?;
                let if_lost = connectors::command::if_lost(rule.idempotent, rule.lookup.is_some());
                Ok(Class::Consequential { by: command(&rule.command.argv), if_lost })
            }
        }
    }

    fn own(&self, capability: &Capability) -> Result<Class, BindError> {
        let withheld = |why: &str| Err(BindError::Withheld(capability.clone(), why.into()));
        let by = |by: &str, if_lost| Ok(Class::Consequential { by: by.into(), if_lost });
        match kind(capability) {
            Some((_, Kind::Log)) => Ok(Class::Log),
            Some(("repository" | "checks", Kind::Routine)) if self.config.repository.is_none() => {
                withheld(NO_REPOSITORY)
            }
            Some((_, Kind::Routine)) => Ok(Class::Routine),
            Some(("guidance", Kind::Consequential)) => by("the person who answers", guidance::IF_LOST),
            Some(("payments", Kind::Consequential)) => by(&ledger_of(&self.config.payments), ledger::IF_LOST),
            Some(("email", Kind::Consequential)) => match &self.config.email.connector {
                Mail::Maildir { path } => {
                    by(&format!("delivery into the maildir {}", path.display()), maildir::IF_LOST)
                }
                Mail::Smtp(relay) => by(&format!("the mail relay {}:{}", relay.host, relay.port), smtp::IF_LOST),
            },
            Some(("deployment", Kind::Consequential)) => {
                match self.config.deployment.as_ref().map(|deployment| &deployment.connector) {
                    Some(Deploy::Git) => by("moving the target's git branch", deploy_git::IF_LOST),
                    Some(Deploy::Command(program)) => by(&command(&program.argv), deploy_command::IF_LOST),
                    None => withheld(NO_DEPLOYMENT),
                }
            }
            // A function without a known connector is offered by no host.
            Some((_, Kind::Consequential)) | None => Err(BindError::Unclassified(capability.clone())),
        }
    }
}

fn ledger_of(payments: &Payments) -> String {
    let (path, names) = (payments.path.display(), payments.accounts.keys());
    let names = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        return format!(
            "booking in the ledger {path}, which has no account to pay from: add a section `[payments.accounts.NAME]`"
        );
    }
    format!("booking in the ledger {path}, from {names}")
}

fn command(argv: &[String]) -> String {
    format!("the operator's command `{}`", argv.join(" "))
}
