//! Payments in the host's own double-entry ledger, one SQLite file. It is the default and needs no other service.
//!
//! The configuration names the operator's accounts and their money, which is booked once against equity. Each transfer
//! is one entry of two postings that sum to zero, booked in one transaction with its idempotency key. So the ledger
//! itself remembers which transfers were made: the same key books nothing twice, and after a crash the host asks the
//! ledger. A payee needs no account: its first payment opens an outside account.
//!
//! Read in this order: `schema` (the tables and their rules), `books` (the statements), `transfer` (the request),
//! `transfer_accounts` (the evidence), `facts` (the preconditions), `funding` (the operator's money), `attempts` (the
//! lock that tells whether an attempt still runs).

mod attempts;
mod books;
mod facts;
mod funding;
mod schema;
mod transfer;
mod transfer_accounts;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, AgentName, Consequence, EffectClass, EffectKey, Time};
use holdshort_journal::Authorized;
use rusqlite::{Connection, ErrorCode};
use serde_json::Value;

use self::attempts::Attempts;
use self::books::{AccountKind, BookEntry, BookedTransfer, Books, BooksError};
use self::facts::{NotBooked, ShownFacts, TransferFacts};
use self::transfer::Transfer;
use self::transfer_accounts::{TransferAccounts, micros};
use super::descriptor::{Class, DeclaredFacts, Descriptor, Effect};
use super::history::History;
use super::{
    Attempt, CannotPreview, Clock, Finding, Inquiry, Perform, Preview, Previewed, Sentence, Trusted, quote,
    quote_start, say,
};

pub use self::books::BooksError as LedgerError;
pub use self::funding::{Accounts, Disagreement, Funding, OpenError};

/// How long to wait for a ledger that is locked, and how long a lookup waits for an attempt in progress.
const WAIT: Duration = Duration::from_secs(10);

/// The connector.
pub const DESCRIPTOR: Descriptor = Descriptor {
    section: "[payments]",
    interface: Some("holdshort:agent/payments@0.1.0"),
    functions: &["transfer-funds"],
    class: Class::Consequential(EFFECT),
};

const EFFECT: Effect = Effect {
    connector: "ledger",
    class: EffectClass::Idempotent,
    evidence: "the host waits until no attempt runs on the ledger, then looks for an entry with the call's key; if there is an entry, the transfer was booked; if there is none, the transfer was not booked and cannot be booked later",
    facts: DeclaredFacts::Fixed(transfer_accounts::FACTS),
    preconditions: facts::PRECONDITIONS,
};

/// Books transfers.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    /// The file, opened for each use.
    path: PathBuf,
    /// The accounts from which agents may pay.
    sources: Vec<String>,
    /// The clock for the time of entries, and for the check whether an attempt comes too late.
    clock: Clock,
    /// The attempts in progress, for which a lookup waits.
    attempts: Attempts,
    /// How long to wait for a locked file.
    wait: Duration,
}

/// The result of a search for a key, and whether the result survives a power failure.
struct LedgerLookup {
    /// The entry with the key.
    found: Option<BookedTransfer>,
    /// An error means that the search had a result, but a power failure may still change it.
    flushed: Result<(), rusqlite::Error>,
}

impl Ledger {
    /// Uses the ledger at `path`. If the configuration has no accounts, nobody can pay, and no file is created.
    pub fn open(path: &Path, accounts: &Accounts, clock: Clock) -> Result<Self, OpenError> {
        Self::open_with(path, accounts, clock, WAIT)
    }

    /// Opens the ledger and books all configured money in one transaction. If the configuration contradicts the ledger
    /// in one account, nothing is booked.
    fn open_with(path: &Path, accounts: &Accounts, clock: Clock, wait: Duration) -> Result<Self, OpenError> {
        if !accounts.is_empty() {
            let told = |source| BooksError::Sqlite { path: path.into(), source };
            let mut books = Books::make(path, wait)?;
            let transaction = books.write().map_err(told)?;
            funding::fund(&transaction, accounts, clock()).map_err(told)??;
            transaction.commit().map_err(told)?;
        }
        let sources = accounts.keys().cloned().collect();
        let attempts = Attempts::on(path, wait);
        Ok(Self(Arc::new(Inner { path: path.to_owned(), sources, clock, attempts, wait })))
    }

