//! Tests on real SQLite files, read through connections of the tests' own.

use holdshort_gate::RunId;
use proptest::prelude::*;
use serde_json::json;

use super::super::exhibit::tests::{host_words, refused_alike, sentence, words};
use super::super::git::tests::action;
use super::*;

/// The first day of 2026.
const NOW: Time = Time(1_767_225_600_000_000);
const LATER: Time = Time(NOW.0 + 60_000_000);

/// A folder with a ledger; `operating` and `reserve` are the operator's accounts.
struct Shop {
    _folder: tempfile::TempDir,
    path: PathBuf,
    ledger: Ledger,
}

fn clock(now: Time) -> Clock {
    Arc::new(move || now)
}

fn funding(label: &str, minor_units: i64, currency: &str) -> Funding {
    Funding { label: label.into(), minor_units, currency: currency.into() }
}

fn accounts() -> Accounts {
    let operating = vec![
        funding("opening EUR", 1_000_000, "EUR"),
        funding("opening JPY", 1_000_000, "JPY"),
        funding("opening BHD", 1_000_000, "BHD"),
    ];
    [("operating".to_owned(), operating), ("reserve".to_owned(), Vec::new())].into()
}

fn open(path: &Path, accounts: &Accounts) -> Result<Ledger, OpenError> {
    Ledger::open_with(path, accounts, clock(NOW), Duration::from_millis(200))
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let ledger = open(&path, &accounts()).unwrap();
        Self { _folder: folder, path, ledger }
    }

    /// A connection with the rights of anybody who has the file.
    fn file(&self) -> Connection {
        let file = Connection::open(&self.path).unwrap();
        file.pragma_update(None, "foreign_keys", true).unwrap();
        file
    }

    fn balance(&self, name: &str, currency: &str) -> i64 {
        let sum = "SELECT coalesce(sum(amount), 0) FROM postings JOIN accounts ON accounts.number = account \
                   WHERE name = ?1 AND currency = ?2";
        self.file().query_row(sum, (name, currency), |row| row.get(0)).unwrap()
    }

    fn transfers(&self) -> i64 {
        self.file().query_row("SELECT count(*) FROM entries WHERE kind = 'transfer'", [], |row| row.get(0)).unwrap()
    }

    fn preview(&self, action: &Action) -> Previewed {
        self.ledger.0.look_ahead(action).unwrap()
    }

    /// Attempts a transfer that was shown with no waiting calls beside it.
    fn attempt(&self, action: &Action, shown: &Value, key: &str) -> Attempt {
        attempt(&self.ledger.0, action, shown, key, LATER)
    }

    /// Previews a transfer and attempts it at once.
    fn pay(&self, action: &Action, key: &str) -> Attempt {
        self.attempt(action, &self.preview(action).preconditions, key)
    }
}

fn attempt(ledger: &Inner, action: &Action, shown: &Value, key: &str, perform_by: Time) -> Attempt {
    ledger.attempt(action, Shown { preconditions: shown, beside: &[] }, &EffectKey(key.into()), perform_by)
}

/// The receipt of a booked transfer, also if facts changed.
fn receipt(attempt: &Attempt) -> Option<&Value> {
    match attempt {
        Attempt::Done(receipt) | Attempt::DoneDespite(receipt, _) => Some(receipt),
        Attempt::NotDone(_) | Attempt::Postponed(..) | Attempt::FactsChanged(_) | Attempt::Unknown(_) => None,
    }
}

/// A transfer of 2,500.00 EUR to ACME GmbH with some fields changed.
fn transfer(fields: Value) -> Action {
    let mut transfer = json!({
        "source": "operating", "payee": "ACME GmbH", "reference": "RE 2026-117",
        "amount": { "minor-units": "250000", "currency": "EUR" },
    });
    transfer.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    action("payments", "transfer-funds", &json!({ "transfer": transfer, "rationale": { "summary": "trust me" } }))
}

fn amount(minor_units: &str, currency: &str) -> Action {
    transfer(json!({ "amount": { "minor-units": minor_units, "currency": currency } }))
}

fn inquiry(action: &Action, shown: &Value, key: &str) -> Inquiry {
    Inquiry {
        run: RunId("r1".into()),
        call: 1,
        attempt: 1,
        started_at: NOW,
        action: action.clone(),
        preconditions: shown.clone(),
        key: EffectKey(key.into()),
    }
}

fn text(previewed: &Previewed, title: &str) -> String {
    let exhibit = previewed.exhibits.iter().find(|exhibit| exhibit.title.starts_with(title));
    String::from_utf8(exhibit.unwrap_or_else(|| panic!("{title}: {previewed:?}")).bytes.clone()).unwrap()
}

fn titles(previewed: &Previewed) -> Vec<&str> {
    previewed.exhibits.iter().map(|exhibit| exhibit.title.as_str()).collect()
}

