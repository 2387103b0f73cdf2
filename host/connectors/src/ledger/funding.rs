//! Opens the operator's accounts, and books their configured money against equity, when the host starts. Each amount is
//! booked once, under its name in the configuration.

use std::collections::BTreeMap;

use holdshort_gate::Time;
use rusqlite::Connection;

use super::books::{self, AccountKind, BookEntry, BooksError};
use super::transfer_accounts::micros;
use holdshort_common::money::{Currency, NoCurrency};

/// A one-time funding of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funding {
    /// The label in the ledger, which identifies the funding: `opening EUR`, `deposit 2026-12`.
    pub label: String,
    /// The amount in minor units.
    pub minor_units: i64,
    /// The currency's ISO 4217 code.
    pub currency: String,
}

/// The operator's accounts by name with their fundings.
pub type Accounts = BTreeMap<String, Vec<Funding>>;

/// The ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file of the ledger is unusable.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// The configured accounts contradict the ledger.
    #[error(transparent)]
    Accounts(#[from] Disagreement),
}

/// The configuration contradicts the ledger. Nothing was booked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// An amount was changed after its booking.
    #[error(
        "`{account}`: `{label}` is booked as {booked}, but the configuration says {now}. A booked amount cannot change: set `{label}` back to {booked} in the configuration; to add money, add a deposit with a new name"
    )]
    Changed {
        account: String,
        /// The label of the funding.
        label: String,
        /// The booked amount.
        booked: String,
        /// The configured amount.
        now: String,
    },
    /// A payee of this name has received payments.
    #[error(
        "`{0}` cannot become an account of yours, because this ledger has payments to `{0}` as an outside payee: choose another name"
    )]
    Payee(String),
    /// The amount exceeds the ledger's range.
    #[error("`{account}`: with `{label}` the account would have more than the ledger can hold")]
    TooMuch {
        account: String,
        /// The label of the funding.
        label: String,
    },
    /// The currency cannot be booked.
    #[error("`{account}`: `{label}`: {why}")]
    Currency {
        account: String,
        /// The label of the funding.
        label: String,
        why: NoCurrency,
    },
    /// The amount is not positive.
    #[error("`{account}`: `{label}` must be more than zero")]
    Nothing {
        account: String,
        /// The label of the funding.
        label: String,
    },
}

/// Books the configured opening balances and deposits that the ledger lacks, within the caller's transaction.
pub(super) fn fund(books: &Connection, accounts: &Accounts, now: Time) -> rusqlite::Result<Result<(), Disagreement>> {
    for (name, fundings) in accounts {
        let account = match books::account(books, name)? {
            Some(account) if account.kind == AccountKind::Own => account,
            Some(_) => return Ok(Err(Disagreement::Payee(name.clone()))),
            None => books::open_account(books, name, AccountKind::Own)?,
        };
        for funding in fundings {
            if let Err(disagreement) = fund_once(books, name, account, funding, now)? {
                return Ok(Err(disagreement));
            }
        }
    }
    Ok(Ok(()))
}

fn fund_once(
    books: &Connection,
    name: &str,
    account: books::Account,
    funding: &Funding,
    now: Time,
) -> rusqlite::Result<Result<(), Disagreement>> {
    let Funding { label, minor_units, currency } = funding;
    let (named, labelled) = (|| name.to_owned(), || label.clone());
    let currency = match Currency::of(currency) {
        Ok(currency) => currency,
        Err(why) => return Ok(Err(Disagreement::Currency { account: named(), label: labelled(), why })),
    };
    // The configuration accepts no `/` in a name or label, so no two pairs share a key.
    let key = format!("{name}/{label}");
    if let Some((code, amount)) = books::funded(books, &key)? {
        let booked = Currency::of(&code).map_or_else(|_| format!("{amount} {code}"), |booked| booked.show(amount));
        if code == currency.code() && amount == *minor_units {
            return Ok(Ok(()));
        }
        let now = currency.show(*minor_units);
        return Ok(Err(Disagreement::Changed { account: named(), label: labelled(), booked, now }));
    }
    if *minor_units <= 0 {
        return Ok(Err(Disagreement::Nothing { account: named(), label: labelled() }));
    }
    let equity = books::equity(books)?;
    let has = books::balance(books, account, currency.code())?;
    let owed = books::balance(books, equity, currency.code())?;
    if has.checked_add(*minor_units).is_none() || owed.checked_sub(*minor_units).is_none() {
        return Ok(Err(Disagreement::TooMuch { account: named(), label: labelled() }));
    }
    let entry = BookEntry {
        kind: "funding",
        key: &key,
        at: micros(now),
        reference: label,
        transfer: None,
        from: equity,
        to: account,
        currency: currency.code(),
        amount: *minor_units,
    };
    books::book(books, &entry)?;
    Ok(Ok(()))
}