    /// Runs disk access on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
        interrupted: impl FnOnce(String) -> T,
    ) -> T {
        let inner = self.0.clone();
        let worked = tokio::task::spawn_blocking(move || work(&inner)).await;
        worked.unwrap_or_else(|error| interrupted(error.to_string()))
    }
}

impl Preview for Ledger {
    fn effect(&self) -> Effect {
        EFFECT
    }

    fn preview<'a>(&'a self, _: &'a AgentName, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        let action = action.clone();
        let unavailable = |error| Err(CannotPreview::Unavailable(say!("the ledger was not read: {}", quote(error))));
        self.blocking(move |inner| inner.preview_now(&action), unavailable).boxed()
    }

    fn recall(&self, action: &Action, history: &History, previewed: &mut Previewed) {
        transfer_accounts::recall(action, history, previewed);
    }
}

impl Perform for Ledger {
    /// Makes an attempt. Blocking work cannot be cancelled, so the attempt counts as in progress until its work has
    /// ended, even if the caller no longer waits.
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            // From here on, a lookup waits for this attempt and cannot report that the transfer will never be booked.
            let under_way = match self.0.attempts.begin().await {
                Ok(under_way) => under_way,
                Err(error) => return Attempt::NotDone(say!("the attempt was not started: {}", quote(error))),
            };
            let work = move |inner: &Inner| {
                let shown = ShownFacts {
                    preconditions: authorized.preconditions(),
                    similar_effects: authorized.similar_effects(),
                };
                let attempt = inner.attempt(authorized.action(), shown, authorized.key(), authorized.perform_by());
                drop(under_way);
                attempt
            };
            self.blocking(work, |error| Attempt::Unknown(say!("the booking was interrupted: {}", quote(error)))).await
        }
        .boxed()
    }

    /// One at a time, in the order of clearance: if a later payment to the same payee were booked first, the earlier
    /// payment would be held again. The file accepts only one write at a time anyway.
    fn attempts_at_a_time(&self) -> usize {
        1
    }

    /// Waits until no attempt can still book the key, including attempts of another host that is just ending. Only
    /// after that, a missing key proves that the transfer was not booked.
    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async move {
            if let Err(error) = self.0.attempts.over().await {
                return Finding::Unknown { evidence: say!("an attempt may still book the transfer: {}", quote(error)) };
            }
            let inquiry = inquiry.clone();
            let unknown = |error| Finding::Unknown { evidence: say!("the ledger could not be read: {}", quote(error)) };
            self.blocking(move |inner| inner.find(&inquiry), unknown).await
        }
        .boxed()
    }

    /// `None`: the receipt has the transaction's number and the balance, which only a lookup in the ledger can find.
    fn receipt(&self, _inquiry: &Inquiry) -> Option<Value> {
        None
    }
}

impl Inner {
    /// Opens the existing file.
    fn books(&self) -> Result<Books, BooksError> {
        Books::open(&self.path, self.wait)
    }

    /// Whether the configuration lets agents pay from this account.
    fn allowed(&self, transfer: &Transfer) -> Result<(), Sentence> {
        if self.sources.contains(&transfer.source) {
            return Ok(());
        }
        let source = quote_start(&transfer.source, 80);
        if self.sources.is_empty() {
            return Err(say!("there is no account {}: the configuration has no accounts", source));
        }
        let names = Sentence::join(self.sources.iter().map(|name| say!("`{}`", Trusted::configured(name))), ", ");
        Err(say!("there is no account {}; configured: {}", source, names))
    }

    /// The preview. One read transaction gives all values, so they come from the same moment.
    fn preview_now(&self, action: &Action) -> Result<Previewed, CannotPreview> {
        let unavailable = |error: rusqlite::Error| {
            CannotPreview::Unavailable(BooksError::Sqlite { path: self.path.clone(), source: error }.sentence())
        };
        let transfer = Transfer::read(action).map_err(|error| CannotPreview::Impossible(error.sentence()))?;
        self.allowed(&transfer).map_err(CannotPreview::Impossible)?;
        let mut books = self.books().map_err(|error| CannotPreview::Unavailable(error.sentence()))?;
        let books = books.read().map_err(unavailable)?;
        let Some(standing) = TransferAccounts::of(&books, &transfer).map_err(unavailable)? else {
            return Err(CannotPreview::Unavailable(self.missing_account(&transfer)));
        };
        let after = standing.after(&transfer).map_err(|error| CannotPreview::Impossible(error.sentence()))?;
        let (summary, facts, exhibits) = standing.describe(&books, &transfer, after).map_err(unavailable)?;
        let consequence = if standing.is_own() { Consequence::Medium } else { Consequence::High };
        let preconditions = standing.facts.conditions(&transfer);
        Ok(Previewed { summary, exhibits, preconditions, facts, consequence })
    }

