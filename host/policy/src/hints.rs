//! Advice for syntax that other languages have and Cedar lacks.

/// Advice for an error at a position of the text. There is advice only for a number with a decimal
/// point, and for a comparison with such a number.
pub(super) fn decimal_hint(text: &str, offset: usize, error: &str) -> Option<String> {
    if let Some((operator, number)) = number_at(text, offset) {
        let method = method(operator).unwrap_or("lessThan");
        return Some(format!(
            "; write a number with a point as `decimal(\"{number}\")`, and compare with a method, as in \
             `context.confidence.{method}(decimal(\"{number}\"))`"
        ));
    }
    // Cedar reports a type error if a decimal is compared with `>=`, or with a number or a text.
    (error.contains("decimal") && !error.contains("decimal(")).then(|| {
        "; compare a decimal with a method, as in `context.confidence.greaterThanOrEqual(decimal(\"0.7\"))`".to_owned()
    })
}

/// The number with a decimal point or exponent at or before a position, with at most four decimals,
/// and the operator before it.
fn number_at(text: &str, offset: usize) -> Option<(&str, String)> {
    let of_number = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let (before, after) = text.split_at_checked(offset)?;
    let before = if after.starts_with(of_number) { before } else { before.trim_end() };
    let starts = before.len() - before.chars().rev().take_while(|c| of_number(*c)).count();
    let rest = text.get(starts..)?;
    let mut ends = rest.find(|c: char| !of_number(c)).unwrap_or(rest.len());
    if rest.get(..ends)?.ends_with(['e', 'E']) {
        // The exponent may have a sign.
        let signed = rest.get(ends + 1..).unwrap_or_default();
        ends += 1 + signed.find(|c: char| !c.is_ascii_digit()).unwrap_or(signed.len());
    }
    let word = rest.get(..ends)?;
    let number: f64 = word.parse().ok()?;
    let is_float = word.contains(['.', 'e', 'E']) && word.contains(|c: char| c.is_ascii_digit());
    // A number outside the range of decimals gets no advice.
    if !is_float || !(0.0..=900_000_000_000_000.0).contains(&number) {
        return None;
    }
    let digits = format!("{number:.4}");
    let shortest = digits.trim_end_matches('0');
    let shortest = if shortest.ends_with('.') { format!("{shortest}0") } else { shortest.to_owned() };
    let front = text.get(..starts)?.trim_end();
    let (front, sign) = front.strip_suffix('-').map_or((front, ""), |front| (front.trim_end(), "-"));
    Some((front, format!("{sign}{shortest}")))
}

/// Cedar's method that compares decimals like the comparison operator at the end of `front`, such as `lessThan` for
/// `<`.
fn method(front: &str) -> Option<&'static str> {
    let operators = [(">=", "greaterThanOrEqual"), ("<=", "lessThanOrEqual"), (">", "greaterThan"), ("<", "lessThan")];
    operators.into_iter().find(|(operator, _)| front.ends_with(operator)).map(|(_, method)| method)
}
