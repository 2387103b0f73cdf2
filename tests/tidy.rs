//! Checks the order of the project: which module may import which, the length of files and functions, the share of
//! documentation, and what stands at the top level.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use xtask::sources::{Function, functions};

#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/states.rs"]
mod states;

/// The maximum number of lines of a file, so that a maintainer can read it in one sitting.
const FILE_LINES_MAX: usize = 400;
/// The maximum number of lines of a file of the gate. It is lower because the gate is read most.
const GATE_FILE_LINES_MAX: usize = 300;
/// The maximum number of lines of a function, so that it fits on one screen.
const FUNCTION_LINES_MAX: usize = 60;
/// The maximum number of lines of an honest example agent, with all of its code, because it is read like a page of a
/// tutorial.
const EXAMPLE_LINES_MAX: usize = 150;
/// Lines of one file of an example agent in TypeScript.
const SCRIPT_LINES_MAX: usize = 100;
/// The least share of documentation, in per cent of the lines.
const DOC_SHARE_MIN: usize = 15;

/// For each package below the host, the packages of the project that it may use. Its `Cargo.toml` must name exactly
/// these.
const PACKAGES: &[(&str, &[&str])] = &[
    ("agent", &["gate", "common"]),
    ("analysis", &["gate", "policy"]),
    ("common", &[]),
    ("config", &["gate", "common"]),
    ("connectors", &["gate", "journal", "common", "words"]),
    ("gate", &[]),
    ("journal", &["gate"]),
    ("policy", &["gate", "common", "config", "words"]),
    ("review", &["gate", "common", "words"]),
    ("words", &["gate"]),
];
/// For each module folder (room) of the host package, the other rooms and the packages that it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("api", &["gate", "journal", "policy", "review", "runs", "analysis", "kill", "common", "own"]),
    ("effects", &["gate", "journal", "connectors", "kill", "words"]),
    ("kill", &["journal"]),
    ("notify", &["gate", "journal", "common", "review"]),
    ("own", &[]),
    ("page", &["gate", "journal", "policy", "review", "api", "analysis", "common"]),
    ("runs", &["gate", "journal", "agent", "common", "policy", "connectors", "effects", "kill", "words"]),
];
/// Rooms that connect the parts and may use everything.
const WIRING: [&str; 3] = ["cli", "lib", "main"];
/// Libraries that only one package, or two, may name.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("cedar-policy", &["policy"]),
    ("gix-imara-diff", &["connectors"]),
    ("lettre", &["connectors"]),
    ("rusqlite", &["connectors", "journal"]),
    ("wasmparser", &["agent"]),
    ("wasmtime", &["agent"]),
    ("wasmtime-wasi", &["agent"]),
    ("wasmtime-wasi-http", &["agent"]),
    ("wasmtime-wasi-io", &["agent"]),
    ("wit-component", &["agent"]),
    ("wit-parser", &["agent"]),
];

/// For each module of the package `common`, the folders below the host that use it.
const COMMON: &[(&str, &[&str])] = &[
    ("aside", &["connectors", "src/page", "src/runs"]),
    ("isolate", &["agent", "policy", "src/cli", "src/lib.rs"]),
    ("money", &["config", "connectors", "policy", "review", "src/cli", "src/page"]),
    ("outbound", &["connectors", "src/cli", "src/notify"]),
    ("once", &["config", "connectors", "policy", "src/api", "src/cli", "src/page"]),
    ("reference", &["config", "connectors", "src/lib.rs"]),
];

