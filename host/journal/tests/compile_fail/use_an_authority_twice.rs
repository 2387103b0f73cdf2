//! One start, one attempt: performing uses up the authority.
use holdshort_journal::Authorized;

fn perform(_: Authorized) {}

fn twice(authorized: Authorized) {
    perform(authorized);
    perform(authorized);
}

fn main() {}
