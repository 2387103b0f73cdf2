//! The file of the ledger: outcomes in doubt, the rules of its tables, funding, and files of other programs.

use super::*;

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
        matches!(&found, Finding::Happened { receipt, evidence } if *receipt == booked && evidence.contains("T4 in `")),
        "{found:?}"
    );
    assert!(matches!(shop.ledger.lookup(&inquiry(&action, &shown, "K")).await, Finding::DidNotHappen { .. }));
    // In each of the next cases, a lookup cannot find the outcome.
    let unknown = async |action: &Action, shown: &Value, needle: &str| {
        let found = shop.ledger.lookup(&inquiry(action, shown, "k")).await;
        assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains(needle)), "{found:?}");
    };
    unknown(&amount("1", "EUR"), &shown, "but is a different transfer").await;
    unknown(&action, &json!({}), "does not name the ledger that was shown").await;
    unknown(&action, &Shop::new().preview(&action).preconditions, "belongs to the ledger").await;
    std::fs::remove_file(&shop.path).unwrap();
    unknown(&action, &shown, "cannot be used").await;
    assert!(!shop.path.exists(), "and a lookup makes no ledger");
    assert!(matches!(shop.ledger.preview(&"bills".into(), &action).await, Err(CannotPreview::Unavailable(_))));
}

#[tokio::test]
async fn an_attempt_that_still_runs_is_waited_for() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    let lost = inquiry(&action, &shown, "k");
    let (one, other) = (shop.ledger.0.attempts.begin().await.unwrap(), shop.ledger.0.attempts.begin().await.unwrap());
    let found = shop.ledger.lookup(&lost).await;
    assert!(
        matches!(&found, Finding::Unknown { evidence } if evidence.contains("an attempt may still book the transfer")),
        "{found:?}"
    );
    drop(other);
    assert!(matches!(shop.ledger.lookup(&lost).await, Finding::Unknown { .. }), "one is left");
    // The attempt books while the lookup waits for it.
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
    // An entry that follows the rules is booked.
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
    // A booked funding stays, even if the configuration no longer has it.
    reopen(&accounts()).unwrap();
    assert_eq!(shop.balance("operating", "EUR"), 1_005_000);

    shop.pay(&transfer(json!({})), "k");
    let cases = [
        (
            ("operating", funding("opening EUR", 2_000_000, "EUR")),
            "`operating`: `opening EUR` is booked as 10,000.00 EUR, but the configuration says 20,000.00 EUR. \
             A booked amount cannot change: set `opening EUR` back to 10,000.00 EUR in the configuration; \
             to add money, add a deposit with a new name",
        ),
        (
            ("operating", funding("deposit 2026-12", 5_000, "JPY")),
            "is booked as 50.00 EUR, but the configuration says 5,000 JPY",
        ),
        (("ACME GmbH", funding("opening EUR", 1, "EUR")), "as an outside payee: choose another name"),
        (("operating", funding("x", i64::MAX, "EUR")), "more than the ledger can hold"),
        (("operating", funding("x", -1, "EUR")), "must be more than zero"),
        (("operating", funding("x", 1, "XAU")), "no smallest unit"),
    ];
    for ((name, changed), needle) in cases {
        // A funding that comes before the error is not booked either.
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
        (at("other"), "is not a ledger: it is the SQLite database of another program"),
        (newer.path.clone(), "has version 99, but this host reads versions up to 1"),
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
    let refused = none.0.preview_now(&transfer(json!({})));
    assert!(
        matches!(refused, Err(CannotPreview::Impossible(why)) if why.contains("the configuration has no accounts"))
    );
    assert!(!at("none.db").exists());
}
