//! A transfer as an agent proposes it, read from the arguments of `payments.transfer-funds` and found to make sense by itself.

use holdshort_gate::Action;
use serde_json::{Value, json};

use super::books::Booked;
use crate::{Known, Sentence, error_said, quote, say};
use holdshort_common::money::{Currency, NoCurrency};

/// Characters of a payee and of a reference: each is read at a glance, on one line.
const LINE_CHARS_MAX: usize = 200;

/// What is to be paid.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// The operator's account that pays, as the agent names it.
    pub(super) source: String,
    /// Who is paid: one line, exactly as it will stand in the books.
    pub(super) payee: String,
    /// One that can be booked.
    pub(super) currency: Currency,
    /// In the currency's smallest unit; more than zero.
    pub(super) amount: i64,
    /// What it is for: one line, and may be empty.
    pub(super) reference: String,
    /// The whole record: given back in the receipt, and what a key is remembered for.
    pub(super) record: Value,
}

/// Why the arguments are no transfer.
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
    /// In words.
    pub(super) fn sentence(&self) -> Sentence {
        match self {
            Self::Arguments => say!(
                "the arguments have no `transfer` of the type of `holdshort:agent/payments#transfer-funds`, which this connector serves"
            ),
            Self::Currency(NoCurrency::Unknown(code)) => {
                say!("{} is not a currency; write its ISO 4217 code in capitals, like `EUR`", quote(code))
            }
            // These name currencies of the standard alone.
            Self::Currency(known) => say!("{}", Known::configured(known)),
            Self::Nothing => say!("the amount is 0: nothing would be transferred"),
            Self::TooMuch(most) => say!(
                "the amount is more than the ledger can hold: {} is the most, in the smallest unit of the currency",
                *most
            ),
            Self::NoPayee => say!("the payee is empty: say who is to be paid"),
            Self::PayeeSpaces => {
                say!("the payee begins or ends with a space; with it the name would be another payee's")
            }
            Self::Control { field, code } => say!(
                "the {} holds the control character {}; write it on one line",
                *field,
                Known::label(format_args!("U+{code:04X}"))
            ),
            Self::TooLong { field } => say!("the {} is longer than {} characters", *field, LINE_CHARS_MAX),
            Self::Itself(name) => say!("{} would pay itself", quote(name)),
        }
    }
}

error_said!(NotATransfer);

impl From<NoCurrency> for NotATransfer {
    fn from(error: NoCurrency) -> Self {
        Self::Currency(error)
    }
}

impl Transfer {
    /// Reads an action's arguments. What this returns makes sense by itself; whether it is covered, only the books can tell.
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

    /// The amount as people read it.
    pub(super) fn shown(&self) -> String {
        self.currency.show(self.amount)
    }

    /// What is handed to the agent when it is booked.
    pub(super) fn receipt(&self, booked: &Booked) -> Value {
        let balance = json!({ "minor-units": booked.source_balance.to_string(), "currency": self.currency.code() });
        json!({ "transferred": self.record, "transaction": format!("T{}", booked.number), "source-balance": balance })
    }
}
