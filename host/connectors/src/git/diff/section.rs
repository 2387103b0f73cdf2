//! Writes a file's section of a patch, and its line in the list of files.

use super::classify::Sides;
use super::hunks::{hunks, lines};
use super::{Diff, FileChange, Version};

/// Compares the contents of a file and writes its section.
pub(super) fn compare(mut file: FileChange, sides: &Sides) -> (FileChange, Vec<u8>) {
    file.gaps = sides.gaps(&file);
    let mut compared = Vec::new();
    file.lines = sides.text(&file).map(|(old, new)| {
        let found = hunks(old, new);
        // In a renamed file, each unchanged line counts as removed at the old name and added at the new name.
        let kept = if file.similarity.is_some() { lines(new).count() as u64 - found.added } else { 0 };
        compared = found.text;
        (found.added + kept, found.removed + kept)
    });
    if file.gaps.iter().any(|(gap, _)| gap.hides_lines()) {
        file.lines = None;
    }
    let mut section = heading(&file);
    if !compared.is_empty() {
        let name = |sign: &str, side: &str, version: Option<&Version>| match version {
            Some(version) => [sign.as_bytes(), b" ", &escaped(side, &version.path), b"\n"].concat(),
            None => format!("{sign} /dev/null\n").into_bytes(),
        };
        section.extend(name("---", "a/", file.old.as_ref()));
        section.extend(name("+++", "b/", file.new.as_ref()));
        section.extend(compared);
    }
    (file, section)
}

/// The lines above a file's changes: the heading as git writes it, and one line for each gap.
fn heading(file: &FileChange) -> Vec<u8> {
    let (Some(old), Some(new)) = (file.old.as_ref().or(file.new.as_ref()), file.new.as_ref().or(file.old.as_ref()))
    else {
        return Vec::new();
    };
    let named = |words: &str, side: &str, path: &[u8]| [words.as_bytes(), &escaped(side, path)].concat();
    let mut about = vec![[named("diff --git ", "a/", &old.path), named(" ", "b/", &new.path)].concat()];
    let absent = "0".repeat(old.id.len());
    let (from, to, said) = match (&file.old, &file.new) {
        (None, _) => (absent.as_str(), new.id.as_str(), format!("new file mode {}", new.mode)),
        (_, None) => (old.id.as_str(), absent.as_str(), format!("deleted file mode {}", old.mode)),
        (Some(_), Some(_)) if old.mode != new.mode => {
            (old.id.as_str(), new.id.as_str(), format!("old mode {}\nnew mode {}", old.mode, new.mode))
        }
        (Some(_), Some(_)) => (old.id.as_str(), new.id.as_str(), String::new()),
    };
    about.extend((!said.is_empty()).then(|| said.into_bytes()));
    if let Some(similarity) = file.similarity {
        about.push(format!("similarity index {similarity}%").into_bytes());
        about.extend([named("rename from ", "", &old.path), named("rename to ", "", &new.path)]);
    }
    about.extend((from != to).then(|| format!("index {from}..{to}").into_bytes()));
    about.extend(file.gaps.iter().map(|(_, why)| format!("note: {why}").into_bytes()));
    about.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect()
}

impl Diff {
    /// The selected files, one line each: the kind of change, the name in quotation marks, the line counts,
    /// and the gaps.
    pub fn list(&self, which: impl Fn(&FileChange) -> bool) -> Vec<u8> {
        self.files.iter().filter(|file| which(file)).flat_map(line).collect()
    }

    /// The size of the change as text.
    pub fn stat(&self) -> String {
        let some = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let changed = match self.files.len() as u64 {
            0 => return "no file changes".into(),
            files => some(files, "file") + " changed",
        };
        let known = self.files.iter().filter_map(|file| file.lines);
        let (added, removed) = known.fold((0, 0), |sum, lines| (sum.0 + lines.0, sum.1 + lines.1));
        let mut parts = vec![changed];
        parts.extend((added > 0).then(|| format!("{}(+)", some(added, "insertion"))));
        parts.extend((removed > 0).then(|| format!("{}(-)", some(removed, "deletion"))));
        let text = parts.join(", ");
        let names: Vec<&str> = self.gaps().into_iter().map(super::Gap::name).collect();
        match self.not_shown().count() as u64 {
            0 => text,
            count => format!("{text}; {} NOT SHOWN IN FULL ({})", some(count, "file"), names.join(", ")),
        }
    }
}

fn line(file: &FileChange) -> Vec<u8> {
    let quoted = |version: &Version| [b"\"", escape(&version.path).as_slice(), b"\""].concat();
    let mut text = match (&file.old, &file.new) {
        (None, Some(new)) => [b"added    ", quoted(new).as_slice()].concat(),
        (Some(old), None) => [b"deleted  ", quoted(old).as_slice()].concat(),
        (Some(old), Some(new)) if file.similarity.is_some() => {
            [b"renamed  ", quoted(old).as_slice(), b" to ", &quoted(new)].concat()
        }
        (Some(_), Some(new)) => [b"changed  ", quoted(new).as_slice()].concat(),
        (None, None) => Vec::new(),
    };
    if let Some((added, removed)) = file.lines {
        text.extend(format!("  +{added} -{removed}").into_bytes());
    }
    for (gap, why) in &file.gaps {
        text.extend(format!("\n    {}: {why}", gap.name()).into_bytes());
    }
    text.push(b'\n');
    text
}

/// A name as git writes it in a patch: in quotation marks if it has bytes that would end the line
/// or the quotation.
fn escaped(side: &str, path: &[u8]) -> Vec<u8> {
    let name = escape(path);
    if name == path { [side.as_bytes(), path].concat() } else { [b"\"", side.as_bytes(), &name, b"\""].concat() }
}

/// Escapes bytes as in C. Bytes that are not valid text stay unchanged; the code that shows evidence makes them
/// visible.
fn escape(path: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b'"' => b"\\\"".to_vec(),
        b'\\' => b"\\\\".to_vec(),
        b'\n' => b"\\n".to_vec(),
        b'\t' => b"\\t".to_vec(),
        b'\r' => b"\\r".to_vec(),
        0..32 | 127 => format!("\\{byte:03o}").into_bytes(),
        _ => vec![*byte],
    };
    path.iter().flat_map(escape).collect()
}
