//! One start, one attempt: an authority cannot be copied.
use holdshort_journal::Authorized;

fn perform(_: Authorized) {}

fn twice(authorized: Authorized) {
    perform(authorized.clone());
    perform(authorized);
}

fn main() {}