/// Words that a room must not contain, each with the reason.
const BANNED: &[(&str, &str, &str)] = &[
    ("host/src/runs", "Perform", "the driver never holds what can act"),
    ("host/src/runs", "Authorized", "the driver never holds what can act"),
    ("host/src/cli", "for_simulation", "an engine that interrupts nobody is for tests"),
    ("host/src", "in_process", "what is untrusted is read in a child"),
    ("host/src/cli", "Manifest::read", "what is untrusted is read in a child"),
    ("host/src/api", "connectors::", "the endpoint never reaches a connector"),
    ("host/connectors", "Journal::", "a connector has no journal, only an `Authorized`"),
    ("host/gate", "std::time", "the gate has no clock"),
    ("host/gate", "std::fs", "the gate does no IO"),
    ("host/gate", "async fn", "the gate is pure"),
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// The Rust files of a folder that are not tests, with their text up to the unit tests.
fn sources(folder: &str) -> Vec<(String, String)> {
    let found = xtask::sources::sources(&top(), folder).unwrap();
    assert!(!found.is_empty(), "no sources under {folder}");
    found.into_iter().map(|source| (source.path, source.code)).collect()
}

fn name_of(path: &Path) -> String {
    path.strip_prefix(top()).unwrap().display().to_string()
}

fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    xtask::sources::code(&text).to_owned()
}

/// The names of the folders and files under `host/src`: the rooms.
fn rooms() -> BTreeSet<String> {
    let entries = std::fs::read_dir(top().join("host/src")).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap().trim_end_matches(".rs").to_owned()).collect()
}

/// The rooms of its own package that a line of code names, or the reason why a room's name cannot be determined.
fn uses(line: &str) -> Vec<Result<String, String>> {
    let after = line.match_indices("crate::").map(|(at, found)| &line[at + found.len()..]);
    let mut found: Vec<_> = after
        .map(|rest| {
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if name.is_empty() { Err("name one room after each `crate::`".to_owned()) } else { Ok(name) }
        })
        .collect();
    if line.contains("use crate as") || line.contains("use crate;") {
        found.push(Err("the whole package has no other name".into()));
    }
    found
}

/// How many `super::` in a file lead out of its room.
fn depth(path: &str) -> usize {
    let within = path.strip_prefix("host/src/").unwrap().trim_end_matches(".rs").trim_end_matches("/mod");
    within.split('/').count()
}

/// The libraries that a package's `Cargo.toml` names for its own code, tests left out.
fn libraries(package: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(top().join("host").join(package).join("Cargo.toml")).unwrap();
    let lines = manifest.split("\n[dependencies]\n").nth(1).map_or("", |rest| rest.split("\n[").next().unwrap());
    let names = lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['.', ' ']).next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn packages_name_only_what_they_may() {
    let holds = |path: PathBuf| path.join("Cargo.toml").is_file();
    let entries = std::fs::read_dir(top().join("host")).unwrap().map(Result::unwrap);
    let found = entries.filter(|entry| holds(entry.path())).map(|entry| entry.file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), PACKAGES.iter().map(|(name, _)| (*name).to_owned()).collect());
    for (package, may) in PACKAGES {
        let named = libraries(package);
        let of_ours: BTreeSet<&str> = named.iter().filter_map(|name| name.strip_prefix("holdshort-")).collect();
        assert_eq!(of_ours, may.iter().copied().collect(), "the packages that host/{package}/Cargo.toml names");
    }
    for (library, may) in LIBRARIES {
        let all = PACKAGES.iter().map(|(package, _)| *package).chain(["."]);
        let named: Vec<&str> = all.filter(|package| libraries(package).contains(*library)).collect();
        assert_eq!(&named, may, "the packages that name `{library}`");
    }
}