#[test]
fn a_transfer_is_shown_and_then_booked_on_both_sides() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let previewed = shop.preview(&action);
    assert_eq!(
        previewed.summary,
        "pay 2,500.00 EUR to \"ACME GmbH\", first payment to this payee, from operating, which then has 7,500.00 EUR; reference \"RE 2026-117\""
    );
    assert_eq!(titles(&previewed), ["balances before and after", "first payment to this payee"]);
    assert_eq!(
        text(&previewed, "balances"),
        "From operating\n    before  10,000.00 EUR\n    after    7,500.00 EUR\n\
         To \"ACME GmbH\" (outside)\n    before       0.00 EUR\n    after    2,500.00 EUR\n"
    );
    assert_eq!(text(&previewed, "first"), "The ledger has no transfer to \"ACME GmbH\", from any account.\n");
    let id = shop.ledger.0.id().unwrap();
    let shown = json!({
        "ledger": id, "payee": "outside",
        "source-balance": { "shown": "10,000.00 EUR", "at-least": "2,500.00 EUR" },
        "payments-to-payee": { "shown": 0, "nothing-new-about": "ACME GmbH" },
    });
    assert_eq!(previewed.preconditions, shown);
    assert_eq!(
        previewed.facts,
        json!({
            "amount": "250000", "currency": "EUR", "balance-before": "1000000", "balance-after": "750000",
            "own-account": false, "payments-before": 0, "first-payment": true, "same-amount-and-reference-before": false,
        })
    );
    assert_eq!(previewed.consequence, Consequence::High);
    assert_eq!((shop.transfers(), shop.balance("operating", "EUR")), (0, 1_000_000), "a preview changes nothing");

    let receipt = json!({
        "transferred": action.arguments()["transfer"], "transaction": "T4",
        "source-balance": { "minor-units": "750000", "currency": "EUR" },
    });
    assert_eq!(shop.attempt(&action, &shown, "k1"), Attempt::Done(receipt));
    assert_eq!((shop.balance("operating", "EUR"), shop.balance("ACME GmbH", "EUR")), (750_000, 250_000));

    let next = shop.preview(&transfer(json!({ "reference": "RE 2026-118" })));
    assert!(next.summary.contains("to \"ACME GmbH\", paid once before, from"), "{}", next.summary);
    assert_eq!(
        text(&next, "payments to this payee (1)"),
        "2026-01-01  T4  2,500.00 EUR from operating: \"RE 2026-117\"\n"
    );
    assert!(text(&next, "balances").ends_with("before  2,500.00 EUR\n    after   5,000.00 EUR\n"));
    let again = shop.preview(&action);
    assert!(again.summary.contains("paid once before, LAST WITH THE SAME AMOUNT AND REFERENCE on 2026-01-01"));
    assert_eq!(again.exhibits[0].title, "paid before with the same amount and reference");
}

