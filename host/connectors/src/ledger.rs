//! Payments in a double-entry ledger of the host's own, in one SQLite file: the embedded default.
//!
//! An operator's accounts are named in the configuration, and their money is booked once against equity. Each transfer is one entry of two
//! postings that sum to zero, booked in one transaction together with the key that it was cleared under. So the books themselves remember what was done:
//! the same key books nothing twice, and after a crash they are asked. A payee needs no account: its first payment opens one, as an outside account.
//!
//! Read in this order: `schema` (the tables and the rules that the file keeps), `books` (the statements), `transfer` (what is asked for),
//! `standing` (what a reviewer is shown), `facts` (what must still hold), `funding` (where the operator's money comes from), `attempts` (late arrivals).

mod attempts;
mod books;
mod facts;
mod funding;
mod schema;
mod standing;
mod transfer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, Consequence, EffectClass, EffectKey, Time};
use holdshort_journal::Authorized;
use rusqlite::{Connection, ErrorCode};
use serde_json::Value;

use self::attempts::Attempts;
use self::books::{Booked, Books, BooksError, Entry, Kind};
use self::facts::Stopped;
use self::standing::{Facts, Shown, Standing, micros};
use self::transfer::Transfer;
use super::history::History;
use super::{
    Attempt, CannotPreview, Clock, Finding, IfLost, Inquiry, Known, Perform, Preview, Previewed, Sentence, quote,
    quote_start, say,
};

pub use self::books::BooksError as LedgerError;
pub use self::funding::{Accounts, Disagreement, Funding, OpenError};

/// How long a ledger that another program has locked is waited for, and a lookup for an attempt that still runs.
const WAIT: Duration = Duration::from_secs(10);

/// How a lost outcome is settled.
pub const IF_LOST: IfLost = IfLost {
    class: EffectClass::Idempotent,
    evidence: "the host waits until no attempt on the ledger runs, then looks for an entry with the call's key: with an entry the transfer was booked; without one it was not, and cannot be any more",
};

/// Books transfers.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    /// The file; it is opened anew for each use.
    path: PathBuf,
    /// The names of the accounts from which may be paid.
    sources: Vec<String>,
    /// When an entry is booked, and whether it is too late for an attempt.
    clock: Clock,
    /// What a lookup waits for.
    attempts: Attempts,
    /// How long a locked file is waited for.
    wait: Duration,
}

/// What the books say about a key, and whether that is final.
struct Looked {
    /// The entry that has the key.
    found: Option<Booked>,
    /// An error means that it was seen, and may be otherwise after a power cut.
    flushed: Result<(), rusqlite::Error>,
}

impl Ledger {
    /// Uses the ledger at `path`. Without accounts there is nothing to pay from, and no file is made.
    pub fn open(path: &Path, accounts: &Accounts, clock: Clock) -> Result<Self, OpenError> {
        Self::open_with(path, accounts, clock, WAIT)
    }

    /// All accounts in one transaction: if the configuration disagrees with the books about one of them, nothing is booked for any.
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

    /// Runs what touches the disk where blocking is allowed.
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
    fn name(&self) -> &str {
        "ledger"
    }

    fn class(&self) -> EffectClass {
        IF_LOST.class
    }

    fn evidence(&self) -> &str {
        IF_LOST.evidence
    }

    fn preview<'a>(&'a self, _: &'a str, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        let action = action.clone();
        let unavailable = |error| Err(CannotPreview::Unavailable(say!("the ledger was not read: {}", quote(error))));
        self.blocking(move |inner| inner.look_ahead(&action), unavailable).boxed()
    }

    fn recall(&self, action: &Action, history: &History, previewed: &mut Previewed) {
        standing::recall(action, history, previewed);
    }
}

impl Perform for Ledger {
    /// The attempt counts as under way until the work has ended, also when nobody waits for it any more: what blocks cannot be cancelled.
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            // From here on no lookup can take this attempt for one that will not come.
            let under_way = match self.0.attempts.begin().await {
                Ok(under_way) => under_way,
                Err(error) => return Attempt::NotDone(say!("the attempt was not begun: {}", quote(error))),
            };
            let work = move |inner: &Inner| {
                let shown = Shown { preconditions: authorized.preconditions(), beside: authorized.beside() };
                let attempt = inner.attempt(authorized.action(), shown, authorized.key(), authorized.perform_by());
                drop(under_way);
                attempt
            };
            self.blocking(work, |error| Attempt::Unknown(say!("the booking was interrupted: {}", quote(error)))).await
        }
        .boxed()
    }

    /// Payments are booked in the order in which they were cleared: a later one to the same payee that came first would put the earlier one to people
    /// again. The file takes one at a time anyway.
    fn attempts_at_a_time(&self) -> usize {
        1
    }

    /// That a key is not there proves something only once no attempt can book it any more, be it one of a host that is just ending.
    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async move {
            if let Err(error) = self.0.attempts.over().await {
                return Finding::Unknown { evidence: say!("an attempt may still arrive: {}", quote(error)) };
            }
            let inquiry = inquiry.clone();
            let unknown = |error| Finding::Unknown { evidence: say!("the ledger could not be read: {}", quote(error)) };
            self.blocking(move |inner| inner.find(&inquiry), unknown).await
        }
        .boxed()
    }

    /// The transaction's number and the balance are in the books alone, and if they are there, a lookup has found them.
    fn receipt(&self, _inquiry: &Inquiry) -> Option<Value> {
        None
    }
}