#[test]
fn rooms_import_only_what_they_may() {
    let (mut wrong, mut drawn) = (Vec::new(), BTreeSet::new());
    let known: BTreeSet<String> = ROOMS.iter().map(|(room, _)| *room).chain(WIRING).map(str::to_owned).collect();
    assert_eq!(rooms(), known, "what stands under host/src, and what `ROOMS` and `WIRING` have arrows for");
    for (room, may) in ROOMS {
        for (path, text) in sources(&format!("host/src/{room}")) {
            let out = "super::".repeat(depth(&path));
            for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
                let mut used = uses(line);
                let packages = PACKAGES.iter().filter(|(name, _)| line.contains(&format!("holdshort_{name}")));
                used.extend(packages.map(|(name, _)| Ok((*name).into())));
                if line.contains(&out) {
                    used.push(Err("another room is named from `crate::`".into()));
                }
                for used in used {
                    match used {
                        Ok(name) if name == *room => {}
                        Ok(name) if may.contains(&name.as_str()) => drop(drawn.insert((*room, name))),
                        Ok(name) => wrong.push(format!("{path}:{}: `{room}` must not use `{name}`", number + 1)),
                        Err(why) => wrong.push(format!("{path}:{}: {why}: {line}", number + 1)),
                    }
                }
            }
        }
        for may in may.iter().filter(|may| !drawn.contains(&(*room, (**may).to_owned()))) {
            wrong.push(format!("`{room}` may use `{may}` and does not: take the arrow away"));
        }
    }
    for (folder, word, why) in BANNED {
        for (path, text) in sources(folder) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code.filter(|line| line.contains(word)) {
                wrong.push(format!("{path}: `{word}`: {why}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The folder below the host that a file belongs to: a package, or a room of the host package.
fn folder_of(path: &str) -> String {
    let below: Vec<_> = path.split('/').skip(1).collect();
    let parts = if below.first() == Some(&"src") { 2 } else { 1 };
    below.iter().take(parts).copied().collect::<Vec<_>>().join("/")
}

#[test]
fn modules_of_common_are_used_where_they_belong() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources("host") {
        for after in text.split("holdshort_common::").skip(1) {
            let list = after.strip_prefix('{').and_then(|rest| rest.split('}').next());
            for module in list.map_or(vec![after], |list| list.split(", ").collect()) {
                let end = |c: char| !c.is_ascii_lowercase() && c != '_';
                used.entry(module.split(end).next().unwrap().to_owned()).or_default().insert(folder_of(&path));
            }
        }
    }
    let may = COMMON
        .iter()
        .map(|(module, folders)| ((*module).to_owned(), folders.iter().map(|folder| (*folder).to_owned()).collect()));
    assert_eq!(used, may.collect());
}

/// The table in `host/ARCHITECTURE.md` must have a row for each package and room, whose last column names exactly what
/// it may use.
#[test]
fn the_table_of_rooms_says_the_same() {
    let text = std::fs::read_to_string(top().join("host/ARCHITECTURE.md")).unwrap();
    let table = text.split("\n| room | ").nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = table.lines().skip(2).map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let rows: BTreeMap<&str, &str> = cells.map(|cells| (cells[0].trim_matches('`'), cells[2])).collect();
    assert_eq!(rows.get("cli"), Some(&"everything"));
    let arrows = || PACKAGES.iter().chain(ROOMS);
    assert_eq!(rows.len(), arrows().count() + 1, "{rows:?}");
    for (room, may) in arrows() {
        let words = rows[room].split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: BTreeSet<&str> = words.filter(|word| arrows().any(|(name, _)| name == word)).collect();
        assert_eq!(named, may.iter().copied().collect(), "`{room}` in the table, and here");
    }
}

/// The file that prints lines.
const OUTPUT: &str = "host/src/cli/output.rs";
/// The file that draws on the whole terminal.
const SCREEN: &str = "host/src/cli/review/screen.rs";
/// The file that turns lines into cells.
const CELLS: &str = "host/review/src/screen.rs";

/// The file that reaches the host's socket through the descriptor of its folder.
const SOCKET: &str = "host/src/cli/socket.rs";

/// Functions and types that could show text to a person without `review`. Each may stand only in files that accept
/// nothing but the output of `review`, or that use it for another purpose.
const SCREENS: &[(&str, &[&str], &[&str])] = &[
    (
        "host",
        &[OUTPUT, SCREEN],
        &[
            "io::stdout",
            "io::stderr",
            "stdout()",
            "stderr()",
            "print!",
            "println!",
            "dbg!",
            "inherit()",
            "/dev/tty",
            "/dev/std",
            "/dev/fd",
            "ProgressBar",
            "set_hook",
        ],
    ),
    ("host", &[SCREEN, CELLS], &["ratatui", "crossterm", "termios"]),
    (
        "host/src/api",
        &["host/src/api/json.rs"],
        &["axum::Json", "axum::{Json", "serde_json::to_string", "serde_json::to_vec"],
    ),
    ("host", &[SOCKET], &["/proc/self/fd"]),
];

/// The words that stand in a file's code. A longer name that ends in such a word does not count.
fn screens<'a>(text: &str, words: &[&'a str]) -> Vec<&'a str> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let stands = |word: &str| code.match_indices(word).any(|(at, _)| !code[..at].ends_with('_'));
    words.iter().copied().filter(|word| stands(word)).collect()
}

