//! Texts that an agent writes to be misread: on a reviewer's terminal every character can be seen, and none has an
//! effect on the terminal.

use crate::folder;
use crate::support::{Folder, Host};

/// Characters that a screen would hide, reorder or obey, each between letters.
const NASTY: &[(&str, &[u32])] = &[
    ("directions", &[0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0x200e, 0x200f, 0x061c]),
    (
        "no width",
        &[
            0x200b, 0x200c, 0x200d, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0xfeff, 0x00ad, 0x034f, 0x180e, 0x115f,
            0x3164, 0xffa0,
        ],
    ),
    ("tags", &[0xe0001, 0xe0020, 0xe0041, 0xe005a, 0xe007f, 0xe0100, 0xe01ef]),
    ("controls", &[0x01, 0x07, 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e, 0x1a, 0x1b, 0x1c, 0x1f, 0x7f]),
    ("more controls", &[0x80, 0x84, 0x85, 0x8d, 0x90, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f]),
    ("spaces and line ends", &[0xa0, 0x1680, 0x2000, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0x2800]),
    ("variations", &[0xfe00, 0xfe0e, 0xfe0f, 0x180b, 0x180d]),
    ("accents on what has none", &[0x0300, 0x0336, 0x0338, 0x20dd, 0x20e0, 0x0489]),
    (
        "of nobody",
        &[0xe000, 0xf8ff, 0xf0000, 0x10fffd, 0x0378, 0xfdd0, 0xfffe, 0x1fffe, 0xfff9, 0xfffb, 0x206a, 0x206f],
    ),
];

/// Characters without a warning: a tab, the end of a line, and spaces that keep two words together. Honest text has
/// them between visible characters.
const UNWARNED: [u32; 4] = [0x09, 0x0d, 0xa0, 0x202f];

#[test]
fn every_nasty_character_is_written_out() {
    let (folder, host) = folder(&["scripted"], "").into_served();
    for (kind, codes) in NASTY {
        let chars = codes.iter().map(|code| char::from_u32(*code).unwrap());
        let question: String = chars.map(|c| format!("a={c}=b ")).collect::<String>() + "end";
        let run = host.start("scripted", &format!("ask {question}"));
        let approval = host.held(&run);
        assert_eq!(approval["proposal"]["action"]["arguments"]["question"]["text"], question.as_str(), "{kind}");
        for shown in everything_shown(&folder, &host, &run, approval["id"].as_str().unwrap()) {
            assert_harmless(kind, &shown);
        }
        let shown = show(&folder, approval["id"].as_str().unwrap());
        let warned = codes.iter().filter(|code| !UNWARNED.contains(*code)).count();
        let marked = format!("question.text: {warned} invisible characters");
        assert!(unwrapped(&shown).contains(&marked), "{kind}: no `{marked}` in\n{shown}");
        for code in *codes {
            let written = format!("a=<U+{code:04X}>=b");
            assert!(unwrapped(&shown).contains(&written), "{kind}: no `{written}` in\n{shown}");
        }
        host.post(&format!("/v1/runs/{run}/cancel"), &serde_json::json!({}));
    }
}

/// The calls of `escape` that can be held, and what a reviewer must find on their pages. Every other attempt of
/// `escape` is refused (`out.rs`, `limits.rs`).
const HELD: &[(&str, &[&str], &[&str])] = &[
    ("lookalike", &["Warnings", "mixes Cyrillic and Latin letters", "means the host xn--"], &[]),
    (
        "html",
        &["</title></pre><script>document.forms[0].submit()</script>", "<img src=", "![x](http://attacker.example)"],
        &["<h1>Verified by the host</h1>", "<style>.claims { display: none }</style>"],
    ),
    ("wrong-digest-claim", &[], &["has already approved sha256:0000", "verdict: clear", "Host evidence"]),
];

