//! Hostile policy texts. Everyone with a token may send one for a backtest.

use holdshort::policy::cases::Cases;
use serde_json::json;

use crate::beside::{Monitor, alone};
use crate::evidence;
use crate::support::Folder;

const LIMITS: &str = "[limits]\npolicy-memory-mib = 128\npolicy-cpu-seconds = 2\npolicy-seconds = 30\n";
/// The greatest length of the error about a text.
const DETAIL_CHARS_MAX: usize = 60_000;

/// A policy with this condition.
fn when(condition: &str) -> String {
    format!("permit (principal, action == Action::\"call\", resource) when {{ {condition} }};\n")
}

/// A condition of `count` times `open`, then `within`, then `count` times `close`.
fn tower(open: &str, within: &str, close: &str, count: usize) -> String {
    when(&(open.repeat(count) + within + &close.repeat(count)))
}

/// Each text with its name, and whether it is a sound policy.
fn texts() -> Vec<(&'static str, String, bool)> {
    let deep = |open, close| tower(open, "true", close, 20_000);
    let commented = |end: &str| when(&format!("// x{end}{}true{}\n", "(".repeat(30_000), ")".repeat(30_000)));
    vec![
        ("an honest one", when("context.consequence == \"low\""), true),
        ("honest with comments", when("// ((((\n true // ))))\r && true"), true),
        ("brackets", deep("(", ")"), false),
        ("60 brackets", tower("(", "true", ")", 60), true),
        ("a comment ended by a carriage return", commented("\r"), false),
        ("a comment ended by both", commented("\r\n"), false),
        ("a comment ended by a line separator", commented("\u{2028}"), false),
        ("a comment ended by a next-line", commented("\u{85}"), false),
        ("a comment ended by a form feed", commented("\u{c}"), false),
        (
            "brackets behind a quote in a comment",
            when(&format!("// \"\n{}true{}", "(".repeat(30_000), ")".repeat(30_000))),
            false,
        ),
        (
            "brackets behind an escaped quote",
            when(&format!("\"\\\"\" == {}\"x\"{}", "(".repeat(30_000), ")".repeat(30_000))),
            false,
        ),
        (
            "brackets behind a slash in a string",
            when(&format!("\"//\" == {}\"x\"{}", "(".repeat(30_000), ")".repeat(30_000))),
            false,
        ),
        ("sets", tower("[", "true", "]", 30_000), false),
        ("sets with methods", tower("[", "true", "].contains(true)", 6_000), false),
        ("records", tower("{a: ", "true", "}", 15_000), false),
        ("records with quoted names", tower("{\"a\\\"{\": ", "true", "}", 9_000), false),
        ("not", when(&("!".repeat(50_000) + "true")), false),
        ("not of brackets", tower("!(", "true", ")", 20_000), false),
        ("minus", when(&(format!("{}1 == 1", "-".repeat(50_000)))), false),
        ("minus of brackets", tower("-(", "1", ")", 20_000), false),
        ("and", when(&("true && ".repeat(15_000) + "true")), false),
        ("or", when(&("false || ".repeat(13_000) + "true")), false),
        ("plus", when(&("1 + ".repeat(30_000) + "1 == 2")), false),
        ("times", when(&("1 * ".repeat(30_000) + "1 == 2")), false),
        ("comparisons", when(&("1 == ".repeat(20_000) + "1")), false),
        ("if towers", when(&("if true then true else ".repeat(5_000) + "true")), false),
        ("if in if", tower("if ", "true", " then true else false", 4_000), false),
        ("attributes", when(&format!("context{} == 1", ".a".repeat(50_000))), false),
        ("indices", when(&format!("context{} == 1", "[\"a\"]".repeat(20_000))), false),
        ("methods", when(&format!("[1]{}", ".contains(1)".repeat(9_000))), false),
        ("has", when(&format!("context has a{}", ".a".repeat(50_000))), false),
        ("is", when(&("principal is Agent && ".repeat(5_500) + "true")), false),
        ("like", when(&format!("context.consequence like \"{}\"", "*a".repeat(60_000))), true),
        ("many like", when(&("context.consequence like \"*a*a*a*a*a*a*b\" && ".repeat(400) + "true")), true),
        ("templates", "permit (principal == ?principal, action, resource);\n".repeat(1_000), false),
        ("a set of 20000", when(&format!("[{}].contains(\"x\")", "\"x\",".repeat(20_000))), true),
        ("300 policies", when("true").repeat(300), true),
        ("1500 policies", when("true").repeat(1_500), false),
        (
            "annotations",
            format!("{}{}", (0..8_000).map(|n| format!("@a{n}(\"\") ")).collect::<String>(), when("true")),
            false,
        ),
        ("one annotation of 100 KB", format!("@id(\"{}\") {}", "x".repeat(100_000), when("true")), true),
        ("one word of 100 KB", when(&"x".repeat(100_000)), false),
        ("quotes without end", when(&"\"".repeat(60_001)), false),
        ("escapes", when(&format!("\"{}\" == \"\"", "\\u{41}".repeat(15_000))), false),
        ("functions of functions", tower("ip(", "\"1.1.1.1\"", ")", 15_000), false),
        ("entities", when(&format!("principal == {}Agent::\"x\"", "A::".repeat(40_000))), false),
        (
            "clauses",
            format!("permit (principal, action == Action::\"call\", resource){};", " when { true }".repeat(8_000)),
            false,
        ),
        ("nul", when("\0"), false),
        ("nothing but a byte-order mark", "\u{feff}".into(), false),
    ]
}

