//! The review page: what waits, what would happen, and deciding on it, in a browser.
//!
//! Every page is a whole HTML document made by a template; a small script of ours only brings up to date what is there and adds keys, so all of it
//! works without. A page is reached through the endpoint's door with a session; what its forms do goes through the very functions that the endpoint's
//! requests go through. Templates take [`Text`](crate::review::Text) for whatever an agent may have written, and escape it.
//!
//! **Invariant:** Pages are whole documents. `/live` says only that a run has changed; the script fetches the page again and replaces the parts
//! that are marked for it, never a field that a person is filling in.
//!
//! **Invariant:** A form that decides is hidden for the first moment of a page, by the style sheet alone (`.acts`). A disabled button would need
//! script to come back; a hidden form takes no click, no key and no focus.

mod approval;
mod assets;
mod backtest;
mod cases;
mod decide;
mod edit;
mod evidence;
mod explanation;
mod form;
mod frame;
mod grant;
mod grants;
mod history;
mod inbox;
mod live;
mod policy;
mod resolve;
mod run;
mod runs;
mod sheet;
mod sign_in;
mod standing;
mod stats;
mod told;
mod word;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{get, post};

use crate::api::Pages;

pub use sheet::sheet;

/// The pages, for the endpoint to serve beside its own routes.
pub fn pages() -> Pages {
    let routes = Router::new()
        .route("/", get(inbox::show))
        .route("/approvals/{id}", get(approval::show))
        .route("/approvals/{id}/decision", post(decide::create))
        .route("/approvals/{id}/edit", get(edit::show).post(edit::create))
        .route("/approvals/{id}/evidence/{digest}", get(evidence::show))
        .route("/approvals/{id}/explanation", get(explanation::show))
        .route("/approvals/{id}/grant", get(grant::show).post(grant::create))
        .route("/approvals/{id}/resolution", post(resolve::create))
        .route("/runs", get(runs::show))
        .route("/runs/{id}", get(run::show))
        .route("/runs/{id}/cancel", get(run::ask_cancel).post(run::cancel))
        .route("/grants", get(grants::list))
        .route("/grants/{id}", get(grants::show))
        .route("/grants/{id}/revocation", post(grants::revoke))
        .route("/history", get(history::show))
        .route("/policy", get(policy::show))
        .route("/policy/cases", get(cases::show).post(cases::create))
        .route("/backtest", get(backtest::show).post(backtest::create))
        .route("/stats", get(stats::show))
        .route("/live", get(live::stream))
        .route("/sign-in", get(sign_in::show).post(sign_in::create))
        .route("/sign-out", post(sign_in::end))
        .route("/assets/{file}", get(assets::show));
    Pages { routes, trouble: |problem| frame::Trouble::from(problem).into_response() }
}
