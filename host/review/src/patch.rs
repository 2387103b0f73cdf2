//! Reads a diff in git's format and splits it by file for a page. Every line is kept, including headings and lines
//! before the first file.

use super::text::Text;

/// A diff, split by file.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// The lines before the first file.
    pub before: Vec<Text>,
    pub files: Vec<PatchFile>,
}

/// The changes to one file.
#[derive(Clone, Debug, Default)]
pub struct PatchFile {
    /// The file's name as the diff writes it. A name with unusual bytes is in quotation marks and has escapes.
    pub name: Text,
    /// How many lines are added.
    pub added: usize,
    /// How many lines are removed.
    pub removed: usize,
    /// All lines of the file, including git's headings.
    pub lines: Vec<PatchLine>,
}

/// A line of a diff.
#[derive(Clone, Debug)]
pub struct PatchLine {
    pub side: Side,
    /// The complete line with its sign.
    pub text: Text,
}

/// The part of a diff that a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Unchanged: in the old and the new version.
    Both,
    /// Removed: only in the old version.
    Old,
    /// Added: only in the new version.
    New,
    /// A heading of git about the file or the position.
    About,
}

impl PatchFile {
    /// The lines side by side: old lines on the left, new lines on the right. An unchanged line is on both sides. A
    /// heading is only on the left.
    pub fn pairs(&self) -> Vec<(Option<&PatchLine>, Option<&PatchLine>)> {
        let (mut pairs, mut rest) = (Vec::new(), self.lines.as_slice());
        while let Some(first) = rest.first() {
            let (olds, after) = run(rest, Side::Old);
            let (news, after) = run(after, Side::New);
            if olds.is_empty() && news.is_empty() {
                pairs.push((Some(first), (first.side == Side::Both).then_some(first)));
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            pairs.extend((0..olds.len().max(news.len())).map(|index| (olds.get(index), news.get(index))));
            rest = after;
        }
        pairs
    }
}

/// Splits the lines into the first lines, as long as they are of this kind, and the remaining lines.
fn run(lines: &[PatchLine], side: Side) -> (&[PatchLine], &[PatchLine]) {
    lines.split_at_checked(lines.iter().take_while(|line| line.side == side).count()).unwrap_or((lines, &[]))
}

impl Side {
    /// The CSS class for this kind of line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Old => "old",
            Self::New => "new",
            Self::About => "about-file",
        }
    }
}

impl Patch {
    /// Reads a diff. Lines that belong to no file go before the first file.
    pub fn read(diff: &[u8]) -> Self {
        let mut patch = Self::default();
        // The numbers of old and new lines that the current hunk still has. Inside a hunk, a line that looks like a
        // heading is a line of the file.
        let mut left = (0_usize, 0_usize);
        for (raw, text) in diff.split(|byte| *byte == b'\n').zip(Text::byte_lines(diff)) {
            let is_heading = left == (0, 0);
            if is_heading && let Some(names) = raw.strip_prefix(b"diff --git ") {
                patch.files.push(PatchFile { name: Text::byte_line(&same(names)), ..PatchFile::default() });
            }
            let side = side(raw, &mut left);
            match patch.files.last_mut() {
                Some(file) => {
                    if is_heading && let Some(name) = renamed(raw) {
                        file.name = Text::byte_line(name);
                    }
                    file.added += usize::from(side == Side::New);
                    file.removed += usize::from(side == Side::Old);
                    file.lines.push(PatchLine { side, text });
                }
                None => patch.before.push(text),
            }
        }
        patch
    }
}

/// The name in `a/NAME b/NAME`. The name can itself contain ` b/`, so its end is found by its length: both names are
/// equally long. If the file was renamed, the two names differ, and another line has the new name; see [`renamed`].
fn same(names: &[u8]) -> Vec<u8> {
    let halves = names.split_at_checked(names.len() / 2);
    match halves.map(|(_, after)| after) {
        Some([b' ', b'b', b'/', name @ ..]) => name.to_vec(),
        Some([b' ', b'"', b'b', b'/', name @ ..]) => [b"\"", name].concat(),
        Some(_) | None => names.to_vec(),
    }
}

