//! Events and grants as sentences for people. Programs read the events themselves (`--json`).

use holdshort_gate::{
    Action, Decision, Delayed, Demand, EffectClass, Event, Grant, PolicyVerdict, Proposal, RecordedChoice,
    RefusalReason, Requirement, Resolution, Reviewers, Time, Total,
};
use serde_json::Value;

use holdshort_common::money;
use holdshort_words::{beginning, quote_start};

/// A sentence quotes at most this many characters of a text. The event has the whole text.
const TEXT_CHARS_MAX: usize = 160;

/// A time without fractions of a second.
pub fn at(time: Time) -> String {
    let micros = i64::try_from(time.0).ok();
    let stamp = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    stamp.map_or_else(|| format!("{} µs after 1970", time.0), |stamp| format!("{stamp:.0}"))
}

/// The sentence for an event. For an event of a call, it is only the end of a sentence, such as `is held: …`; the
/// caller writes the call's name before it.
pub fn sentence(event: &Event) -> String {
    if event.call().is_some() { of_call(event) } else { of_run(event) }
}

/// The sentence for an event that belongs to no call. This function and `of_call` list every kind of event. So a new
/// kind does not compile until it has a sentence.
fn of_run(event: &Event) -> String {
    match event {
        Event::RunCreated { agent, task, started_by, .. } => {
            format!("{started_by} starts the agent {agent}: {}", quoted(task))
        }
        Event::TimerSet { timer, until } => format!("timer {timer}: sleeps until {}", at(*until)),
        Event::TimerFired { timer } => format!("timer {timer}: wakes"),
        Event::RunFinished { result: Ok(text) } => format!("the agent returns: {}", quoted(text)),
        Event::RunFinished { result: Err(text) } => format!("the agent reports a failure: {}", quoted(text)),
        Event::RunDelayed { delayed: Delayed { since, reason, tries }, .. } => {
            format!("the host cannot continue the run, {tries} tries since {}: {}", at(*since), quoted(reason))
        }
        Event::RunTrapped { reason } => format!("the agent trapped: {}", quoted(reason)),
        Event::RunCancelled { by, reason } => format!("{by} cancels the run{}", because(reason.as_deref())),
        Event::RunDiverged { place, recorded, found } => {
            format!("{place}: the journal holds {}, but the agent now did {}", quoted(recorded), quoted(found))
        }
        Event::RoutineReturned { .. }
        | Event::CallCleared { .. }
        | Event::CallHeld { .. }
        | Event::CallRefused { .. }
        | Event::DecisionMade { .. }
        | Event::CallRevised { .. }
        | Event::CallReheld { .. }
        | Event::CallEscalated { .. }
        | Event::GrantMade { .. }
        | Event::GrantRevoked { .. }
        | Event::CallAnswered { .. }
        | Event::CallExpired { .. }
        | Event::CallCancelled { .. }
        | Event::EffectStarted { .. }
        | Event::EffectPostponed { .. }
        | Event::EffectSucceeded { .. }
        | Event::EffectFailed { .. }
        | Event::EffectInDoubt { .. }
        | Event::EffectLookedUp { .. }
        | Event::EffectResolved { .. } => String::new(),
    }
}

fn of_call(event: &Event) -> String {
    match event {
        Event::RoutineReturned { capability, result, .. } => match result.get("err") {
            Some(error) => format!("({capability}) is answered with an error: {}", quoted(&text_of(error))),
            None => format!("({capability}) is answered"),
        },
        Event::CallCleared { proposal, .. } => match &proposal.policy.grant {
            Some(grant) => format!("is cleared by the grant {grant}: {}", summary(proposal)),
            None => format!("is cleared by policy: {}", summary(proposal)),
        },
        Event::CallHeld { proposal, .. } => format!("is held: {}", summary(proposal)),
        Event::CallRevised { revision, proposal, .. } => format!("is now revision {revision}: {}", summary(proposal)),
        Event::CallReheld { reason, revision, .. } => format!("is held again as revision {revision}: {reason}"),
        Event::CallEscalated { level, .. } => format!("is escalated (level {level}): no decision in time"),
        Event::GrantMade { by, grant, .. } => {
            format!("gets a grant for further calls like this one, made by {by}: {}", granted(grant))
        }
        Event::GrantRevoked { by, .. } => format!("no longer has a grant: {by} revoked the grant"),
        Event::CallAnswered { answer, .. } => format!("is answered: {}", quoted(&text_of(answer))),
        Event::CallCancelled { .. } => "is withdrawn: the run was cancelled".into(),
        Event::EffectStarted { attempt, .. } => format!("is in progress, attempt {attempt}"),
        Event::EffectPostponed { reason, until, attempt, .. } => {
            format!("did not happen in attempt {attempt}, and the next attempt is at {}: {reason}", at(*until))
        }
        // The changed facts are not shortened, because the approver may want to read each of them.
        Event::EffectSucceeded { evidence, changed, .. } => {
            let changed = changed.iter().map(|change| format!("; {change}"));
            format!("is done{}{}", because(evidence.as_deref()), changed.collect::<String>())
        }
        Event::EffectInDoubt { reason, .. } => format!("is in doubt: {reason}"),
        // The evidence is not shortened, because the reviewer who resolves the effect needs all of it.
        Event::EffectLookedUp { evidence, .. } => {
            format!("is still in doubt and must be resolved by a reviewer; lookup: {evidence}")
        }
        Event::EffectFailed { reason, evidence, .. } => {
            format!("was tried and did not happen: {reason}{}", because(evidence.as_deref()))
        }
        Event::EffectResolved { by, resolution, message, .. } => {
            format!("is resolved by {by} as {}{}", word(resolution), because(message.as_deref()))
        }
        Event::CallRefused { refusal, .. } => format!("is refused at once; {}", refused(refusal)),
        Event::CallExpired { .. } => "expires: no decision in time, or no start in time".into(),
        Event::DecisionMade { decision, .. } => format!("is {}", decided(decision)),
        Event::RunCreated { .. }
        | Event::TimerSet { .. }
        | Event::TimerFired { .. }
        | Event::RunDelayed { .. }
        | Event::RunFinished { .. }
        | Event::RunTrapped { .. }
        | Event::RunCancelled { .. }
        | Event::RunDiverged { .. } => String::new(),
    }
}

