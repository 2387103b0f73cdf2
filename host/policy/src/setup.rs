//! Everything that is needed to read policies: the host's calls and reviewers, the configured
//! requirement, and the policies in force.

use std::sync::Arc;

use super::candidate::Candidate;
use super::isolated::Reader;
use super::load::{Problems, Source};
use super::schema::Types;
use super::{CedarPolicy, Defaults, People};

/// A policy that lets everybody decide, as on a host without policy files.
const ALL_DECIDE: &str = "permit (principal, action == Action::\"decide\", resource);\n";

/// Everything that is needed to read policies as this host would.
#[derive(Clone)]
pub struct PolicySetup {
    pub sources: Vec<Source>,
    /// The calls that policies can refer to.
    pub types: Types,
    /// The reviewers and their groups.
    pub people: People,
    /// The configured requirement for every held call.
    pub base: Defaults,
    /// Reads policies in a child before the host reads them.
    pub reader: Reader,
    /// The policies in force. `None` without policy files; then every call is held.
    pub present: Option<Arc<CedarPolicy>>,
}

impl PolicySetup {
    /// Reads the configured files.
    pub fn new(
        sources: Vec<Source>,
        types: Types,
        people: People,
        base: Defaults,
        reader: Reader,
    ) -> Result<Self, Problems> {
        let mut setting = Self { sources, types, people, base, reader, present: None };
        if !setting.sources.is_empty() {
            setting.present = Some(Arc::new(setting.read(&setting.sources, &setting.sources)?));
        }
        Ok(setting)
    }

    /// Reads exactly these files. The files in `new` were not read before. A demand that nobody can
    /// meet is an error, because each call that its policy holds would be refused.
    fn read(&self, sources: &[Source], new: &[Source]) -> Result<CedarPolicy, Problems> {
        self.reader.check(sources, new, &self.types, &self.people)?;
        let read = CedarPolicy::load(sources, &self.types, self.people.clone(), self.base.clone())?;
        let unmet = read.unmet();
        if unmet.is_empty() { Ok(read) } else { Err(Problems(unmet)) }
    }

    /// Reads a candidate: these files alone or, with `add`, together with the configured files. On
    /// a host without policy files everybody may decide, so `add` then adds a policy that says this.
    pub fn candidate(&self, files: Vec<Source>, add: bool) -> Result<Candidate, Problems> {
        let mut present = if add { self.sources.clone() } else { Vec::new() };
        if add && present.is_empty() {
            present.push(Source { path: "without policies".into(), text: ALL_DECIDE.into() });
        }
        present.extend(files.iter().cloned());
        Ok(Candidate::new(self.read(&present, &files)?, present, self.reader.clone()))
    }
}
