//! Transfers from the preview to the postings, one at a time and many at once.

use super::*;

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
        (transfer(json!({ "payee": "ACME\nGmbH" })), "the payee has the control character U+000A"),
        (transfer(json!({ "reference": "a\u{1b}[2J" })), "the reference has the control character U+001B"),
        (transfer(json!({ "reference": "x".repeat(201) })), "the reference is longer than 200 characters"),
        (amount("0", "EUR"), "the amount is 0"),
        (
            amount("100", "eur"),
            "\"eur\" is not a currency; write the ISO 4217 code of the currency in capitals, like `EUR`",
        ),
        (amount("100", "XAU"), "XAU has no smallest unit"),
        (amount("1000001", "EUR"), "the account `operating` has 10,000.00 EUR, which does not cover 10,000.01 EUR"),
        (amount("1", "USD"), "the account `operating` has 0.00 USD, which does not cover 0.01 USD"),
        (amount("9223372036854775807", "JPY"), "does not cover 9,223,372,036,854,775,807 JPY"),
        (amount("9223372036854775808", "EUR"), "more than the ledger can hold"),
        (amount("18446744073709551615", "EUR"), "more than the ledger can hold"),
        (action("deployment", "deploy", &json!({ "release": {} })), "the arguments have no `transfer`"),
    ];
    for (action, needle) in cases {
        match shop.ledger.0.preview_now(&action) {
            Err(CannotPreview::Impossible(why)) => assert!(why.contains(needle) && !why.contains('\n'), "{why}"),
            other => panic!("{needle}: {other:?}"),
        }
        // The transfer is not booked even if a clearance permits it.
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
    let refused = shop.ledger.0.preview_now(&amount("1", "EUR"));
    assert!(matches!(refused, Err(CannotPreview::Impossible(why)) if why.contains("has 0.00 EUR")));
}

#[test]
fn an_own_account_is_paid_as_what_it_is() {
    let shop = Shop::new();
    let action = transfer(json!({ "payee": "reserve" }));
    let previewed = shop.preview(&action);
    assert!(previewed.summary.contains("to \"reserve\", an account of the operator, from"), "{}", previewed.summary);
    assert_eq!(previewed.preconditions["payee"], "own account");
    assert_eq!((&previewed.facts["own-account"], previewed.consequence), (&json!(true), Consequence::Medium));
    assert!(matches!(shop.attempt(&action, &previewed.preconditions, "k"), Attempt::Done(_)));
    // `reserve` can pay with the money that it has just received.
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
    // The key alone decides: facts have changed since, and later the account is no longer configured.
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
            matches!(&attempt, Attempt::NotDone(why) if why.contains("T4 has the call's key, but is a different transfer") && why.ends_with("nothing was booked")),
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
    // Another payment has reduced the balance, which no longer covers the amount.
    let large = amount("800000", "EUR");
    let covered = shop.preview(&large).preconditions;
    shop.pay(&transfer(json!({ "payee": "Initech" })), "other");
    check(
        &large,
        &covered,
        "`operating` had 10,000.00 EUR when the call was shown and has 7,500.00 EUR now, which does not cover 8,000.00 EUR",
    );
    // Meanwhile another account pays the same payee.
    shop.pay(&transfer(json!({ "payee": "reserve" })), "fill");
    let shown = shop.preview(&action).preconditions;
    shop.pay(&transfer(json!({ "source": "reserve" })), "meanwhile");
    let paid = "\"ACME GmbH\" had received 0 payments when the call was shown and has received 1 payment now";
    check(&action, &shown, &format!("{paid}, not all of them by transfers that the approval listed as waiting"));
    // A clearance of an old journal has no conditions: each fact must have its shown value when the effect starts.
    let old = json!({
        "ledger": shop.ledger.0.id().unwrap(), "source-balance": "10,000.00 EUR", "payee": "outside", "payments-to-payee": 0,
    });
    let had = "`operating` had 10,000.00 EUR when the call was shown and has 5,000.00 EUR now";
    check(&action, &old, &format!("{paid}; {had}"));
    let unnamed = json!({ "ledger": shop.ledger.0.id().unwrap() });
    assert!(matches!(shop.attempt(&action, &unnamed, "k"), Attempt::NotDone(_)), "what was shown is not known");
    // The transfer was shown with the facts of another ledger.
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
    let told =
        "`operating` had 10,000.00 EUR when the call was shown and has 7,500.00 EUR now, which covers 2,500.00 EUR";
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
    // Now the file is locked for readers too.
    other.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    other.execute_batch("UPDATE meta SET value = 'x' WHERE key = 'settled'").unwrap();
    let previewed = shop.ledger.0.preview_now(&action);
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
    assert!(matches!(&late, Attempt::NotDone(why) if why.contains("for the whole time of this attempt")), "{late:?}");
    assert_eq!(shop.transfers(), 0);
    assert!(matches!(attempt(&shop.ledger.0, &action, &shown, "k", NOW), Attempt::Done(_)));
}

#[test]
fn a_failed_commit_is_looked_into() {
    let shop = Shop::new();
    let action = transfer(json!({}));
    let shown = shop.preview(&action).preconditions;
    // The trigger violates this foreign key. SQLite notices the violation only at COMMIT.
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

    // COMMIT reports an error. In the first case the entry is on disk nevertheless. In the second case it is not,
    // because the disk is full.
    let failed = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    let inner = &shop.ledger.0;
    let transfer = Transfer::read(&action).unwrap();
    let after = |key: &str, code| inner.after_failed_commit(&transfer, &EffectKey(key.into()), failed(code));
    assert_eq!(after("k", rusqlite::ffi::SQLITE_IOERR_FSYNC), done);
    assert!(matches!(after("other", rusqlite::ffi::SQLITE_FULL), Attempt::NotDone(_)));
    // No write succeeds any more, so an entry that was read may still be lost.
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
    assert!(
        matches!(&found, Finding::Unknown { evidence } if evidence.contains("but a power cut may change this: ")),
        "{found:?}"
    );
    std::fs::remove_file(&shop.path).unwrap();
    assert!(matches!(after("k", rusqlite::ffi::SQLITE_FULL), Attempt::Unknown(_)));
}