/// The outputs accept only `VisibleLines`, and only `review` makes a `VisibleLines`, because its field is private. This
/// test checks that nothing else is written to the outputs.
#[test]
fn review_is_the_only_road_to_eyes() {
    for (room, gates, words) in SCREENS {
        for (path, text) in sources(room).into_iter().filter(|(path, _)| !gates.contains(&path.as_str())) {
            let found = screens(&text, words);
            assert!(found.is_empty(), "{path}: {found:?}: only {gates:?} may, which take what `review` has made");
        }
        for gate in *gates {
            assert!(!screens(&code_of(&top().join(gate)), words).is_empty(), "{gate} is no gate");
        }
    }
    // In these files two functions open the outputs, and both accept `VisibleLines`.
    let output = code_of(&top().join(OUTPUT));
    for (opens, signature) in [
        ("io::stdout().lock()", "fn print(shown: &VisibleLines) -> Result<(), Failure> {"),
        ("io::stderr().lock()", "fn print_aside(shown: &VisibleLines) -> io::Result<()> {"),
    ] {
        assert_eq!(output.matches(opens).count(), 1, "`{opens}` in output.rs");
        let function = output.split(signature).nth(1).unwrap_or_else(|| panic!("no `{signature}` in output.rs"));
        assert!(function.split("\n}\n").next().unwrap().contains(opens), "`{opens}` belongs into `{signature}`");
    }
    let named = output.matches("stdout()").count() + output.matches("stderr()").count();
    let asked = output.matches("stdout().is_terminal()").count() + output.matches("stderr().is_terminal()").count();
    assert_eq!(named - asked, 2, "an output is opened beside the two functions of output.rs");
    // `/proc/self/fd` stands in one place, with the descriptor of a folder: it opens a file in that folder and no
    // output.
    let socket = code_of(&top().join(SOCKET));
    assert_eq!(socket.matches("/proc/self/fd").count(), 1, "descriptors in {SOCKET}");
    assert!(
        socket.contains("PathBuf::from(format!(\"/proc/self/fd/{}\", folder.as_raw_fd())).join(FILE)"),
        "a folder's descriptor"
    );
    // The full screen is drawn in one place, from a `Screenful`. All other terminal code only takes the terminal and
    // gives it back.
    let screen = code_of(&top().join(SCREEN));
    let stands = |word: &str| screen.matches(word).count();
    let draws = "draw(|frame| frame.render_widget(sheet, frame.area()))";
    let counts =
        [draws, "pub(super) fn draw(&mut self, sheet: &Screenful)", "frame.", "stdout()", "is_terminal()", "execute!("];
    assert_eq!(counts.map(stands), [1, 1, 2, 3, 2, 2], "{counts:?} in {SCREEN}");
    for word in [
        "widgets",
        "text::",
        "buffer",
        "backend()",
        "write",
        "Print",
        "Title",
        "queue!",
        "stderr()",
        "format!(\"\\",
        "Style",
    ] {
        assert_eq!(stands(word), 0, "`{word}` in {SCREEN}: it shows a `Screenful` and nothing else");
    }
    let cells = code_of(&top().join(CELLS));
    assert_eq!(cells.matches("cells.set_").count(), 1, "one place fills cells");
    assert!(cells.contains("cells.set_stringn(area.x, y, line.text(), "), "with the text of a `Line`");
    // Only `review` constructs a `VisibleLines`.
    let shown = code_of(&top().join("host/review/src/shown.rs"));
    assert!(shown.contains("pub struct VisibleLines(String);"), "the field of `VisibleLines` is private");
    let terminal = code_of(&top().join("host/review/src/terminal.rs"));
    assert!(
        terminal.contains("pub struct Line {\n    tone: Tone,\n    text: String,\n}"),
        "the fields of `Line` are private"
    );
    assert!(
        terminal.contains("    pub(super) fn new(tone: Tone, text: String) -> Self {"),
        "and only `review` makes one"
    );
}

