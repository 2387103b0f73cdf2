//! Reads the contents of many files from one git process, one after the other.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::objects::Objects;
use super::{Git, GitError, Limit};

/// The maximum size of a file for comparison: twice that of an exhibit.
pub const FILE_BYTES_MAX: u64 = 32 << 20;
/// The maximum length of a heading line. The heading lines that git writes are shorter.
const HEADING_BYTES_MAX: u64 = 1024;

/// A running `git cat-file`. It ends on drop.
#[derive(Debug)]
pub struct Blobs {
    git: Git,
    is_partial: bool,
    _child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobContent {
    /// The complete content.
    Bytes(Vec<u8>),
    /// The file is larger than [`FILE_BYTES_MAX`]; with its size.
    TooLarge(u64),
    /// The repository is a partial clone without this content.
    Missing,
}

impl Blobs {
    /// Starts the process.
    pub fn open(objects: &Objects) -> Result<Self, GitError> {
        let git = objects.git().clone();
        let mut child = git.start(&["cat-file", "--batch-command"], Stdio::null())?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (questions, answers) = pipes.ok_or_else(|| failed("the child process has no pipes".into()))?;
        let (answers, is_partial) = (BufReader::new(answers), objects.is_partial());
        Ok(Self { git, is_partial, _child: child, questions, answers })
    }

    /// Reads a tree as stored; `None` if a partial clone lacks it.
    pub async fn tree(&mut self, id: &str) -> Result<Option<Vec<u8>>, GitError> {
        match self.read_kind(id, "tree").await? {
            BlobContent::Bytes(bytes) => Ok(Some(bytes)),
            BlobContent::Missing => Ok(None),
            BlobContent::TooLarge(_) => {
                let limit = Limit::OutputBytes(FILE_BYTES_MAX);
                Err(GitError::TooLarge { command: "cat-file".into(), limit })
            }
        }
    }

    /// Reads a file by its id. A missing file is an error, except in a partial clone.
    pub async fn read(&mut self, id: &str) -> Result<BlobContent, GitError> {
        self.read_kind(id, "blob").await
    }

    async fn read_kind(&mut self, id: &str, kind: &str) -> Result<BlobContent, GitError> {
        match self.size(id, kind).await {
            Ok(Some(bytes)) if bytes > FILE_BYTES_MAX => Ok(BlobContent::TooLarge(bytes)),
            Ok(Some(bytes)) => match self.bytes(id, kind, bytes).await {
                Ok(bytes) => Ok(BlobContent::Bytes(bytes)),
                Err(error) => Err(self.complaint(id, kind, &error).await),
            },
            Ok(None) if self.is_partial => Ok(BlobContent::Missing),
            Ok(None) => Err(failed(format!("the repository has no object {id}; `git fsck` lists all missing objects"))),
            Err(error) => Err(self.complaint(id, kind, &error).await),
        }
    }

    async fn size(&mut self, id: &str, kind: &str) -> std::io::Result<Option<u64>> {
        self.questions.write_all(format!("info {id}\n").as_bytes()).await?;
        self.heading(id, kind).await
    }

    async fn bytes(&mut self, id: &str, kind: &str, expected: u64) -> std::io::Result<Vec<u8>> {
        self.questions.write_all(format!("contents {id}\n").as_bytes()).await?;
        if self.heading(id, kind).await? != Some(expected) {
            return Err(std::io::Error::other("git gave two different sizes of one object"));
        }
        let mut bytes = Vec::new();
        (&mut self.answers).take(expected + 1).read_to_end(&mut bytes).await?;
        if bytes.pop() == Some(b'\n') && bytes.len() as u64 == expected {
            Ok(bytes)
        } else {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Reads the size of an object from the line `ID KIND SIZE`; `None` if the line says that it is
    /// missing.
    async fn heading(&mut self, id: &str, kind: &str) -> std::io::Result<Option<u64>> {
        let mut line = Vec::new();
        (&mut self.answers).take(HEADING_BYTES_MAX).read_until(b'\n', &mut line).await?;
        let line = String::from_utf8_lossy(&line);
        let words: Vec<&str> = line.trim_end_matches('\n').split(' ').collect();
        match words.as_slice() {
            [name, "missing"] if *name == id => Ok(None),
            [name, found, size] if *name == id && *found == kind => {
                size.parse().map(Some).map_err(std::io::Error::other)
            }
            _ => Err(std::io::Error::other(format!("git says `{line}`"))),
        }
    }

    /// The error if the process ended or its output is unexpected. To get a full message, another git process is asked
    /// about the object.
    async fn complaint(&self, id: &str, kind: &str, error: &std::io::Error) -> GitError {
        match self.git.read(&["cat-file", kind, id], 0).await {
            Err(error) => error,
            Ok(_) => failed(error.to_string()),
        }
    }
}

fn failed(complaint: String) -> GitError {
    GitError::Failed { command: "cat-file".into(), complaint }
}
