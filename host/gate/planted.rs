//! Bugs that are planted on purpose, to see that the tests find them. No build has any but a debug build with the feature `planted`.
//!
//! Where one is planted the code asks [`is`] for its name. The environment variable `HOLDSHORT_PLANTED` says which one is in;
//! `tests/planted` has the table of all of them, and of what finds each.

/// Whether the bug of this name is in.
#[cfg(not(feature = "planted"))]
pub const fn is(_bug: &str) -> bool {
    false
}

/// Whether the bug of this name is in.
#[cfg(feature = "planted")]
pub fn is(bug: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("HOLDSHORT_PLANTED").ok()).as_deref() == Some(bug)
}

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("the feature `planted` puts bugs into the host: it is for tests, and no release has it");
