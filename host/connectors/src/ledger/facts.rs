//! The facts that a transfer's clearance rests on: their form in the preconditions, and the
//! comparison at the booking.
//!
//! The source's balance may change as long as it covers the amount, because the decision did not depend on more.
//! The ledger and the kind of payee must be the same. The payments to the payee must be those that were shown, except
//! the similar calls that were shown with the transfer. So a reviewer who saw six invoices of one payee and approved
//! the first does not get the next five again. A payment that was not shown requires a new decision.

use std::collections::BTreeMap;

use holdshort_gate::EffectMark;
use holdshort_gate::condition::{Condition, FactChange, PresentFact, changes};
use serde_json::{Value, json};

use super::transfer::Transfer;
use crate::descriptor::{Comparison, Precondition};
use crate::{Sentence, Trusted, quote, say};

/// A transfer was not booked. Nothing was committed.
pub(super) enum NotBooked {
    /// The transfer is impossible, or has become impossible.
    NotDone(Sentence),
    /// A reviewer who sees both values could still approve it.
    FactsChanged(Sentence),
    /// SQLite could not read or write; the transaction is rolled back.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for NotBooked {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The names of the facts in the preconditions.
const LEDGER: &str = "ledger";
const BALANCE: &str = "source-balance";
const PAYEE: &str = "payee";
/// The payments that the payee has had: their number and the latest.
pub(super) const PAYMENTS: &str = "payments-to-payee";

/// How far each fact may differ from its shown value.
pub(super) const PRECONDITIONS: &[Precondition] = &[
    Precondition::same(LEDGER),
    Precondition { name: BALANCE, compares: Comparison::AtLeast },
    Precondition::same(PAYEE),
    Precondition { name: PAYMENTS, compares: Comparison::NothingNew },
];

/// The facts that a clearance rests on, in the words that a reviewer reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TransferFacts {
    /// The ledger's own id, so that another file in its place is noticed.
    pub(super) ledger: String,
    /// The source's balance with its currency.
    pub(super) source_balance: String,
    /// `own account` or `outside`.
    pub(super) payee: String,
    /// The number of transfers to the payee, from any source and in any currency. A reviewer who
    /// saw no transfer decides differently from a reviewer who saw that the same bill was paid.
    pub(super) payments: u64,
}

/// The parts of the shown content that a transfer rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownFacts<'a> {
    /// The facts, each with its permitted change.
    pub(super) preconditions: &'a Value,
    /// The marks of the similar calls that reviewers were shown with the transfer.
    pub(super) similar_effects: &'a [EffectMark],
}

impl TransferFacts {
    /// The facts as preconditions, each with its permitted change.
    pub(super) fn conditions(&self, transfer: &Transfer) -> Value {
        let Self { ledger, source_balance, payee, payments } = self;
        let covers = Condition::AtLeast { shown: source_balance.clone(), bound: transfer.shown() };
        let history = Condition::NothingNew { shown: *payments, about: transfer.payee.clone() };
        json!({ LEDGER: ledger, BALANCE: covers.to_json(), PAYEE: payee, PAYMENTS: history.to_json() })
    }

    /// The shown ledger; `None` if the preconditions are another connector's.
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

/// A change as text: both values, and the condition in the clearance.
fn change_text(FactChange { fact, condition, now, allowed }: &FactChange, transfer: &Transfer) -> Sentence {
    let Transfer { source, payee, .. } = transfer;
    // Values from the ledger and the clearance are the host's own: amounts, counts and kinds of
    // accounts.
    let plain = |value: &Value| match value.as_str() {
        Some(text) => Trusted::label(text),
        None => Trusted::label(value),
    };
    let times =
        |count: &Value| Trusted::label(format_args!("{count} payment{}", if *count == json!(1) { "" } else { "s" }));
    let shown = condition.shown();
    let (what, before, is, now) = match fact.as_str() {
        BALANCE => (say!("`{}` had", Trusted::configured(source)), plain(&shown), "has", plain(now)),
        PAYEE => (say!("{} was", quote(payee)), plain(&shown), "is", plain(now)),
        PAYMENTS => (say!("{} had received", quote(payee)), times(&shown), "has received", times(now)),
        other => (say!("the {} was", Trusted::label(other)), plain(&shown), "is", plain(now)),
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
    say!("{} {} when the call was shown and {} {} now{}", what, before, is, now, asks)
}
