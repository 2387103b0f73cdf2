//! Opens the connectors of a configuration: the answers and previews for the driver, and the performers for the
//! dispatcher.

use holdshort_journal::Journal;

use super::CheckSandboxes;
use super::registry::{self, ConnectorContext, OpenedConnector};
use crate::agent::Reader;
use crate::cli::exit::Failure;
use crate::config::{CapabilityPattern, Config};
use crate::effects::Performers;
use crate::runs::{Catalogue, Offer};

/// A host's capabilities, with separate parts for driver and dispatcher.
pub(in crate::cli) struct HostConnectors {
    pub(in crate::cli) catalogue: Catalogue,
    pub(in crate::cli) performers: Performers,
}

/// Creates every connector of `config` and the folders that they need. Errors in the configuration or the machine stop
/// the host here, before it announces itself.
pub(super) fn open(
    config: &Config,
    journal: &Journal,
    reader: &Reader,
    sandboxes: &CheckSandboxes,
) -> Result<HostConnectors, Failure> {
    let context = ConnectorContext::new(config, journal, reader, sandboxes);
    let mut performers = Performers::default();
    let catalogue = registry::catalogue(config, |patterns, served| {
        let refusal = served.refusal.clone();
        let (routine, connector, perform) = match served.open(&context)? {
            OpenedConnector::Log => return Ok(Offer::Log),
            OpenedConnector::Routine(routine) => return Ok(Offer::Routine(routine)),
            OpenedConnector::Consequential(preview, perform) => (None, preview, perform),
            OpenedConnector::ByCall(routine, preview, perform) => (Some(routine), preview, Some(perform)),
        };
        for (pattern, perform) in patterns.iter().zip(std::iter::repeat(perform)) {
            match (pattern, perform) {
                (CapabilityPattern::Function(capability), Some(perform)) => {
                    performers.insert(capability.clone(), perform)
                }
                (CapabilityPattern::Interface(interface), Some(perform)) => {
                    performers.insert_interface(interface.clone(), perform);
                }
                // A question has no performer, because an answer is no effect.
                (_, None) => {}
            }
        }
        Ok(match routine {
            Some(routine) => Offer::ByCall { routine, connector },
            None => Offer::Consequential { connector, refusal },
        })
    })?;
    Ok(HostConnectors { catalogue, performers })
}
