//! `/assets/…`: the style, the script and the icon, which are part of the program.

use axum::extract::Path;
use axum::http::header;
use axum::response::IntoResponse;

use super::frame::Answer;
use crate::api::problem::Problem;

/// Serves one. It may be kept for five minutes, so that going from page to page does not load it again.
pub(super) async fn show(Path(file): Path<String>) -> Answer {
    let (media, text) = match file.as_str() {
        "style.css" => ("text/css; charset=utf-8", include_str!("assets/style.css")),
        "script.js" => ("text/javascript; charset=utf-8", include_str!("assets/script.js")),
        "icon.svg" => ("image/svg+xml", include_str!("assets/icon.svg")),
        _ => return Err(Problem::not_found("such file").into()),
    };
    Ok(([(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, "private, max-age=300")], text).into_response())
}
