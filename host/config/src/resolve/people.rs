//! The reviewers, and checks that their number can meet the requirement.

use std::collections::BTreeMap;

use holdshort_gate::{ReviewerName, Reviewers, Time};
use toml::Spanned;

use super::{RuleViolation, authored, defaults, plain_name};
use crate::nearest::nearest;
use crate::resolved::{Approval, Delegation, Reviewer};
use crate::value::{Name, Named};

/// Resolves the reviewers. Each token belongs to one reviewer: if two names had the same token, the
/// journal could not tell who decided.
pub(super) fn reviewers(
    authored: Option<Named<authored::Reviewer>>,
    operator: &ReviewerName,
) -> Result<Vec<Reviewer>, RuleViolation> {
    let (mut reviewers, mut owners) = (Vec::new(), BTreeMap::new());
    for (name, reviewer) in authored.into_iter().flatten() {
        let others = reviewers.iter().map(|other: &Reviewer| &other.name).chain([operator]).map(ReviewerName::as_str);
        let (name, token_sha256) = (ReviewerName::new(alone(&name, others)?), reviewer.token_sha256.get_ref().0);
        if let Some(other) = owners.insert(token_sha256, name.clone()) {
            let what = format!("`{other}` has the same token, so the host could not know who has decided");
            return Err(RuleViolation::at(&reviewer.token_sha256, what, "give each reviewer a different token"));
        }
        reviewers.push(Reviewer { name, token_sha256, email: reviewer.email.map(|email| email.address) });
    }
    Ok(reviewers)
}

/// Checks that a name is plain, and that it differs from all other names even in lower case.
/// Readers would take `Alice` and `alice` for one reviewer, but the quorum would count two.
fn alone<'a>(name: &Spanned<String>, mut others: impl Iterator<Item = &'a str>) -> Result<String, RuleViolation> {
    let plain = plain_name(name)?;
    match others.find(|other| *other != plain && other.eq_ignore_ascii_case(&plain)) {
        Some(other) => {
            let what = format!("`{plain}` and `{other}` differ only in capital letters");
            Err(RuleViolation::at(
                name,
                what,
                "rename one of the two; if both are the same person, keep only one section",
            ))
        }
        None => Ok(plain),
    }
}

/// Resolves the requirement. Every named reviewer needs a section with a token. Only the local
/// operator needs no section, because their token is in the state folder.
pub(super) fn approval(
    authored: Option<&authored::Approval>,
    reviewers: &[Reviewer],
    operator: &ReviewerName,
    has_policy: bool,
) -> Result<Approval, RuleViolation> {
    if let Some(first) = authored.and_then(|authored| authored.grantors.as_ref()?.first()).filter(|_| has_policy) {
        let hint = "write a policy that permits the action `grant`, and remove `grantors`";
        return Err(RuleViolation::at(
            first,
            "`grantors` is not allowed together with policy files, in which policies on `grant` say who may make grants",
            hint,
        ));
    }
    let Some(authored) = authored else {
        return Ok(Approval {
            reviewers: Reviewers::Any,
            quorum: u32::try_from(defaults::QUORUM).unwrap_or(1),
            four_eyes: defaults::FOUR_EYES,
            grantors: Vec::new(),
            expires_after_ms: defaults::EXPIRES_AFTER_MS,
            start_within_ms: defaults::START_WITHIN_MS,
        });
    };
    let everyone = everybody(reviewers, operator);
    let named = known(authored.reviewers.as_deref().unwrap_or_default(), &everyone)?;
    enough_people(authored, named.len(), everyone.len())?;
    let quorum = authored.quorum.as_ref().map_or(defaults::QUORUM, |quorum| quorum.get_ref().0);
    Ok(Approval {
        reviewers: if named.is_empty() { Reviewers::Any } else { Reviewers::Named(named) },
        quorum: u32::try_from(quorum).unwrap_or(u32::MAX),
        four_eyes: authored.four_eyes.as_ref().map_or(defaults::FOUR_EYES, |four_eyes| *four_eyes.get_ref()),
        grantors: known(authored.grantors.as_deref().unwrap_or_default(), &everyone)?,
        expires_after_ms: authored.expires_after.map(|span| span.0).or(defaults::EXPIRES_AFTER_MS),
        start_within_ms: authored.start_within.map_or(defaults::START_WITHIN_MS, |span| span.0),
    })
}

/// All reviewers, including the local operator.
fn everybody<'a>(reviewers: &'a [Reviewer], operator: &'a ReviewerName) -> Vec<&'a ReviewerName> {
    let named = reviewers.iter().map(|reviewer| &reviewer.name);
    named
        .clone()
        .chain([operator].into_iter().filter(|operator| !named.clone().any(|name| name == *operator)))
        .collect()
}

/// The reviewers of these names, each once.
fn known(names: &[Spanned<Name>], everyone: &[&ReviewerName]) -> Result<Vec<ReviewerName>, RuleViolation> {
    let mut found: Vec<ReviewerName> = Vec::new();
    for name in names {
        let reviewer = find(name, &name.get_ref().0, everyone)?;
        if !found.contains(reviewer) {
            found.push(reviewer.clone());
        }
    }
    Ok(found)
}

