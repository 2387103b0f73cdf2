//! Hosts that recognise a request by a key. The host sends the key of the call in a header, and asks by the key whether a
//! request was done whose answer was lost.

use std::time::Duration;

use holdshort_gate::EffectClass;
use serde_json::Value;
use ureq::http::HeaderName;

use super::request::Request;
use super::send::{NoAnswer, send};
use super::{Allowed, EFFECT, Http};
use crate::descriptor::Effect;
use crate::{Exhibit, Finding, Inquiry, Sentence, Trusted, quote, say};

/// How long a request can be on its way to another machine after its connection was given up: Linux sends what was not
/// acknowledged up to 8 times more (`tcp_orphan_retries` in its documentation of IP settings), over up to two minutes.
const LATE: Duration = Duration::from_mins(3);

/// The operator's settings for a host that recognises requests.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The header that carries the key of the call.
    pub header: HeaderName,
    /// Whether a second request with the same key has no second effect.
    pub is_idempotent: bool,
    /// The path of the request that asks for a key, with `{key}` in its place.
    pub lookup: Option<String>,
}

impl Idempotency {
    /// The effect of a request that carries the key.
    pub(super) fn effect(&self) -> Effect {
        let class = match (self.is_idempotent, &self.lookup) {
            (true, _) => EffectClass::Idempotent,
            (false, Some(_)) => EffectClass::Reconcilable,
            (false, None) => EffectClass::OneShot,
        };
        let evidence = if self.lookup.is_some() {
            "the host sends the operator's lookup request with the key of the call; status 200 means done, and 404 not done"
        } else {
            EFFECT.evidence
        };
        Effect { class, evidence, ..EFFECT }
    }

    /// What a reviewer needs to know about it.
    pub(super) fn exhibit(&self, request: &Request) -> Exhibit {
        let replaced = request.headers().iter().any(|(name, _)| *name == self.header.as_str());
        let instead = if replaced { ", in place of the agent's value" } else { "" };
        let header = Trusted::configured(&self.header);
        let text = say!("the host adds the key of the call as the header {}{}", header, instead);
        Exhibit::text(say!("the key of the call"), text)
    }
}

impl Http {
    /// Asks the host whether a request was done whose answer was lost.
    ///
    /// A request that is still on its way could be done after the answer "not done". So this answer counts when it is
    /// given again after the time in which the lost request can arrive.
    pub(super) async fn ask(&self, inquiry: &Inquiry) -> Finding {
        let request = match self.lookup_request(inquiry) {
            Ok(request) => request,
            Err(evidence) => return Finding::Unknown { evidence },
        };
        let first = found(&request).await;
        if !matches!(first, Finding::DidNotHappen { .. }) {
            return first;
        }
        // Many systems answer 404 also to strangers.
        let had = inquiry.preconditions.get("credentials").and_then(Value::as_array);
        if had.is_some_and(|had| !had.is_empty()) && request.credentials.is_empty() {
            let evidence = "the lookup request has the answer 404, but the host has no credential for it, and the lost request had one";
            return Finding::Unknown { evidence: say!("{}", evidence) };
        }
        let late = if request.request.is_for_this_machine() { Duration::ZERO } else { LATE };
        tokio::time::sleep(request.host.time_out.max(late)).await;
        found(&request).await
    }

    fn lookup_request(&self, inquiry: &Inquiry) -> Result<Allowed<'_>, Sentence> {
        let sent = self.read(&inquiry.action)?;
        if let Some(changed) = sent.changed_header(&inquiry.preconditions) {
            return Err(say!("the lookup request was not made: {}", changed));
        }
        let lookup = sent.idempotency().and_then(|key| key.lookup.as_ref());
        let lookup = lookup.ok_or_else(|| say!("{}", EFFECT.evidence))?;
        self.with_credentials(sent.request.get(&lookup.replace("{key}", &inquiry.key.0))?, sent.host)
    }
}

async fn found(request: &Allowed<'_>) -> Finding {
    match send(request).await {
        Ok(receipt) => match receipt.get("status").and_then(Value::as_u64).unwrap_or_default() {
            200 => Finding::Happened { receipt, evidence: say!("the lookup request has the answer 200") },
            404 => Finding::DidNotHappen { evidence: say!("the lookup request has the answer 404, twice") },
            status => Finding::Unknown { evidence: say!("the lookup request has the answer {}", status) },
        },
        Err(NoAnswer::NoToken(why)) => Finding::Unknown { evidence: say!("the lookup request was not made: {}", why) },
        Err(NoAnswer::Refused(why) | NoAnswer::NotSent(why) | NoAnswer::Lost(why)) => {
            Finding::Unknown { evidence: say!("the lookup request has no answer: {}", quote(why)) }
        }
    }
}
