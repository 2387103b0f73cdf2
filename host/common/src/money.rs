//! Amounts of money as text, with the decimals that ISO 4217 gives each currency.

use std::str::FromStr;

use iso_currency::Currency as Iso;

/// A currency with a smallest unit, so that amounts can be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    code: &'static str,
    decimals: usize,
}

/// Why a code names no bookable currency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCurrency {
    /// The text is no currency code.
    #[error("`{}` is not a currency; write the ISO 4217 code of the currency in capitals, like `EUR`", .0.escape_debug())]
    Unknown(String),
    /// The currency was withdrawn, and another currency has replaced it.
    #[error("{0} is no longer a currency; use {1}")]
    Withdrawn(&'static str, &'static str),
    /// The code means gold, a unit of account or a test.
    #[error("{0} has no smallest unit, so amounts in {0} cannot be transferred")]
    NoUnit(&'static str),
}

impl Currency {
    /// The currency of an ISO 4217 code. Withdrawn currencies cannot be booked.
    pub fn of(code: &str) -> Result<Self, NoCurrency> {
        let currency = Self::at_some_time(code)?;
        match Iso::from_code(code).and_then(Iso::is_superseded) {
            // By the standard's maintenance agency, both bolívar codes are valid.
            Some(now) if code != "VES" => Err(NoCurrency::Withdrawn(currency.code, now.code())),
            Some(_) | None => Ok(currency),
        }
    }

    /// The currency of an ISO 4217 code, also of a withdrawn one, because old bookings are still shown.
    fn at_some_time(code: &str) -> Result<Self, NoCurrency> {
        let unknown = || NoCurrency::Unknown(code.chars().take(20).collect());
        let iso = Iso::from_code(code).ok_or_else(unknown)?;
        let decimals = iso.exponent().ok_or(NoCurrency::NoUnit(iso.code()))?;
        Ok(Self { code: iso.code(), decimals: decimals.into() })
    }

    /// The ISO 4217 code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Formats an amount: `250000` euro cents are `2,500.00 EUR`, and `250000` yen are `250,000 JPY`.
    pub fn show(&self, minor_units: i64) -> String {
        let digits = format!("{:0>width$}", minor_units.unsigned_abs(), width = self.decimals + 1);
        let whole_digits = digits.len().saturating_sub(self.decimals);
        let mut shown = String::from(if minor_units < 0 { "-" } else { "" });
        for (at, digit) in digits.chars().enumerate() {
            if at == whole_digits {
                shown.push('.');
            } else if at > 0 && at < whole_digits && (whole_digits - at).is_multiple_of(3) {
                shown.push(',');
            }
            shown.push(digit);
        }
        shown + " " + self.code
    }
}

/// Formats an amount in minor units. If the code is unknown, the result is the number and the code, unchanged.
pub fn show(minor_units: u64, code: &str) -> String {
    let known = Currency::at_some_time(code).ok().zip(i64::try_from(minor_units).ok());
    known.map_or_else(|| format!("{minor_units} {code}"), |(currency, units)| currency.show(units))
}

/// An amount of money, written `10000.00 EUR`: more than zero, either with all decimals of its currency or without a
/// decimal point.
#[derive(Clone, Debug)]
pub struct Amount {
    /// The amount in minor units; more than zero. Without a point the number counts whole units: `10000 EUR` is ten
    /// thousand euros, never a hundred.
    pub minor_units: i64,
    /// The ISO 4217 code of the currency.
    pub currency: &'static str,
    /// The number of digits after the point.
    pub decimals: usize,
}

// Converts decimal text to minor units without floating-point numbers.
impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = text.escape_debug();
        let refuse =
            || format!("`{shown}` is not an amount; write it like `10000.00 EUR`, without thousands separators");
        let (number, code) = text.split_once(' ').ok_or_else(refuse)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
            return Err(refuse());
        }
        let Currency { code, decimals } = match Currency::of(code) {
            Ok(currency) => currency,
            Err(why @ NoCurrency::Withdrawn(..)) => return Err(format!("`{shown}`: {why}")),
            Err(NoCurrency::Unknown(_) | NoCurrency::NoUnit(_)) => {
                let code = code.escape_debug();
                return Err(format!(
                    "`{code}` is not a currency of ISO 4217 with a smallest unit; write the code in capitals, like `EUR`"
                ));
            }
        };
        if !fraction.is_empty() && fraction.len() != decimals {
            let zeros = if decimals == 0 { String::new() } else { format!(".{}", "0".repeat(decimals)) };
            return Err(format!("`{shown}`: an amount in {code} is written like `10000{zeros} {code}`"));
        }
        match format!("{whole}{fraction:0<decimals$}").parse() {
            Ok(0) => Err(format!("`{shown}` is zero; remove this amount")),
            Ok(minor_units) => Ok(Self { minor_units, currency: code, decimals }),
            Err(_) => Err(format!("`{shown}` is more than a ledger can hold")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A withdrawn currency is shown where it was booked, but cannot be booked again. A new currency can be booked.
    #[test]
    fn a_currency_is_one_of_today() {
        for (code, now) in [("HRK", "EUR"), ("BGN", "EUR"), ("SLL", "SLE"), ("ZWL", "ZWG"), ("CUC", "CUP")] {
            let why = Currency::of(code).unwrap_err().to_string();
            assert_eq!(why, format!("{code} is no longer a currency; use {now}"));
            assert!(format!("1.00 {code}").parse::<Amount>().unwrap_err().contains(&why));
            assert_eq!(show(12_345, code), format!("123.45 {code}"));
        }
        for code in ["EUR", "XCG", "SLE", "ZWG", "VES", "VED", "CUP", "JPY", "KWD"] {
            assert_eq!(Currency::of(code).map(|currency| currency.code), Ok(code));
        }
        assert!(matches!(Currency::of("ANG"), Err(NoCurrency::Unknown(_))));
    }

    #[test]
    fn an_amount_has_the_decimals_of_its_currency() {
        let cases = [
            (0, "EUR", "0.00 EUR"),
            (5, "EUR", "0.05 EUR"),
            (-5, "EUR", "-0.05 EUR"),
            (100, "EUR", "1.00 EUR"),
            (250_000, "EUR", "2,500.00 EUR"),
            (99_999, "USD", "999.99 USD"),
            (123_456_789_012, "USD", "1,234,567,890.12 USD"),
            (0, "JPY", "0 JPY"),
            (999, "JPY", "999 JPY"),
            (250_000, "JPY", "250,000 JPY"),
            (250_000, "XOF", "250,000 XOF"),
            (1, "BHD", "0.001 BHD"),
            (1_234_567, "BHD", "1,234.567 BHD"),
            (12_345, "CLF", "1.2345 CLF"),
            (i64::MAX, "EUR", "92,233,720,368,547,758.07 EUR"),
            (i64::MIN, "JPY", "-9,223,372,036,854,775,808 JPY"),
        ];
        for (minor_units, code, shown) in cases {
            assert_eq!(Currency::of(code).unwrap().show(minor_units), shown);
        }
    }

    #[test]
    fn what_is_no_currency_is_refused() {
        for odd in ["eur", "EURO", "", "E R", "ZZZ", "\u{415}UR", "EU\n"] {
            let error = Currency::of(odd).unwrap_err();
            assert!(matches!(error, NoCurrency::Unknown(_)), "{odd}");
            assert!(!error.to_string().contains('\n'));
        }
        for unit in ["XAU", "XXX", "XTS", "XDR"] {
            assert!(matches!(Currency::of(unit), Err(NoCurrency::NoUnit(_))), "{unit}");
        }
    }
}