impl Inner {
    /// The file as it is now, which must be there.
    fn books(&self) -> Result<Books, BooksError> {
        Books::open(&self.path, self.wait)
    }

    /// Whether the operator lets agents pay from this account, which the configuration says, not the books.
    fn allowed(&self, transfer: &Transfer) -> Result<(), Sentence> {
        if self.sources.contains(&transfer.source) {
            return Ok(());
        }
        let source = quote_start(&transfer.source, 80);
        if self.sources.is_empty() {
            return Err(say!("there is no account {}: the configuration has no accounts", source));
        }
        let names = Sentence::join(self.sources.iter().map(|name| say!("`{}`", Known::configured(name))), ", ");
        Err(say!("there is no account {}; configured: {}", source, names))
    }

    /// What a reviewer is shown, all of it from one moment of the books.
    fn look_ahead(&self, action: &Action) -> Result<Previewed, CannotPreview> {
        let unavailable = |error: rusqlite::Error| {
            CannotPreview::Unavailable(BooksError::Sqlite { path: self.path.clone(), source: error }.sentence())
        };
        let transfer = Transfer::read(action).map_err(|error| CannotPreview::Impossible(error.sentence()))?;
        self.allowed(&transfer).map_err(CannotPreview::Impossible)?;
        let mut books = self.books().map_err(|error| CannotPreview::Unavailable(error.sentence()))?;
        let books = books.read().map_err(unavailable)?;
        let Some(standing) = Standing::of(&books, &transfer).map_err(unavailable)? else {
            return Err(CannotPreview::Unavailable(self.without(&transfer)));
        };
        let after = standing.after(&transfer).map_err(|error| CannotPreview::Impossible(error.sentence()))?;
        let (summary, facts, exhibits) = standing.describe(&books, &transfer, after).map_err(unavailable)?;
        let consequence = if standing.is_own() { Consequence::Medium } else { Consequence::High };
        let preconditions = standing.facts.conditions(&transfer);
        Ok(Previewed { summary, exhibits, preconditions, facts, consequence })
    }

    /// The books were replaced while the host runs: what was opened at its start is not in them.
    fn without(&self, transfer: &Transfer) -> Sentence {
        say!(
            "the ledger `{}` has lost the account `{}`, which it had when this host started; restore the ledger",
            Known::path(&self.path),
            Known::configured(&transfer.source)
        )
    }

