//! Tests on real SQLite files, read through connections of the tests' own.

use holdshort_gate::RunId;
use proptest::prelude::*;
use serde_json::json;

use super::super::exhibit::tests::{host_words, refused_alike, sentence, words};
use super::super::git::tests::action;
use super::*;

mod booking;
mod decisions;
mod file;
mod random;

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

    /// A connection with which a test acts as another program that can write the file.
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
        self.ledger.0.preview_now(action).unwrap()
    }

    /// Attempts a transfer that was shown without similar calls.
    fn attempt(&self, action: &Action, shown: &Value, key: &str) -> Attempt {
        attempt(&self.ledger.0, action, shown, key, LATER)
    }

    /// Previews a transfer and attempts it at once.
    fn pay(&self, action: &Action, key: &str) -> Attempt {
        self.attempt(action, &self.preview(action).preconditions, key)
    }
}

fn attempt(ledger: &Inner, action: &Action, shown: &Value, key: &str, perform_by: Time) -> Attempt {
    ledger.attempt(
        action,
        ShownFacts { preconditions: shown, similar_effects: &[] },
        &EffectKey(key.into()),
        perform_by,
    )
}

/// The receipt of a booked transfer, even if facts had changed.
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

/// The host's own words do not change with the payee's name or the reference, neither in the preview nor
/// in later lists.
#[test]
fn somebody_elses_words_never_go_on_with_the_ledgers() {
    let said = |payee: &str, reference: &str| {
        let shop = Shop::new();
        let fields = |reference: &str| transfer(json!({ "payee": payee, "reference": reference }));
        let first = shop.ledger.0.preview_now(&fields(reference)).ok()?;
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
                // For a payee without letters or digits, the host finds no similar names, so the text of the last
                // preview may differ.
                let same = if payee.chars().any(char::is_alphanumeric) { 4 } else { 3 };
                assert_eq!(found[..same], plain[..same], "{words:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

/// The host's own words in a refusal do not change with the name of an account or currency.
#[test]
fn a_refusal_is_in_the_hosts_words() {
    let shop = Shop::new();
    let why = |action: &Action| match shop.ledger.0.preview_now(action) {
        Err(CannotPreview::Impossible(why)) => Some(why.into_string()),
        Ok(_) | Err(CannotPreview::Unavailable(_)) => None,
    };
    assert!(refused_alike("source", |words| why(&transfer(json!({ "source": words })))) > 150);
    assert!(refused_alike("currency", |words| why(&amount("100", words))) > 150);
    assert!(refused_alike("payee", |words| why(&transfer(json!({ "payee": words, "source": words })))) > 150);
}