#[test]
fn no_policy_takes_the_host_along() {
    let _alone = alone();
    let (_folder, host) = Folder::new(&["many-calls"], LIMITS).into_served();
    let texts = texts();
    // The host first tries one harmless policy, so that the memory it needs for any policy, mostly its own code, is not
    // measured as growth.
    let body = json!({ "policies": [{ "name": "candidate", "text": texts[0].1 }], "add": true });
    assert_eq!(host.post("/v1/backtests", &body).0, 200);
    let monitor = Monitor::start(&host);
    let mut wrong = Vec::new();
    for (name, text, sound) in &texts {
        if text.len() > 128 * 1024 {
            wrong.push(format!("{name}: {} bytes", text.len()));
        }
        let body = json!({ "policies": [{ "name": "candidate", "text": text }], "add": true });
        let (status, answer) = host.post("/v1/backtests", &body);
        let detail = answer["detail"].as_str().unwrap_or_default();
        println!("{name}: {status} {}", detail.chars().take(200).collect::<String>());
        assert!(detail.chars().count() < DETAIL_CHARS_MAX, "{name}: {}", detail.len());
        // Whether this one is read within the limit of CPU time depends on the machine.
        let either = *name == "1500 policies" && [200, 422].contains(&status);
        if !either && ((status == 200) != *sound || !sound && status != 422) {
            wrong.push(format!("{name}: {status} {}", detail.chars().take(300).collect::<String>()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The monitor also watched the host while it read the sound texts.
    monitor.end();
    evidence::figure("T34", "hostile policy texts", texts.len() as u64);
}

/// The command line reads policies in the same way.
#[test]
fn a_deep_policy_file_is_a_plain_error() {
    let folder = Folder::new(&[], LIMITS);
    folder.write("deep.cedar", &tower("(", "true", ")", 30_000));
    let output = folder.run(&["policy", "check", "deep.cedar"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("deep.cedar: the nesting is too deep to be read"), "{said}");
}

/// Cases are sent with policies. The library that reads them has its own limit on depth.
#[test]
fn deep_cases_are_a_plain_error() {
    for deep in [
        "[".repeat(60_000),
        format!("case = {}", "[".repeat(60_000)),
        format!("case = {}", "{a=".repeat(30_000)),
        format!("[[case]]\narguments = {}", "{a=[".repeat(20_000)),
        format!("[case{}]\n", ".a".repeat(50_000)),
        format!("case{} = 1\n", ".a".repeat(50_000)),
    ] {
        let read: Result<Cases, _> = toml::from_str(&deep);
        assert!(read.is_err(), "{}", &deep[..20]);
    }
}