/// The fields of templates whose type could carry an agent's text unchanged.
fn words_in_templates(text: &str) -> Vec<&str> {
    let loose = ["String", "str", "Value", "Cow", "Html", "Vec<u8>", "char"];
    let holds = |line: &&str| {
        let ty = line.split_once(": ").map_or("", |(_, ty)| ty).replace("&'static str", "");
        ty.split(|c: char| !c.is_alphanumeric() && !"<>".contains(c))
            .any(|word| loose.iter().any(|loose| word.split(['<', '>']).any(|part| part == *loose)))
    };
    let mut found = Vec::new();
    for item in text.split("\n}\n") {
        // In these files a type with fields that derives `Debug` is a part of a template.
        let shown = item.contains("#[derive(Template)]")
            || item.contains("#[derive(Debug")
            || item.contains("#[derive(Debug)]");
        if shown && item.contains("struct ") {
            let fields = item.rsplit_once("struct ").map_or("", |(_, fields)| fields);
            found.extend(fields.lines().skip(1).filter(|line| !line.trim_start().starts_with("//")).filter(holds));
        }
    }
    found
}

/// A template escapes its input, and accepts an agent's text only in the form that `review` has made visible.
#[test]
fn templates_take_what_review_made() {
    let mut templates = 0;
    for (path, text) in sources("host/src/page") {
        templates += text.matches("#[derive(Template)]").count();
        assert_eq!(
            words_in_templates(&text),
            Vec::<&str>::new(),
            "{path}: a template takes `review::Text` and words of the host's"
        );
    }
    assert!(templates >= 5, "{templates} templates");
    let folder = std::fs::read_dir(top().join("host/src/page/templates")).unwrap();
    for path in folder.map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["|safe", "| safe", "|escape", "| escape", "autoescape", "style=", "onclick", "javascript:"] {
            assert!(!text.contains(word), "{}: `{word}`", path.display());
        }
    }
}

#[test]
fn an_example_agent_is_a_page_of_a_tutorial() {
    let entries = std::fs::read_dir(top().join("guest-examples")).unwrap().map(|entry| entry.unwrap().path());
    let agents: Vec<String> = entries.filter(|path| path.join("src").is_dir()).map(|path| name_of(&path)).collect();
    assert!(agents.len() >= 3, "{agents:?}");
    for agent in agents {
        let lines: usize = sources(&agent).iter().map(|(_, text)| text.lines().count()).sum();
        assert!(lines < EXAMPLE_LINES_MAX, "{agent} has {lines} lines, fewer than {EXAMPLE_LINES_MAX} are allowed");
    }
    let script = |path: &PathBuf| path.extension().is_some_and(|end| end == "ts" || end == "py");
    let scripts = ["typescript", "python"].map(|folder| top().join("guest-examples").join(folder));
    let scripts =
        scripts.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let lengths: Vec<_> = scripts
        .filter(script)
        .map(|path| (name_of(&path), std::fs::read_to_string(path).unwrap().lines().count()))
        .collect();
    assert!(lengths.len() >= 7, "{lengths:?}");
    let long: Vec<_> = lengths.into_iter().filter(|(_, lines)| *lines >= SCRIPT_LINES_MAX).collect();
    assert!(long.is_empty(), "{long:?}: fewer than {SCRIPT_LINES_MAX} lines are allowed");
}

