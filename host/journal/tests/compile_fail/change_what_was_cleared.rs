//! The cleared action is the performed action: nothing in an authority can be changed in between.
use holdshort_gate::Action;
use holdshort_journal::Authorized;

fn change(mut authorized: Authorized, other: Action) {
    authorized.action = other;
}

fn change_in_place(authorized: &mut Authorized, other: Action) {
    *authorized.action() = other;
}

fn main() {}