#[test]
fn every_currency_has_its_own_decimals_and_its_own_balance() {
    let shop = Shop::new();
    let cases = [
        ("12345", "JPY", "pay 12,345 JPY", "which then has 987,655 JPY", 987_655),
        ("12345", "BHD", "pay 12.345 BHD", "which then has 987.655 BHD", 987_655),
        ("12345", "EUR", "pay 123.45 EUR", "which then has 9,876.55 EUR", 987_655),
    ];
    for (minor_units, currency, pays, leaves, left) in cases {
        let action = amount(minor_units, currency);
        let summary = shop.preview(&action).summary;
        assert!(summary.starts_with(pays) && summary.contains(leaves), "{summary}");
        let Attempt::Done(receipt) = shop.pay(&action, currency) else { panic!("{currency}") };
        assert_eq!(receipt["source-balance"], json!({ "minor-units": left.to_string(), "currency": currency }));
        assert_eq!((shop.balance("operating", currency), shop.balance("ACME GmbH", currency)), (left, 12_345));
    }
    let history = text(&shop.preview(&transfer(json!({}))), "payments to this payee (3)");
    assert!(history.contains("  12,345 JPY from") && history.contains("  12.345 BHD from"), "{history}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
    let shop = Shop::new();
    let cases = [
        (
            transfer(json!({ "source": "savings" })),
            "there is no account \"savings\"; configured: `operating`, `reserve`",
        ),
        (transfer(json!({ "source": "equity" })), "there is no account \"equity\""),
        (transfer(json!({ "payee": "operating" })), "\"operating\" would pay itself"),
        (transfer(json!({ "payee": "" })), "the payee is empty"),
        (transfer(json!({ "payee": "ACME GmbH " })), "begins or ends with a space"),
        (transfer(json!({ "payee": "ACME\nGmbH" })), "the payee holds the control character U+000A"),
        (transfer(json!({ "reference": "a\u{1b}[2J" })), "the reference holds the control character U+001B"),
        (transfer(json!({ "reference": "x".repeat(201) })), "the reference is longer than 200 characters"),
        (amount("0", "EUR"), "the amount is 0"),
        (amount("100", "eur"), "\"eur\" is not a currency; write its ISO 4217 code in capitals, like `EUR`"),
        (amount("100", "XAU"), "XAU has no smallest unit"),
        (amount("1000001", "EUR"), "the account `operating` has 10,000.00 EUR, which does not cover 10,000.01 EUR"),
        (amount("1", "USD"), "the account `operating` has 0.00 USD, which does not cover 0.01 USD"),
        (amount("9223372036854775807", "JPY"), "does not cover 9,223,372,036,854,775,807 JPY"),
        (amount("9223372036854775808", "EUR"), "more than the ledger can hold"),
        (amount("18446744073709551615", "EUR"), "more than the ledger can hold"),
        (action("deployment", "deploy", &json!({ "release": {} })), "the arguments have no `transfer`"),
    ];
    for (action, needle) in cases {
        match shop.ledger.0.look_ahead(&action) {
            Err(CannotPreview::Impossible(why)) => assert!(why.contains(needle) && !why.contains('\n'), "{why}"),
            other => panic!("{needle}: {other:?}"),
        }
        // Even with a clearance, such a transfer is not booked.
        let shown = shop.preview(&transfer(json!({}))).preconditions;
        let attempt = shop.attempt(&action, &shown, "k");
        assert!(!matches!(attempt, Attempt::Done(_)), "{needle}");
    }
    assert_eq!(shop.transfers(), 0);
}

#[test]
fn the_last_cent_can_be_paid_and_no_more() {
    let shop = Shop::new();
    assert!(matches!(shop.pay(&amount("1000000", "EUR"), "all"), Attempt::Done(_)));
    assert_eq!(shop.balance("operating", "EUR"), 0);
    let refused = shop.ledger.0.look_ahead(&amount("1", "EUR"));
    assert!(matches!(refused, Err(CannotPreview::Impossible(why)) if why.contains("has 0.00 EUR")));
}

#[test]
fn an_own_account_is_paid_as_what_it_is() {
    let shop = Shop::new();
    let action = transfer(json!({ "payee": "reserve" }));
    let previewed = shop.preview(&action);
    assert!(previewed.summary.contains("to \"reserve\", an account of the operator's, from"), "{}", previewed.summary);
    assert_eq!(previewed.preconditions["payee"], "own account");
    assert_eq!((&previewed.facts["own-account"], previewed.consequence), (&json!(true), Consequence::Medium));
    assert!(matches!(shop.attempt(&action, &previewed.preconditions, "k"), Attempt::Done(_)));
    // The paid account can then pay from this money.
    assert!(matches!(shop.pay(&transfer(json!({ "source": "reserve" })), "k2"), Attempt::Done(_)));
    assert_eq!((shop.balance("reserve", "EUR"), shop.balance("ACME GmbH", "EUR")), (0, 250_000));
}

#[test]
fn a_name_that_is_almost_a_known_one_is_shown_with_it() {
    let shop = Shop::new();
    shop.pay(&transfer(json!({})), "k");
    for almost in ["Acme GmbH", "ACME-GmbH", "ACME Gmbh.", "ACNE GmbH"] {
        let never = text(&shop.preview(&transfer(json!({ "payee": almost }))), "first payment");
        assert!(never.contains("with almost the same name:\n    \"ACME GmbH\"\n"), "{never}");
    }
    let never = text(&shop.preview(&transfer(json!({ "payee": "Initech" }))), "first payment");
    assert!(!never.contains("almost"), "{never}");
}

#[test]
fn the_same_key_books_once_and_another_transfer_never() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    let done = shop.attempt(&action, &shown, "k1");
    assert!(matches!(done, Attempt::Done(_)));
    // The key counts, although facts have changed since and the account is no longer configured.
    assert_eq!(shop.attempt(&action, &shown, "k1"), done, "the same receipt");
    shop.pay(&transfer(json!({ "reference": "other" })), "k2");
    assert_eq!(shop.attempt(&action, &shown, "k1"), done, "the balance of then, not of now");
    let without = open(&shop.path, &[("reserve".to_owned(), Vec::new())].into()).unwrap();
    assert_eq!(attempt(&without.0, &action, &shown, "k1", LATER), done);
    assert_eq!((shop.transfers(), shop.balance("operating", "EUR")), (2, 500_000));

    for other in
        [amount("250001", "EUR"), transfer(json!({ "payee": "Initech" })), transfer(json!({ "reference": "" }))]
    {
        let attempt = shop.attempt(&other, &shop.preview(&other).preconditions, "k1");
        assert!(
            matches!(&attempt, Attempt::NotDone(why) if why.contains("T4 was booked under the same key") && why.ends_with("nothing was booked")),
            "{attempt:?}"
        );
    }
    assert_eq!((shop.transfers(), shop.balance("operating", "EUR")), (2, 500_000));
}

#[test]
fn facts_that_changed_are_told_with_both_values_and_book_nothing() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let check = |action: &Action, shown: &Value, expected: &str| {
        let before = shop.transfers();
        assert_eq!(shop.attempt(action, shown, "k"), Attempt::FactsChanged(sentence(expected)));
        assert_eq!(shop.transfers(), before);
    };
    // The balance no longer covers the amount.
    let large = amount("800000", "EUR");
    let covered = shop.preview(&large).preconditions;
    shop.pay(&transfer(json!({ "payee": "Initech" })), "other");
    check(
        &large,
        &covered,
        "`operating` had 10,000.00 EUR when it was shown and has 7,500.00 EUR now, which does not cover 8,000.00 EUR",
    );
    // Another account pays the same payee meanwhile.
    shop.pay(&transfer(json!({ "payee": "reserve" })), "fill");
    let shown = shop.preview(&action).preconditions;
    shop.pay(&transfer(json!({ "source": "reserve" })), "meanwhile");
    let paid = "\"ACME GmbH\" had received 0 payments when it was shown and has received 1 payment now";
    check(&action, &shown, &format!("{paid}, not all of them by transfers that were shown as waiting with it"));
    // In old journals, facts had no conditions and each had to be equal. Such a clearance still requires equal facts.
    let old = json!({
        "ledger": shop.ledger.0.id().unwrap(), "source-balance": "10,000.00 EUR", "payee": "outside", "payments-to-payee": 0,
    });
    let had = "`operating` had 10,000.00 EUR when it was shown and has 5,000.00 EUR now";
    check(&action, &old, &format!("{paid}; {had}"));
    let unnamed = json!({ "ledger": shop.ledger.0.id().unwrap() });
    assert!(matches!(shop.attempt(&action, &unnamed, "k"), Attempt::NotDone(_)), "what was shown is not known");
    // The transfer was shown from another ledger.
    let elsewhere = Shop::new();
    let other = elsewhere.preview(&action).preconditions;
    let Attempt::FactsChanged(why) = shop.attempt(&action, &other, "k") else { panic!() };
    assert!(why.starts_with(&format!("the ledger was {} when", other["ledger"].as_str().unwrap())), "{why}");
    // After a new preview, the transfer is booked.
    assert!(matches!(shop.pay(&action, "k"), Attempt::Done(_)));
}

