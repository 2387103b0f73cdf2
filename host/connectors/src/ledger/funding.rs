//! The operator's own accounts: opened, and funded against equity, when the host starts. Each amount is booked once, by the name it has in the configuration.

use std::collections::BTreeMap;

use holdshort_gate::Time;
use rusqlite::Connection;

use super::books::{self, BooksError, Entry, Kind};
use super::standing::micros;
use holdshort_common::money::{Currency, NoCurrency};

/// An amount that an account gets once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funding {
    /// What it is called in the books, and by what it is recognised: `opening EUR`, `deposit 2026-12`.
    pub label: String,
    /// How much, in the currency's smallest unit.
    pub minor_units: i64,
    /// The currency's ISO 4217 code.
    pub currency: String,
}

/// The operator's accounts by name, each with what it was given.
pub type Accounts = BTreeMap<String, Vec<Funding>>;

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its file cannot be used.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// The configured accounts are not those of its books.
    #[error(transparent)]
    Accounts(#[from] Disagreement),
}

/// The configured accounts and the books do not agree. Nothing was booked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// A figure was changed after it had been booked.
    #[error(
        "`{account}`: `{label}` is booked with {booked} in the ledger, and the configuration now says {now}; \
         booked amounts never change: restore {booked}, and for more money add a deposit with a name of its own"
    )]
    Changed {
        /// The account.
        account: String,
        /// The funding.
        label: String,
        /// What the books say.
        booked: String,
        /// What the configuration says.
        now: String,
    },
    /// Payments have gone to somebody of that name.
    #[error(
        "`{0}` has been paid as an outside payee in this ledger, so it cannot become an account of your own: choose another name"
    )]
    Payee(String),
    /// More than the ledger can hold.
    #[error("`{account}`: with `{label}` it would have more than the ledger can hold")]
    TooMuch {
        /// The account.
        account: String,
        /// The funding.
        label: String,
    },
    /// Nothing that can be booked.
    #[error("`{account}`: `{label}`: {why}")]
    Currency {
        /// The account.
        account: String,
        /// The funding.
        label: String,
        /// Why not.
        why: NoCurrency,
    },
    /// Not more than zero.
    #[error("`{account}`: `{label}` must be more than zero")]
    Nothing {
        /// The account.
        account: String,
        /// The funding.
        label: String,
    },
}

/// Brings the books up to the configured accounts, within the caller's transaction.
pub(super) fn fund(books: &Connection, accounts: &Accounts, now: Time) -> rusqlite::Result<Result<(), Disagreement>> {
    for (name, fundings) in accounts {
        let account = match books::account(books, name)? {
            Some(account) if account.kind == Kind::Own => account,
            Some(_) => return Ok(Err(Disagreement::Payee(name.clone()))),
            None => books::open_account(books, name, Kind::Own)?,
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
    // Names and labels are plain, so that no two pairs have the same key.
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
    let entry = Entry {
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
