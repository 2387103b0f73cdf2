//! No effect without a start on disk, held by the compiler: every way round it that a programmer might try fails to compile, for the reason that is
//! written beside it.
//!
//! `TRYBUILD=overwrite cargo test -p holdshort-journal --test compile_fail` writes the reasons anew, after a new compiler words them differently.

#[test]
fn no_way_round_the_gate_compiles() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