/// Policy's verdict as one word: `cleared`, `held` or `refused`.
pub fn judged(verdict: PolicyVerdict) -> &'static str {
    match verdict {
        PolicyVerdict::Clear => "cleared",
        PolicyVerdict::Hold => "held",
        PolicyVerdict::Refuse => "refused",
    }
}

/// A number of calls, and the sum of their amounts in each currency.
pub fn total(total: &Total) -> String {
    let sums = total.sums.iter().map(|(currency, units)| format!(", {}", money::show(*units, currency)));
    format!("{}{}", calls(total.count), sums.collect::<String>())
}

fn calls(count: u64) -> String {
    if count == 1 { "1 call".into() } else { format!("{count} calls") }
}

/// The limits of a grant in a few words.
pub fn granted(grant: &Grant) -> String {
    let sums = grant.sums.iter().map(|(currency, units)| format!(", {} in all", money::show(*units, currency)));
    format!("at most {}{} until {}", calls(grant.calls), sums.collect::<String>(), at(grant.until))
}

/// The reviewer and the decision.
pub fn decided(decision: &Decision) -> String {
    let (verb, said) = match &decision.verdict {
        RecordedChoice::Approve => ("approved", decision.message.clone()),
        RecordedChoice::Reject => ("rejected", decision.message.clone()),
        RecordedChoice::Edit(_) => ("edited", decision.message.clone()),
        // A decision that answers a question has no message. The answer takes the message's place.
        RecordedChoice::Respond(Value::String(answer)) => ("answered", Some(answer.clone())),
        RecordedChoice::Respond(answer) => ("answered", Some(answer.to_string())),
    };
    let stands_for = decision.stands_for.as_ref().map(|name| format!(" for {name}")).unwrap_or_default();
    format!("{verb} by {}{stands_for}{}", decision.reviewer, because(said.as_deref()))
}

/// The reason why a call was refused without a reviewer.
pub fn refused(reason: &RefusalReason) -> String {
    match reason {
        RefusalReason::Forbidden(why) => format!("the call is not allowed: {why}"),
        RefusalReason::Invalid(why) => format!("the call is not possible: {why}"),
    }
}

/// How an effect in doubt would be resolved, according to its class, and which evidence the connector can look up.
/// `None` for a question, which has no effect.
pub fn if_lost(class: EffectClass, evidence: Option<&str>) -> Option<String> {
    let way = match class {
        EffectClass::Idempotent => "the effect can be sent again and happens only once",
        EffectClass::Reconcilable => "the outcome can be looked up",
        EffectClass::OneShot => "a reviewer must find out the outcome",
        EffectClass::Question => return None,
    };
    Some(evidence.map_or_else(|| way.to_owned(), |evidence| format!("{way}; {evidence}")))
}

/// The capability and the component that calls it.
pub fn action(action: &Action) -> String {
    format!("{} of component {}", action.capability(), action.component())
}

