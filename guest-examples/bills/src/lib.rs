//! Pays the invoices of a CSV file, one by one.
//!
//! Task: `[Pay] FILE from ACCOUNT`, such as `Pay invoices.csv from operating`. What is left out is `invoices.csv` and `operating`;
//! a file name with ` from ` in it stands in double quotes.
//! The file is CSV with the columns `payee,amount,currency,reference`, with or without a first line that names them.
//! An amount is a decimal, `120.50`. If a payment is not made, the agent stops and says what was paid and what was not.

wit_bindgen::generate!({ world: "agent", path: "../../wit" });

use holdshort::agent::payments::{self, Transfer};
use holdshort::agent::types::{ClaimedExhibit, Money, Rationale, Refusal};
use holdshort::agent::workspace;

/// Characters of a payee and of a reference that the host takes.
const LINE_CHARS_MAX: usize = 200;

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
                exhibits: vec![ClaimedExhibit { title: format!("line of {path}"), text: bill.row.clone() }],
            };
            match payments::transfer_funds(&bill.transfer, &rationale) {
                // A reviewer may have edited the transfer: the receipt says what was really paid.
                Ok(receipt) => paid.push(show(&receipt.transferred, &format!(", {}", receipt.transaction))),
                Err(refusal) => return Err(stopped(&paid, &bills[index..], &refusal)),
            }
        }
        Ok(format!("paid {} of {} invoices: {}", paid.len(), bills.len(), list(&paid)))
    }
}

/// Reads the task: an optional verb, the file, `from`, the account.
fn parse(task: &str) -> Result<(String, String), String> {
    let (verb, after) = task.trim().split_once(' ').unwrap_or((task.trim(), ""));
    let rest = if verb.eq_ignore_ascii_case("pay") { after } else { task };
    let rest = format!(" {}", rest.trim()); // It may begin with `from`.
    let quoted = rest.ends_with('"');
    let (path, account) = rest.rsplit_once(" from ").filter(|_| !quoted).unwrap_or((&rest, ""));
    if account.trim().contains(char::is_whitespace) {
        return Err(format!("`{task}` is not a task for this agent; write `Pay FILE from ACCOUNT`"));
    }
    let or = |given: &str, default: &str| if given.is_empty() { default.to_owned() } else { given.to_owned() };
    Ok((or(path.trim().trim_matches('"'), "invoices.csv"), or(account.trim(), "operating")))
}

/// An invoice, and the text of the file that it was read from.
struct Bill {
    transfer: Transfer,
    row: String,
}

/// Reads the file, whose byte-order mark, line ends and quotes are as spreadsheets write them; an error names the line.
fn read(text: &str, account: &str) -> Result<Vec<Bill>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let (mut bills, mut row, mut end) = (Vec::new(), csv::StringRecord::new(), 0);
    while reader.read_record(&mut row).map_err(|error| error.to_string())? {
        let start = std::mem::replace(&mut end, reader.position().byte() as usize);
        // The reader counts empty lines before a row as a part of it.
        let raw = text[start..end].trim_start();
        let line = text[..end - raw.len()].matches('\n').count() + 1;
        let names = row.iter().map(str::to_lowercase);
        if row.as_slice().is_empty() || (bills.is_empty() && names.eq(["payee", "amount", "currency", "reference"])) {
            continue;
        }
        let transfer = transfer(&row, account).map_err(|why| format!("line {line}: {why}"))?;
        bills.push(Bill { transfer, row: raw.trim_end().into() });
    }
    Ok(bills)
}

/// Reads one row, and refuses what the host would refuse, because by then the rows before would be paid.
fn transfer(row: &csv::StringRecord, account: &str) -> Result<Transfer, String> {
    let [payee, amount, currency, reference] = row.iter().collect::<Vec<_>>()[..] else {
        return Err(format!("it has {} columns instead of 4", row.len()));
    };
    for (name, text) in [("payee", payee), ("reference", reference)] {
        if text.chars().count() > LINE_CHARS_MAX || text.contains(char::is_control) {
            return Err(format!("the {name} is not one line of at most {LINE_CHARS_MAX} characters"));
        }
    }
    if payee.is_empty() || payee == account {
        return Err(format!("`{payee}` is nobody to pay from `{account}`"));
    }
    let amount = money(amount, currency)
        .ok_or_else(|| format!("`{amount} {currency}` is not an amount above zero, such as `120.50 EUR`"))?;
    Ok(Transfer { source: account.into(), payee: payee.into(), amount, reference: reference.into() })
}

/// `120.50` EUR is 12050 minor units. Text to text: a floating-point number is never in between.
fn money(amount: &str, currency: &str) -> Option<Money> {
    let decimals = decimals(currency)?;
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = format!("{whole}{fraction:0<decimals$}");
    let plain = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && fraction.len() <= decimals;
    // The ledger counts with a sign.
    let minor_units = digits.parse().ok().filter(|units| plain && (1..=i64::MAX as u64).contains(units))?;
    Some(Money { minor_units, currency: currency.into() })
}

/// How many decimals a currency has, by ISO 4217. Gold and units of account have none that could be paid.
fn decimals(currency: &str) -> Option<usize> {
    iso_currency::Currency::from_code(currency)?.exponent().map(usize::from)
}

/// A transfer in words, its amount with the decimal point, and `more` beside its reference.
fn show(transfer: &Transfer, more: &str) -> String {
    let Transfer { payee, amount: Money { minor_units, currency }, reference, .. } = transfer;
    let decimals = decimals(currency).unwrap_or(0);
    let digits = format!("{minor_units:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let point = if decimals == 0 { "" } else { "." };
    format!("{payee} {whole}{point}{fraction} {currency} ({reference}{more})")
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
    let unpaid: Vec<String> = unpaid.iter().map(|bill| show(&bill.transfer, "")).collect();
    format!("stopped at {}: {why}; paid: {}; not tried: {}", unpaid[0], list(paid), list(&unpaid[1..]))
}

/// The items in one line.
fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".into() } else { items.join(", ") }
}
