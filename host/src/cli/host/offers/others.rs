//! Foreign functions: the configured rules for functions and interfaces, and the programs that
//! serve them.

use std::sync::Arc;

use super::{Wiring, children, program};
use crate::cli::exit::Failure;
use crate::cli::host::types::ComponentTypes;
use crate::config::{CapabilityPattern, CapabilityRule, Config};
use crate::connectors::Perform;
use crate::connectors::command::{Acts, Answers, Beside, Facts, Surroundings};
use crate::runs::{Offer, Offered};

impl Wiring {
    /// Offers the functions of the sections `[capabilities.…]`. A function's own section has
    /// priority over its interface's, because the catalogue and the performers look for the
    /// function first.
    pub(super) fn others(&mut self, config: &Config, types: ComponentTypes) -> Result<(), Failure> {
        if config.capabilities.is_empty() {
            return Ok(());
        }
        let around = Surroundings::new(children(config)?, Arc::new(types));
        for (pattern, rule) in &config.capabilities {
            let (offer, performer) = serve(rule, config, &around);
            // The calling component supplies the type.
            let offered = Offered { offer, ty: None };
            match pattern {
                CapabilityPattern::Function(capability) => {
                    self.offers.catalogue.offer(capability.clone(), offered);
                    if let Some(performer) = performer {
                        self.offers.performers.insert(capability.clone(), performer);
                    }
                }
                CapabilityPattern::Interface(interface) => {
                    self.offers.catalogue.offer_interface(interface.clone(), offered);
                    if let Some(performer) = performer {
                        self.offers.performers.insert_interface(interface.clone(), performer);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The parts of a capability: the answer or preview for the driver, and the performer for the
/// dispatcher. For a consequential function, both are one connector, and each room gets its half.
fn serve(rule: &CapabilityRule, config: &Config, around: &Surroundings) -> (Offer, Option<Arc<dyn Perform>>) {
    match rule {
        CapabilityRule::Routine(command) => {
            let answers = Answers::new(program(command, &config.folder), around.clone());
            (Offer::Routine(Arc::new(answers)), None)
        }
        CapabilityRule::Consequential(rule) => {
            let types = rule.fact_types.iter().map(|(name, ty)| (name.clone(), ty.wit())).collect();
            let beside = Beside {
                idempotent: rule.idempotent,
                preview: rule.preview.clone(),
                lookup: rule.lookup.clone(),
                facts: rule.facts.clone().map(|argv| Facts { argv, types }),
            };
            let acts = Arc::new(Acts::new(program(&rule.command, &config.folder), beside, around.clone()));
            (Offer::Consequential { preview: acts.clone(), refusal: rule.refusal.clone() }, Some(acts))
        }
    }
}
