//! Amounts of money as people read them: with the decimals that ISO 4217 gives the currency.

use iso_currency::Currency as Iso;

/// A currency that can be booked: it has a smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Currency {
    code: &'static str,
    decimals: usize,
}

/// The code names nothing that can be booked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCurrency {
    /// It is not a code.
    #[error("`{0}` is not a currency; write its ISO 4217 code in capitals, like `EUR`")]
    Unknown(String),
    /// It is the code of gold, of a unit of account, of a test.
    #[error("{0} has no smallest unit in which it could be transferred")]
    NoUnit(&'static str),
}

impl Currency {
    /// The currency of an ISO 4217 code, which is spelled in one way only.
    pub(super) fn of(code: &str) -> Result<Self, NoCurrency> {
        let unknown = || NoCurrency::Unknown(code.chars().take(20).flat_map(char::escape_debug).collect());
        let iso = Iso::from_code(code).ok_or_else(unknown)?;
        let decimals = iso.exponent().ok_or(NoCurrency::NoUnit(iso.code()))?;
        Ok(Self { code: iso.code(), decimals: decimals.into() })
    }

    /// Its code, as it stands in the books.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// `250000` euro cents are `2,500.00 EUR`, and `250000` yen are `250,000 JPY`.
    pub(super) fn show(&self, minor_units: i64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