    /// Books in one transaction: the key, the facts and both balances are judged on what nobody can change until it is committed.
    fn attempt(&self, action: &Action, shown: Shown<'_>, key: &EffectKey, perform_by: Time) -> Attempt {
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
            return unbooked(say!("the ledger stayed locked until the time for this attempt was over"));
        }
        // Returning drops the transaction, which rolls it back.
        let (booked, changed) = match self.book(&transaction, (action, &transfer), shown, key) {
            Ok(booked) => booked,
            Err(Stopped::NotDone(why)) => return unbooked(why),
            Err(Stopped::FactsChanged(why)) => return Attempt::FactsChanged(why),
            Err(Stopped::Sqlite(error)) => return unbooked(sqlite(error).sentence()),
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

    /// Books a transfer, unless its key was booked: then that is what has happened, whatever has changed since.
    /// Beside it stands what has changed and does not matter, in words.
    fn book(
        &self,
        books: &Connection,
        (action, transfer): (&Action, &Transfer),
        shown: Shown<'_>,
        key: &EffectKey,
    ) -> Result<(Booked, Vec<Sentence>), Stopped> {
        if let Some(booked) = books::booked(books, &key.0)? {
            if booked.transfer != transfer.record {
                let why = say!("T{} was booked under the same key, and it is another transfer", booked.number);
                return Err(Stopped::NotDone(why));
            }
            books::settle(books)?;
            return Ok((booked, Vec::new()));
        }
        self.allowed(transfer).map_err(Stopped::NotDone)?;
        let Some(standing) = Standing::of(books, transfer)? else {
            return Err(Stopped::NotDone(self.without(transfer)));
        };
        let since = standing.since(books, action.capability(), shown.preconditions)?;
        let changed = standing.facts.compared(transfer, shown, since)?;
        let (source_balance, _) = standing.after(transfer).map_err(|error| Stopped::NotDone(error.sentence()))?;
        let to = match standing.payee {
            Some(payee) => payee,
            None => books::open_account(books, &transfer.payee, Kind::Outside)?,
        };
        let entry = Entry {
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
        Ok((Booked { number, transfer: transfer.record.clone(), source_balance }, changed))
    }

    /// A COMMIT that failed may have reached the disk, which only a look at the books can tell.
    fn after_failed_commit(&self, transfer: &Transfer, key: &EffectKey, error: rusqlite::Error) -> Attempt {
        // A full disk shows while the log is written, and what commits is written last: then nothing can be left that a recovery would find.
        let cut_short = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let failed = say!("the ledger could not commit: {}", quote(error));
        match self.look(key) {
            Ok(Looked { found: Some(booked), flushed: Ok(()) }) => Attempt::Done(transfer.receipt(&booked)),
            Ok(Looked { found: None, flushed }) if flushed.is_ok() || cut_short => {
                Attempt::NotDone(say!("{}; nothing was booked", failed))
            }
            Ok(Looked { flushed, .. }) => {
                let why = flushed.err().map(|why| say!(", and the lookup failed: {}", quote(why)));
                Attempt::Unknown(failed + why.unwrap_or_default())
            }
            Err(why) => Attempt::Unknown(say!("{}, and the lookup failed: {}", failed, why)),
        }
    }

    /// Looks for a key on a connection that has not tried to write it, with nobody else's transaction under way.
    fn look(&self, key: &EffectKey) -> Result<Looked, BooksError> {
        let sqlite = |source| BooksError::Sqlite { path: self.path.clone(), source };
        let mut books = self.books()?;
        let transaction = books.write().map_err(sqlite)?;
        let found = books::booked(&transaction, &key.0).map_err(sqlite)?;
        let flushed = books::settle(&transaction).and_then(|()| transaction.commit());
        Ok(Looked { found, flushed })
    }

    /// What became of a lost attempt, of which none runs any more.
    /// Another file in the ledger's place knows nothing of the attempt, so the ledger's id is compared before its silence is taken for an answer.
    fn find(&self, inquiry: &Inquiry) -> Finding {
        let unknown = |evidence: Sentence| Finding::Unknown { evidence };
        let path = Known::path(&self.path);
        let transfer = match Transfer::read(&inquiry.action) {
            Ok(transfer) => transfer,
            Err(error) => return unknown(error.sentence()),
        };
        let Some(shown) = Facts::ledger_of(&inquiry.preconditions) else {
            return unknown("the clearance does not name the ledger that was shown".into());
        };
        match self.id() {
            Ok(id) if id == shown => {}
            Ok(id) => {
                let (id, shown) = (Known::label(id), Known::label(shown));
                let why =
                    say!("`{}` is the ledger {}, and the transfer was to be booked in the ledger {}", path, id, shown);
                return unknown(why);
            }
            Err(error) => return unknown(error.sentence()),
        }
        match self.look(&inquiry.key) {
            Ok(Looked { flushed: Err(error), found }) => {
                let what = if found.is_some() { "there" } else { "not there" };
                unknown(say!(
                    "the call's key is {} in `{}`, but a power cut may undo this: {}",
                    what,
                    path,
                    quote(error)
                ))
            }
            Ok(Looked { found: Some(booked), .. }) if booked.transfer != transfer.record => {
                unknown(say!("T{} in `{}` has the call's key, and it is another transfer", booked.number, path))
            }
            Ok(Looked { found: Some(booked), .. }) => Finding::Happened {
                evidence: say!("it is T{} in `{}`, under the call's key", booked.number, path),
                receipt: transfer.receipt(&booked),
            },
            Ok(Looked { found: None, .. }) => Finding::DidNotHappen {
                evidence: say!("no attempt runs, and no entry in `{}` has the call's key", path),
            },
            Err(error) => unknown(error.sentence()),
        }
    }

    /// Which ledger the file is.
    fn id(&self) -> Result<String, BooksError> {
        let sqlite = |source| BooksError::Sqlite { path: self.path.clone(), source };
        let mut books = self.books()?;
        let transaction = books.read().map_err(sqlite)?;
        books::id(&transaction).map_err(sqlite)
    }
}

#[cfg(test)]
mod tests;