    /// The error for a configured account that is missing, because the ledger was replaced while the host runs.
    fn missing_account(&self, transfer: &Transfer) -> Sentence {
        say!(
            "the ledger `{}` no longer has the account `{}`, which existed when this host started; restore the ledger",
            Trusted::path(&self.path),
            Trusted::configured(&transfer.source)
        )
    }

    /// Makes one attempt in one write transaction: between the checks of key, facts and balances and the commit, the
    /// data cannot change.
    fn attempt(&self, action: &Action, shown: ShownFacts<'_>, key: &EffectKey, perform_by: Time) -> Attempt {
        let unbooked = |why: Sentence| Attempt::NotDone(say!("{}; nothing was booked", why));
        let sqlite = |source| BooksError::Sqlite { path: self.path.clone(), source };
        let transfer = match Transfer::read(action) {
            Ok(transfer) => transfer,
            Err(error) => return unbooked(error.sentence()),
        };
        let mut books = match self.books() {
            Ok(books) => books,
            Err(error) => return unbooked(error.sentence()),
        };
        let transaction = match books.write() {
            Ok(transaction) => transaction,
            Err(error) => return unbooked(sqlite(error).sentence()),
        };
        if (self.clock)() > perform_by {
            return unbooked(say!("the ledger stayed locked for the whole time of this attempt"));
        }
        // An early return drops the transaction, which rolls it back.
        let (booked, changed) = match self.book(&transaction, (action, &transfer), shown, key) {
            Ok(booked) => booked,
            Err(NotBooked::NotDone(why)) => return unbooked(why),
            Err(NotBooked::FactsChanged(why)) => return Attempt::FactsChanged(why),
            Err(NotBooked::Sqlite(error)) => return unbooked(sqlite(error).sentence()),
        };
        match transaction.commit() {
            Ok(()) if changed.is_empty() => Attempt::Done(transfer.receipt(&booked)),
            Ok(()) => Attempt::DoneDespite(transfer.receipt(&booked), changed),
            Err(error) => {
                drop(books);
                self.after_failed_commit(&transfer, key, error)
            }
        }
    }

    /// Books a transfer, and returns the permitted changes of facts as text. If the key is already booked, it returns
    /// the earlier booking, even if facts have changed since.
    fn book(
        &self,
        books: &Connection,
        (action, transfer): (&Action, &Transfer),
        shown: ShownFacts<'_>,
        key: &EffectKey,
    ) -> Result<(BookedTransfer, Vec<Sentence>), NotBooked> {
        if let Some(booked) = books::booked(books, &key.0)? {
            if booked.transfer != transfer.record {
                let why = say!("the entry T{} has the call's key, but is a different transfer", booked.number);
                return Err(NotBooked::NotDone(why));
            }
            books::settle(books)?;
            return Ok((booked, Vec::new()));
        }
        self.allowed(transfer).map_err(NotBooked::NotDone)?;
        let Some(standing) = TransferAccounts::of(books, transfer)? else {
            return Err(NotBooked::NotDone(self.missing_account(transfer)));
        };
        let since = standing.since(books, action.capability(), shown.preconditions)?;
        let changed = standing.facts.compared(transfer, shown, since)?;
        let (source_balance, _) = standing.after(transfer).map_err(|error| NotBooked::NotDone(error.sentence()))?;
        let to = match standing.payee {
            Some(payee) => payee,
            None => books::open_account(books, &transfer.payee, AccountKind::Outside)?,
        };
        let entry = BookEntry {
            kind: "transfer",
            key: &key.0,
            at: micros((self.clock)()),
            reference: &transfer.reference,
            transfer: Some(&transfer.record),
            from: standing.source,
            to,
            currency: transfer.currency.code(),
            amount: transfer.amount,
        };
        let number = books::book(books, &entry)?;
        Ok((BookedTransfer { number, transfer: transfer.record.clone(), source_balance }, changed))
    }

