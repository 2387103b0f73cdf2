//! The word that is typed where a click is not enough.
//!
//! One function says whether a vote takes it. Every form that ends in a vote asks that function: approving, sending an edit, and making a grant.

use holdshort_gate::Proposal;

use super::approval::titles;
use super::evidence;
use crate::api::limits::Form;
use crate::api::problem::{Kind, Problem};
use crate::review::{Matter, ShownExhibit};

/// What is typed.
const WORD: &str = "approve";

/// Why a vote on these proposals takes the word, if it does: something is made to be misread or is claimed and not so, or there is evidence too long
/// for the page. An edit is a vote on what it leaves as it was too, so it gives both proposals, the old one and the new one.
pub(super) fn careful<'a>(proposals: impl IntoIterator<Item = &'a Proposal> + Clone) -> Option<&'static str> {
    let doubtful = |proposal: &Proposal| {
        let titles: Vec<ShownExhibit> = titles(proposal);
        !Matter::of(proposal, &[], &titles).warnings().is_empty()
    };
    if proposals.clone().into_iter().any(doubtful) {
        return Some("Something here is not what it seems: look twice at what is pointed out.");
    }
    let long = proposals.into_iter().any(|proposal| evidence::is_long(&proposal.exhibits));
    long.then_some("There is evidence that is too long for this page: read it first.")
}

/// Refuses a form that has to bring the word and does not.
pub(super) fn typed(form: &Form) -> Result<(), Problem> {
    let brought = form.field("word").map(str::trim) == Some(WORD);
    let refused = || Problem::new(Kind::BadRequest, "this takes the word `approve`, typed: nothing was sent");
    brought.then_some(()).ok_or_else(refused)
}
