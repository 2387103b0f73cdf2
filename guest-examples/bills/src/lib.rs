//! Pays the invoices of a CSV file, one by one.
//!
//! Task: `[Pay] FILE from ACCOUNT`, such as `Pay invoices.csv from operating`. What is left out is `invoices.csv` and `operating`.
//! The file's columns are `payee,amount,currency,reference`, with or without a first line that names them; there is no quoting.
//! An amount is a decimal, `120.50`. If a payment is not made, the agent stops and says what was paid and what was not.

wit_bindgen::generate!({ world: "agent", path: "../../wit" });

use holdshort::agent::payments::{self, Transfer};
use holdshort::agent::types::{ClaimedExhibit, Money, Rationale, Refusal};
use holdshort::agent::workspace;

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let (path, account) = parse(&task)?;
        let text = workspace::read_file(&path)?;
        // The whole file is understood before the first payment: a mistake in its last line must not leave it half paid.
        let bills = read(&text, &account).map_err(|why| format!("{path}: {why}; nothing was paid"))?;

        let mut paid = Vec::new();
        for (index, bill) in bills.iter().enumerate() {
            let rationale = Rationale {
                summary: format!("Invoice {} of {} in {path}.", index + 1, bills.len()),
                // Copying numbers from a file needs no judgement, so there is no confidence to report.
                confidence: None,
                exhibits: vec![ClaimedExhibit { title: format!("line of {path}"), text: bill.line.clone() }],
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

/// An invoice, and the line of the file that it was read from.
struct Bill {
    transfer: Transfer,
    line: String,
}

/// Reads the task: an optional verb, the file, `from`, the account.
fn parse(task: &str) -> Result<(String, String), String> {
    let mut words: Vec<&str> = task.split_whitespace().collect();
    if words.first().is_some_and(|word| word.eq_ignore_ascii_case("pay")) {
        words.remove(0);
    }
    let (path, account) = match words[..] {
        [] => ("invoices.csv", "operating"),
        ["from", account] => ("invoices.csv", account),
        [path] => (path, "operating"),
        [path, "from", account] => (path, account),
        _ => return Err(format!("`{task}` is not a task for this agent; write `Pay FILE from ACCOUNT`")),
    };
    Ok((path.into(), account.into()))
}

/// Reads the file; an error names the line.
fn read(text: &str, account: &str) -> Result<Vec<Bill>, String> {
    let mut bills = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        if line.trim().is_empty() || (index == 0 && fields == ["payee", "amount", "currency", "reference"]) {
            continue;
        }
        let [payee, amount, currency, reference] = fields[..] else {
            return Err(format!("line {} has {} columns instead of 4", index + 1, fields.len()));
        };
        let minor_units = minor_units(amount, currency)
            .ok_or_else(|| format!("line {}: `{amount}` is not an amount in {currency}", index + 1))?;
        let amount = Money { minor_units, currency: currency.into() };
        let transfer = Transfer { source: account.into(), payee: payee.into(), amount, reference: reference.into() };
        bills.push(Bill { transfer, line: line.into() });
    }
    Ok(bills)
}

/// How many decimals a currency has, by ISO 4217. A code that does not exist is the host's to refuse.
fn decimals(currency: &str) -> usize {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" => 0,
        "RWF" | "UGX" | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// `120.50` EUR is 12050 minor units. Text to text: a floating-point number is never in between.
fn minor_units(amount: &str, currency: &str) -> Option<u64> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = format!("{whole}{fraction:0<width$}", width = decimals(currency));
    let plain = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (plain && fraction.len() <= decimals(currency)).then(|| digits.parse().ok()).flatten()
}

/// The amount with its decimal point.
fn show(amount: &Money) -> String {
    let decimals = decimals(&amount.currency);
    let digits = format!("{:0>width$}", amount.minor_units, width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let point = if decimals == 0 { "" } else { "." };
    format!("{whole}{point}{fraction} {}", amount.currency)
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
    let bill =
        |bill: &Bill| format!("{} {} ({})", bill.transfer.payee, show(&bill.transfer.amount), bill.transfer.reference);
    let (first, rest) = (bill(&unpaid[0]), unpaid[1..].iter().map(bill).collect::<Vec<_>>());
    format!("stopped at {first}: {why}; paid: {}; not tried: {}", list(paid), list(&rest))
}

/// The items in one line.
fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".into() } else { items.join(", ") }
}
