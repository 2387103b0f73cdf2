//! The reviewers and their configured groups.

use std::collections::BTreeMap;

use holdshort_gate::{ReviewerName, Reviewers};
use serde::{Deserialize, Serialize};

use holdshort_config::nearest;

/// Reviewers and groups by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    everybody: Vec<ReviewerName>,
    groups: BTreeMap<String, Vec<ReviewerName>>,
}

impl People {
    /// Collects the names of all reviewers, and the members of each group.
    pub fn new(everybody: Vec<ReviewerName>, groups: BTreeMap<String, Vec<ReviewerName>>) -> Self {
        Self { everybody, groups }
    }

    /// The names of all reviewers.
    pub fn names(&self) -> &[ReviewerName] {
        &self.everybody
    }

    /// The groups with their members.
    pub fn groups(&self) -> &BTreeMap<String, Vec<ReviewerName>> {
        &self.groups
    }

    /// The reviewers in a list of groups and names, such as `finance, alice`.
    pub(super) fn named(&self, list: &str) -> Result<Reviewers, String> {
        let mut named: Vec<ReviewerName> = Vec::new();
        for name in list.split(',').map(str::trim) {
            let members = match (self.groups.get(name), self.everybody.iter().find(|known| known.as_str() == name)) {
                (Some(members), _) => members.clone(),
                (None, Some(person)) => vec![person.clone()],
                (None, None) => return Err(self.nobody(name)),
            };
            named.extend(members.into_iter().filter(|member| !named.contains(member)).collect::<Vec<_>>());
        }
        Ok(Reviewers::Named(named))
    }

    /// The error for an unknown name. It suggests a similar known name.
    pub(super) fn nobody(&self, name: &str) -> String {
        let people = || self.everybody.iter().map(ReviewerName::as_str);
        let known = || self.groups.keys().map(String::as_str).chain(people());
        let near = nearest(name, known()).map(|near| format!("did you mean `{near}`? If not, ")).unwrap_or_default();
        let all = known().collect::<Vec<_>>().join(", ");
        format!(
            "`{name}` is neither a group nor a reviewer; {near}add `{name}` under `[groups]` or as `[reviewers.{name}]`; known names: {all}"
        )
    }
}
