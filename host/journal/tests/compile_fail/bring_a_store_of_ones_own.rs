//! Another store could say that it has flushed without flushing, so only the journal's own stores can be used.
use holdshort_journal::store::Store;

fn main() {}