    /// The outcome after a failed COMMIT. The entry may nevertheless be on the disk, so the ledger is read again.
    fn after_failed_commit(&self, transfer: &Transfer, key: &EffectKey, error: rusqlite::Error) -> Attempt {
        // On a full disk, SQLite fails before it writes the mark of the commit, which comes last in the log. Without
        // the mark, a recovery discards the transaction.
        let cut_short = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let failed = say!("the ledger could not commit: {}", quote(error));
        match self.look(key) {
            Ok(LedgerLookup { found: Some(booked), flushed: Ok(()) }) => Attempt::Done(transfer.receipt(&booked)),
            Ok(LedgerLookup { found: None, flushed }) if flushed.is_ok() || cut_short => {
                Attempt::NotDone(say!("{}; nothing was booked", failed))
            }
            Ok(LedgerLookup { flushed, .. }) => {
                let why = flushed.err().map(|why| say!(", and the lookup failed: {}", quote(why)));
                Attempt::Unknown(failed + why.unwrap_or_default())
            }
            Err(why) => Attempt::Unknown(say!("{}, and the lookup failed: {}", failed, why)),
        }
    }

    /// Searches for a key on a new connection. A write transaction excludes other writers meanwhile.
    fn look(&self, key: &EffectKey) -> Result<LedgerLookup, BooksError> {
        let sqlite = |source| BooksError::Sqlite { path: self.path.clone(), source };
        let mut books = self.books()?;
        let transaction = books.write().map_err(sqlite)?;
        let found = books::booked(&transaction, &key.0).map_err(sqlite)?;
        let flushed = books::settle(&transaction).and_then(|()| transaction.commit());
        Ok(LedgerLookup { found, flushed })
    }

    /// Looks up an attempt in doubt, when no attempt is in progress. The ledger's id is compared first, because another
    /// ledger at this path has no entry of the attempt and proves nothing.
    fn find(&self, inquiry: &Inquiry) -> Finding {
        let unknown = |evidence: Sentence| Finding::Unknown { evidence };
        let path = Trusted::path(&self.path);
        let transfer = match Transfer::read(&inquiry.action) {
            Ok(transfer) => transfer,
            Err(error) => return unknown(error.sentence()),
        };
        let Some(shown) = TransferFacts::ledger_of(&inquiry.preconditions) else {
            return unknown("the clearance does not name the ledger that was shown".into());
        };
        match self.id() {
            Ok(id) if id == shown => {}
            Ok(id) => {
                let (id, shown) = (Trusted::label(id), Trusted::label(shown));
                let why = say!("`{}` is the ledger {}, but the transfer belongs to the ledger {}", path, id, shown);
                return unknown(why);
            }
            Err(error) => return unknown(error.sentence()),
        }
        match self.look(&inquiry.key) {
            Ok(LedgerLookup { flushed: Err(error), found }) => {
                let what = if found.is_some() { "there" } else { "not there" };
                let why = quote(error);
                unknown(say!("the call's entry is {} in `{}`, but a power cut may change this: {}", what, path, why))
            }
            Ok(LedgerLookup { found: Some(booked), .. }) if booked.transfer != transfer.record => unknown(say!(
                "the entry T{} in `{}` has the call's key, but is a different transfer",
                booked.number,
                path
            )),
            Ok(LedgerLookup { found: Some(booked), .. }) => Finding::Happened {
                evidence: say!("the entry T{} in `{}` has the call's key", booked.number, path),
                receipt: transfer.receipt(&booked),
            },
            Ok(LedgerLookup { found: None, .. }) => Finding::DidNotHappen {
                evidence: say!("no attempt runs, and no entry in `{}` has the call's key", path),
            },
            Err(error) => unknown(error.sentence()),
        }
    }

    /// The ledger's id.
    fn id(&self) -> Result<String, BooksError> {
        let sqlite = |source| BooksError::Sqlite { path: self.path.clone(), source };
        let mut books = self.books()?;
        let transaction = books.read().map_err(sqlite)?;
        books::id(&transaction).map_err(sqlite)
    }
}

#[cfg(test)]
mod tests;
