//! The compiler ensures that there is no effect without a start on disk. Each file in `compile_fail` is a programmer's
//! attempt to get around this. It must fail to compile, with the message in the `.stderr` file beside it.
//!
//! `TRYBUILD=overwrite cargo test -p holdshort-journal --test compile_fail` writes the messages again if a new compiler
//! words them differently.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/support/evidence.rs"]
mod evidence;

const WAYS: &str = "tests/compile_fail";

#[test]
fn no_way_round_the_gate_compiles() {
    trybuild::TestCases::new().compile_fail(format!("{WAYS}/*.rs"));
    let files = std::fs::read_dir(WAYS).unwrap().map(|file| file.unwrap().path());
    let ways = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).count();
    evidence::figure("T7", "programs that do not compile", ways as u64);
}
