//! The connectors of the built-in capabilities, and the keys of each.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use toml::Spanned;

use super::keys::{codes, misplaced, names};
use super::notices::remind_before;
use super::{Folder, RuleViolation, authored, defaults, named, plain_name};
use crate::command::Command;
use crate::notices::NoticeEvent;
use crate::resolved::{Account, Amount, Deploy, Deployment, Email, Mail, Payments, Smtp, Tls};
use crate::value::{Branch, Mailbox, Named};
use holdshort_common::reference::BranchName;

/// Resolves the section for email. Without a section, email goes into a Maildir in the state
/// folder, so it leaves the machine only if the operator configures this. Without configured
/// domains, only the sender's domain counts as inside, and reviewers see all other domains marked
/// as outside.
pub(super) fn email(
    authored: Option<authored::Email>,
    folder: &Folder,
    state: &Path,
    expires_after_ms: Option<u64>,
) -> Result<Email, RuleViolation> {
    let maildir = || Mail::Maildir { path: state.join(defaults::MAIL_FOLDER) };
    let from = authored.as_ref().and_then(|email| email.from.clone());
    let domain = from.as_ref().map_or("localhost", |from| &from.mailbox.domain).to_owned();
    let own = authored.as_ref().and_then(|email| email.own_domains.clone());
    let (from, bare) = from.map_or_else(
        || (defaults::EMAIL_FROM.into(), defaults::EMAIL_FROM.into()),
        |from| (from.shown, from.mailbox.address),
    );
    let address = |mailbox: Option<Mailbox>| mailbox.map(|mailbox| mailbox.address);
    let email = authored.as_ref();
    Ok(Email {
        notices: email.and_then(|email| email.notices.clone()).unwrap_or_else(|| NoticeEvent::MAIL.into()),
        notices_from: address(email.and_then(|email| email.notices_from.clone())).unwrap_or(bare),
        operator: address(email.and_then(|email| email.operator.clone())),
        remind_before_ms: remind_before(expires_after_ms),
        from,
        reply_to: email.and_then(|email| email.reply_to.clone()).map(|sender| sender.shown),
        own_domains: own.map_or_else(|| vec![domain], |own| own.into_iter().map(|host| host.0).collect()),
        connector: authored.map_or_else(|| Ok(maildir()), |email| mail(email, folder, maildir))?,
    })
}

/// Resolves the mail connector. A key of another connector is an error, because its author expects
/// that it has an effect.
fn mail(email: authored::Email, folder: &Folder, maildir: impl Fn() -> Mail) -> Result<Mail, RuleViolation> {
    match email.connector.clone().map(|connector| (*connector.get_ref(), connector)) {
        Some((authored::MailConnector::Smtp, at)) => {
            misplaced(email.path.as_ref(), "maildir")?;
            smtp(&at, email, folder).map(Mail::Smtp)
        }
        Some((authored::MailConnector::Maildir, _)) | None => {
            misplaced(email.host.as_ref(), "smtp")?;
            misplaced(email.port.as_ref(), "smtp")?;
            misplaced(email.tls.as_ref(), "smtp")?;
            misplaced(email.ca_file.as_ref(), "smtp")?;
            misplaced(email.username.as_ref(), "smtp")?;
            misplaced(email.password_file.as_ref(), "smtp")?;
            misplaced(email.timeout.as_ref(), "smtp")?;
            misplaced(email.retry_after.as_ref(), "smtp")?;
            Ok(email.path.map_or_else(maildir, |path| Mail::Maildir { path: folder.path(path.into_inner()) }))
        }
    }
}

/// Resolves a relay. It needs a host. `username` and `password-file` are set together or not at all.
/// The default is TLS from the start, and the default port follows from the kind of TLS. Without
/// TLS, a password is sent only to a relay on this machine.
fn smtp(
    connector: &Spanned<authored::MailConnector>,
    email: authored::Email,
    folder: &Folder,
) -> Result<Smtp, RuleViolation> {
    let Some(host) = email.host else {
        return Err(RuleViolation::at(
            connector,
            "`host` is missing",
            "name the relay with `host = \"mail.example.org\"`",
        ));
    };
    let host = host.into_inner().0;
    let tls = match email.tls.as_ref().map(Spanned::get_ref) {
        Some(authored::Tls::Required) | None => Tls::Required,
        Some(authored::Tls::Starttls) => Tls::Starttls,
        Some(authored::Tls::None) => Tls::None,
    };
    let usual_port = match tls {
        Tls::Required => defaults::SMTP_PORT_TLS,
        Tls::Starttls => defaults::SMTP_PORT_STARTTLS,
        Tls::None => defaults::SMTP_PORT_PLAIN,
    };
    let login = match (email.username, email.password_file) {
        (Some(user), Some(file)) => {
            let near = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
            if tls == Tls::None && !near {
                let what = "without TLS, this password would be sent over the network without encryption";
                return Err(RuleViolation::at(&user, what, "write `tls = \"required\"` or `tls = \"starttls\"`"));
            }
            Some((user.into_inner().0, folder.path(file.into_inner())))
        }
        (Some(user), None) => {
            let hint = "give a file that contains the password: `password-file = \"/run/secrets/smtp\"`";
            return Err(RuleViolation::at(&user, "a user name needs a password", hint));
        }
        (None, Some(file)) => {
            return Err(RuleViolation::at(&file, "a password needs a user name", "add `username = \"…\"`"));
        }
        (None, None) => None,
    };
    Ok(Smtp {
        host,
        port: email.port.and_then(|port| u16::try_from(port.into_inner().0).ok()).unwrap_or(usual_port),
        tls,
        ca_file: email.ca_file.map(|path| folder.path(path.into_inner())),
        login,
        timeout_ms: email.timeout.map_or(defaults::SMTP_TIMEOUT_MS, |span| span.into_inner().0),
        retry_after_ms: email.retry_after.map_or(defaults::SMTP_RETRY_AFTER_MS, |span| span.into_inner().0),
    })
}

