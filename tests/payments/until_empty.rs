//! A reviewer works until the inbox is empty: each payment takes one decision, whoever is paid and however many
//! payments there are.
//!
//! Each run pays one invoice. The reviewer takes an approval, waits for its effect, and takes the next, until no call
//! is held.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::evidence::figure;
use crate::support::{Folder, Host, until};
use crate::{balances, serve, shop};

/// Which held approval is taken next.
#[derive(Clone, Copy, Debug)]
enum Order {
    Downwards,
    Upwards,
    /// A mixed order that is the same each time.
    Mixed,
}

impl Order {
    fn pick(self, waiting: usize, decisions: usize) -> usize {
        match self {
            Self::Downwards => 0,
            Self::Upwards => waiting - 1,
            Self::Mixed => (decisions * 7 + 3) % waiting,
        }
    }
}

/// One invoice of 1.00 EUR for each letter. The same letter is the same payee.
fn invoices(folder: &Folder, payees: &str, reference: impl Fn(usize) -> String) -> Vec<String> {
    let file = |(number, payee): (usize, char)| {
        let name = format!("invoice-{number}.csv");
        folder.write(&format!("files/{name}"), &format!("Payee {payee},1.00,EUR,{}\n", reference(number)));
        name
    };
    payees.chars().enumerate().map(file).collect()
}

/// Starts a run for each file, and decides on approvals until none is left. Returns the number of decisions.
fn work_off(host: &Host, files: &[String], order: Order) -> usize {
    let runs: Vec<String> =
        files.iter().map(|file| host.start("bills", &format!("Pay {file} from operating"))).collect();
    runs.iter().for_each(|run| drop(host.held(run)));
    let mut decisions = 0;
    loop {
        let held = host.get("/v1/approvals?state=held&limit=200")["approvals"].as_array().unwrap().clone();
        if held.is_empty() {
            break;
        }
        let row = &held[order.pick(held.len(), decisions)];
        let shown = host.approval(row["id"].as_str().unwrap());
        host.approve(&shown);
        decisions += 1;
        assert!(decisions <= 2 * files.len(), "it takes no end: {shown}");
        until("what comes of an approval", || {
            let now = host.approval(shown["id"].as_str().unwrap());
            let again = now["state"] == "held" && now["revision"] != shown["revision"];
            (again || now["effect"]["state"] == "succeeded").then_some(())
        });
    }
    for run in &runs {
        assert!(host.over(run)["result"]["ok"].as_str().unwrap().starts_with("paid 1 of 1"));
    }
    decisions
}

/// The number of payments in the ledger, and the number of different invoices that they pay.
fn paid(folder: &Folder) -> (usize, usize) {
    let file = Connection::open(folder.path().join("books/ledger.db")).unwrap();
    let mut references = file.prepare("SELECT reference FROM entries WHERE kind = 'transfer'").unwrap();
    let all: Vec<String> = references.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    (all.len(), all.iter().collect::<BTreeSet<_>>().len())
}

#[test]
fn approving_until_the_inbox_is_empty_takes_a_decision_for_each() {
    let (mut tried, mut payments) = (0, 0);
    for count in [2, 6, 12] {
        let many: String = ('A'..='Z').take(count).collect();
        for (payees, known) in [(many, false), ("A".repeat(count), false), ("A".repeat(count), true)] {
            for order in [Order::Downwards, Order::Upwards, Order::Mixed] {
                let folder = shop("");
                let host = serve(&folder);
                if known {
                    assert_eq!(work_off(&host, &invoices(&folder, "A", |_| "before".into()), order), 1);
                }
                let files = invoices(&folder, &payees, |number| format!("RE {number}"));
                let decisions = work_off(&host, &files, order);
                let context = format!("{count} payments to {payees}, known: {known}, {order:?}");
                match order {
                    Order::Downwards => assert_eq!(decisions, count, "{context}"),
                    Order::Upwards | Order::Mixed => assert!(decisions < 2 * count, "{decisions}: {context}"),
                }
                let all = count + usize::from(known);
                assert_eq!(paid(&folder), (all, all), "{context}: each is paid once");
                let left = 1_000_000 - 100 * i64::try_from(all).unwrap();
                assert!(balances(&folder).contains(&("operating".into(), "EUR".into(), left)), "{context}");
                (tried, payments) = (tried + 1, payments + all as u64);
            }
        }
    }
    figure("T36", "inboxes approved until they were empty", tried);
    figure("T36", "payments among them", payments);
}