#[test]
fn what_is_held_is_shown_as_it_is_with_the_claims_last() {
    let (folder, host) = folder(&["escape"], "").into_served();
    for (task, matter, claims) in HELD {
        let run = host.start("escape", task);
        let approval = host.held(&run);
        let id = approval["id"].as_str().unwrap();
        for shown in everything_shown(&folder, &host, &run, id) {
            assert_harmless(task, &shown);
        }
        let shown = show(&folder, id);
        assert!(shown.contains(approval["digest"].as_str().unwrap()), "{task}: the digest is not in\n{shown}");
        let heading = "The agent's rationale (its own words, not verified)";
        let (done, said) = shown.split_once(heading).unwrap();
        for (part, expected) in [(done, matter), (said, claims)] {
            for text in *expected {
                assert!(unwrapped(part).contains(text), "{task}: no `{text}` in\n{part}");
            }
        }
        for text in *claims {
            assert!(!unwrapped(done).contains(text), "{task}: a claim stands beside the host's evidence:\n{done}");
        }
    }
}

/// A call that was refused at once is shown with its content and the reason.
#[test]
fn what_is_refused_says_why() {
    let (folder, host) = folder(&["escape"], "").into_served();
    for (task, why) in [
        ("bidi", "is not a valid mail address"),
        ("invisible", "is not a valid mail address"),
        ("escapes", "the subject has the control character U+001B"),
        ("headers", "is not a valid mail address"),
        ("lines", "at most 65536 bytes and 400 lines"),
        ("wrong-attachment", "attachment"),
    ] {
        let run = host.start("escape", task);
        host.over(&run);
        let id = format!("{run}.1");
        for shown in everything_shown(&folder, &host, &run, &id) {
            assert_harmless(task, &shown);
        }
        let shown = unwrapped(&show(&folder, &id));
        assert!(shown.contains("refused") && shown.contains(why), "{task}: no `{why}` in\n{shown}");
        assert!(shown.contains("holdshort:agent/email@0.1.0#send-email"), "{task}: {shown}");
    }
}

pub fn show(folder: &Folder, id: &str) -> String {
    output(folder, &["approvals", "show", id, "--full"])
}

fn output(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// Every output on a terminal that can contain text of the agent.
pub fn everything_shown(folder: &Folder, host: &Host, run: &str, id: &str) -> Vec<String> {
    let commands: [&[&str]; 9] = [
        &["approvals", "show", id, "--full"],
        &["approvals", "show", id, "--json"],
        &["approvals", "list", "--state", "all"],
        &["approvals", "list", "--state", "all", "--json"],
        &["runs", "show", run],
        &["runs", "show", run, "--json"],
        &["runs", "list"],
        &["runs", "events", run],
        &["runs", "events", run, "--json"],
    ];
    let shown = commands.iter().map(|arguments| output(folder, arguments));
    shown.chain([host.said()]).collect()
}

pub fn assert_harmless(what: &str, shown: &str) {
    let found = harm(shown);
    assert!(found.is_empty(), "{what}: {found:?} in\n{shown:?}");
}

/// Every character in an output that a terminal obeys or hides.
fn harm(shown: &str) -> Vec<String> {
    let acts = |c: char| {
        let (control, code) = (c.is_control() && c != '\n', u32::from(c));
        let hidden = NASTY.iter().flat_map(|(_, codes)| codes.iter()).any(|nasty| *nasty == code);
        control || hidden || (0xe0000..=0xe0fff).contains(&code)
    };
    shown.chars().filter(|c| acts(*c)).map(|c| format!("U+{:04X}", u32::from(c))).collect()
}

/// The text without the line breaks that its width made.
pub fn unwrapped(shown: &str) -> String {
    let mut text = String::new();
    for line in shown.lines() {
        match line.trim_start().strip_prefix("┊ ") {
            Some(rest) => text.push_str(rest),
            None => {
                text.push('\n');
                text.push_str(line);
            }
        }
    }
    text
}

/// `harm` finds what it must find.
#[test]
fn harm_would_be_found() {
    assert_eq!(harm("\u{1b}[2J a\rb\u{7f}\u{9b}0m"), ["U+001B", "U+000D", "U+007F", "U+009B"]);
    assert_eq!(harm("\u{202e}\u{e0041}"), ["U+202E", "U+E0041"]);
    assert!(harm("Grüße, 日本\n").is_empty());
    assert_eq!(unwrapped("a: b\n    ┊ c\nd"), "\na: bc\nd");
}
