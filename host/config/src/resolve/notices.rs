//! The webhooks that get notifications. Reviewers get theirs by email, at the address in their own sections.

use std::collections::BTreeMap;

use toml::Spanned;

use super::{Folder, RuleViolation, authored, defaults, plain_name};
use crate::notices::{NoticeEvent, NoticeFormat, NoticeTarget};
use crate::value::Named;

/// All webhooks by name.
pub(super) fn targets(
    authored: Option<Named<authored::Notice>>,
    folder: &Folder,
    expires_after_ms: Option<u64>,
) -> Result<BTreeMap<String, NoticeTarget>, RuleViolation> {
    let targets = authored.into_iter().flatten();
    targets.map(|(name, section)| Ok((plain_name(&name)?, target(&name, section, folder, expires_after_ms)?))).collect()
}

/// Resolves a webhook. It needs exactly one address. In the format `standard` it needs a secret
/// too, because anybody could send an unsigned message.
fn target(
    name: &Spanned<String>,
    authored: authored::Notice,
    folder: &Folder,
    expires_after_ms: Option<u64>,
) -> Result<NoticeTarget, RuleViolation> {
    let authored::Notice { url, url_file, secret_file, .. } = &authored;
    let format = authored.format.unwrap_or(NoticeFormat::Standard);
    let allow_http = authored.allow_http.unwrap_or(false);
    let at = match (url, url_file) {
        (Some(url), None) => url.span(),
        (None, Some(file)) => file.span(),
        (Some(url), Some(_)) => {
            return Err(RuleViolation::at(url, "`url` and `url-file` cannot both be set", "remove one of the two"));
        }
        (None, None) => {
            let hint = "add `url = \"https://…\"`, or `url-file = …` with a file that contains the URL";
            return Err(RuleViolation::at(name, "`url` is missing", hint));
        }
    };
    if let Some(url) = url {
        let hint = "write `https://`, or add `allow-http = true` if the network to the target is safe";
        url.get_ref().with_tls(allow_http).map_err(|what| RuleViolation::at(url, what, hint))?;
    }
    if secret_file.is_none() && format == NoticeFormat::Standard {
        let hint = "add `secret-file = …` with a file that contains a secret `whsec_…`, or write `format = \"chat\"`";
        let what = "without a secret, the receiver cannot verify that a message comes from this host".into();
        return Err(RuleViolation { span: at, what, hint: Some(hint.into()) });
    }
    Ok(NoticeTarget {
        url: authored.url.map(Spanned::into_inner),
        url_file: authored.url_file.map(|file| folder.path(file.into_inner())),
        secret_file: authored.secret_file.map(|file| folder.path(file.into_inner())),
        format,
        events: authored.events.unwrap_or_else(|| NoticeEvent::WEBHOOK.into()),
        remind_before_ms: authored.remind_before.map_or_else(|| remind_before(expires_after_ms), |span| span.0),
        retries: authored.retries.map_or(defaults::NOTICE_RETRIES, |n| u32::try_from(n.0).unwrap_or(u32::MAX)),
        retry_after_ms: authored.retry_after.map_or(defaults::NOTICE_RETRY_AFTER_MS, |span| span.0),
        allow_http,
        allow_private: authored.allow_private.unwrap_or(false),
    })
}

/// How long before the deadline a reminder is sent: a quarter of the time for deciding, and at least
/// five minutes.
pub(super) fn remind_before(expires_after_ms: Option<u64>) -> u64 {
    expires_after_ms.map_or(0, |ms| ms / 4).max(defaults::NOTICE_REMIND_BEFORE_MIN_MS)
}