/// The new name, if this line says that the file was renamed or copied.
fn renamed(raw: &[u8]) -> Option<&[u8]> {
    raw.strip_prefix(b"rename to ").or_else(|| raw.strip_prefix(b"copy to "))
}

fn side(raw: &[u8], left: &mut (usize, usize)) -> Side {
    let (old, new) = left;
    match raw.first() {
        Some(b'-') if *old > 0 => {
            *old -= 1;
            Side::Old
        }
        Some(b'+') if *new > 0 => {
            *new -= 1;
            Side::New
        }
        Some(b' ') if *old > 0 && *new > 0 => {
            (*old, *new) = (*old - 1, *new - 1);
            Side::Both
        }
        _ => {
            if let Some(counts) = counts(raw) {
                *left = counts;
            }
            Side::About
        }
    }
}

/// The number of old and new lines of a hunk, from its heading `@@ -1,2 +1,3 @@`.
fn counts(raw: &[u8]) -> Option<(usize, usize)> {
    // The heading can end in a part of a line of the file, so its bytes may be outside UTF-8.
    let text = String::from_utf8_lossy(raw);
    let (old, new) = text.strip_prefix("@@ -")?.split(" @@").next()?.split_once(" +")?;
    let count = |range: &str| range.split_once(',').map_or(Some(1), |(_, count)| count.parse().ok());
    Some((count(old)?, count(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_stands_in_its_file() {
        let diff = "diff --git a/a.txt b/a.txt\nindex 1..2 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,3 @@ x\n one\n--- two\n+++ three\n+four\n\
                    \\ No newline at end of file\ndiff --git a/b b/c d\nsimilarity index 100%\nrename from b\nrename to c d\n";
        let patch = Patch::read(diff.as_bytes());
        let names: Vec<String> = patch.files.iter().map(|file| file.name.to_string()).collect();
        assert_eq!(names, ["a.txt", "c d"]);
        assert_eq!(
            (patch.files[0].added, patch.files[0].removed),
            (2, 1),
            "what looks like a heading is a line of the file"
        );
        let lines: Vec<String> =
            patch.files.iter().flat_map(|file| &file.lines).map(|line| line.text.to_string()).collect();
        assert_eq!(lines.join("\n"), diff, "nothing is left out");
        assert!(patch.before.is_empty());
        let side = |line: Option<&PatchLine>| line.map(|line| line.text.to_string()).unwrap_or_default();
        let pairs: Vec<(String, String)> =
            patch.files[0].pairs().into_iter().skip(4).map(|(old, new)| (side(old), side(new))).collect();
        let expected = [
            ("@@ -1,2 +1,3 @@ x", ""),
            (" one", " one"),
            ("--- two", "+++ three"),
            ("", "+four"),
            ("\\ No newline at end of file", ""),
        ];
        assert_eq!(pairs, expected.map(|(old, new)| (old.to_owned(), new.to_owned())));
        let patch = Patch::read(
            b"diff --git a/src b/x b/src b/x\nold mode 1\ndiff --git \"a/q\\n b/\" \"b/q\\n b/\"\nindex 1\n\
              diff --git a/caf\xe9 b/caf\xe9\n@@ -1 +1 @@ \xe9\n-\xe9\n+\xe8\n@@ -9 +9 @@\n-rename to z\n+rename to z\ndiff --git a/x b/y b/x\nrename to y b/x",
        );
        let names: Vec<String> = patch.files.iter().map(|file| file.name.to_string()).collect();
        assert_eq!(names, ["src b/x", "\"q\\n b/\"", "caf<E9>", "y b/x"]);
        let lines: Vec<String> = patch.files[2].lines.iter().map(|line| line.text.to_string()).collect();
        assert_eq!(lines[2..4], ["-<E9>", "+<E8>"]);
        assert_eq!(Patch::read(b"no diff\nat all").before.len(), 2);
    }
}
