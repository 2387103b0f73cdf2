//! Reads the changed trees as stored, because git's own list misinterprets some of them.
//!
//! If a tree repeats a name, some programs use the first entry of that name and other programs use the last; git
//! compares trees by walking both in order. Git also reads modes such as 100664 as 100644. So wherever two trees
//! differ, this module reads them itself.

use std::collections::{BTreeMap, HashSet};

use super::blobs::Blobs;
use super::{CommitId, Git, GitError};

/// A folder's mode.
const FOLDER: &[u8] = b"40000";
/// The other modes that git itself writes.
const USUAL: [&[u8]; 4] = [b"100644", b"100755", b"120000", b"160000"];

/// A file with a mode that git's own list does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OddMode {
    pub(super) path: Vec<u8>,
    pub(super) id: String,
    /// The stored mode; `None` for a new file.
    pub(super) old: Option<String>,
    pub(super) new: String,
}

/// A name with its entry.
type Named = (Vec<u8>, Entry);

struct Entry {
    mode: Vec<u8>,
    id: String,
}

/// Finds the files with unusual modes in the differences between `from` (a commit or a tree) and `to`. A tree that
/// programs could read in two ways is an error.
pub(super) async fn odd_modes(
    git: &Git,
    blobs: &mut Blobs,
    from: &str,
    to: &CommitId,
) -> Result<Vec<OddMode>, GitError> {
    let (old, new) = (top(git, from).await?, top(git, to.as_str()).await?);
    let (mut left, mut seen, mut odd) = (vec![(Some(old), new, Vec::new())], HashSet::new(), Vec::new());
    while let Some((old, new, folder)) = left.pop() {
        // The same pair of trees was already compared, or the two trees are equal.
        if old.as_ref() == Some(&new) || !seen.insert((old.clone(), new.clone())) {
            continue;
        }
        let before = match &old {
            Some(old) => entries(blobs, old).await?.into_iter().collect::<BTreeMap<_, _>>(),
            None => BTreeMap::new(),
        };
        let entries = entries(blobs, &new).await?;
        if let Some(name) = unsound(&entries) {
            return Err(GitError::Unsound { tree: new, name: String::from_utf8_lossy(name).into_owned() });
        }
        for (name, entry) in entries {
            let (path, was) = ([folder.as_slice(), &name].concat(), before.get(&name));
            let text = |mode: &[u8]| String::from_utf8_lossy(mode).into_owned();
            if is_folder(&entry.mode) {
                let old = was.filter(|was| is_folder(&was.mode)).map(|was| was.id.clone());
                left.push((old, entry.id, [path.as_slice(), b"/"].concat()));
            } else if is_odd(&entry.mode) && was.is_none_or(|was| was.mode != entry.mode) {
                let old = was.filter(|was| !is_folder(&was.mode)).map(|was| text(&was.mode));
                odd.push(OddMode { path, id: entry.id, old, new: text(&entry.mode) });
            }
        }
    }
    Ok(odd)
}

async fn top(git: &Git, of: &str) -> Result<String, GitError> {
    let looked = git.read(&["rev-parse", "--verify", "--end-of-options", &format!("{of}^{{tree}}")], 256).await?;
    Ok(looked.text().trim().to_owned())
}

/// The entries of a tree, each stored as mode, blank, name, NUL and binary id. The list is empty if a partial clone
/// lacks the tree.
async fn entries(blobs: &mut Blobs, id: &str) -> Result<Vec<Named>, GitError> {
    let Some(bytes) = blobs.tree(id).await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((entry, after)) = next(rest, id.len() / 2) {
        found.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(found) } else { Err(GitError::Unsound { tree: id.to_owned(), name: String::new() }) }
}

fn next(bytes: &[u8], id_bytes: usize) -> Option<(Named, &[u8])> {
    let at = |sign: u8| bytes.iter().position(|byte| *byte == sign);
    let (blank, nul) = (at(b' ')?, at(0)?);
    let (id, after) = bytes.get(nul + 1..)?.split_at_checked(id_bytes)?;
    let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(((bytes.get(blank + 1..nul)?.to_owned(), Entry { mode: bytes.get(..blank)?.to_owned(), id }), after))
}

/// Finds a repeated or unsorted name. A folder's name is compared as if it ended in a slash.
fn unsound(entries: &[Named]) -> Option<&[u8]> {
    let place = |(name, entry): &Named| {
        if is_folder(&entry.mode) { [name, b"/".as_slice()].concat() } else { name.clone() }
    };
    let mut names = HashSet::new();
    let twice = entries.iter().find(|(name, _)| !names.insert(name));
    let unordered = || {
        entries
            .windows(2)
            .find_map(|two| if let [one, other] = two { (place(one) >= place(other)).then_some(other) } else { None })
    };
    twice.or_else(unordered).map(|(name, _)| name.as_slice())
}

fn is_folder(mode: &[u8]) -> bool {
    mode.strip_prefix(b"0").unwrap_or(mode) == FOLDER
}

fn is_odd(mode: &[u8]) -> bool {
    !USUAL.contains(&mode)
}
