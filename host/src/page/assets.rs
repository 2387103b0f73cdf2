//! The style sheet, the script and the icon (`/assets/…`), which are compiled into the program.
//!
//! An asset's name contains its digest, and each page states the digest that the browser must find
//! (`integrity`). A browser therefore ignores a cached file of another program that served this
//! port before.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdshort_gate::Digest;

use super::frame::PageResult;
use crate::api::problem::Problem;
use crate::review::Text;

/// A file that pages load.
#[derive(Debug)]
pub(super) struct Asset {
    media: &'static str,
    text: &'static str,
    pub(super) path: Text,
    /// The value of the `integrity` attribute.
    pub(super) integrity: Text,
}

impl Asset {
    fn new((name, ending): (&str, &str), media: &'static str, text: &'static str) -> Self {
        let digest = Digest::of(text.as_bytes());
        let short: String = digest.bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let path = Text::line(&format!("/assets/{name}-{short}.{ending}"));
        let integrity = Text::line(&format!("sha256-{}", STANDARD.encode(digest.bytes())));
        Self { media, text, path, integrity }
    }
}

/// The style sheet of all pages.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new(("style", "css"), "text/css; charset=utf-8", include_str!("assets/style.css")));
/// The script that updates pages.
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new(("script", "js"), "text/javascript; charset=utf-8", include_str!("assets/script.js")));
/// The icon in the browser's tab.
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new(("icon", "svg"), "image/svg+xml", include_str!("assets/icon.svg")));

/// Serves one asset. Browsers may cache the asset for five minutes, so that the next page does not load it again.
pub(super) async fn show(Path(file): Path<String>) -> PageResult {
    let all = [&*STYLE, &*SCRIPT, &*ICON];
    let found = all.into_iter().find(|asset| asset.path.to_string().strip_prefix("/assets/") == Some(&*file));
    let Asset { media, text, .. } = found.ok_or_else(|| Problem::not_found("such file"))?;
    Ok(([(header::CONTENT_TYPE, *media), (header::CACHE_CONTROL, "private, max-age=300")], *text).into_response())
}