#[test]
fn files_and_functions_fit() {
    let mut wrong = Vec::new();
    let (mut lines, mut docs) = (0, 0);
    for (path, text) in sources("host") {
        let max = if path.starts_with("host/gate") { GATE_FILE_LINES_MAX } else { FILE_LINES_MAX };
        let count = text.lines().count();
        if count > max {
            wrong.push(format!("{path}: {count} lines, at most {max}"));
        }
        lines += text.lines().filter(|line| !line.trim().is_empty()).count();
        docs += text.lines().filter(|line| line.trim_start().starts_with("//")).count();
        wrong.extend(long_functions(&path, &text));
    }
    println!("{docs} of {lines} lines are documentation");
    if docs * 100 < lines * DOC_SHARE_MIN {
        wrong.push(format!("{docs} of {lines} lines are documentation, at least {DOC_SHARE_MIN} % should be"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn long_functions(path: &str, text: &str) -> Vec<String> {
    let long = functions(text).into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|Function { line, lines }| format!("{path}:{line}: a function of {lines} lines")).collect()
}

/// The types, traits and functions of a file that other packages or rooms can name and that lack a doc comment.
///
/// Fields and variants need no comment: their names are enough, and a comment is written only where it adds something.
fn undocumented(path: &str, text: &str) -> Vec<String> {
    let (mut found, mut documented, mut attribute) = (Vec::new(), false, None);
    for (number, line) in text.lines().enumerate() {
        let (indent, word) = (line.len() - line.trim_start().len(), line.trim());
        match attribute {
            Some(at) if at == indent && word == ")]" => attribute = None,
            Some(_) => {}
            None if word.starts_with("#[") => attribute = (!word.ends_with(']')).then_some(indent),
            None if word.starts_with("//") => documented |= word.starts_with("///"),
            None => {
                if is_public(word) && !documented {
                    found.push(format!("{path}:{}: no doc comment: {word}", number + 1));
                }
                documented = false;
            }
        }
    }
    found
}

/// Whether a line begins a type or a trait that another module can name, or a function that another package can.
fn is_public(line: &str) -> bool {
    let words = || line.split([' ', '(', '<', '{']).take_while(|word| *word != "=");
    let is_type = ["struct", "enum", "trait", "type", "union", "const", "static"]
        .iter()
        .any(|kind| words().any(|word| word == *kind));
    let is_macro = line.contains('$');
    let is_function = line.starts_with("pub ") && words().any(|word| word == "fn");
    line.starts_with("pub") && !is_macro && (is_function || is_type)
}

#[test]
fn what_is_public_is_documented() {
    let wrong: Vec<_> = sources("host").iter().flat_map(|(path, text)| undocumented(path, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (path, text) in sources("host") {
        assert!(text.starts_with("//!"), "{path} begins without a comment that says what is in it");
    }
    let plain = "pub struct A;\n\n/// B.\n#[derive(Debug)]\npub struct B {\n    pub b: u8,\n}\npub(crate) enum C {}\npub fn d() {}\npub(crate) fn e() {}\n";
    let lines: Vec<_> =
        undocumented("x.rs", plain).iter().map(|at| at.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["x.rs:1", "x.rs:8", "x.rs:9"]);
}

#[test]
fn the_checks_above_can_fail() {
    let long = format!("pub(crate) fn f(\n    a: u8,\n) {{\n{}}}\n", "    a();\n".repeat(60));
    assert_eq!(long_functions("x.rs", &long), ["x.rs:1: a function of 64 lines"]);
    assert!(long_functions("x.rs", "fn f() {\n    a();\n}\n").is_empty());
    let signature = format!("    fn f(\n        a: u8,\n    ) -> u8;\n{}    }}\n", "    a();\n".repeat(60));
    assert!(long_functions("x.rs", &signature).is_empty(), "it has no body");
    assert_eq!(screens("use ratatui::widgets::Paragraph;\n", SCREENS[1].2), ["ratatui"]);
    let template = "#[derive(Template)]\nstruct A {\n    a: Text,\n    b: &'static str,\n    c: Vec<(Text, String)>,\n    /// d: String\n    e: &'a str,\n}\n";
    assert_eq!(words_in_templates(template), ["    c: Vec<(Text, String)>,", "    e: &'a str,"]);
    let words = SCREENS[0].2;
    assert_eq!(
        screens("fn f() {\n    std::io::stdout().write_all(agents_words);\n}\n", words),
        ["io::stdout", "stdout()"]
    );
    assert!(screens("// io::stdout\nfn f() { wasi::add_stdout(); }\n", words).is_empty());
}

#[test]
fn the_top_level_holds_only_what_it_should() {
    let allowed: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "LICENSE",
        "SECURITY.md",
        "host",
        "wit",
        "guest-examples",
        "tests",
        "target",
    ]
    .into();
    for entry in std::fs::read_dir(top()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || allowed.contains(name.as_str()), "`{name}` stands at the top level");
    }
}