/// The reviewer with this name. If there is none, the error is reported at `at`.
fn find<'a, T>(at: &Spanned<T>, name: &str, everyone: &[&'a ReviewerName]) -> Result<&'a ReviewerName, RuleViolation> {
    let found = everyone.iter().find(|reviewer| reviewer.as_str() == name);
    found
        .copied()
        .ok_or_else(|| RuleViolation::at(at, format!("there is no reviewer `{name}`"), to_add(name, everyone)))
}

/// The advice for a name that no reviewer has.
fn to_add(name: &str, everyone: &[&ReviewerName]) -> String {
    let everyone: Vec<&str> = everyone.iter().map(|reviewer| reviewer.as_str()).collect();
    let near = nearest(name, everyone.iter().copied()).map(|near| format!("did you mean `{near}`? If not, "));
    format!("{}add a section `[reviewers.{name}]`; known reviewers: {}", near.unwrap_or_default(), everyone.join(", "))
}

/// Resolves the groups. The name of a group must differ from all names of reviewers, because a
/// policy could mean either.
pub(super) fn groups(
    authored: Option<Named<Vec<Spanned<Name>>>>,
    reviewers: &[Reviewer],
    operator: &ReviewerName,
) -> Result<BTreeMap<String, Vec<ReviewerName>>, RuleViolation> {
    let everyone = everybody(reviewers, operator);
    let mut groups = BTreeMap::new();
    for (name, members) in authored.into_iter().flatten() {
        let mut people = everyone.iter().map(|reviewer| reviewer.as_str());
        let group = alone(&name, people.clone().chain(groups.keys().map(String::as_str)))?;
        if people.any(|person| person == group) {
            return Err(RuleViolation::at(
                &name,
                format!("`{group}` is already the name of a person"),
                "give the group another name",
            ));
        }
        groups.insert(group, known(&members, &everyone)?);
    }
    Ok(groups)
}

/// Resolves the delegations. A reviewer has at most one delegate, and cannot be their own delegate.
/// `until` is a time, or a day, with whose end in UTC the delegation ends.
pub(super) fn delegations(
    authored: Option<Named<authored::Delegation>>,
    reviewers: &[Reviewer],
    operator: &ReviewerName,
) -> Result<Vec<Delegation>, RuleViolation> {
    let everyone = everybody(reviewers, operator);
    let mut delegations = Vec::new();
    for (name, authored::Delegation { to, until }) in authored.into_iter().flatten() {
        let from = find(&name, &plain_name(&name)?, &everyone)?.clone();
        let to_whom = known(std::slice::from_ref(&to), &everyone)?.swap_remove(0);
        if to_whom == from {
            return Err(RuleViolation::at(
                &to,
                format!("`{from}` cannot be the delegate of `{from}`"),
                "name another reviewer",
            ));
        }
        let written = until.get_ref().to_string();
        let ends = if until.get_ref().time.is_none() {
            format!("{written}T00:00:00Z")
                .parse::<jiff::Timestamp>()
                .and_then(|day| day.checked_add(jiff::SignedDuration::from_hours(24)))
        } else {
            written.parse()
        };
        let Some(until) = ends.ok().and_then(|ends| u64::try_from(ends.as_microsecond()).ok()).map(Time) else {
            let what = format!("`{written}` is neither a day nor a time");
            return Err(RuleViolation::at(
                &until,
                what,
                "write a day, such as `2026-12-24`, or a time with its UTC offset, such as `2026-12-24T18:00:00Z`",
            ));
        };
        delegations.push(Delegation { from, to: to_whom, until });
    }
    Ok(delegations)
}

/// Checks that there are as many reviewers as the quorum needs. Otherwise every call would be held
/// for ever.
fn enough_people(authored: &authored::Approval, named: usize, everyone: usize) -> Result<(), RuleViolation> {
    let may_decide = if named == 0 { everyone } else { named };
    let hint = "add people under `[reviewers.NAME]`, or lower the quorum";
    if let Some(quorum) = &authored.quorum
        && usize::try_from(quorum.get_ref().0).is_ok_and(|quorum| quorum > may_decide)
    {
        let what = format!("the quorum is {}, but only {may_decide} may decide", quorum.get_ref().0);
        return Err(RuleViolation::at(quorum, what, hint));
    }
    if let Some(four_eyes) = authored.four_eyes.as_ref().filter(|four_eyes| *four_eyes.get_ref()) {
        let quorum = authored.quorum.as_ref().map_or(defaults::QUORUM, |quorum| quorum.get_ref().0);
        // Everybody who can start a run has a token and is a reviewer. If all reviewers must
        // approve, four-eyes therefore blocks every run.
        if named == 0 && usize::try_from(quorum).is_ok_and(|quorum| quorum >= everyone) {
            let what = format!(
                "the quorum is {quorum}, but with four-eyes the person who started the run cannot approve, and the number of people is {everyone}"
            );
            return Err(RuleViolation::at(four_eyes, what, hint));
        }
    }
    Ok(())
}
