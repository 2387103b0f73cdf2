//! The published WIT package, compiled into the program. So the types of built-in functions are exactly
//! those of `wit/`.
//!
//! **Invariant:** when an agent is loaded, the types of its built-in functions are checked against this package. An
//! agent that imports `send-email` with another type is refused.

use std::path::Path;

use holdshort_gate::Capability;
use wit_parser::{Resolve, SourceMap};

use super::manifest::Import;
use super::wit;

/// The files of `wit/`, each with its name and its text.
pub const FILES: [(&str, &str); 11] = [
    ("agent.wit", include_str!("../../../wit/agent.wit")),
    ("checks.wit", include_str!("../../../wit/checks.wit")),
    ("deployment.wit", include_str!("../../../wit/deployment.wit")),
    ("email.wit", include_str!("../../../wit/email.wit")),
    ("guidance.wit", include_str!("../../../wit/guidance.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("model.wit", include_str!("../../../wit/model.wit")),
    ("payments.wit", include_str!("../../../wit/payments.wit")),
    ("repository.wit", include_str!("../../../wit/repository.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("workspace.wit", include_str!("../../../wit/workspace.wit")),
];

/// The full name of one of the package's interfaces, such as `email`.
pub fn interface(name: &str) -> String {
    format!("holdshort:agent/{name}@0.1.0")
}

/// Whether a function belongs to this package, in any version of the package.
pub fn is_ours(capability: &Capability) -> bool {
    capability.interface().starts_with("holdshort:agent/")
}

/// Whether a function asks a model.
pub(super) fn is_model(capability: &Capability) -> bool {
    capability.interface().starts_with("holdshort:agent/model@")
}

/// The error if the package cannot be read, because this program was built from inconsistent files.
#[derive(Debug, thiserror::Error)]
#[error("the embedded WIT package cannot be read: {0}")]
pub struct BadPackage(String);

/// Every function of the package with its type.
pub fn functions() -> Result<Vec<Import>, BadPackage> {
    let bad = |error: &dyn std::fmt::Display| BadPackage(format!("{error:#}"));
    let mut files = SourceMap::default();
    for (name, text) in FILES {
        files.push(Path::new(name), text);
    }
    let group = files.parse().map_err(|(_, error)| bad(&error))?;
    let mut resolve = Resolve::default();
    resolve.push_group(group).map_err(|error| bad(&error))?;
    let mut found = Vec::new();
    for (id, interface) in &resolve.interfaces {
        let name = resolve.id_of(id).ok_or_else(|| bad(&"an interface has no name"))?;
        for function in interface.functions.values() {
            let capability = Capability::new(&name, &function.name).map_err(|error| bad(&error))?;
            let ty = wit::function_type(&resolve, function)
                .map_err(|why| bad(&format!("`{capability}` cannot be offered: {why:?}")))?;
            found.push(Import { capability, ty });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_package_is_embedded_and_every_function_can_be_offered() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".wit"))
            .collect();
        files.sort();
        assert_eq!(files, FILES.map(|(name, _)| name));
        let names: Vec<String> = functions().unwrap().iter().map(|import| import.capability.to_string()).collect();
        assert!(names.contains(&(interface("deployment") + "#deploy")), "{names:?}");
        assert_eq!(names.len(), 13, "{names:?}");
    }
}
