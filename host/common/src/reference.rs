//! Names of git references, and patterns that operators write for them.
//!
//! Git gives texts such as `x-0-g1f3a…`, `main~1` or `HEAD` several meanings. Here, a text is either the name of
//! exactly one reference or an error. So when a name is compared with a pattern or in a policy, the comparison is about
//! a reference of the repository, and not about an agent's spelling.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The prefix of branches.
const BRANCHES: &str = "refs/heads/";
/// The permitted name spaces. Others belong to git (notes, stash, replacements) or to this host (`refs/holdshort/`).
const SPACES: [&str; 3] = [BRANCHES, "refs/tags/", "refs/remotes/"];
/// The maximum length of a name. Git has only the file system's limits.
const NAME_BYTES_MAX: usize = 1_024;
/// The maximum length of a part between slashes. The file system permits 255 bytes, and git appends `.lock`.
const PART_BYTES_MAX: usize = 250;
/// Names that git reserves for its own state, besides `HEAD` and names that end in `_HEAD`.
const PSEUDO: [&str; 5] =
    ["AUTO_MERGE", "BISECT_EXPECTED_REV", "NOTES_MERGE_PARTIAL", "NOTES_MERGE_REF", "MERGE_AUTOSTASH"];

/// The full name of a branch, a tag or a remote branch, such as `refs/heads/main`. Git's own rules for names apply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReferenceName(String);

impl ReferenceName {
    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The branch's name without `refs/heads/`; `None` for other references.
    pub fn branch(&self) -> Option<&str> {
        self.0.strip_prefix(BRANCHES)
    }

    /// The names above this name, such as `refs/heads/a` of `refs/heads/a/b`. Git cannot store a reference if its name
    /// is a folder of another reference.
    pub fn above(&self) -> impl Iterator<Item = &str> {
        let top = SPACES.iter().find(|space| self.0.starts_with(**space)).map_or(0, |space| space.len());
        self.0.match_indices('/').filter(move |(at, _)| *at >= top).filter_map(|(at, _)| self.0.get(..at))
    }
}

/// The text is not the name of a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAName(&'static str);

impl NotAName {
    /// Why the text is no name. The reason does not repeat the text.
    pub fn why(&self) -> &'static str {
        self.0
    }
}

impl FromStr for ReferenceName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        in_a_space(text)?;
        well_formed(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ReferenceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ReferenceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The full name of a branch. Operators may write `production` for `refs/heads/production`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BranchName(ReferenceName);

impl BranchName {
    /// The full name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// See [`ReferenceName::above`].
    pub fn above(&self) -> impl Iterator<Item = &str> {
        self.0.above()
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BranchName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let name: ReferenceName = whole(text)?.parse()?;
        if name.branch().is_some() { Ok(Self(name)) } else { Err(NotAName("the name is not under `refs/heads/`")) }
    }
}

/// The operator's pattern for the git revisions that a check may run on. `*` matches any characters.
///
/// The pattern is compared with the resolved reference, never with the agent's text. A pattern without `refs/` means
/// branches. The pattern `*` means any revision, and is the only pattern that accepts a commit id without a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevisionPattern {
    /// `*`: any revision.
    Any,
    /// Full names with `*` as a wildcard.
    Names(String),
}

impl RevisionPattern {
    /// Whether the pattern accepts a resolved revision. `None` stands for a revision that is only a commit id.
    pub fn fits(&self, reference: Option<&ReferenceName>) -> bool {
        match (self, reference) {
            (Self::Any, _) => true,
            (Self::Names(pattern), Some(name)) => matches(pattern, name.as_str()),
            (Self::Names(_), None) => false,
        }
    }
}

impl FromStr for RevisionPattern {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let whole = whole(text)?;
        // A pattern such as `refs/*` is refused, because its `*` would match several name spaces.
        in_a_space(&whole)?;
        well_formed(&whole.replace('*', "x"))?;
        Ok(Self::Names(whole))
    }
}

impl fmt::Display for RevisionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Names(pattern) => f.write_str(pattern),
        }
    }
}

