//! Pays the invoices of a CSV file, one by one.
//!
//! Task: `[Pay] FILE from ACCOUNT`, such as `Pay invoices.csv from operating`. What is left out is `invoices.csv` and `operating`;
//! a file name with ` from ` in it stands in double quotes.
//! The file is CSV with the columns `payee,amount,currency,reference`, with or without a first line that names them.
//! An amount is a decimal, `120.50`. If a payment is not made, the agent stops and says what was paid and what was not.

mod invoices;

wit_bindgen::generate!({ world: "agent", path: "../../wit" });

use holdshort::agent::payments::{self, Transfer};
use holdshort::agent::types::{ClaimedExhibit, Rationale, Refusal};
use holdshort::agent::workspace;
use invoices::{Bill, show};

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let (path, account) = parse(&task)?;
        let text = workspace::read_file(&path)?;
        // The whole file is understood before the first payment: a mistake in its last line must not leave it half paid.
        let bills = invoices::read(&text, &account).map_err(|why| format!("{path}: {why}; nothing was paid"))?;

        let mut paid = Vec::new();
        for (index, bill) in bills.iter().enumerate() {
            let rationale = Rationale {
                summary: format!("Invoice {} of {} in {path}.", index + 1, bills.len()),
                // Copying numbers from a file needs no judgement, so there is no confidence to report.
                confidence: None,
                exhibits: vec![ClaimedExhibit { title: format!("line of {path}"), text: bill.row.clone() }],
            };
            match payments::transfer_funds(&bill.transfer, &rationale) {
                // A reviewer may have edited the transfer: the receipt says what was really paid.
                Ok(receipt) => {
                    let Transfer { payee, amount, reference, .. } = receipt.transferred;
                    paid.push(format!("{payee} {} ({reference}, {})", show(&amount), receipt.transaction));
                }
                Err(refusal) => return Err(stopped(&paid, &bills[index..], &refusal)),
            }
        }
        Ok(format!("paid {} of {} invoices: {}", paid.len(), bills.len(), list(&paid)))
    }
}

/// Reads the task: an optional verb, the file, `from`, the account.
fn parse(task: &str) -> Result<(String, String), String> {
    let task = task.trim();
    let (verb, after) = task.split_once(' ').unwrap_or((task, ""));
    let rest = if verb.eq_ignore_ascii_case("pay") { after.trim() } else { task };
    let (path, account) = match rest.strip_prefix("from ") {
        Some(account) => ("", account.trim()),
        None if rest.ends_with('"') => (rest, ""),
        None => rest.rsplit_once(" from ").map_or((rest, ""), |(path, account)| (path.trim(), account.trim())),
    };
    if account.contains(char::is_whitespace) {
        return Err(format!("`{task}` is not a task for this agent; write `Pay FILE from ACCOUNT`"));
    }
    let or = |given: &str, default: &str| if given.is_empty() { default.to_owned() } else { given.to_owned() };
    Ok((or(path.trim_matches('"'), "invoices.csv"), or(account, "operating")))
}

/// What was paid and what was not. The first of the unpaid is the one that was refused.
fn stopped(paid: &[String], unpaid: &[Bill], refusal: &Refusal) -> String {
    let why = match refusal {
        Refusal::Rejected(guidance) => format!("a reviewer rejected it: {guidance}"),
        Refusal::Expired => "nobody decided in time".into(),
        Refusal::Cancelled => "it was cancelled".into(),
        Refusal::Forbidden(reason) => format!("not allowed: {reason}"),
        Refusal::Invalid(reason) => format!("it makes no sense: {reason}"),
        Refusal::Failed(reason) => format!("it was tried and failed: {reason}"),
        // The one case in which this agent cannot say whether money has moved.
        Refusal::Unresolved(reason) => format!("it may or may not have been paid: {reason}"),
    };
    let bill = |Bill { transfer: t, .. }: &Bill| format!("{} {} ({})", t.payee, show(&t.amount), t.reference);
    let unpaid: Vec<String> = unpaid.iter().map(bill).collect();
    format!("stopped at {}: {why}; paid: {}; not tried: {}", unpaid[0], list(paid), list(&unpaid[1..]))
}

/// The items in one line.
fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".into() } else { items.join(", ") }
}
