//! Performing uses up the authority, so one start permits only one attempt.
use holdshort_journal::Authorized;

fn perform(_: Authorized) {}

fn twice(authorized: Authorized) {
    perform(authorized);
    perform(authorized);
}

fn main() {}
