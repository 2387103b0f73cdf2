//! Opens the connectors of a configuration: the answers and previews for the driver, and the performers for the dispatcher.

use holdshort_journal::Journal;

use super::CheckSandboxes;
use super::registry::{self, Around, Opened};
use crate::agent::Reader;
use crate::cli::exit::Failure;
use crate::config::{CapabilityPattern, Config};
use crate::effects::Performers;
use crate::runs::{Catalogue, Offer};

/// A host's capabilities, with separate parts for driver and dispatcher.
pub(in crate::cli) struct Offers {
    pub(in crate::cli) catalogue: Catalogue,
    pub(in crate::cli) performers: Performers,
}

/// Creates every connector of `config` and the folders that they need. Errors in the configuration or the machine stop the host here, before it
/// announces itself.
pub(super) fn offers(
    config: &Config,
    journal: &Journal,
    reader: &Reader,
    sandboxes: &CheckSandboxes,
) -> Result<Offers, Failure> {
    let around = Around::new(config, journal, reader, sandboxes);
    let mut performers = Performers::default();
    let catalogue = registry::catalogue(config, |patterns, served| {
        let refusal = served.refusal.clone();
        let (connector, perform) = match served.open(&around)? {
            Opened::Log => return Ok(Offer::Log),
            Opened::Routine(routine) => return Ok(Offer::Routine(routine)),
            Opened::Consequential(preview, perform) => (preview, perform),
        };
        for (pattern, perform) in patterns.iter().zip(std::iter::repeat(perform)) {
            match (pattern, perform) {
                (CapabilityPattern::Function(capability), Some(perform)) => {
                    performers.insert(capability.clone(), perform)
                }
                (CapabilityPattern::Interface(interface), Some(perform)) => {
                    performers.insert_interface(interface.clone(), perform);
                }
                // An answer to a question is no effect.
                (_, None) => {}
            }
        }
        Ok(Offer::Consequential { connector, refusal })
    })?;
    Ok(Offers { catalogue, performers })
}
