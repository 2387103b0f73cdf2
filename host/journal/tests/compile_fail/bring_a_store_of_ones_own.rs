//! A store that only says that it has flushed could be brought along: the stores are the journal's own.
use holdshort_journal::store::Store;

fn main() {}
