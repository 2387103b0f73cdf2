//! The facts that a transfer's clearance rests on: their form in the preconditions, and their comparison when the
//! transfer is booked.
//!
//! The source's balance may change as long as it covers the amount, because the decision rests on nothing else about
//! it. The ledger must be the same, and the payee must be the same kind of account. A new payment to the payee is
//! permitted only if it was shown with the transfer as a similar call. So a reviewer who saw six invoices of one payee
//! and approved the first is not asked again about the other five. A payment that was not shown holds the call again.

use std::collections::BTreeMap;

use holdshort_gate::EffectMark;
use holdshort_gate::condition::{Condition, FactChange, PresentFact, changes};
use serde_json::{Value, json};

use super::transfer::Transfer;
use crate::descriptor::{Comparison, Precondition};
use crate::{Sentence, Trusted, quote, say};

/// Why a transfer was not booked. Nothing was committed.
pub(super) enum NotBooked {
    /// The transfer is impossible, or has become impossible.
    NotDone(Sentence),
    /// A fact has changed. A reviewer who sees the old and the new value may approve the transfer.
    FactsChanged(Sentence),
    /// SQLite could not read or write; the transaction is rolled back.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for NotBooked {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The name of the fact with the ledger's id. This and the following constants name the facts in the preconditions.
const LEDGER: &str = "ledger";
const BALANCE: &str = "source-balance";
const PAYEE: &str = "payee";
/// The name of the fact with the number of payments that the payee has received.
pub(super) const PAYMENTS: &str = "payments-to-payee";

/// The facts in the preconditions, and how far each may differ from its shown value.
pub(super) const PRECONDITIONS: &[Precondition] = &[
    Precondition::same(LEDGER),
    Precondition { name: BALANCE, compares: Comparison::AtLeast },
    Precondition::same(PAYEE),
    Precondition { name: PAYMENTS, compares: Comparison::NothingNew },
];

/// The facts that a clearance rests on, in the words that a reviewer reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TransferFacts {
    /// The ledger's own id. By this id the host notices another ledger at the same path.
    pub(super) ledger: String,
    /// The source's balance with its currency.
    pub(super) source_balance: String,
    /// `own account` or `outside`.
    pub(super) payee: String,
    /// The number of transfers to the payee, from any source and in any currency. A reviewer who
    /// saw no transfer decides differently from a reviewer who saw that the same bill was paid.
    pub(super) payments: u64,
}

/// The parts of a preview on which a booking rests.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownFacts<'a> {
    /// The facts, each with the change that is permitted.
    pub(super) preconditions: &'a Value,
    /// The key and digest of each similar call that reviewers were shown with the transfer.
    pub(super) similar_effects: &'a [EffectMark],
}

impl TransferFacts {
    /// The facts as preconditions, each with the change that is permitted.
    pub(super) fn conditions(&self, transfer: &Transfer) -> Value {
        let Self { ledger, source_balance, payee, payments } = self;
        let covers = Condition::AtLeast { shown: source_balance.clone(), bound: transfer.shown() };
        let history = Condition::NothingNew { shown: *payments, about: transfer.payee.clone() };
        json!({ LEDGER: ledger, BALANCE: covers.to_json(), PAYEE: payee, PAYMENTS: history.to_json() })
    }

    /// The id of the shown ledger; `None` if another connector wrote the preconditions.
    pub(super) fn ledger_of(preconditions: &Value) -> Option<&str> {
        preconditions.get(LEDGER)?.as_str()
    }

    /// The permitted changes since the transfer was shown, as text. A change that is not permitted stops the transfer.
    pub(super) fn compared(
        &self,
        transfer: &Transfer,
        shown: ShownFacts<'_>,
        since: Vec<EffectMark>,
    ) -> Result<Vec<Sentence>, NotBooked> {
        let is = |value: Value| PresentFact { value, since: Vec::new() };
        let now = BTreeMap::from([
            (LEDGER, is(json!(self.ledger))),
            (BALANCE, is(json!(self.source_balance))),
            (PAYEE, is(json!(self.payee))),
            (PAYMENTS, PresentFact { value: json!(self.payments), since }),
        ]);
        let found = changes(shown.preconditions, shown.similar_effects, &now);
        let found = found.map_err(|error| NotBooked::NotDone(quote(error).into()))?;
        let (allowed, broken): (Vec<&FactChange>, Vec<&FactChange>) = found.iter().partition(|change| change.allowed);
        let words =
            |changes: &[&FactChange]| changes.iter().map(|change| change_text(change, transfer)).collect::<Vec<_>>();
        if broken.is_empty() {
            Ok(words(&allowed))
        } else {
            Err(NotBooked::FactsChanged(Sentence::join(words(&broken), "; ")))
        }
    }
}

/// A change as text: the fact's old and new value, and whether the clearance's condition still holds.
fn change_text(FactChange { fact, condition, now, allowed }: &FactChange, transfer: &Transfer) -> Sentence {
    let Transfer { source, payee, .. } = transfer;
    // These values need no quotation marks, because the host wrote them: amounts, counts and kinds of accounts.
    let plain = |value: &Value| match value.as_str() {
        Some(text) => Trusted::label(text),
        None => Trusted::label(value),
    };
    let times =
        |count: &Value| Trusted::label(format_args!("{count} payment{}", if *count == json!(1) { "" } else { "s" }));
    let shown = condition.shown();
    let values = match fact.as_str() {
        BALANCE => {
            let source = Trusted::configured(source);
            say!("`{}` had {} when the call was shown and has {} now", source, plain(&shown), plain(now))
        }
        PAYEE => say!("{} was {} when the call was shown and is {} now", quote(payee), plain(&shown), plain(now)),
        PAYMENTS => {
            let (before, now) = (times(&shown), times(now));
            say!("{} had received {} when the call was shown and has received {} now", quote(payee), before, now)
        }
        other => {
            let fact = Trusted::label(other);
            say!("the {} was {} when the call was shown and is {} now", fact, plain(&shown), plain(now))
        }
    };
    let asks = match (condition, allowed) {
        (Condition::Same(_), _) => say!(""),
        (Condition::AtLeast { bound, .. }, true) => say!(", which covers {}", Trusted::label(bound)),
        (Condition::AtLeast { bound, .. }, false) => say!(", which does not cover {}", Trusted::label(bound)),
        (Condition::NothingNew { .. }, true) => say!(", by transfers that the approval listed as waiting"),
        (Condition::NothingNew { .. }, false) => {
            say!(", not all of them by transfers that the approval listed as waiting")
        }
    };
    values + asks
}
