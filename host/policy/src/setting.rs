//! What policies are read in: the calls that this host offers, the people whom it knows, what the configuration asks for, and the policies in force.

use std::sync::Arc;

use super::candidate::Candidate;
use super::isolated::Reader;
use super::load::{Problems, Source};
use super::schema::Types;
use super::{Base, CedarPolicy, People};

/// What holds on a host without policies.
const ALL_DECIDE: &str = "permit (principal, action == Action::\"decide\", resource);\n";

/// All that it takes to read policies as this host would.
#[derive(Clone)]
pub struct Setting {
    /// The configured files.
    pub sources: Vec<Source>,
    /// The calls that policies can speak of.
    pub types: Types,
    /// Everybody with a token, and groups of them.
    pub people: People,
    /// What the configuration asks of every call that is held.
    pub base: Base,
    /// Tries policies before they are read here.
    pub reader: Reader,
    /// The policies in force, read from the files; none if no file is configured, and everything is held.
    pub present: Option<Arc<CedarPolicy>>,
}

impl Setting {
    /// Reads the configured files.
    pub fn new(
        sources: Vec<Source>,
        types: Types,
        people: People,
        base: Base,
        reader: Reader,
    ) -> Result<Self, Problems> {
        let mut setting = Self { sources, types, people, base, reader, present: None };
        if !setting.sources.is_empty() {
            setting.present = Some(Arc::new(setting.read(&setting.sources, &setting.sources)?));
        }
        Ok(setting)
    }

    /// The policies of these files and no others, of which `new` have not been read before. What nobody here could meet is a mistake: it would refuse
    /// each call that it holds.
    fn read(&self, sources: &[Source], new: &[Source]) -> Result<CedarPolicy, Problems> {
        self.reader.check(sources, new, &self.types, &self.people)?;
        let read = CedarPolicy::load(sources, &self.types, self.people.clone(), self.base.clone())?;
        let unmet = read.unmet();
        if unmet.is_empty() { Ok(read) } else { Err(Problems(unmet)) }
    }

    /// A candidate: these files alone, or with those that are configured. Where none is, everybody may decide, and so it stays.
    pub fn candidate(&self, files: Vec<Source>, add: bool) -> Result<Candidate, Problems> {
        let mut present = if add { self.sources.clone() } else { Vec::new() };
        if add && present.is_empty() {
            present.push(Source { path: "without policies".into(), text: ALL_DECIDE.into() });
        }
        present.extend(files.iter().cloned());
        Ok(Candidate::new(self.read(&present, &files)?, present, self.reader.clone()))
    }
}