#[test]
fn a_balance_that_still_covers_it_holds_nothing_up_and_is_told() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    shop.pay(&transfer(json!({ "payee": "Initech" })), "other");
    let Attempt::DoneDespite(receipt, changed) = shop.attempt(&action, &shown, "k") else { panic!() };
    assert_eq!(receipt["source-balance"]["minor-units"], "500000");
    let told = "`operating` had 10,000.00 EUR when it was shown and has 7,500.00 EUR now, which covers 2,500.00 EUR";
    assert_eq!(changed, [told]);
}

#[test]
fn of_many_attempts_on_the_same_facts_one_is_booked() {
    let shop = Shop::new();
    let inner = shop.ledger.0.clone();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    let attempt = |number: usize| {
        let (inner, action, shown) = (inner.clone(), action.clone(), shown.clone());
        let patient = Inner {
            path: inner.path.clone(),
            sources: inner.sources.clone(),
            clock: inner.clock.clone(),
            attempts: Attempts::on(&inner.path, WAIT),
            wait: Duration::from_secs(60),
        };
        std::thread::spawn(move || attempt(&patient, &action, &shown, &format!("k{number}"), LATER))
    };
    let attempts: Vec<_> =
        (0..8).map(attempt).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect();
    let done = attempts.iter().filter(|attempt| matches!(attempt, Attempt::Done(_))).count();
    let changed = attempts.iter().filter(|attempt| matches!(attempt, Attempt::FactsChanged(_))).count();
    assert_eq!((done, changed), (1, 7), "{attempts:?}");
    assert_eq!((shop.transfers(), shop.balance("operating", "EUR")), (1, 750_000));
}

#[test]
fn a_ledger_that_another_program_has_locked_books_nothing() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    let mut other = shop.file();
    let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    assert_eq!(shop.preview(&action).preconditions, shown, "a writer keeps nobody from looking");
    let attempt = shop.attempt(&action, &shown, "k");
    assert!(
        matches!(&attempt, Attempt::NotDone(why) if why.contains("locked") && why.ends_with("nothing was booked")),
        "{attempt:?}"
    );
    let found = shop.ledger.0.find(&inquiry(&action, &shown, "k"));
    assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains("locked")), "{found:?}");
    drop(lock);
    // The file is locked for readers too.
    other.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    other.execute_batch("UPDATE meta SET value = 'x' WHERE key = 'settled'").unwrap();
    let previewed = shop.ledger.0.look_ahead(&action);
    assert!(matches!(&previewed, Err(CannotPreview::Unavailable(why)) if why.contains("locked")), "{previewed:?}");
    drop(other);
    assert!(matches!(shop.attempt(&action, &shown, "k"), Attempt::Done(_)));
}

#[test]
fn an_attempt_that_waited_too_long_is_not_begun() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    let late = attempt(&shop.ledger.0, &action, &shown, "k", Time(NOW.0 - 1));
    assert!(
        matches!(&late, Attempt::NotDone(why) if why.contains("until the time for this attempt was over")),
        "{late:?}"
    );
    assert_eq!(shop.transfers(), 0);
    assert!(matches!(attempt(&shop.ledger.0, &action, &shown, "k", NOW), Attempt::Done(_)));
}

#[test]
fn a_failed_commit_is_looked_into() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    // SQLite finds a dangling reference only at COMMIT.
    shop.file()
        .execute_batch(
            "CREATE TABLE cut (x INTEGER REFERENCES accounts (number) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER cut_commit AFTER INSERT ON entries BEGIN INSERT INTO cut VALUES (-1); END;",
        )
        .unwrap();
    let attempt = shop.attempt(&action, &shown, "k");
    assert!(
        matches!(&attempt, Attempt::NotDone(why) if why.contains("could not commit") && why.ends_with("nothing was booked")),
        "{attempt:?}"
    );
    assert_eq!((shop.transfers(), shop.balance("operating", "EUR")), (0, 1_000_000));
    shop.file().execute_batch("DROP TRIGGER cut_commit").unwrap();
    let done = shop.attempt(&action, &shown, "k");
    assert!(matches!(done, Attempt::Done(_)));

    // The commit arrived although it reported an error; it did not arrive and the disk is full; or nobody can tell.
    let failed = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    let inner = &shop.ledger.0;
    let transfer = Transfer::read(&action).unwrap();
    let after = |key: &str, code| inner.after_failed_commit(&transfer, &EffectKey(key.into()), failed(code));
    assert_eq!(after("k", rusqlite::ffi::SQLITE_IOERR_FSYNC), done);
    assert!(matches!(after("other", rusqlite::ffi::SQLITE_FULL), Attempt::NotDone(_)));
    // Writing fails, so an entry that is read is not final.
    let stop = "CREATE TRIGGER full BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'no space'); END";
    shop.file().execute_batch(stop).unwrap();
    for (key, code, certain) in [
        ("other", rusqlite::ffi::SQLITE_IOERR_FSYNC, false),
        ("other", rusqlite::ffi::SQLITE_FULL, true),
        ("k", rusqlite::ffi::SQLITE_FULL, false),
    ] {
        let attempt = after(key, code);
        assert_eq!(matches!(attempt, Attempt::NotDone(_)), certain, "{attempt:?}");
        assert_eq!(matches!(&attempt, Attempt::Unknown(why) if why.contains("no space")), !certain, "{attempt:?}");
    }
    let found = inner.find(&inquiry(&action, &shown, "k"));
    assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains("but a power cut may ")), "{found:?}");
    std::fs::remove_file(&shop.path).unwrap();
    assert!(matches!(after("k", rusqlite::ffi::SQLITE_FULL), Attempt::Unknown(_)));
}

