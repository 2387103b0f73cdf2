//! The commands for maintainers. Each runs one or two cargo commands or scripts, which a maintainer can also run by
//! hand.
//!
//! ```text
//! cargo xtask check          format, lints and tidy: before each commit
//! cargo xtask test [FILTER]  every test, or the tests whose name contains FILTER
//! cargo xtask ci             all that must pass before a change lands: .ci/run
//! cargo xtask bless          golden files and the figures of tests/README.md, written anew
//! cargo xtask dist           the program to hand out, with its debug information in a file beside it
//! cargo xtask figures [DIR]  how long files and functions are, and what else can be counted, here or in another checkout
//! ```
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a command line tool")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask check | test [FILTER] | ci | bless | dist | figures [DIR]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let passed = match arguments.as_slice() {
        ["check"] => check(),
        ["test"] => run(&["tests/run"]),
        ["test", filter] => run(&["tests/run", filter]),
        ["ci"] => run(&[".ci/run"]),
        ["bless"] => run(&["env", "HOLDSHORT_BLESS=1", "tests/run"]),
        ["dist"] => dist(),
        ["figures"] => show(&top()),
        ["figures", folder] => show(Path::new(folder)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Checks format, lints and tidy. The lints cover the packages without their tests: the tests of the host need a minute
/// more, and `.ci/run` checks them.
fn check() -> bool {
    run(&["cargo", "fmt", "--all", "--check"])
        && run(&["cargo", "clippy", "--workspace", "--locked", "--quiet", "--", "-D", "warnings"])
        && run(&["cargo", "test", "--package", "xtask", "--locked", "--quiet"])
}

/// Builds the program to hand out. The names and lines of a panic's backtrace are in a file of their own,
/// `holdshort.debug`, which the program looks for in its own folder.
fn dist() -> bool {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let (built, folder) = (format!("{target}/dist/holdshort"), format!("{target}/handout"));
    let (program, debug) = (format!("{folder}/holdshort"), format!("{folder}/holdshort.debug"));
    run(&["cargo", "build", "--profile", "dist", "--locked"])
        && run(&["mkdir", "-p", &folder])
        && run(&["objcopy", "--only-keep-debug", "--compress-debug-sections=zlib", &built, &debug])
        && run(&["objcopy", "--strip-all", &format!("--add-gnu-debuglink={debug}"), &built, &program])
        && run(&["ls", "-l", &folder])
}

/// Runs a command in the top folder of the project, and returns true if it succeeded.
fn run(command: &[&str]) -> bool {
    let [program, arguments @ ..] = command else { return false };
    match Command::new(program).args(arguments).current_dir(top()).status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cannot run {program}: {error}");
            false
        }
    }
}

/// Prints the figures of a checkout, and returns true if all its sources could be read.
fn show(top: &Path) -> bool {
    let figures = xtask::figures::figures(top);
    match &figures {
        Ok(figures) => figures.iter().for_each(|(name, value)| println!("{name:52} {value}")),
        Err(error) => eprintln!("cannot read the sources in {}: {error}", top.display()),
    }
    figures.is_ok()
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
