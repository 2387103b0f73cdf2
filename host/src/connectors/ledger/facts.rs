//! What a transfer's clearance rests on: how it stands in the preconditions, and what of it has changed when the transfer is to be booked.
//!
//! A balance may change as long as it covers the amount: that it does is what was decided on. The ledger and the kind of payee must be the same.
//! What the payee has received must be what was shown, but for the transfers that were shown to wait beside this one. Somebody who saw six invoices
//! of one payee and approves the first has no other sixth before them; somebody who was not shown a payment decides anew.

use std::collections::BTreeMap;

use holdshort_gate::Mark;
use holdshort_gate::condition::{Change, Condition, Found, changes};
use serde_json::{Value, json};

use super::Stopped;
use super::standing::{Facts, Shown};
use super::transfer::Transfer;
use crate::connectors::quote;

/// The names of the facts in the preconditions.
const LEDGER: &str = "ledger";
const BALANCE: &str = "source-balance";
const PAYEE: &str = "payee";
pub(super) const PAYMENTS: &str = "payments-to-payee";

impl Facts {
    /// As they stand in the preconditions, each with how it may differ.
    pub(super) fn conditions(&self, transfer: &Transfer) -> Value {
        let Self { ledger, source_balance, payee, payments } = self;
        let covers = Condition::AtLeast { shown: source_balance.clone(), bound: transfer.shown() };
        let history = Condition::NothingNew { shown: *payments, about: transfer.payee.clone() };
        json!({ LEDGER: ledger, BALANCE: covers.to_json(), PAYEE: payee, PAYMENTS: history.to_json() })
    }

    /// The ledger that was shown; nothing if the preconditions are another connector's.
    pub(super) fn ledger_of(preconditions: &Value) -> Option<&str> {
        preconditions.get(LEDGER)?.as_str()
    }

    /// What has changed since it was shown and is allowed, in words; what is not allowed stops the transfer.
    pub(super) fn compared(
        &self,
        transfer: &Transfer,
        shown: Shown<'_>,
        since: Vec<Mark>,
    ) -> Result<Vec<String>, Stopped> {
        let is = |value: Value| Found { value, since: Vec::new() };
        let now = BTreeMap::from([
            (LEDGER, is(json!(self.ledger))),
            (BALANCE, is(json!(self.source_balance))),
            (PAYEE, is(json!(self.payee))),
            (PAYMENTS, Found { value: json!(self.payments), since }),
        ]);
        let found = changes(shown.preconditions, shown.beside, &now);
        let found = found.map_err(|error| Stopped::NotDone(error.to_string()))?;
        let (allowed, broken): (Vec<&Change>, Vec<&Change>) = found.iter().partition(|change| change.allowed);
        let words = |changes: &[&Change]| changes.iter().map(|change| told(change, transfer)).collect::<Vec<_>>();
        if broken.is_empty() { Ok(words(&allowed)) } else { Err(Stopped::FactsChanged(words(&broken).join("; "))) }
    }
}

/// A change in words: both values, and what the clearance asks of them.
fn told(Change { fact, condition, now, allowed }: &Change, transfer: &Transfer) -> String {
    let Transfer { source, payee, .. } = transfer;
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let times = |count: &Value| format!("{count} payment{}", if *count == json!(1) { "" } else { "s" });
    let shown = condition.shown();
    let (what, before, is, now) = match fact.as_str() {
        BALANCE => (format!("`{source}` had"), plain(&shown), "has", plain(now)),
        PAYEE => (format!("{} was", quote(payee)), plain(&shown), "is", plain(now)),
        PAYMENTS => (format!("{} had received", quote(payee)), times(&shown), "has received", times(now)),
        other => (format!("the {other} was"), plain(&shown), "is", plain(now)),
    };
    let asks = match (condition, allowed) {
        (Condition::Same(_), _) => String::new(),
        (Condition::AtLeast { bound, .. }, true) => format!(", which covers {bound}"),
        (Condition::AtLeast { bound, .. }, false) => format!(", which does not cover {bound}"),
        (Condition::NothingNew { .. }, true) => ", by transfers that were shown to wait beside it".to_owned(),
        (Condition::NothingNew { .. }, false) => {
            ", not all of them by transfers that were shown to wait beside it".to_owned()
        }
    };
    format!("{what} {before} when it was shown and {is} {now} now{asks}")
}
