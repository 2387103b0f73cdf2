//! Reads a transfer from the arguments of `payments.transfer-funds`, and checks everything that can be checked
//! without the ledger.

use holdshort_gate::Action;
use serde_json::{Value, json};

use super::books::BookedTransfer;
use crate::{Sentence, Trusted, quote, say, sentence_error};
use holdshort_common::money::{Currency, NoCurrency};

/// The maximum length of a payee and of a reference, so that a reviewer can read each on one line.
const LINE_CHARS_MAX: usize = 200;

/// A proposed transfer.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// The operator's account that pays, as the agent names it.
    pub(super) source: String,
    /// The payee: one line. It is booked exactly as written here.
    pub(super) payee: String,
    /// The currency. It is bookable, because it has a smallest unit.
    pub(super) currency: Currency,
    /// The amount in minor units; more than zero.
    pub(super) amount: i64,
    /// The purpose: one line, possibly empty.
    pub(super) reference: String,
    /// The complete record. It is in the receipt, and is compared with an earlier booking under the same key.
    pub(super) record: Value,
}

/// The arguments are no valid transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotATransfer {
    Arguments,
    Currency(NoCurrency),
    Nothing,
    TooMuch(i64),
    NoPayee,
    PayeeSpaces,
    Control { field: &'static str, code: u32 },
    TooLong { field: &'static str },
    Itself(String),
}

impl NotATransfer {
    /// The reason as a sentence.
    pub(super) fn sentence(&self) -> Sentence {
        match self {
            Self::Arguments => say!(
                "the arguments have no `transfer` of the right type; this connector serves `holdshort:agent/payments#transfer-funds`"
            ),
            Self::Currency(NoCurrency::Unknown(code)) => {
                say!(
                    "{} is not a currency; write the ISO 4217 code of the currency in capitals, like `EUR`",
                    quote(code)
                )
            }
            // The text of this error contains no words of the agent: it names only standard currencies.
            Self::Currency(known) => say!("{}", Trusted::configured(known)),
            Self::Nothing => say!("the amount is 0: nothing would be transferred"),
            Self::TooMuch(most) => say!(
                "the amount is more than the ledger can hold: the largest amount is {}, in the smallest unit of the currency",
                *most
            ),
            Self::NoPayee => say!("the payee is empty: write the name of the payee"),
            Self::PayeeSpaces => {
                say!(
                    "the payee begins or ends with a space: remove the space, because it makes the name a different payee"
                )
            }
            Self::Control { field, code } => say!(
                "the {} has the control character {}: remove the character",
                *field,
                Trusted::label(format_args!("U+{code:04X}"))
            ),
            Self::TooLong { field } => say!("the {} is longer than {} characters", *field, LINE_CHARS_MAX),
            Self::Itself(name) => say!("{} would pay itself", quote(name)),
        }
    }
}

sentence_error!(NotATransfer);

impl From<NoCurrency> for NotATransfer {
    fn from(error: NoCurrency) -> Self {
        Self::Currency(error)
    }
}

impl Transfer {
    /// Reads and checks the arguments. Only the ledger can tell whether the account covers the amount.
    pub(super) fn read(action: &Action) -> Result<Self, NotATransfer> {
        let record = action.arguments().get("transfer").ok_or(NotATransfer::Arguments)?;
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let field = |name: &str| text(record, name).ok_or(NotATransfer::Arguments);
        let money = record.get("amount").ok_or(NotATransfer::Arguments)?;
        let units = text(money, "minor-units").and_then(|units| units.parse::<u64>().ok());
        let transfer = Self {
            source: field("source")?,
            payee: field("payee")?,
            currency: Currency::of(&text(money, "currency").ok_or(NotATransfer::Arguments)?)?,
            amount: i64::try_from(units.ok_or(NotATransfer::Arguments)?)
                .map_err(|_| NotATransfer::TooMuch(i64::MAX))?,
            reference: field("reference")?,
            record: record.clone(),
        };
        transfer.check()?;
        Ok(transfer)
    }

    fn check(&self) -> Result<(), NotATransfer> {
        if self.amount == 0 {
            return Err(NotATransfer::Nothing);
        }
        if self.payee.trim().is_empty() {
            return Err(NotATransfer::NoPayee);
        }
        if self.payee.trim() != self.payee {
            return Err(NotATransfer::PayeeSpaces);
        }
        for (field, line) in [("payee", &self.payee), ("reference", &self.reference)] {
            if let Some(control) = line.chars().find(|c| c.is_control()) {
                return Err(NotATransfer::Control { field, code: control.into() });
            }
            if line.chars().count() > LINE_CHARS_MAX {
                return Err(NotATransfer::TooLong { field });
            }
        }
        if self.source == self.payee {
            return Err(NotATransfer::Itself(self.source.clone()));
        }
        Ok(())
    }

    /// The amount in readable form.
    pub(super) fn shown(&self) -> String {
        self.currency.show(self.amount)
    }

    /// The receipt after the booking.
    pub(super) fn receipt(&self, booked: &BookedTransfer) -> Value {
        let balance = json!({ "minor-units": booked.source_balance.to_string(), "currency": self.currency.code() });
        json!({ "transferred": self.record, "transaction": format!("T{}", booked.number), "source-balance": balance })
    }
}
