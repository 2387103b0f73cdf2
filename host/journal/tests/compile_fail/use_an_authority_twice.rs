//! One start, one attempt: an authority is used up.
use holdshort_journal::Authorized;

fn perform(_: Authorized) {}

fn twice(authorized: Authorized) {
    perform(authorized);
    perform(authorized);
}

fn main() {}
