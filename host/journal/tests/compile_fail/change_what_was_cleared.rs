//! The action is performed as it was cleared, because no part of an authority can be changed.
use holdshort_gate::Action;
use holdshort_journal::Authorized;

fn change(mut authorized: Authorized, other: Action) {
    authorized.action = other;
}

fn change_in_place(authorized: &mut Authorized, other: Action) {
    *authorized.action() = other;
}

fn main() {}
