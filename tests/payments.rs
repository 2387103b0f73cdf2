//! Payments, end to end. The example agent `bills` asks the real binary to pay invoices, and a reviewer decides over
//! HTTP. The test opens the file of the ledger to see what was booked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "support/mod.rs"]
mod support;
#[path = "payments/until_empty.rs"]
mod until_empty;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{Folder, Host, component, evidence, until};

const INVOICES: &str = "payee,amount,currency,reference\n\
                        ACME GmbH,2500.00,EUR,RE 2026-117\n\
                        Initech,120.50,EUR,INV-9\n\
                        Umbrella KK,30000,JPY,U-1\n";

/// A folder whose agent `bills` has the file `invoices` in its workspace, and may pay from the account `operating`.
fn shop(invoices: &str) -> Folder {
    let folder = Folder::new(&[], "");
    folder.write("files/invoices.csv", invoices);
    folder.configure(&configuration("10000.00 EUR"));
    folder
}

fn configuration(euros: &str) -> String {
    format!(
        "[agents.bills]\ncomponent = \"{}\"\nworkspace = \"files\"\n\n\
         [payments]\npath = \"books/ledger.db\"\n\n\
         [payments.accounts.operating]\nopening = [\"{euros}\", \"50000 JPY\"]\n",
        component("bills").display()
    )
}

/// Starts a host. Before that it makes the folder of the ledger, as the operator must.
fn serve(folder: &Folder) -> Host {
    std::fs::create_dir_all(folder.path().join("books")).unwrap();
    folder.serve()
}