impl Serialize for RevisionPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether a text has the form of a full commit id, for either of git's hash functions, in upper or lower case.
pub fn is_an_id(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Refuses a short text that git would read in another way, or that a program would take for an option. An operator's
/// script could pass the text on to git.
pub fn short(text: &str) -> Result<(), NotAName> {
    if text == "HEAD" || text == "@" || text.ends_with("_HEAD") || PSEUDO.contains(&text) {
        return Err(NotAName("git reserves this name"));
    }
    if text.starts_with('-') {
        return Err(NotAName("the name begins with `-`"));
    }
    well_formed(text)
}

/// Adds `refs/heads/` to a short name.
fn whole(text: &str) -> Result<String, NotAName> {
    if text.starts_with("refs/") {
        return Ok(text.to_owned());
    }
    if is_an_id(text) {
        return Err(NotAName("this is a commit id, not the name of a branch"));
    }
    short(&text.replace('*', "x"))?;
    Ok(format!("{BRANCHES}{text}"))
}

fn in_a_space(name: &str) -> Result<(), NotAName> {
    if SPACES.iter().any(|space| name.starts_with(space)) {
        return Ok(());
    }
    Err(NotAName("the name is not under `refs/heads/`, `refs/tags/` or `refs/remotes/`"))
}

/// Checks the rules of `git check-ref-format`, forbids Unicode control characters, and limits the length to what file
/// systems accept.
fn well_formed(name: &str) -> Result<(), NotAName> {
    let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let fault = if name.len() > NAME_BYTES_MAX {
        "the name is longer than 1024 bytes"
    } else if name.contains(odd) {
        "the name has a space, a control character, or one of ~ ^ : ? * [ \\"
    } else if name.contains("..") || name.contains("@{") {
        "the name has `..` or `@{`"
    } else if name.split('/').any(str::is_empty) {
        "the name is empty, or has an empty part between slashes"
    } else if name.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock")) || name.ends_with('.') {
        "the name ends with `.`, or has a part that begins with `.` or ends with `.lock`"
    } else if name.split('/').any(|part| part.len() > PART_BYTES_MAX) {
        "a part of the name between slashes is longer than 250 bytes"
    } else {
        return Ok(());
    };
    Err(NotAName(fault))
}

/// Whether `text` matches `pattern`, in which `*` matches any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        // It is enough to try the first match: after a later match, less text would be left for the other parts of the
        // pattern.
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ReferenceName {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn a_pattern_fits_whole_names_and_means_branches_unless_it_says_otherwise() {
        for (pattern, reference, expected) in [
            ("main", "refs/heads/main", true),
            ("main", "refs/heads/main2", false),
            ("main", "refs/tags/main", false),
            ("main", "refs/heads/x/main", false),
            ("refs/heads/main", "refs/heads/main", true),
            ("release/*", "refs/heads/release/1", true),
            ("release/*", "refs/heads/release/1/2", true),
            ("release/*", "refs/heads/a/release/1", false),
            ("release/*", "refs/tags/release/1", false),
            ("release/*", "refs/remotes/release/1", false),
            ("refs/tags/v*", "refs/tags/v1", true),
            ("refs/tags/v*", "refs/heads/v1", false),
            ("refs/tags/v*", "refs/heads/refs/tags/v1", false),
            ("v*.*", "refs/heads/v1.2", true),
            ("v*.*", "refs/heads/v12", false),
            ("a*b*c", "refs/heads/abc", true),
            ("a*b*c", "refs/heads/acb", false),
            ("*x", "refs/heads/xx", true),
            ("*x", "refs/tags/xx", false),
            ("*", "refs/tags/v1", true),
        ] {
            let found: RevisionPattern = pattern.parse().unwrap();
            assert_eq!(found.fits(Some(&name(reference))), expected, "{pattern} {reference}");
            assert_eq!(found.fits(None), pattern == "*", "a bare commit id has no name: {pattern}");
        }
    }

    #[test]
    fn what_could_mean_something_else_is_no_pattern() {
        let id = "a".repeat(40);
        for bad in [
            "",
            "HEAD",
            "@",
            "FETCH_HEAD",
            "-x",
            "main~1",
            "main^",
            "main..x",
            "a b",
            "a:b",
            "@{u}",
            "[x]",
            "a?",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "refs/",
            "refs/*",
            "refs/notes/*",
            "refs/holdshort/*",
            "refs/h*",
            &id,
        ] {
            assert!(bad.parse::<RevisionPattern>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_branch_is_written_with_or_without_its_space() {
        for good in ["production", "refs/heads/production"] {
            assert_eq!(good.parse::<BranchName>().unwrap().as_str(), "refs/heads/production");
        }
        assert!("refs/tags/production".parse::<BranchName>().is_err());
        let long = "x".repeat(PART_BYTES_MAX);
        assert!(long.parse::<BranchName>().is_ok() && format!("{long}x").parse::<BranchName>().is_err());
        let branch: BranchName = "a/b/c".parse().unwrap();
        assert_eq!(branch.above().collect::<Vec<_>>(), ["refs/heads/a", "refs/heads/a/b"]);
        assert_eq!(name("refs/heads/a").above().count(), 0);
    }
}
