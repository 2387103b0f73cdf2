//! The ledger's file: opening it, and its SQL statements. Related reads and writes share one SQLite transaction.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior};
use serde_json::Value;

use crate::{Sentence, Trusted, quote, say, sentence_error};

use super::schema::{APPLICATION_ID, TABLES, VERSION};

/// The ledger's file is unusable.
#[derive(Debug)]
pub enum BooksError {
    /// The file cannot be created.
    Make { path: PathBuf, source: std::io::Error },
    /// The file is no ledger.
    NotALedger {
        path: PathBuf,
        /// The reason why the file is no ledger.
        why: &'static str,
    },
    /// A newer host wrote the file.
    Newer { path: PathBuf, found: i64 },
    /// SQLite reported an error.
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

impl BooksError {
    /// The error as a sentence.
    pub fn sentence(&self) -> Sentence {
        match self {
            Self::Make { path, source } => {
                say!("cannot make the ledger `{}`: {}", Trusted::path(path), quote(source))
            }
            Self::NotALedger { path, why } => say!(
                "`{}` is not a ledger: {}; name another file with `path` in the section `[payments]`",
                Trusted::path(path),
                *why
            ),
            Self::Newer { path, found } => say!(
                "the ledger `{}` has version {}, but this host reads versions up to {}: use a newer version of Holdshort",
                Trusted::path(path),
                *found,
                VERSION
            ),
            Self::Sqlite { path, source } => {
                say!("the ledger `{}` cannot be used: {}", Trusted::path(path), quote(source))
            }
        }
    }
}

sentence_error!(BooksError);

/// An open ledger. The host opens the file for each use. So it notices a replaced or removed file, and books nothing
/// into a deleted file.
pub(super) struct Books(Connection);

/// The kinds of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountKind {
    /// The operator's account.
    Own,
    /// A payee's account.
    Outside,
    /// The origin of the operator's money.
    Equity,
}

/// An account in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) number: i64,
    pub(super) kind: AccountKind,
}

/// An entry to be booked, with the accounts and the amount of its two postings.
pub(super) struct BookEntry<'a> {
    /// `funding` or `transfer`.
    pub(super) kind: &'static str,
    /// The key. No other entry of the same kind has it.
    pub(super) key: &'a str,
    /// Microseconds since 1970.
    pub(super) at: i64,
    pub(super) reference: &'a str,
    /// The record of the cleared transfer; `None` for a funding.
    pub(super) transfer: Option<&'a Value>,
    pub(super) from: Account,
    pub(super) to: Account,
    pub(super) currency: &'a str,
    pub(super) amount: i64,
}

/// A transfer that is in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BookedTransfer {
    pub(super) number: i64,
    pub(super) transfer: Value,
    /// The source's balance right after the transfer.
    pub(super) source_balance: i64,
}

/// An earlier payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PastPayment {
    /// The transaction's number, as in receipts.
    pub(super) number: i64,
    /// Microseconds since 1970.
    pub(super) at: i64,
    /// The paying account.
    pub(super) source: String,
    /// The currency's code.
    pub(super) currency: String,
    /// The amount in minor units.
    pub(super) amount: i64,
    /// The purpose, as an agent wrote it.
    pub(super) reference: String,
}

