//! The tables of a ledger, and the rules of double entry that the file itself enforces.
//!
//! **Invariant:** triggers refuse an entry that does not sum to zero, an overdraft, and any change
//! of a row. So the rules hold for every writer of the file, not only for this connector.

/// Marks the file as a Holdshort ledger in SQLite's file header.
pub(super) const APPLICATION_ID: i64 = 0x4844_4c47;

/// The version of the tables, also in the file header.
pub(super) const VERSION: i64 = 1;

/// The tables of an empty ledger.
///
/// An account is `own` (the operator's), `outside` (a payee's, opened by its first payment) or
/// `equity` (the origin of the operator's money). An entry is one transaction; each of its postings
/// is one side.
///
/// Postings are written before their entry, whose number they contain: so inserting the entry can
/// check that they sum to zero, and a posting without an entry cannot be committed. Rows are never
/// changed or removed.
pub(super) const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE accounts (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('own', 'outside', 'equity'))
) STRICT;
CREATE UNIQUE INDEX accounts_by_name ON accounts (name) WHERE kind <> 'equity';
CREATE UNIQUE INDEX accounts_equity ON accounts (kind) WHERE kind = 'equity';
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('funding', 'transfer')),
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    reference TEXT NOT NULL,
    transfer TEXT,
    UNIQUE (kind, key)
) STRICT;
CREATE TABLE postings (
    number INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    account INTEGER NOT NULL REFERENCES accounts,
    currency TEXT NOT NULL CHECK (length(currency) = 3),
    amount INTEGER NOT NULL CHECK (amount <> 0),
    balance INTEGER NOT NULL
) STRICT;
CREATE INDEX postings_by_entry ON postings (entry);
CREATE INDEX postings_by_account ON postings (account, currency, number);

CREATE TRIGGER entries_sum_to_zero BEFORE INSERT ON entries
WHEN (SELECT count(*) FROM postings WHERE entry = NEW.number) < 2
    OR EXISTS (SELECT 1 FROM postings WHERE entry = NEW.number GROUP BY currency HAVING sum(amount) <> 0)
BEGIN SELECT RAISE(ABORT, 'the postings of an entry must sum to zero'); END;
CREATE TRIGGER entries_are_closed BEFORE INSERT ON postings
WHEN EXISTS (SELECT 1 FROM entries WHERE number = NEW.entry)
BEGIN SELECT RAISE(ABORT, 'an entry takes no posting once it is booked'); END;
CREATE TRIGGER balances_follow BEFORE INSERT ON postings
WHEN NEW.balance IS NOT NEW.amount + coalesce((SELECT balance FROM postings
    WHERE account = NEW.account AND currency = NEW.currency ORDER BY number DESC LIMIT 1), 0)
BEGIN SELECT RAISE(ABORT, 'a balance must follow from the one before'); END;
CREATE TRIGGER accounts_are_covered BEFORE INSERT ON postings
WHEN NEW.balance < 0 AND (SELECT kind FROM accounts WHERE number = NEW.account) IS NOT 'equity'
BEGIN SELECT RAISE(ABORT, 'an account cannot be overdrawn'); END;

CREATE TRIGGER postings_stay BEFORE UPDATE ON postings BEGIN SELECT RAISE(ABORT, 'a ledger is only added to'); END;
CREATE TRIGGER postings_remain BEFORE DELETE ON postings BEGIN SELECT RAISE(ABORT, 'a ledger is only added to'); END;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'a ledger is only added to'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'a ledger is only added to'); END;
CREATE TRIGGER accounts_stay BEFORE UPDATE ON accounts BEGIN SELECT RAISE(ABORT, 'a ledger is only added to'); END;
CREATE TRIGGER accounts_remain BEFORE DELETE ON accounts BEGIN SELECT RAISE(ABORT, 'a ledger is only added to'); END;
";