/// The balances of every account except equity: the sums of the postings in the ledger's file.
fn balances(folder: &Folder) -> Vec<(String, String, i64)> {
    let file = Connection::open(folder.path().join("books/ledger.db")).unwrap();
    let sums = "SELECT name, currency, sum(amount) FROM postings JOIN accounts ON accounts.number = account \
                WHERE kind <> 'equity' GROUP BY name, currency ORDER BY name, currency";
    let mut sums = file.prepare(sums).unwrap();
    let rows =
        sums.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap().map(Result::unwrap).collect();
    let total =
        "SELECT coalesce(sum(total <> 0), 0) FROM (SELECT sum(amount) AS total FROM postings GROUP BY entry, currency)";
    assert_eq!(file.query_row(total, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "an entry does not sum to zero");
    rows
}

fn have(expected: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    expected.iter().map(|(name, currency, sum)| ((*name).into(), (*currency).into(), *sum)).collect()
}

fn summary(approval: &Value) -> &str {
    approval["proposal"]["summary"].as_str().unwrap()
}

/// The exhibit of the host whose title begins with `title`.
fn exhibit(host: &Host, approval: &Value, title: &str) -> String {
    let exhibits = approval["proposal"]["exhibits"].as_array().unwrap();
    let found = exhibits.iter().find(|exhibit| exhibit["title"].as_str().unwrap().starts_with(title));
    let digest = found.unwrap_or_else(|| panic!("{title}: {approval}"))["digest"].as_str().unwrap();
    let id = approval["id"].as_str().unwrap();
    host.get(&format!("/v1/approvals/{id}/exhibits/{digest}")).as_str().unwrap().to_owned()
}

#[test]
fn invoices_are_paid_one_by_one_as_they_are_approved() {
    let folder = shop(INVOICES);
    let host = serve(&folder);
    let untouched = have(&[("operating", "EUR", 1_000_000), ("operating", "JPY", 50_000)]);
    assert_eq!(balances(&folder), untouched);
    let run = host.start("bills", "Pay invoices.csv from operating");

    let first = host.held(&run);
    assert_eq!(
        summary(&first),
        "pay 2,500.00 EUR to \"ACME GmbH\", first payment to this payee, from operating, which then has 7,500.00 EUR; reference \"RE 2026-117\""
    );
    assert!(exhibit(&host, &first, "balances").contains("before  10,000.00 EUR\n    after    7,500.00 EUR"));
    assert_eq!(
        (&first["proposal"]["connector"], &first["proposal"]["class"]),
        (&json!("ledger"), &json!("idempotent"))
    );
    assert_eq!(balances(&folder), untouched, "nothing is paid before somebody approves it");
    host.approve(&first);
    let paid = host.effect(first["id"].as_str().unwrap(), "succeeded");
    let receipt = &paid["effect"]["receipt"];
    assert_eq!(receipt["source-balance"], json!({ "minor-units": "750000", "currency": "EUR" }));
    assert_eq!(receipt["transferred"], paid["proposal"]["action"]["arguments"]["transfer"]);

    for (payee, leaves) in [("Initech", "7,379.50 EUR"), ("Umbrella KK", "20,000 JPY")] {
        let next = host.held(&run);
        assert!(summary(&next).contains(payee) && summary(&next).contains(leaves), "{}", summary(&next));
        let (count, sum) = if payee == "Initech" { (1, "250000") } else { (2, "262050") };
        let before = json!([{ "currency": "EUR", "count": count, "sum": sum }]);
        assert_eq!(next["proposal"]["facts"]["transfers-before-in-run"], before);
        host.approve(&next);
        host.effect(next["id"].as_str().unwrap(), "succeeded");
    }
    let last = host.approval(&format!("{run}.4"));
    let others =
        "2 transfers, together 2,620.50 EUR\nTransfers that a reviewer closed with an unknown outcome are included.\n";
    assert_eq!(exhibit(&host, &last, "other transfers of this run, made before (2)"), others);
    let before = exhibit(&host, &last, "earlier in this run");
    assert!(before.contains("call 2, succeeded: \"pay 2,500.00 EUR to \\\"ACME GmbH\\\""), "{before}");
    let over = host.over(&run);
    assert_eq!(
        over["result"],
        json!({ "ok": "paid 3 of 3 invoices: ACME GmbH 2500.00 EUR (RE 2026-117, T3), Initech 120.50 EUR (INV-9, T4), Umbrella KK 30000 JPY (U-1, T5)" })
    );
    let paid = have(&[
        ("ACME GmbH", "EUR", 250_000),
        ("Initech", "EUR", 12_050),
        ("Umbrella KK", "JPY", 30_000),
        ("operating", "EUR", 737_950),
        ("operating", "JPY", 20_000),
    ]);
    assert_eq!(balances(&folder), paid);

    // The same file is paid again: the host says that these invoices were paid before, whatever the agent claims.
    let again = host.held(&host.start("bills", ""));
    assert!(
        summary(&again).contains("paid once before, LAST WITH THE SAME AMOUNT AND REFERENCE on "),
        "{}",
        summary(&again)
    );
    assert!(
        exhibit(&host, &again, "payments to this payee (1)")
            .contains("T3  2,500.00 EUR from operating: \"RE 2026-117\"")
    );
    // After a restart the host still says that the invoices were paid before, and nothing is booked twice.
    assert!(host.stop().success());
    let host = serve(&folder);
    assert_eq!(host.approval(again["id"].as_str().unwrap())["digest"], again["digest"]);
    assert_eq!(balances(&folder), paid);
}

#[test]
fn a_rejected_invoice_stops_the_agent_which_says_what_was_paid() {
    let folder = shop(INVOICES);
    let host = serve(&folder);
    let run = host.start("bills", "");
    host.approve(&host.held(&run));
    let second = until("second invoice", || Some(host.held(&run)).filter(|call| summary(call).contains("Initech")));
    let (status, answer) = host.decide(&second, "reject", &json!({ "message": "disputed" }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        host.over(&run)["result"],
        json!({ "err": "stopped at Initech 120.50 EUR (INV-9): a reviewer rejected it: disputed; \
                        paid: ACME GmbH 2500.00 EUR (RE 2026-117, T3); not tried: Umbrella KK 30000 JPY (U-1)" })
    );
    let expected = [("ACME GmbH", "EUR", 250_000), ("operating", "EUR", 750_000), ("operating", "JPY", 50_000)];
    assert_eq!(balances(&folder), have(&expected));
}

#[test]
fn an_overdraft_is_invalid_and_nobody_is_asked() {
    let folder = shop("ACME GmbH,10000.01,EUR,too much\n");
    let host = serve(&folder);
    let run = host.start("bills", "");
    assert_eq!(
        host.over(&run)["result"],
        json!({ "err": "stopped at ACME GmbH 10000.01 EUR (too much): it makes no sense: \
                        the account `operating` has 10,000.00 EUR, which does not cover 10,000.01 EUR; paid: nothing; not tried: nothing" })
    );
    assert_eq!(host.get("/v1/approvals?state=held")["approvals"], json!([]));
    // An account that the operator did not configure.
    let run = host.start("bills", "Pay invoices.csv from savings");
    let result = host.over(&run)["result"]["err"].as_str().unwrap().to_owned();
    assert!(result.contains("it makes no sense: there is no account \"savings\"; configured: `operating`"), "{result}");
    assert_eq!(balances(&folder), have(&[("operating", "EUR", 1_000_000), ("operating", "JPY", 50_000)]));
}

/// If one line of the file is wrong, nothing is paid, no reviewer is asked, and the error names the line.
#[test]
fn a_file_with_a_mistake_in_it_is_not_paid_in_part() {
    let long = "x".repeat(201);
    let wrong = [
        "Beta,10.00,eur,B-1".to_owned(),
        "Beta,10.00,EURO,B-1".into(),
        "Beta,10.00,,B-1".into(),
        "Beta,10.00,XAU,B-1".into(),
        "Beta,0.00,EUR,B-1".into(),
        "Beta,0,EUR,B-1".into(),
        "Beta,-1.00,EUR,B-1".into(),
        "Beta,+1.00,EUR,B-1".into(),
        "Beta,,EUR,B-1".into(),
        "Beta,1.001,EUR,B-1".into(),
        "Beta,1.5,JPY,B-1".into(),
        "Beta,1e3,EUR,B-1".into(),
        "Beta,\"1,000.00\",EUR,B-1".into(),
        "Beta,99999999999999999999.00,EUR,B-1".into(),
        "Beta,92233720368547758.08,EUR,B-1".into(),
        ",10.00,EUR,B-1".into(),
        "\" \",10.00,EUR,B-1".into(),
        "operating,10.00,EUR,B-1".into(),
        format!("{long},10.00,EUR,B-1"),
        format!("Beta,10.00,EUR,{long}"),
        "Be\u{7}ta,10.00,EUR,B-1".into(),
        "\"Be\nta\",10.00,EUR,B-1".into(),
        "Beta,10.00,EUR,\"B-1".to_owned() + "\nGamma,10.00,EUR,C-1",
        "Beta,10.00,EUR".into(),
        "Beta,10.00,EUR,B-1,more".into(),
        "Beta;10.00;EUR;B-1".into(),
        "payee,amount,currency,reference".into(),
    ];
    let folder = shop("");
    let host = serve(&folder);
    for line in &wrong {
        folder.write(
            "files/invoices.csv",
            &format!("payee,amount,currency,reference\r\nACME GmbH,5.00,EUR,A-1\r\n\r\n{line}\r\n"),
        );
        let over = host.over(&host.start("bills", ""));
        let why = over["result"]["err"].as_str().unwrap_or_else(|| panic!("{line}: {over}")).to_owned();
        assert!(why.starts_with("invoices.csv: line 4: ") && why.ends_with("; nothing was paid"), "{line}: {why}");
    }
    assert_eq!(balances(&folder), have(&[("operating", "EUR", 1_000_000), ("operating", "JPY", 50_000)]));
    evidence::figure("T39", "files of invoices with a mistake refused whole", wrong.len() as u64);
}

/// Files in the forms that spreadsheets write, and tasks that name such files.
#[test]
fn a_file_is_read_as_spreadsheets_write_it() {
    let good = [
        ("\u{feff}ACME GmbH,5.00,EUR,A-1\n", "invoices.csv", ""),
        ("\u{feff}payee,amount,currency,reference\r\nACME GmbH,5.00,EUR,A-1\r\n", "invoices.csv", "pay"),
        (
            "\"payee\",\"amount\",\"currency\",\"reference\"\n\"ACME GmbH\",\"5.00\",\"EUR\",\"A-1\"\n",
            "invoices.csv",
            "from operating",
        ),
        (" ACME GmbH , 5.00 , EUR , A-1 \n\n  \n", "my invoices.csv", "Pay my invoices.csv from operating"),
        ("Payee,Amount,Currency,Reference\nACME GmbH,5,EUR,A-1", "my  two  spaces.csv", "my  two  spaces.csv"),
        ("ACME GmbH,5.0,EUR,A-1\r\n", "from bob.csv", "Pay \"from bob.csv\""),
        ("ACME GmbH,5.00,EUR,A-1\r", "a from b.csv", "PAY a from b.csv from operating"),
    ];
    let folder = shop("");
    let host = serve(&folder);
    for (text, file, task) in good {
        folder.write(&format!("files/{file}"), text);
        let held = host.held(&host.start("bills", task));
        let expected = json!({
            "source": "operating", "payee": "ACME GmbH", "reference": "A-1",
            "amount": { "minor-units": "500", "currency": "EUR" },
        });
        assert_eq!(held["proposal"]["action"]["arguments"]["transfer"], expected, "{text:?}");
    }
    folder.write("files/invoices.csv", "\"ACME, \"\"the\"\" GmbH\",\"5.00\",EUR,\"A, 1\"\n");
    let held = host.held(&host.start("bills", ""));
    assert_eq!(held["proposal"]["action"]["arguments"]["transfer"]["payee"], "ACME, \"the\" GmbH");
    let over = host.over(&host.start("bills", "Pay invoices.csv from the big account"));
    assert!(over["result"]["err"].as_str().unwrap().contains("is not a task for this agent"), "{over}");
    evidence::figure("T39", "files of invoices read", good.len() as u64 + 1);
}

#[test]
fn a_balance_that_changed_holds_the_call_again_with_both_values() {
    let folder = shop("ACME GmbH,4000.00,EUR,A-1\n");
    let host = serve(&folder);
    let one = host.start("bills", "");
    let shown = host.held(&one);
    // Another run pays from the same account to the same payee, before a reviewer decides on the first run.
    let other = host.held(&host.start("bills", ""));
    host.approve(&other);
    host.effect(other["id"].as_str().unwrap(), "succeeded");

    host.approve(&shown);
    let again = until("call that is held again", || Some(host.held(&one)).filter(|call| call["revision"] == 2));
    let reheld = again["reheld"].as_str().unwrap();
    assert_eq!(
        reheld,
        "\"ACME GmbH\" had received 0 payments when the call was shown and has received 1 payment now, not all of them by transfers that the approval listed as waiting"
    );
    assert!(
        summary(&again).contains("paid once before, LAST WITH THE SAME AMOUNT AND REFERENCE"),
        "{}",
        summary(&again)
    );
    assert!(summary(&again).contains("which then has 2,000.00 EUR"), "{}", summary(&again));
    assert_eq!(balances(&folder)[0], ("ACME GmbH".into(), "EUR".into(), 400_000), "it is not paid on old facts");
    // An approval for the earlier revision, sent once more, does not count for the current revision.
    let (status, answer) = host.decide(&shown, "approve", &json!({}));
    assert_eq!((status, &answer["current_digest"]), (409, &again["digest"]), "{answer}");
    assert!(
        answer["detail"].as_str().unwrap().contains(&format!("the call is held again because {reheld}")),
        "{answer}"
    );
    assert_eq!(host.held(&one)["still_needed"], 1);
    host.approve(&again);
    host.effect(again["id"].as_str().unwrap(), "succeeded");
    assert!(host.over(&one)["result"]["ok"].as_str().unwrap().starts_with("paid 1 of 1"));
    assert_eq!(balances(&folder)[0], ("ACME GmbH".into(), "EUR".into(), 800_000));

    // A third payment would overdraw the account. The ledger refuses it.
    let third = host.start("bills", "");
    let result = host.over(&third)["result"]["err"].as_str().unwrap().to_owned();
    assert!(result.contains("has 2,000.00 EUR, which does not cover 4,000.00 EUR"), "{result}");
}

#[test]
fn an_edited_amount_is_paid_exactly() {
    let folder = shop("ACME GmbH,2500.00,EUR,RE 2026-117\n");
    let host = serve(&folder);
    let run = host.start("bills", "");
    let shown = host.held(&run);
    let mut arguments = shown["proposal"]["action"]["arguments"].clone();
    // An edit to more than the balance is refused.
    arguments["transfer"]["amount"]["minor-units"] = json!("1000001");
    let (status, answer) = host.decide(&shown, "edit", &json!({ "arguments": arguments }));
    assert_eq!(status, 422, "{answer}");
    assert!(answer.to_string().contains("does not cover 10,000.01 EUR"), "{answer}");
    assert_eq!(host.held(&run)["digest"], shown["digest"], "and the call is as it was");

    arguments["transfer"]["amount"]["minor-units"] = json!("249999");
    let (status, answer) = host.decide(&shown, "edit", &json!({ "arguments": arguments }));
    assert_eq!(status, 202, "the balances after it have been shown to nobody: {answer}");
    host.approve(&host.approval(shown["id"].as_str().unwrap()));
    let paid = host.effect(shown["id"].as_str().unwrap(), "succeeded");
    assert!(summary(&paid).starts_with("pay 2,499.99 EUR to \"ACME GmbH\""), "{}", summary(&paid));
    assert_eq!(paid["effect"]["receipt"]["transferred"], arguments["transfer"]);
    assert_eq!(
        host.over(&run)["result"],
        json!({ "ok": "paid 1 of 1 invoices: ACME GmbH 2499.99 EUR (RE 2026-117, T3)" }),
        "the agent says what was paid, not what it asked for"
    );
    let expected = [("ACME GmbH", "EUR", 249_999), ("operating", "EUR", 750_001), ("operating", "JPY", 50_000)];
    assert_eq!(balances(&folder), have(&expected));
}

#[test]
fn a_figure_that_was_changed_stops_the_host_and_says_what_to_do() {
    let folder = shop(INVOICES);
    let host = serve(&folder);
    assert!(host.stop().success());
    folder.configure(&configuration("20000.00 EUR"));
    let ended = folder.run(&["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(
        said.contains(
            "[payments.accounts]: `operating`: `opening EUR` is booked as 10,000.00 EUR, but the configuration says 20,000.00 EUR"
        ) && said.contains("add a deposit"),
        "{said}"
    );
    // The operator adds money with a deposit. Each deposit is booked once.
    folder.configure(&(configuration("10000.00 EUR") + "deposits = { december = \"10000.00 EUR\" }\n"));
    for _ in 0..2 {
        drop(serve(&folder));
        assert_eq!(balances(&folder), have(&[("operating", "EUR", 2_000_000), ("operating", "JPY", 50_000)]));
    }
}

#[test]
fn inspect_says_from_where_an_agent_could_pay_and_makes_nothing() {
    let folder = shop(INVOICES);
    let bills = component("bills");
    let performed_by = |folder: &Folder| {
        let output = folder.run(&["inspect", bills.to_str().unwrap(), "--json"]);
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["consequential"][0]["performed_by"].as_str().unwrap().to_owned()
    };
    let ledger = folder.path().join("books/ledger.db");
    assert_eq!(performed_by(&folder), format!("booking in the ledger {}, from `operating`", ledger.display()));
    folder.configure("");
    let none = ".holdshort/ledger.db, which has no account: add a section `[payments.accounts.NAME]`";
    assert!(performed_by(&folder).ends_with(none), "{}", performed_by(&folder));
    assert!(!ledger.exists() && !folder.path().join(".holdshort").exists());
}

/// Eight agents run at the same time, and each stays within the limit of a day. Together they must stay within it too.
/// The count is in the journal, so that it survives restarts.
#[test]
fn calls_that_policy_clears_cannot_overspend_together() {
    let folder = shop("payee,amount,currency,reference\nACME GmbH,50.00,EUR,A-1\n");
    folder.write(
        "pay.cedar",
        "@id(\"small\") permit (principal, action == Action::\"call\", resource is payments::TransferFunds) when {\n\
         context.totals.today.sum + resource.arguments.transfer.amount.minor_units <= 20000 };\n\
         permit (principal, action == Action::\"decide\", resource);\n",
    );
    folder.configure(&format!("{}\n[policy]\nfiles = [\"pay.cedar\"]\n", configuration("10000.00 EUR")));
    let host = serve(&folder);
    let mut runs: Vec<String> = (0..8).map(|_| host.start("bills", "Pay invoices.csv from operating")).collect();
    let settled = |host: &Host, runs: &[String]| {
        let approvals: Vec<Value> = runs
            .iter()
            .map(|run| {
                until("a call is decided or held", || {
                    let opened = host.events(run).into_iter().find(|event| event["data"].get("proposal").is_some())?;
                    let calls = opened["data"]["call"].as_u64()?;
                    let approval = host.approval(&format!("{run}.{calls}"));
                    let settled = approval["state"] == "held" || approval["effect"]["state"] == "succeeded";
                    settled.then_some(approval)
                })
            })
            .collect();
        let cleared = approvals.iter().filter(|approval| approval["effect"]["state"] == "succeeded").count();
        (cleared, approvals)
    };
    let (cleared, approvals) = settled(&host, &runs);
    // If the balance changed between the preview and the booking, a call that policy cleared is held again for a
    // reviewer.
    assert!((1..=4).contains(&cleared), "{cleared} were paid: {approvals:#?}");
    let left = 1_000_000 - 5_000 * i64::try_from(cleared).unwrap();
    assert_eq!(balances(&folder)[1], ("operating".into(), "EUR".into(), left));
    let paid = approvals.iter().find(|approval| approval["state"] != "held").unwrap();
    assert_eq!(paid["proposal"]["policy"]["determining"], json!(["small"]));
    assert_eq!(paid["proposal"]["policy"]["totals"].as_array().unwrap().len(), 4, "the verdict says what it rested on");

    // Payments that a reviewer approves count too, and all counted payments still count after a restart.
    for approval in &approvals {
        let id = approval["id"].as_str().unwrap();
        until("it is paid", || {
            let now = host.approval(id);
            if now["state"] == "held" {
                host.decide(&now, "approve", &json!({}));
            }
            (now["effect"]["state"] == "succeeded").then_some(())
        });
    }
    host.stop();
    let host = serve(&folder);
    runs = vec![host.start("bills", "Pay invoices.csv from operating")];
    let (cleared, approvals) = settled(&host, &runs);
    assert_eq!(cleared, 0, "the day is full: {approvals:#?}");
    let totals = approvals[0]["proposal"]["policy"]["totals"].as_array().unwrap();
    assert!(
        totals.iter().any(|counted| counted["total"] == json!({"count": 8, "sums": {"EUR": 40_000}})),
        "{totals:?}"
    );

    // A backtest of the same policies on the calls that they judged must give the same verdicts, because totals are
    // counted as they were then.
    let policies =
        json!([{"name": "pay.cedar", "text": std::fs::read_to_string(folder.path().join("pay.cedar")).unwrap()}]);
    let (status, tried) = host.post("/v1/backtests", &json!({ "policies": policies }));
    assert_eq!(status, 200, "{tried}");
    let cleared: u64 = tried["calls"].as_array().unwrap().iter().map(|row| row["clear"].as_u64().unwrap()).sum();
    assert!(cleared >= 1 && tried["calls"][0]["clear"] == json!(cleared), "{tried}");
    assert_eq!((&tried["calls"][0]["recorded"], &tried["calls"][0]["hold"]), (&json!("cleared"), &json!(0)), "{tried}");
    host.stop();
}

/// A reviewer approves one payment with a grant, and the grant clears further payments like it. The grant ends when its
/// amount is used up and when it is revoked, also after a restart.
#[test]
fn a_grant_clears_the_next_like_it_and_no_more() {
    let folder = shop("payee,amount,currency,reference\nACME GmbH,50.00,EUR,A-1\n");
    folder.write(
        "pay.cedar",
        "permit (principal, action == Action::\"decide\", resource);\n\
         permit (principal, action == Action::\"grant\", resource is payments::TransferFunds);\n\
         @id(\"no-casinos\") forbid (principal, action == Action::\"call\", resource is payments::TransferFunds)\n\
         when { resource.arguments.transfer.payee == \"Casino\" };\n",
    );
    folder.configure(&format!("{}\n[policy]\nfiles = [\"pay.cedar\"]\n", configuration("10000.00 EUR")));
    let host = serve(&folder);
    let pay = |host: &Host, row: &str| {
        folder.write("files/invoices.csv", &format!("payee,amount,currency,reference\n{row}\n"));
        host.start("bills", "Pay invoices.csv from operating")
    };
    let first = host.held(&pay(&host, "ACME GmbH,50.00,EUR,A-1"));
    let id = first["id"].as_str().unwrap().to_owned();
    let approve = |terms: &[&str]| {
        let all =
            [&["approvals", "approve", &id, "--yes", "--digest", first["digest"].as_str().unwrap()], terms].concat();
        let output = folder.run(&all);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    // A grant without a bound, or with a bound that is not possible, is refused with the reason, and no decision is
    // made.
    for (terms, code, says) in [
        (&["--grant", "3"][..], 2, "--for"),
        (&["--grant", "3", "--for", "2h"], 4, "the grant also needs a total amount in EUR"),
        (&["--grant", "3", "--for", "2h", "--up-to", "120 EURO"], 2, "`EURO` is not a currency"),
        (&["--grant", "3", "--for", "31d", "--up-to", "120.00 EUR"], 4, "at most 30 days from now"),
        (&["--grant", "0", "--for", "2h", "--up-to", "120.00 EUR"], 4, "1 to 1000 calls"),
        (
            &["--grant", "3", "--for", "2h", "--up-to", "120.00 EUR", "--may-differ", "/payee"],
            4,
            "paths are: /transfer/source",
        ),
    ] {
        let (found, said) = approve(terms);
        assert!(found == code && said.contains(says), "{terms:?}: {found} {said}");
    }
    assert_eq!(host.approval(&id)["state"], "held");
    let (code, said) =
        approve(&["--grant", "3", "--for", "2h", "--up-to", "120.00 EUR", "--may-differ", "/transfer/reference"]);
    assert_eq!(code, 0, "{said}");
    for line in [
        "// At most 3 calls and 120.00 EUR in all; nothing in another currency.",
        "resource.arguments.transfer.payee == \"ACME GmbH\" &&",
        "context.granted.EUR + context.moved.EUR <= 12000",
    ] {
        assert!(said.contains(line), "{line} in\n{said}");
    }
    assert!(!said.contains("transfer.reference"), "{said}");
    host.effect(&id, "succeeded");

    // A payment that differs only in the reference is cleared by the grant. A payment that policy forbids is still
    // refused, and a payment that differs in another way is held.
    let run = pay(&host, "ACME GmbH,60.00,EUR,A-2");
    assert_eq!(host.over(&run)["state"], "finished");
    let paid = host.events(&run).into_iter().find(|event| event["type"] == "call-cleared").unwrap();
    let policy = &paid["data"]["proposal"]["policy"];
    assert_eq!(policy["determining"], json!([format!("grant {id}")]));
    assert_eq!(policy["grant"], json!({"run": id.split_once('.').unwrap().0, "call": first["call"]}));
    let refused = host.over(&pay(&host, "Casino,1.00,EUR,A-2"));
    assert!(refused["result"].to_string().contains("no-casinos"), "{refused}");
    for unlike in
        ["ACME GmbH,60.01,EUR,too much", "ACME GmbH,1,JPY,another currency", "ACME Gmbh,1.00,EUR,another payee"]
    {
        let held = host.held(&pay(&host, unlike));
        assert!(held["proposal"]["policy"].get("grant").is_none(), "{unlike}: {held}");
    }
    host.stop();

    // After a restart the host still knows which calls the grant has cleared. The grant ends when it is revoked.
    let host = serve(&folder);
    let listed = host.get("/v1/grants?standing=true");
    let grants = listed["grants"].as_array().unwrap();
    assert_eq!((grants.len(), &grants[0]["used"]), (1, &json!({"count": 1, "sums": {"EUR": 6_000}})), "{listed}");
    let run = pay(&host, "ACME GmbH,59.00,EUR,A-3");
    assert_eq!(host.over(&run)["state"], "finished", "there is room for it");
    let output = folder.run(&["grants", "revoke", &id]);
    assert!(output.status.success(), "{output:?}");
    host.held(&pay(&host, "ACME GmbH,1.00,EUR,A-4"));
    let text = |arguments: &[&str]| String::from_utf8(folder.run(arguments).stdout).unwrap();
    assert_eq!(text(&["grants"]), "");
    assert!(text(&["grants", "--all"]).contains("revoked by"), "{}", text(&["grants", "--all"]));
    assert!(text(&["grants", "show", &id]).starts_with("// At most 3 calls"));
    assert_eq!(host.post("/v1/grants/none.1/revocation", &json!({})).0, 404);
    host.stop();
}