impl Books {
    /// Opens the file at `path`, and creates it (0600) if it is missing.
    pub(super) fn make(path: &Path, wait: Duration) -> Result<Self, BooksError> {
        if !path.exists() {
            let failed = |source| BooksError::Make { path: path.into(), source };
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        let sqlite_error = |error| sqlite_error(path, error);
        let mut connection = connect(path, wait).map_err(sqlite_error)?;
        create(&mut connection).map_err(sqlite_error)?;
        Self::checked(path, connection)
    }

    /// Opens the existing file at `path`.
    pub(super) fn open(path: &Path, wait: Duration) -> Result<Self, BooksError> {
        Self::checked(path, connect(path, wait).map_err(|error| sqlite_error(path, error))?)
    }

    /// Checks that the file is a ledger. Only then are settings of the file changed.
    fn checked(path: &Path, connection: Connection) -> Result<Self, BooksError> {
        check(path, &connection)?;
        tune(&connection).map_err(|error| sqlite_error(path, error))?;
        Ok(Self(connection))
    }

    /// Begins a read transaction, which shows the ledger at one moment.
    pub(super) fn read(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.0.transaction()
    }

    /// Begins a write transaction, which excludes all other writers. It is rolled back unless it is committed.
    pub(super) fn write(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.0.transaction_with_behavior(TransactionBehavior::Immediate)
    }
}

fn connect(path: &Path, wait: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(wait)?;
    Ok(connection)
}

/// Makes commits durable on return, and enforces foreign keys.
fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Creates the tables, unless another process has created them since.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let is_empty = |connection: &Connection| -> rusqlite::Result<bool> {
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(tables == 0 && pragma(connection, "application_id")? == 0)
    };
    if !is_empty(connection)? {
        return Ok(());
    }
    tune(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if is_empty(&transaction)? {
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch("INSERT INTO meta VALUES ('id', lower(hex(randomblob(8)))), ('settled', '')")?;
        transaction.execute_batch("INSERT INTO accounts (name, kind) VALUES ('equity', 'equity')")?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

fn check(path: &Path, connection: &Connection) -> Result<(), BooksError> {
    let pragma = |name| pragma(connection, name).map_err(|error| sqlite_error(path, error));
    if pragma("application_id")? != APPLICATION_ID {
        return Err(BooksError::NotALedger { path: path.into(), why: "it is the SQLite database of another program" });
    }
    match pragma("user_version")? {
        VERSION => Ok(()),
        found if found > VERSION => Err(BooksError::Newer { path: path.into(), found }),
        _ => Err(BooksError::NotALedger { path: path.into(), why: "the ledger has no version" }),
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn sqlite_error(path: &Path, source: rusqlite::Error) -> BooksError {
    if source.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
        return BooksError::NotALedger { path: path.into(), why: "it is not a SQLite database" };
    }
    BooksError::Sqlite { path: path.into(), source }
}

/// The ledger's own random id. By this id the host notices another ledger at the same path.
pub(super) fn id(books: &Connection) -> rusqlite::Result<String> {
    books.query_row("SELECT value FROM meta WHERE key = 'id'", [], |row| row.get(0))
}

/// The account with a name that a transfer gives as source or payee.
pub(super) fn account(books: &Connection, name: &str) -> rusqlite::Result<Option<Account>> {
    let found = "SELECT number, kind FROM accounts WHERE name = ?1 AND kind <> 'equity'";
    books.query_row(found, [name], in_account).optional()
}

/// The account against which the operator's money is booked.
pub(super) fn equity(books: &Connection) -> rusqlite::Result<Account> {
    books.query_row("SELECT number, kind FROM accounts WHERE kind = 'equity'", [], in_account)
}

fn in_account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let kind: String = row.get(1)?;
    let kind = match kind.as_str() {
        "own" => AccountKind::Own,
        "equity" => AccountKind::Equity,
        _ => AccountKind::Outside,
    };
    Ok(Account { number: row.get(0)?, kind })
}

/// Opens an account.
pub(super) fn open_account(books: &Connection, name: &str, kind: AccountKind) -> rusqlite::Result<Account> {
    let word = match kind {
        AccountKind::Own => "own",
        AccountKind::Outside => "outside",
        AccountKind::Equity => "equity",
    };
    books.execute("INSERT INTO accounts (name, kind) VALUES (?1, ?2)", (name, word))?;
    Ok(Account { number: books.last_insert_rowid(), kind })
}

/// The balance of an account.
pub(super) fn balance(books: &Connection, account: Account, currency: &str) -> rusqlite::Result<i64> {
    let last = "SELECT balance FROM postings WHERE account = ?1 AND currency = ?2 ORDER BY number DESC LIMIT 1";
    let last = books.query_row(last, (account.number, currency), |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0))
}

/// Writes both postings, then the entry. The caller has checked that both new balances are in range, so only a rule of
/// the tables or the disk can make this fail.
pub(super) fn book(books: &Connection, entry: &BookEntry<'_>) -> rusqlite::Result<i64> {
    let number: i64 = books.query_row("SELECT coalesce(max(number), 0) + 1 FROM entries", [], |row| row.get(0))?;
    for (account, amount) in [(entry.from, entry.amount.saturating_neg()), (entry.to, entry.amount)] {
        let after = balance(books, account, entry.currency)?.saturating_add(amount);
        let posting = "INSERT INTO postings (entry, account, currency, amount, balance) VALUES (?1, ?2, ?3, ?4, ?5)";
        books.execute(posting, (number, account.number, entry.currency, amount, after))?;
    }
    let transfer = entry.transfer.map(Value::to_string);
    let row = "INSERT INTO entries (number, kind, key, at, reference, transfer) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    books.execute(row, (number, entry.kind, entry.key, entry.at, entry.reference, transfer))?;
    Ok(number)
}

/// The transfer with this key.
pub(super) fn booked(books: &Connection, key: &str) -> rusqlite::Result<Option<BookedTransfer>> {
    let row = "SELECT entries.number, transfer, balance FROM entries JOIN postings ON entry = entries.number \
               WHERE kind = 'transfer' AND key = ?1 AND amount < 0";
    let in_row = |row: &Row<'_>| {
        let transfer: String = row.get(1)?;
        let odd = |error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error));
        let transfer = serde_json::from_str(&transfer).map_err(odd)?;
        Ok(BookedTransfer { number: row.get(0)?, transfer, source_balance: row.get(2)? })
    };
    books.query_row(row, [key], in_row).optional()
}