#[tokio::test]
async fn a_lost_outcome_is_found_in_the_books() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    let found = shop.ledger.lookup(&inquiry(&action, &shown, "k")).await;
    assert!(matches!(&found, Finding::DidNotHappen { evidence } if evidence.contains("no attempt runs")), "{found:?}");
    let Attempt::Done(booked) = shop.attempt(&action, &shown, "k") else { panic!() };
    let found = shop.ledger.lookup(&inquiry(&action, &shown, "k")).await;
    assert!(
        matches!(&found, Finding::Happened { receipt, evidence } if *receipt == booked && evidence.contains("it is T4 in")),
        "{found:?}"
    );
    assert!(matches!(shop.ledger.lookup(&inquiry(&action, &shown, "K")).await, Finding::DidNotHappen { .. }));
    // In these cases no lookup can find the outcome.
    let unknown = async |action: &Action, shown: &Value, needle: &str| {
        let found = shop.ledger.lookup(&inquiry(action, shown, "k")).await;
        assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains(needle)), "{found:?}");
    };
    unknown(&amount("1", "EUR"), &shown, "it is another transfer").await;
    unknown(&action, &json!({}), "does not name the ledger that was shown").await;
    unknown(&action, &Shop::new().preview(&action).preconditions, "was to be booked in the ledger").await;
    std::fs::remove_file(&shop.path).unwrap();
    unknown(&action, &shown, "cannot be used").await;
    assert!(!shop.path.exists(), "and a lookup makes no ledger");
    assert!(matches!(shop.ledger.preview("bills", &action).await, Err(CannotPreview::Unavailable(_))));
}

#[tokio::test]
async fn an_attempt_that_still_runs_is_waited_for() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    let lost = inquiry(&action, &shown, "k");
    let (one, other) = (shop.ledger.0.attempts.begin().await.unwrap(), shop.ledger.0.attempts.begin().await.unwrap());
    let found = shop.ledger.lookup(&lost).await;
    assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains("may still arrive")), "{found:?}");
    drop(other);
    assert!(matches!(shop.ledger.lookup(&lost).await, Finding::Unknown { .. }), "one is left");
    // The attempt arrives while the lookup waits.
    let patient = Ledger::open(&shop.path, &accounts(), clock(NOW)).unwrap();
    let (found, ()) = tokio::join!(patient.lookup(&lost), async {
        tokio::task::yield_now().await;
        shop.attempt(&action, &shown, "k");
        drop(one);
    });
    assert!(matches!(found, Finding::Happened { .. }), "not `DidNotHappen` because it looked too early: {found:?}");
}

