//! Builds the notification targets of a configuration: webhooks with their secrets, and email for
//! each reviewer with an address.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use holdshort_gate::ReviewerName;
use holdshort_journal::Clock;

use super::{registry, state};
use crate::cli::exit::{Exit, Failure};
use crate::config::{Config, Mail, NoticeEvent, NoticeFormat, NoticeTarget, WebUrl};
use crate::connectors::maildir;
use crate::connectors::notices::{self, NoticeSender};
use crate::notify::sign::Secret;
use crate::notify::{Format, Kind, NoticeEmail, Retry, SendEmail, Target, Transport, Webhook};
use holdshort_common::outbound::{Addresses, address, anywhere};

/// All targets. Secrets are read now, so that a missing file is found at the start and not at the
/// first notification.
pub(in crate::cli) fn targets(config: &Config, clock: &Clock) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    for (name, target) in &config.notify {
        targets.push(webhook(name, target)?);
    }
    let people: Vec<(&ReviewerName, &String)> = people(config).collect();
    if !people.is_empty() && !config.email.notices.is_empty() {
        let post = post(config, clock.clone())?;
        targets.extend(people.into_iter().map(|(name, address)| mail(config, name, address, &post)));
    }
    Ok(targets)
}

/// Reviewers with an address. A local operator with a section of their own is listed once.
fn people(config: &Config) -> impl Iterator<Item = (&ReviewerName, &String)> {
    let operator = config.email.operator.as_ref().map(|address| (&config.operator, address));
    let named = config.reviewers.iter().filter_map(|person| Some((&person.name, person.email.as_ref()?)));
    operator.into_iter().chain(named.filter(move |(name, _)| operator.is_none_or(|(operator, _)| operator != *name)))
}

fn webhook(name: &str, target: &NoticeTarget) -> Result<Target, Failure> {
    let wrong = |why: String| Failure::new(Exit::Usage, format!("[notify.{name}]: {why}"));
    let read = |path: &Path| Ok::<_, Failure>(String::from_utf8_lossy(&state::secret(path)?).into_owned());
    let url = match (&target.url, &target.url_file) {
        (Some(url), _) => url.clone(),
        (None, Some(file)) => {
            let url: WebUrl =
                read(file)?.trim().parse().map_err(|why| wrong(format!("`{}`: {why}", file.display())))?;
            url.with_tls(target.allow_http).map_err(|why| wrong(format!("`{}`: {why}", file.display())))?;
            url
        }
        (None, None) => return Err(wrong("`url` is missing".into())),
    };
    let secret = target
        .secret_file
        .as_deref()
        .map(|file| Secret::parse(&read(file)?).map_err(|why| wrong(format!("`{}`: {why}", file.display()))));
    let webhook = Webhook {
        url: url.0,
        secret: secret.transpose()?,
        format: match target.format {
            NoticeFormat::Standard => Format::Standard,
            NoticeFormat::Chat => Format::Chat,
        },
        addresses: Addresses { rule: if target.allow_private { anywhere } else { address::refused }, lookup: None },
    };
    Ok(Target {
        name: format!("webhook {name}"),
        events: target.events.iter().map(kind).collect(),
        lead: Duration::from_millis(target.remind_before_ms),
        retry: Retry { times: target.retries, first: Duration::from_millis(target.retry_after_ms) },
        transport: Transport::Webhook(webhook),
    })
}

fn mail(config: &Config, reviewer: &ReviewerName, address: &str, post: &SendEmail) -> Target {
    use crate::config::defaults::{NOTICE_RETRIES, NOTICE_RETRY_AFTER_MS};
    let delegations = config.delegations.iter().filter(|one| one.to == *reviewer);
    let delegations = delegations.map(|one| (one.from.clone(), one.until)).collect();
    Target {
        name: format!("mail to {reviewer}"),
        events: config.email.notices.iter().map(kind).collect(),
        lead: Duration::from_millis(config.email.remind_before_ms),
        retry: Retry { times: NOTICE_RETRIES, first: Duration::from_millis(NOTICE_RETRY_AFTER_MS) },
        transport: Transport::Mail {
            reviewer: reviewer.clone(),
            delegations,
            address: address.into(),
            post: post.clone(),
        },
    }
}

/// The sender of notifications by email. It uses the transport of agents' emails, but not their
/// connector, because a connector acts only with a clearance.
fn post(config: &Config, clock: Clock) -> Result<SendEmail, Failure> {
    let failed = |why: String| Failure::new(Exit::Failed, why);
    let transport = match &config.email.connector {
        Mail::Maildir { path } => {
            let unmade = |error| failed(format!("cannot make the maildir `{}`: {error}", path.display()));
            maildir::make(path).map_err(unmade)?;
            notices::MailTransport::Maildir(path.clone())
        }
        Mail::Smtp(relay) => notices::MailTransport::Relay(Box::new(registry::relay(relay)?)),
    };
    let wrong = |why: String| Failure::new(Exit::Usage, format!("[email]: {why}"));
    let postman = NoticeSender::new(&config.email.notices_from, transport).map_err(wrong)?;
    Ok(Arc::new(move |NoticeEmail { id, to, subject, text }: NoticeEmail| {
        let (postman, now) = (postman.clone(), clock());
        async move { postman.send(notices::NoticeDraft { id, to, subject, text }, now).await }.boxed()
    }))
}

fn kind(event: &NoticeEvent) -> Kind {
    match event {
        NoticeEvent::Held => Kind::Held,
        NoticeEvent::Reminder => Kind::Reminder,
        NoticeEvent::Decided => Kind::Decided,
        NoticeEvent::Expired => Kind::Expired,
        NoticeEvent::Withdrawn => Kind::Withdrawn,
        NoticeEvent::InDoubt => Kind::InDoubt,
        NoticeEvent::Delayed => Kind::Delayed,
        NoticeEvent::Finished => Kind::Finished,
        NoticeEvent::Failed => Kind::Failed,
    }
}