/// Resolves the section for deployments; `None` if there are none. A section switches them on, even
/// if the repository does not exist yet. Without a section, they are on only if the configuration
/// is in a repository.
pub(super) fn deployment(
    authored: Option<authored::Deployment>,
    folder: &Folder,
    is_repository: bool,
) -> Result<Option<Deployment>, RuleViolation> {
    let (name, branch) = defaults::DEPLOYMENT_TARGET;
    let usual_targets = || branch.parse().map(|branch| (name.to_owned(), branch)).into_iter().collect();
    let Some(authored) = authored else {
        // There is no section. In a repository, deployments get the defaults; otherwise there are
        // none.
        return Ok(is_repository.then(|| Deployment {
            repository: folder.path("."),
            targets: usual_targets(),
            connector: Deploy::Git,
        }));
    };
    let targets = authored.targets.as_ref().map(targets).transpose()?;
    let repository = folder.path(authored.repository.as_deref().unwrap_or(Path::new(".")));
    let connector = match authored.connector.as_ref().map(|connector| (connector, connector.get_ref())) {
        Some((at, authored::DeployConnector::Command)) => {
            let Some(argv) = authored.command else {
                return Err(RuleViolation::at(
                    at,
                    "`command` is missing",
                    "write `command = [\"/usr/local/bin/deploy\"]`",
                ));
            };
            Deploy::Command(Command {
                argv: folder.argv(argv.into_inner().0),
                timeout_ms: authored.timeout.map_or(defaults::DEPLOYMENT_TIMEOUT_MS, |span| span.into_inner().0),
                environment: names(authored.environment.map(Spanned::into_inner)),
                not_done_codes: codes(authored.not_done_codes.map(Spanned::into_inner)),
            })
        }
        Some((_, authored::DeployConnector::Git)) | None => {
            misplaced(authored.command.as_ref(), "command")?;
            misplaced(authored.not_done_codes.as_ref(), "command")?;
            misplaced(authored.timeout.as_ref(), "command")?;
            misplaced(authored.environment.as_ref(), "command")?;
            Deploy::Git
        }
    };
    Ok(Some(Deployment { repository, targets: targets.unwrap_or_else(usual_targets), connector }))
}

/// Resolves the targets. An empty table is an error, because it would remove the default target
/// without a replacement. Two branches are an error if the name of one is a folder of the other,
/// because git cannot store both.
fn targets(targets: &Spanned<Named<Branch>>) -> Result<BTreeMap<String, BranchName>, RuleViolation> {
    if targets.get_ref().is_empty() {
        return Err(RuleViolation::at(
            targets,
            "there are no targets",
            "name a target, such as `production = \"production\"`",
        ));
    }
    for (name, branch) in targets.get_ref() {
        let above = |other: &&Branch| branch.0.above().any(|above| above == other.0.as_str());
        if let Some(other) = targets.get_ref().values().find(above) {
            let what = format!("{} cannot exist next to {}, the branch of another target", branch.0, other.0);
            return Err(RuleViolation::at(
                name,
                what,
                "git does not allow a branch below another branch; rename one of the two",
            ));
        }
    }
    targets.get_ref().iter().map(|(name, branch)| Ok((plain_name(name)?, branch.0.clone()))).collect()
}

/// Resolves the ledger's file, and the accounts from which agents may pay. Without accounts, no
/// agent can pay.
pub(super) fn payments(
    authored: Option<authored::Payments>,
    folder: &Folder,
    state: &Path,
) -> Result<Payments, RuleViolation> {
    // The ledger is the only connector, so the key `connector` has no effect.
    let (path, accounts) = match authored {
        Some(authored::Payments { connector: None | Some(authored::PayConnector::Ledger), path, accounts }) => {
            (path, accounts)
        }
        None => (None, None),
    };
    Ok(Payments {
        path: path.map_or_else(|| state.join(defaults::LEDGER_FILE), |path| folder.path(path)),
        accounts: named(accounts, account)?,
    })
}

/// Resolves an account. It has at most one opening balance for each currency. The ledger identifies
/// an opening balance by account and currency, so a second amount would replace the first.
fn account(account: authored::Account) -> Result<Account, RuleViolation> {
    let mut opening: Vec<Amount> = Vec::new();
    for at in account.opening.into_iter().flatten() {
        let amount = amount(&at)?;
        if opening.iter().any(|other| other.currency == amount.currency) {
            let what = format!("this account already has an opening balance in {}", amount.currency);
            return Err(RuleViolation::at(&at, what, "write only one amount for each currency"));
        }
        opening.push(amount);
    }
    Ok(Account { opening, deposits: named(account.deposits, |deposit| amount(&deposit))? })
}

/// Parses an amount. An error is reported at this amount, not at the beginning of its array.
fn amount(text: &Spanned<String>) -> Result<Amount, RuleViolation> {
    let wrong = |what| RuleViolation { span: text.span(), what, hint: None };
    let holdshort_common::money::Amount { minor_units, currency, decimals } = text.get_ref().parse().map_err(wrong)?;
    Ok(Amount { minor_units, currency: currency.into(), decimals })
}
