//! The confirmation word, which a reviewer types where a click is not enough.
//!
//! **Invariant:** one function decides whether a decision needs the word, and every form that can clear a call asks
//! this function: approve, edit, and approve with a grant.

use holdshort_gate::{ExhibitRef, Proposal};

use super::evidence;
use crate::api::limits::Form;
use crate::api::problem::{Kind, Problem};
use crate::review::{ShownCall, ShownExhibit};

/// The word.
const WORD: &str = "approve";

/// The reason why a decision on these proposals needs the confirmation word: a warning, or evidence too long for the
/// page. An edit also decides on the arguments that it keeps, so it passes the old proposal and the new one.
pub(super) fn caution<'a>(proposals: impl IntoIterator<Item = &'a Proposal> + Clone) -> Option<&'static str> {
    let doubtful = |proposal: &Proposal| {
        let titles: Vec<ShownExhibit> = titles(proposal);
        !ShownCall::of(proposal, &[], &titles).warnings().is_empty()
    };
    if proposals.clone().into_iter().any(doubtful) {
        return Some("This approval has warnings: read the warnings first.");
    }
    let long = proposals.into_iter().any(|proposal| evidence::is_long(&proposal.exhibits));
    long.then_some("Some evidence is too long for this page: open and read this evidence first.")
}

/// The exhibits without their content. The check for warnings reads the titles too.
pub(super) fn titles(proposal: &Proposal) -> Vec<ShownExhibit> {
    let title = |one: &ExhibitRef| ShownExhibit { title: one.title.clone(), kind: one.media.clone(), bytes: None };
    proposal.exhibits.iter().map(title).collect()
}

/// Refuses a form without the required confirmation word.
pub(super) fn typed(form: &Form) -> Result<(), Problem> {
    let brought = form.field("word").map(str::trim) == Some(WORD);
    let refused = || Problem::new(Kind::BadRequest, "nothing was sent: type the word `approve` to confirm");
    brought.then_some(()).ok_or_else(refused)
}
