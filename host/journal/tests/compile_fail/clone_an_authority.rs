//! An authority cannot be copied, so one start permits only one attempt.
use holdshort_journal::Authorized;

fn perform(_: Authorized) {}

fn twice(authorized: Authorized) {
    perform(authorized.clone());
    perform(authorized);
}

fn main() {}
