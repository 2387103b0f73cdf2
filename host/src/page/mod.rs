//! The review pages for browsers: waiting approvals, their content, and the decision forms.
//!
//! Every page is a complete HTML document from a template. The script only updates parts and adds keys, so every
//! function works without it. The endpoint's admission check demands a session for a page. The forms call the same
//! functions as API requests. **Invariant:** a template takes an agent's words only as [`Text`](crate::review::Text),
//! and escapes them.

mod approval;
mod assets;
mod backtest;
mod cases;
mod confirmation;
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
mod stats;
mod status;
mod timeline;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{get, post};

use crate::api::Pages;

pub use sheet::sheet;

/// The pages' routes for the endpoint.
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
    Pages { routes, trouble: |problem| frame::ErrorPage::from(problem).into_response() }
}