/// Facts about a proposal, all covered by the clearance digest. So a decision on the digest is also a decision on them.
pub fn proposal(proposal: &Proposal) -> Vec<(&'static str, String)> {
    let requirement = &proposal.requirement;
    let needs = if proposal.class == EffectClass::Question {
        let asked = requirement.stages.iter().flatten().map(|demand| people(&demand.reviewers));
        format!("an answer of: {}", asked.collect::<Vec<_>>().join(" or "))
    } else {
        format!("{}; then the effect must start within {}", needs(requirement), span(requirement.start_within_ms))
    };
    let again = Some(proposal.policy.material.join(", ")).filter(|names| !names.is_empty());
    let mut facts = vec![
        ("calls", action(&proposal.action)),
        ("done by", format!("the connector `{}`", proposal.connector)),
        ("needs", needs),
        ("expires", expires(requirement)),
    ];
    facts.extend(again.map(|names| ("compared again at the start", names)));
    facts.extend(
        proposal
            .similar_calls
            .iter()
            .map(|other| ("waits beside this call", format!("{}: {}", other.id, other.summary))),
    );
    facts
}

/// The required reviewers, stage by stage, and the other conditions of the requirement.
pub fn needs(requirement: &Requirement) -> String {
    let demand = |demand: &Demand| format!("{} of: {}", demand.quorum, people(&demand.reviewers));
    let stage = |stage: &Vec<Demand>| stage.iter().map(demand).collect::<Vec<_>>().join(", and ");
    let mut needs = requirement.stages.iter().map(stage).collect::<Vec<_>>().join("; then ");
    if requirement.four_eyes {
        needs += ", except the person who started the run or edited the call";
    }
    if requirement.rejections > 1 {
        needs += &format!("; {} rejections are needed to stop the call", requirement.rejections);
    }
    if let Some(within) = requirement.sign_in_within_ms {
        needs += &format!("; approvers must have signed in within {}", span(within));
    }
    needs
}

/// The first deadline, and the escalations after it.
fn expires(requirement: &Requirement) -> String {
    let first = requirement.expires_at.map_or_else(|| "never".into(), at);
    let later = requirement.escalations.iter();
    let later =
        later.map(|then| format!(", then {} may also decide, for {}", people(&then.reviewers), span(then.within_ms)));
    later.fold(first, |all, more| all + &more)
}

/// The names of reviewers.
pub fn people(reviewers: &Reviewers) -> String {
    match reviewers {
        Reviewers::Any => "any reviewer".into(),
        Reviewers::Named(names) => names.join(", "),
    }
}

/// A duration in the largest unit in which it is a whole number: hours, minutes or seconds. Parts of a second
/// are rounded up.
pub(super) fn span(ms: u64) -> String {
    match ms {
        ms if ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms => format!("{} s", ms.div_ceil(1_000)),
    }
}

fn word(resolution: &Resolution) -> &'static str {
    match resolution {
        Resolution::Done(_) => "done",
        Resolution::NotDone => "not done",
        Resolution::Abandon => "abandoned",
        Resolution::SendAgain => "to be sent again",
    }
}

fn summary(proposal: &Proposal) -> String {
    short(&proposal.summary)
}

/// A colon and the reason; empty if there is no reason.
fn because(text: Option<&str>) -> String {
    text.map(|text| format!(": {}", quoted(text))).unwrap_or_default()
}

/// A string unchanged, or any other value as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The beginning of another author's words, as a quotation in a sentence of the host.
fn quoted(text: &str) -> String {
    quote_start(text, TEXT_CHARS_MAX).into_string()
}

/// The beginning of a sentence of the host or of a list entry.
pub fn short(text: &str) -> String {
    beginning(text, TEXT_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_becomes_a_sentence() {
        let cases = [
            (
                "run-created",
                json!({"agent": "a", "component": holdshort_gate::Digest::of(b""), "task": "do\nit", "started_by": "olga", "limits": {"cpu_ms": 1, "memory_bytes": 1, "held_calls": 1, "calls": 1, "journal_bytes": 1}, "seed": holdshort_gate::Digest::of(b"")}),
                "olga starts the agent a: \"do\\nit\"",
            ),
            (
                "effect-failed",
                json!({"call": 3, "attempt": 1, "reason": "no connection", "evidence": null}),
                "was tried and did not happen: no connection",
            ),
            ("run-finished", json!({"result": {"Err": "x"}}), "the agent reports a failure: \"x\""),
            (
                "decision-made",
                json!({"call": 1, "decision": {"reviewer": "bob", "clearance": holdshort_gate::Digest::of(b""), "verdict": "reject", "message": "too long"}}),
                "is rejected by bob: \"too long\"",
            ),
        ];
        for (kind, data, expected) in cases {
            let event = serde_json::from_value(json!({ "type": kind, "data": data })).unwrap();
            assert_eq!(sentence(&event), expected);
        }
        assert_eq!(at(Time(1_795_601_387_216_492)), "2026-11-25T10:09:47Z");
        assert_eq!(at(Time(1_795_601_387_000_000)), "2026-11-25T10:09:47Z");
        assert!(short(&"long ".repeat(100)).ends_with(" …"));
    }
}
