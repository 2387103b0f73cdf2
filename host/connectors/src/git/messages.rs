//! Finds commits whose messages git does not show as stored.
//!
//! Git ends a message at a NUL byte, and converts a message with a declared character set. In both
//! cases the shown text differs from the stored message.

use super::objects::Objects;
use super::{GitError, Limit};

/// The maximum stored size of all commits in a list, including signatures.
const COMMITS_BYTES_MAX: usize = 64 << 20;

/// A message that git does not show as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddMessage {
    pub id: String,
    /// The declared character set, if it is not UTF-8.
    pub charset: Option<String>,
    /// The stored message.
    pub message: Vec<u8>,
}

/// The messages of the commits in `range` that git does not show as stored. `range` is in the notation of `git log`.
pub async fn odd(objects: &Objects, range: &[&str]) -> Result<Vec<OddMessage>, GitError> {
    let arguments: Vec<&str> = ["rev-list"].into_iter().chain(range.iter().copied()).collect();
    let ids = whole(objects.git().read(&arguments, COMMITS_BYTES_MAX).await?, "rev-list")?;
    let stored = objects.git().read_of(&["cat-file", "--buffer", "--batch"], ids, COMMITS_BYTES_MAX).await?;
    let stored = whole(stored, "cat-file")?;
    let failed = || GitError::Failed { command: "cat-file".into(), complaint: "the output lacks a commit".into() };
    let (mut rest, mut odd) = (stored.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (id, commit, after) = next(rest).ok_or_else(failed)?;
        odd.extend(judged(id, commit));
        rest = after;
    }
    Ok(odd)
}

fn whole(looked: super::GitOutput, command: &str) -> Result<Vec<u8>, GitError> {
    if looked.is_whole() {
        return Ok(looked.bytes);
    }
    Err(GitError::TooLarge { command: command.to_owned(), limit: Limit::OutputBytes(COMMITS_BYTES_MAX as u64) })
}

/// Parses the first answer of git: `ID commit SIZE`, a line end, the content, and a line end.
fn next(answers: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let end = answers.iter().position(|byte| *byte == b'\n')?;
    let words: Vec<&str> = std::str::from_utf8(answers.get(..end)?).ok()?.split(' ').collect();
    let [id, "commit", size] = words.as_slice() else { return None };
    let (commit, after) = answers.get(end + 1..)?.split_at_checked(size.parse().ok()?)?;
    Some((id, commit, after.strip_prefix(b"\n")?))
}

fn judged(id: &str, commit: &[u8]) -> Option<OddMessage> {
    let end = commit.windows(2).position(|two| two == b"\n\n").unwrap_or(commit.len());
    let (headings, message) = (commit.get(..end)?, commit.get(end + 2..).unwrap_or_default());
    let charset = headings.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"encoding "));
    let charset = charset.map(|name| String::from_utf8_lossy(name).into_owned());
    let charset = charset.filter(|name| !["utf-8", "utf8"].iter().any(|utf8| name.eq_ignore_ascii_case(utf8)));
    let is_odd = charset.is_some() || commit.contains(&0);
    is_odd.then(|| OddMessage { id: id.to_owned(), charset, message: message.to_owned() })
}