/// The funding of an own account with this key: currency and amount.
pub(super) fn funded(books: &Connection, key: &str) -> rusqlite::Result<Option<(String, i64)>> {
    let row = "SELECT currency, amount FROM entries JOIN postings ON entry = entries.number \
               WHERE kind = 'funding' AND key = ?1 AND amount > 0";
    books.query_row(row, [key], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// The number of transfers to an account, in any currency.
pub(super) fn payments(books: &Connection, account: Account) -> rusqlite::Result<u64> {
    let count = "SELECT count(*) FROM postings JOIN entries ON entries.number = entry \
                 WHERE account = ?1 AND amount > 0 AND kind = 'transfer'";
    let count: i64 = books.query_row(count, [account.number], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The latest transfers to an account, newest first; with `like`, only those with this currency, amount and reference.
pub(super) fn history(
    books: &Connection,
    account: Account,
    like: Option<(&str, i64, &str)>,
    most: u32,
) -> rusqlite::Result<Vec<PastPayment>> {
    let rows = "SELECT entries.number, entries.at, accounts.name, one.currency, one.amount, entries.reference \
                FROM postings AS one JOIN entries ON entries.number = one.entry \
                JOIN postings AS other ON other.entry = one.entry AND other.amount < 0 \
                JOIN accounts ON accounts.number = other.account \
                WHERE one.account = ?1 AND one.amount > 0 AND entries.kind = 'transfer' \
                AND (?2 IS NULL OR (one.currency = ?2 AND one.amount = ?3 AND entries.reference = ?4)) \
                ORDER BY entries.number DESC LIMIT ?5";
    let in_row = |row: &Row<'_>| {
        Ok(PastPayment {
            number: row.get(0)?,
            at: row.get(1)?,
            source: row.get(2)?,
            currency: row.get(3)?,
            amount: row.get(4)?,
            reference: row.get(5)?,
        })
    };
    let mut statement = books.prepare(rows)?;
    let (currency, amount, reference) = like.map_or((None, None, None), |(c, a, r)| (Some(c), Some(a), Some(r)));
    statement.query_map((account.number, currency, amount, reference, most), in_row)?.collect()
}

/// The transfers to an account with their keys, oldest first. The first `first` transfers are skipped.
pub(super) fn received_after(
    books: &Connection,
    account: Account,
    first: u64,
    most: usize,
) -> rusqlite::Result<Vec<(String, Value)>> {
    let rows = "SELECT entries.key, entries.transfer FROM postings JOIN entries ON entries.number = postings.entry \
                WHERE postings.account = ?1 AND postings.amount > 0 AND entries.kind = 'transfer' \
                ORDER BY entries.number LIMIT ?2 OFFSET ?3";
    let odd = |error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error));
    let in_row = |row: &Row<'_>| {
        let transfer: String = row.get(1)?;
        Ok((row.get(0)?, serde_json::from_str(&transfer).map_err(odd)?))
    };
    let bound = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut statement = books.prepare(rows)?;
    statement.query_map((account.number, bound(most as u64), bound(first)), in_row)?.collect()
}

/// The names of all accounts that can pay or be paid.
pub(super) fn names(books: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = books.prepare("SELECT name FROM accounts WHERE kind <> 'equity' ORDER BY name")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Writes a value that nothing reads. When this write is committed, all entries that were visible before are on disk.
/// It also overwrites an earlier failed commit in the log, so that no recovery can restore that commit.
pub(super) fn settle(books: &Connection) -> rusqlite::Result<()> {
    books.execute_batch("UPDATE meta SET value = lower(hex(randomblob(8))) WHERE key = 'settled'")
}