/// Runs that were started on the same file ask for the same payment. The page says so to the reviewer, whichever of the
/// calls they open first.
#[test]
fn the_same_payment_in_another_run_is_pointed_out() {
    let folder = shop("ACME GmbH,4000.00,EUR,A-1\n");
    let host = serve(&folder);
    let (one, other) = (host.start("bills", ""), host.start("bills", ""));
    let (one, other) = (host.held(&one), host.held(&other));
    let (first, later) = if other["proposal"]["beside"].is_null() { (&other, &one) } else { (&one, &other) };
    let id = |approval: &Value| approval["id"].as_str().unwrap().to_owned();
    let beside = later["proposal"]["beside"].as_array().unwrap();
    assert_eq!(beside.len(), 1, "{later}");
    assert_eq!(format!("{}.{}", beside[0]["run"].as_str().unwrap(), beside[0]["call"]), id(first));
    assert!(first["proposal"]["beside"].is_null(), "what came later unsettles nothing");
    // The page of the earlier call names the later one, and its digest does not change.
    let now = host.approval(&id(first));
    assert_eq!((&now["same_waiting"], &now["digest"]), (&json!([id(later)]), &first["digest"]));
    assert_eq!(host.approval(&id(later))["same_waiting"], json!([id(first)]));
    let text = |arguments: &[&str]| String::from_utf8(folder.run(arguments).stdout).unwrap();
    let shown = text(&["approvals", "show", &id(later)]);
    assert!(
        shown.contains(&format!(
            "! the same call waits as {}: if both are approved, the effect happens twice",
            id(first)
        )),
        "{shown}"
    );
    let shown = text(&["approvals", "show", &id(first)]);
    assert!(shown.contains(&format!("the same call waits as: {}", id(later))), "{shown}");
    // The later call is approved first. Then the earlier one is held again, because its page did not show that the
    // later one was paid.
    host.approve(&host.approval(&id(later)));
    host.effect(&id(later), "succeeded");
    host.approve(&now);
    let again = until("call that is held again", || {
        Some(host.approval(&id(first))).filter(|approval| approval["revision"] == 2)
    });
    assert!(again["reheld"].as_str().unwrap().contains("has received 1 payment now"), "{again}");
    assert_eq!(again["same_waiting"], json!([]), "what is done does not wait");
}

/// A balance that changed and still covers the payment does not stop it. The journal records both balances.
#[test]
fn a_balance_that_changed_and_covers_it_is_told_where_the_run_is_told() {
    let folder = shop("");
    let host = serve(&folder);
    let files = invoices(&folder, "AB", |number| format!("RE {number}"));
    let runs: Vec<String> = files.iter().map(|file| host.start("bills", &format!("Pay {file}"))).collect();
    let shown: Vec<Value> = runs.iter().map(|run| host.held(run)).collect();
    for approval in &shown {
        host.approve(approval);
        host.effect(approval["id"].as_str().unwrap(), "succeeded");
    }
    let told = "`operating` had 10,000.00 EUR when the call was shown and has 9,999.00 EUR now, which covers 1.00 EUR";
    let done = host.events(&runs[1]).into_iter().find(|event| event["type"] == "effect-succeeded").unwrap();
    assert_eq!(done["data"]["changed"], json!([told]), "{done}");
    let text = folder.run(&["runs", "events", &runs[1]]);
    let text = String::from_utf8(text.stdout).unwrap().replace("\n      ┊ ", "");
    assert!(text.contains("is done; `operating` had 10,000.00 EUR when the call was shown"), "{text}");
}
