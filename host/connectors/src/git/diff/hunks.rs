//! Compares two texts line by line, in hunks with three lines of context.

use std::ops::Range;

use gix_imara_diff::{Algorithm, InternedInput};

/// The lines of context before and after each change.
const CONTEXT: usize = 3;
/// The maximum number of lines of both texts together. With more lines, the memory would not suffice for a comparison,
/// and both texts are shown completely.
const LINES_MAX: usize = 4_000_000;

/// The hunks, and the numbers of added and removed lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hunks {
    pub(super) text: Vec<u8>,
    pub(super) added: u64,
    pub(super) removed: u64,
}

/// Old lines that are replaced by new lines.
#[derive(Clone, Debug)]
struct Replaced {
    old: Range<usize>,
    new: Range<usize>,
}

/// The lines of a text with their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// The changes between two texts.
pub(super) fn hunks(old: &[u8], new: &[u8]) -> Hunks {
    if old.is_empty() || new.is_empty() || lines(old).count() + lines(new).count() > LINES_MAX {
        return Hunks::all(old, new);
    }
    let (before, after): (Vec<_>, Vec<_>) = (lines(old).collect(), lines(new).collect());
    let replaced = replaced(&before, &after);
    // The diff library is not trusted to find all changes: lines left out as equal are checked to
    // be equal.
    if !is_all(&replaced, &before, &after) {
        return Hunks::all(old, new);
    }
    let mut hunks = Hunks::default();
    for near in replaced.chunk_by(|one, next| next.old.start - one.old.end <= 2 * CONTEXT) {
        hunks.add(near, &before, &after);
    }
    hunks
}

fn replaced(old: &[&[u8]], new: &[&[u8]]) -> Vec<Replaced> {
    let mut input = InternedInput::default();
    input.update_before(old.iter().copied());
    input.update_after(new.iter().copied());
    let mut diff = gix_imara_diff::Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let lines = |range: Range<u32>| range.start as usize..range.end as usize;
    diff.hunks().map(|hunk| Replaced { old: lines(hunk.before), new: lines(hunk.after) }).collect()
}

/// Whether the lines between the changes are equal on both sides.
fn is_all(replaced: &[Replaced], old: &[&[u8]], new: &[&[u8]]) -> bool {
    let end = Replaced { old: old.len()..old.len(), new: new.len()..new.len() };
    let mut at = (0, 0);
    replaced.iter().chain([&end]).all(|next| {
        let kept = (old.get(at.0..next.old.start), new.get(at.1..next.new.start));
        at = (next.old.end, next.new.end);
        matches!(kept, (Some(old), Some(new)) if old == new)
    })
}

impl Hunks {
    /// One hunk with the whole old text and the whole new text.
    fn all(old: &[u8], new: &[u8]) -> Self {
        let (removed, added) = (lines(old).count(), lines(new).count());
        let mut hunks = Self { added: added as u64, removed: removed as u64, text: Vec::new() };
        if removed + added > 0 {
            hunks.heading(0..removed, 0..added);
        }
        hunks.side(b'-', lines(old));
        hunks.side(b'+', lines(new));
        hunks
    }

    fn heading(&mut self, old: Range<usize>, new: Range<usize>) {
        let range = |lines: Range<usize>| match lines.len() {
            0 => format!("{},0", lines.start),
            1 => format!("{}", lines.start + 1),
            count => format!("{},{count}", lines.start + 1),
        };
        self.text.extend(format!("@@ -{} +{} @@\n", range(old), range(new)).into_bytes());
    }

    /// Adds changes that are near each other, with the lines between and around them.
    fn add(&mut self, near: &[Replaced], old: &[&[u8]], new: &[&[u8]]) {
        let (Some(first), Some(last)) = (near.first(), near.last()) else { return };
        let before = first.old.start.min(CONTEXT);
        let after = (old.len() - last.old.end).min(CONTEXT);
        self.heading(first.old.start - before..last.old.end + after, first.new.start - before..last.new.end + after);
        let mut at = first.old.start - before;
        for change in near {
            self.side(b' ', some(old, at..change.old.start));
            self.side(b'-', some(old, change.old.clone()));
            self.side(b'+', some(new, change.new.clone()));
            self.removed += change.old.len() as u64;
            self.added += change.new.len() as u64;
            at = change.old.end;
        }
        self.side(b' ', some(old, at..at + after));
    }

    fn side<'a>(&mut self, sign: u8, lines: impl Iterator<Item = &'a [u8]>) {
        for line in lines {
            self.text.push(sign);
            self.text.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                self.text.extend_from_slice(b"\n\\ No newline at end of file\n");
            }
        }
    }
}

fn some<'a>(lines: &[&'a [u8]], range: Range<usize>) -> impl Iterator<Item = &'a [u8]> {
    lines.get(range).unwrap_or_default().iter().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Applies hunks to a text, as a program that reads patches does.
    fn applied(old: &[u8], hunks: &[u8]) -> Vec<u8> {
        let (old, mut new, mut at): (Vec<_>, _, _) = (lines(old).collect(), Vec::new(), 0);
        for line in lines(hunks) {
            match line[0] {
                b'@' => {
                    let text = String::from_utf8_lossy(line);
                    let span = text[4..].split_once(' ').unwrap().0;
                    let (start, count) = span.split_once(',').unwrap_or((span, "1"));
                    let start = start.parse::<usize>().unwrap() - usize::from(count != "0");
                    new.extend(old[at..start].concat());
                    at = start;
                }
                b'\\' => drop(new.pop()),
                b'-' => at += 1,
                sign => {
                    new.extend(&line[1..]);
                    at += usize::from(sign == b' ');
                }
            }
        }
        new.extend(old[at..].concat());
        new
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn hunks_make_the_new_text_of_the_old(old in "[ab\n\u{0}é]{0,60}", new in "[ab\n\u{0}é]{0,60}") {
            let found = hunks(old.as_bytes(), new.as_bytes());
            // A missing line end is reported on a line of its own, even if the line before it was removed.
            let shown = String::from_utf8_lossy(&found.text).replace("\n\\ No newline at end of file\n", "\u{1}\n");
            let shown = lines(shown.as_bytes()).filter(|line| !(line[0] == b'-' && line.ends_with(b"\x01\n")));
            let dropped = found.text.windows(2).any(|two| two == b"\n\\");
            if !dropped {
                prop_assert_eq!(applied(old.as_bytes(), &shown.collect::<Vec<_>>().concat()), new.as_bytes());
            }
            let count = |sign: u8| lines(&found.text).filter(|line| line[0] == sign).count() as u64;
            prop_assert_eq!((count(b'+'), count(b'-')), (found.added, found.removed));
        }
    }

    #[test]
    fn changes_that_were_not_found_are_shown_all_the_same() {
        let of = |text: &'static [u8]| lines(text).collect::<Vec<_>>();
        let (old, new) = (of(b"a\nb\n"), of(b"a\nc\n"));
        assert!(is_all(&replaced(&old, &new), &old, &new));
        assert!(!is_all(&[], &old, &new));
        assert!(!is_all(&[Replaced { old: 0..1, new: 0..1 }], &old, &new));
        assert!(!is_all(&[], &old, &of(b"a\nb\nc\n")));
        assert_eq!(Hunks::all(b"a\nb", b"").text, b"@@ -1,2 +0,0 @@\n-a\n-b\n\\ No newline at end of file\n");
    }
}