#[test]
fn the_file_itself_keeps_the_rules_of_double_entry() {
    let shop = Shop::new();
    shop.pay(&transfer(json!({})), "k");
    let file = shop.file();
    let post = |entry: i64, account: i64, amount: i64, balance: i64| {
        format!(
            "INSERT INTO postings (entry, account, currency, amount, balance) VALUES ({entry}, {account}, 'EUR', {amount}, {balance});"
        )
    };
    let entry = "INSERT INTO entries VALUES (5, 'transfer', 'x', 0, '', '{}');";
    // Accounts: 2 is `operating` with 750000 cents, 4 is ACME with 250000.
    let cases = [
        (post(5, 2, -100, 749_900) + &post(5, 4, 99, 250_099) + entry, "must sum to zero"),
        (post(5, 2, -100, 749_900) + entry, "must sum to zero"),
        (entry.to_owned(), "must sum to zero"),
        (post(5, 2, -100, 749_900) + &post(5, 4, 100, 250_100), "FOREIGN KEY"),
        (post(4, 2, -100, 749_900), "takes no posting once it is booked"),
        (post(5, 2, -100, 750_000), "a balance must follow"),
        (post(5, 2, -750_001, -1), "cannot be overdrawn"),
        (post(5, 4, -250_001, -1), "cannot be overdrawn"),
        ("UPDATE postings SET amount = 1".into(), "only added to"),
        ("DELETE FROM postings".into(), "only added to"),
        ("UPDATE entries SET key = 'y'".into(), "only added to"),
        ("DELETE FROM entries".into(), "only added to"),
        ("UPDATE accounts SET kind = 'own'".into(), "only added to"),
        ("INSERT INTO accounts (name, kind) VALUES ('operating', 'outside')".into(), "UNIQUE"),
    ];
    for (statements, needle) in cases {
        let error = file.execute_batch(&format!("BEGIN; {statements}; COMMIT")).unwrap_err().to_string();
        assert!(error.contains(needle), "{statements}: {error}");
        drop(file.execute_batch("ROLLBACK"));
    }
    // And an entry that follows the rules is booked.
    let good = post(5, 2, -100, 749_900) + &post(5, 4, 100, 250_100) + entry;
    file.execute_batch(&format!("BEGIN; {good} COMMIT")).unwrap();
    let mut books = shop.ledger.0.books().unwrap();
    let books = books.read().unwrap();
    let pragma =
        |name: &str| books.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
    assert_eq!(
        [pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys")],
        ["wal".to_owned().into(), 2_i64.into(), 1_i64.into()]
    );
}

#[test]
fn accounts_are_funded_once_however_often_the_host_starts() {
    let shop = Shop::new();
    let reopen = |accounts: &Accounts| open(&shop.path, accounts);
    reopen(&accounts()).unwrap();
    assert_eq!((shop.balance("operating", "EUR"), shop.balance("equity", "EUR")), (1_000_000, -1_000_000));
    // The operator adds money under a new label.
    let mut more = accounts();
    more.get_mut("operating").unwrap().push(funding("deposit 2026-12", 5_000, "EUR"));
    more.insert("tokyo".into(), vec![funding("opening JPY", 7, "JPY")]);
    for _ in 0..2 {
        reopen(&more).unwrap();
        assert_eq!((shop.balance("operating", "EUR"), shop.balance("tokyo", "JPY")), (1_005_000, 7));
    }
    // Booked fundings stay, whatever the configuration says later.
    reopen(&accounts()).unwrap();
    assert_eq!(shop.balance("operating", "EUR"), 1_005_000);

    shop.pay(&transfer(json!({})), "k");
    let cases = [
        (
            ("operating", funding("opening EUR", 2_000_000, "EUR")),
            "`operating`: `opening EUR` is booked with 10,000.00 EUR in the ledger, and the configuration now says 20,000.00 EUR; \
             booked amounts never change: restore 10,000.00 EUR, and for more money add a deposit with a name of its own",
        ),
        (
            ("operating", funding("deposit 2026-12", 5_000, "JPY")),
            "booked with 50.00 EUR in the ledger, and the configuration now says 5,000 JPY",
        ),
        (("ACME GmbH", funding("opening EUR", 1, "EUR")), "has been paid as an outside payee"),
        (("operating", funding("x", i64::MAX, "EUR")), "more than the ledger can hold"),
        (("operating", funding("x", -1, "EUR")), "must be more than zero"),
        (("operating", funding("x", 1, "XAU")), "no smallest unit"),
    ];
    for ((name, changed), needle) in cases {
        // Fundings before the error are not booked either.
        let all = [("a-new-one".to_owned(), vec![funding("opening EUR", 1, "EUR")]), (name.to_owned(), vec![changed])];
        let error = reopen(&all.into()).err().unwrap();
        assert!(matches!(error, OpenError::Accounts(_)) && error.to_string().contains(needle), "{error}");
        assert_eq!((shop.balance("operating", "EUR"), shop.balance("a-new-one", "EUR")), (755_000, 0));
    }
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("text"), "not a database, and longer than the header of one ".repeat(10)).unwrap();
    Connection::open(at("other")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let newer = Shop::new();
    newer.file().pragma_update(None, "user_version", 99).unwrap();
    let cases = [
        (at("text"), "is not a ledger: it is not a SQLite database"),
        (at("other"), "is not a ledger: it is the SQLite database of something else"),
        (newer.path.clone(), "has version 99, and this host knows versions up to 1"),
        (at("no/folder/ledger.db"), "cannot make the ledger"),
    ];
    for (path, needle) in cases {
        let before = std::fs::read(&path).ok();
        let error = open(&path, &accounts()).err().unwrap();
        assert!(matches!(error, OpenError::Books(_)) && error.to_string().contains(needle), "{error}");
        assert_eq!(std::fs::read(&path).ok(), before);
    }
    // Without accounts nobody can pay, and no ledger is created.
    let none = open(&at("none.db"), &Accounts::new()).unwrap();
    let refused = none.0.look_ahead(&transfer(json!({})));
    assert!(
        matches!(refused, Err(CannotPreview::Impossible(why)) if why.contains("the configuration has no accounts"))
    );
    assert!(!at("none.db").exists());
}

/// A step of the property test: source, payee, amount, currency and key, with present or outdated facts.
#[derive(Clone, Debug)]
struct Step {
    source: &'static str,
    payee: &'static str,
    currency: &'static str,
    minor_units: u64,
    key: u8,
    stale: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let names = || prop::sample::select(vec!["operating", "reserve", "ACME GmbH", "Initech"]);
    let amounts = prop_oneof![0..2_000_u64, Just(1_000_000), Just(u64::MAX), any::<u64>()];
    let rest = (prop::sample::select(vec!["EUR", "JPY", "XAU"]), amounts, 0..12_u8, prop::bool::weighted(0.2));
    (names(), names(), rest).prop_map(|(source, payee, (currency, minor_units, key, stale))| Step {
        source,
        payee,
        currency,
        minor_units,
        key,
        stale,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// After any attempts, each currency's postings sum to zero, only equity is negative, a key is booked once, and the
    /// balances match the receipts.
    #[test]
    fn money_is_conserved(steps in prop::collection::vec(step(), 1..24)) {
        let shop = Shop::new();
        let mut model = std::collections::BTreeMap::from([(("operating", "EUR"), 1_000_000_i64), (("operating", "JPY"), 1_000_000)]);
        let mut done: std::collections::BTreeMap<u8, (Action, Attempt)> = std::collections::BTreeMap::new();
        let mut shown = Value::Null;
        for Step { source, payee, currency, minor_units, key, stale } in steps {
            let money = json!({ "minor-units": minor_units.to_string(), "currency": currency });
            let action = transfer(json!({ "source": source, "payee": payee, "amount": money }));
            if let (false, Ok(previewed)) = (stale, shop.ledger.0.look_ahead(&action)) {
                shown = previewed.preconditions;
            }
            let attempt = shop.attempt(&action, &shown, &key.to_string());
            let earlier = done.get(&key).filter(|(first, _)| *first == action).map(|(_, attempt)| attempt.clone());
            if let Some(earlier) = earlier {
                match (receipt(&attempt), receipt(&earlier)) {
                    (Some(now), Some(then)) => prop_assert_eq!(now, then, "the same key again"),
                    _ => prop_assert_eq!(&attempt, &earlier, "the same key again"),
                }
            } else if let Some(receipt) = receipt(&attempt) {
                prop_assert!(!done.contains_key(&key), "a key was booked for two transfers");
                let minor_units = i64::try_from(minor_units).unwrap();
                *model.entry((source, currency)).or_default() -= minor_units;
                *model.entry((payee, currency)).or_default() += minor_units;
                prop_assert_eq!(&receipt["source-balance"]["minor-units"], &json!(model[&(source, currency)].to_string()));
                done.insert(key, (action, attempt));
            }
        }
        let file = shop.file();
        let count = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        prop_assert_eq!(count("SELECT count(*) FROM (SELECT sum(amount) AS s FROM postings GROUP BY currency) WHERE s <> 0"), 0);
        prop_assert_eq!(count("SELECT count(*) FROM (SELECT sum(amount) AS s FROM postings GROUP BY entry, currency) WHERE s <> 0"), 0);
        let below = "SELECT count(*) FROM postings JOIN accounts ON accounts.number = account WHERE balance < 0 AND kind <> 'equity'";
        prop_assert_eq!(count(below), 0);
        prop_assert_eq!(shop.transfers(), i64::try_from(done.len()).unwrap());
        for ((name, currency), balance) in model {
            prop_assert_eq!(shop.balance(name, currency), balance, "{} {}", name, currency);
        }
    }
}

/// A waiting payment as in the journal: the shown content, and the calls that waited at the time.
struct Held {
    action: Action,
    shown: Value,
    beside: Vec<usize>,
}

/// The number of decisions until every payment is made. `pick` selects the next waiting payment.
fn decisions(payments: &[Action], mut pick: impl FnMut(usize) -> usize) -> usize {
    let shop = Shop::new();
    let key = |number: usize| format!("key-{number}");
    let payee = |action: &Action| action.arguments()["transfer"]["payee"].clone();
    let mut held: std::collections::BTreeMap<usize, Held> = std::collections::BTreeMap::new();
    let hold = |number: usize, held: &std::collections::BTreeMap<usize, Held>| {
        let action = payments[number].clone();
        let waits = held.iter().filter(|(other, one)| **other != number && payee(&one.action) == payee(&action));
        let beside = waits.map(|(other, _)| *other).collect();
        Held { shown: shop.preview(&action).preconditions, action, beside }
    };
    for number in 0..payments.len() {
        held.insert(number, hold(number, &held));
    }
    let mut decisions = 0;
    while !held.is_empty() {
        let waiting: Vec<usize> = held.keys().copied().collect();
        let number = waiting[pick(waiting.len())];
        decisions += 1;
        let one = &held[&number];
        let mark = |other: &usize| {
            let action = &payments[*other];
            let deed = holdshort_gate::beside::deed(action.capability(), action.arguments());
            holdshort_gate::Mark { key: EffectKey(key(*other)), deed }
        };
        let beside: Vec<_> = one.beside.iter().map(mark).collect();
        let shown = Shown { preconditions: &one.shown, beside: &beside };
        match shop.ledger.0.attempt(&one.action, shown, &EffectKey(key(number)), LATER) {
            Attempt::Done(_) | Attempt::DoneDespite(..) => drop(held.remove(&number)),
            Attempt::FactsChanged(why) => {
                assert!(!why.contains("operating"), "the account covers all of them: {why}");
                let again = hold(number, &held);
                held.insert(number, again);
            }
            other => panic!("{other:?}"),
        }
        assert!(decisions <= 2 * payments.len(), "it takes no end");
    }
    assert_eq!(shop.transfers(), i64::try_from(payments.len()).unwrap());
    decisions
}

/// Payments to the payees in `whom`: one payment for each letter, and the same letter is the same payee.
fn to(whom: &str) -> Vec<Action> {
    let pay = |(number, whom): (usize, char)| {
        let money = json!({ "minor-units": "100", "currency": "EUR" });
        transfer(json!({ "payee": format!("payee {whom}"), "reference": format!("RE {number}"), "amount": money }))
    };
    whom.chars().enumerate().map(pay).collect()
}

#[test]
fn as_many_decisions_as_payments_from_the_top_of_the_inbox() {
    for count in [1, 2, 6, 12] {
        for whom in ["a".repeat(count), ('a'..='z').take(count).collect(), "ab".repeat(count)[..count].to_owned()] {
            assert_eq!(decisions(&to(&whom), |_| 0), count, "from the top: {whom}");
            let upwards = decisions(&to(&whom), |waiting| waiting - 1);
            assert!(upwards < 2 * count, "from the bottom: {upwards} for {whom}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// In any order, fewer than two decisions per payment.
    #[test]
    fn never_twice_as_many_decisions_as_payments(whom in "[a-c]{1,8}", order in prop::collection::vec(any::<prop::sample::Index>(), 20)) {
        let mut order = order.into_iter();
        let payments = to(&whom);
        let found = decisions(&payments, |waiting| order.next().map_or(0, |next| next.index(waiting)));
        prop_assert!(found < 2 * payments.len().max(1), "{} decisions for {}", found, whom);
    }

    /// Whatever happens between preview and booking: a transfer is booked if the balance covers it and the payee
    /// received nothing except payments shown to wait beside it, exactly as shown; otherwise nothing is booked.
    #[test]
    fn a_transfer_is_booked_only_on_what_was_shown(
        between in prop::collection::vec((0..5_u8, 1_u64..600_000), 0..5),
        cents in 1_u64..900_000,
    ) {
        let shop = Shop::new();
        let money = |cents: u64| json!({ "minor-units": cents.to_string(), "currency": "EUR" });
        let action = transfer(json!({ "amount": money(cents) }));
        let listed = transfer(json!({ "amount": money(100), "reference": "listed" }));
        let edited = transfer(json!({ "amount": money(101), "reference": "listed" }));
        shop.pay(&transfer(json!({ "payee": "reserve", "amount": money(50_000) })), "fill");
        let shown = shop.preview(&action).preconditions;
        let (mut surprise, mut done) = (false, std::collections::BTreeSet::new());
        for (number, (what, cents)) in between.into_iter().enumerate() {
            let money = money(cents);
            let (other, key, surprises) = match what {
                0 => (transfer(json!({ "payee": "Initech", "amount": money })), format!("other-{number}"), false),
                1 => (transfer(json!({ "source": "reserve", "amount": money })), format!("stranger-{number}"), true),
                2 => (listed.clone(), "beside".into(), false),
                3 => (edited.clone(), "beside".into(), true),
                _ => (listed.clone(), format!("another-{number}"), true),
            };
            if done.contains(&key) {
                continue;
            }
            let Ok(now) = shop.ledger.0.look_ahead(&other) else { continue };
            if receipt(&shop.attempt(&other, &now.preconditions, &key)).is_some() {
                surprise |= surprises;
                done.insert(key);
            }
        }
        let before = (shop.transfers(), shop.balance("operating", "EUR"));
        let covered = before.1 >= i64::try_from(cents).unwrap();
        let deed = holdshort_gate::beside::deed(listed.capability(), listed.arguments());
        let beside = [holdshort_gate::Mark { key: EffectKey("beside".into()), deed }];
        let attempt =
            shop.ledger.0.attempt(&action, Shown { preconditions: &shown, beside: &beside }, &EffectKey("k".into()), LATER);
        prop_assert_eq!(receipt(&attempt).is_some(), covered && !surprise, "{:?} after {:?}", attempt, done);
        if receipt(&attempt).is_none() {
            prop_assert_eq!((shop.transfers(), shop.balance("operating", "EUR")), before);
            let why = format!("{attempt:?}");
            prop_assert_eq!(why.contains("does not cover"), !covered, "{}", why);
            prop_assert_eq!(why.contains("not all of them"), surprise, "{}", why);
        }
    }
}

/// Whatever the payee's name and the reference are, the host's own words do not change, in the preview and in later
/// lists.
#[test]
fn somebody_elses_words_never_go_on_with_the_ledgers() {
    let said = |payee: &str, reference: &str| {
        let shop = Shop::new();
        let fields = |reference: &str| transfer(json!({ "payee": payee, "reference": reference }));
        let first = shop.ledger.0.look_ahead(&fields(reference)).ok()?;
        assert!(matches!(shop.pay(&fields(reference), "k"), Attempt::Done(_)));
        let again = shop.preview(&fields(reference));
        let another = shop.preview(&fields("another"));
        let alike = shop.preview(&transfer(json!({ "payee": format!("{payee}."), "reference": reference })));
        Some([first, again, another, alike].map(|previewed| host_words(&previewed)))
    };
    let plain = said("Globex", "RE 117").unwrap();
    let mut tried = 0;
    for words in words() {
        for (payee, reference) in [(words.as_str(), "RE 117"), ("Globex", words.as_str())] {
            if let Some(found) = said(payee, reference) {
                // A payee without letters or digits has no similar names, so the last preview may differ.
                let same = if payee.chars().any(char::is_alphanumeric) { 4 } else { 3 };
                assert_eq!(found[..same], plain[..same], "{words:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

/// Whatever name an account or currency has, the host's own words in a refusal do not change.
#[test]
fn a_refusal_is_in_the_hosts_words() {
    let shop = Shop::new();
    let why = |action: &Action| match shop.ledger.0.look_ahead(action) {
        Err(CannotPreview::Impossible(why)) => Some(why.into_string()),
        Ok(_) | Err(CannotPreview::Unavailable(_)) => None,
    };
    assert!(refused_alike("source", |words| why(&transfer(json!({ "source": words })))) > 150);
    assert!(refused_alike("currency", |words| why(&amount("100", words))) > 150);
    assert!(refused_alike("payee", |words| why(&transfer(json!({ "payee": words, "source": words })))) > 150);
}
