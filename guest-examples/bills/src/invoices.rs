//! Reads the file of invoices, all of it or nothing.

use iso_currency::Currency;

use crate::holdshort::agent::payments::Transfer;
use crate::holdshort::agent::types::Money;

/// Characters of a payee and of a reference that the host takes.
const LINE_CHARS_MAX: usize = 200;

/// An invoice, and the text of the file that it was read from.
pub struct Bill {
    pub transfer: Transfer,
    pub row: String,
}

/// Reads the file, whose mark for UTF-8, line ends and quotes are as spreadsheets write them; an error names the line.
pub fn read(text: &str, account: &str) -> Result<Vec<Bill>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let (mut bills, mut row, mut end) = (Vec::new(), csv::StringRecord::new(), 0);
    while reader.read_record(&mut row).map_err(|error| error.to_string())? {
        let start = std::mem::replace(&mut end, reader.position().byte() as usize);
        // The reader counts the line ends between two rows to the second.
        let raw = text[start..end].trim_start();
        let line = text[..end - raw.len()].matches('\n').count() + 1;
        let fields: Vec<String> = row.iter().map(str::to_lowercase).collect();
        if fields == [""] || (bills.is_empty() && fields == ["payee", "amount", "currency", "reference"]) {
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
    let decimals = decimals(currency).ok_or_else(|| format!("`{currency}` is not a currency, such as `EUR`"))?;
    let minor_units = minor_units(amount, decimals)
        .ok_or_else(|| format!("`{amount}` is not an amount in {currency}, such as `120.50`, above zero"))?;
    let amount = Money { minor_units, currency: currency.into() };
    Ok(Transfer { source: account.into(), payee: payee.into(), amount, reference: reference.into() })
}

/// How many decimals a currency has, by ISO 4217. Gold and units of account have none that could be paid.
fn decimals(currency: &str) -> Option<usize> {
    Currency::from_code(currency)?.exponent().map(usize::from)
}

/// `120.50` with two decimals is 12050 minor units. Text to text: a floating-point number is never in between.
fn minor_units(amount: &str, decimals: usize) -> Option<u64> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = format!("{whole}{fraction:0<decimals$}");
    let plain = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && fraction.len() <= decimals;
    // The ledger counts with a sign.
    digits.parse().ok().filter(|units| plain && (1..=i64::MAX as u64).contains(units))
}

/// The amount with its decimal point.
pub fn show(amount: &Money) -> String {
    let decimals = decimals(&amount.currency).unwrap_or(0);
    let digits = format!("{:0>width$}", amount.minor_units, width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    format!("{whole}{}{fraction} {}", if decimals == 0 { "" } else { "." }, amount.currency)
}
