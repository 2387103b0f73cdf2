//! The policies in force (`/policy`), with file and line.

use askama::Template;
use axum::extract::State;
use holdshort_gate::Digest;

use super::frame::{Frame, PageResult, Signed, page};
use crate::api::Api;
use crate::api::explanations::{DeterminingPolicy, all_in_force};
use crate::review::Text;

/// A policy on a page.
#[derive(Debug)]
pub(super) struct ShownPolicy {
    pub(super) name: Text,
    /// File and line; empty if no policy in force has this id.
    pub(super) place: Text,
    pub(super) text: Vec<Text>,
    pub(super) why: Option<Text>,
}

impl From<DeterminingPolicy> for ShownPolicy {
    fn from(DeterminingPolicy { name, file, line, text, why }: DeterminingPolicy) -> Self {
        let place = file.zip(line).map(|(file, line)| Text::line(&format!("{file}:{line}"))).unwrap_or_default();
        let text = text.map(|text| Text::lines(&text)).unwrap_or_default();
        Self { name: Text::line(&name), place, text, why: why.map(|why| Text::line(&why)) }
    }
}

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyPage {
    frame: Frame,
    digest: Option<Digest>,
    policies: Vec<ShownPolicy>,
}

/// Shows the policies.
pub(super) async fn show(State(api): State<Api>, signed: Signed) -> PageResult {
    let (digest, policies) = all_in_force(&api);
    let policies = policies.into_iter().map(ShownPolicy::from).collect();
    page(&PolicyPage { frame: signed.frame("policy"), digest, policies })
}
