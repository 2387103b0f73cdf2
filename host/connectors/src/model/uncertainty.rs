//! How unsure a model was, as one figure from 0 to 1.
//!
//! Where the server gives the probability of each token, the figure is 1 minus the smallest probability of a token of the
//! arguments of the tool calls, or of the whole text if there are none: one doubtful digit makes an amount doubtful,
//! however sure the rest is. Else the host asks several times, and the figure is the share of the further answers that
//! ask for other tool calls than the first, or have another text. An answer that could not be measured has no figure.

use serde_json::Value;

use super::answer::Answer;

/// How the host measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncertainty {
    /// It does not.
    Off,
    /// By the probabilities that the server gives.
    Logprobs,
    /// By this number of answers in total.
    Samples(u32),
}

/// A token with the logarithm of its probability.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) logprob: f64,
}

/// The figure of an answer by its tokens. `arguments` are the texts of the arguments as the server gave them.
pub(super) fn of_tokens(tokens: &[Token], arguments: &[String]) -> Option<f64> {
    let mut text = String::new();
    let places: Vec<(usize, usize)> = tokens
        .iter()
        .map(|token| {
            let from = text.len();
            text += &token.text;
            (from, text.len())
        })
        .collect();
    let (mut spans, mut after) = (Vec::new(), 0);
    for argument in arguments.iter().filter(|argument| !argument.is_empty()) {
        let found = text.get(after..).and_then(|rest| rest.find(argument.as_str()));
        if let Some(at) = found {
            spans.push((after + at, after + at + argument.len()));
            after += at + argument.len();
        }
    }
    // Where the arguments do not stand among the tokens as they are, all tokens count.
    let all = spans.is_empty() || spans.len() < arguments.len();
    let counts = |(from, to): &(usize, usize)| all || spans.iter().any(|(start, end)| from < end && start < to);
    let counted = tokens.iter().zip(&places).filter(|(_, place)| counts(place)).map(|(token, _)| token.logprob);
    let least = counted.reduce(f64::min).filter(|least| !least.is_nan())?;
    Some(1.0 - least.exp().clamp(0.0, 1.0))
}

/// The figure of an answer by further answers to the same question.
pub(super) fn of_samples(first: &Answer, others: &[Answer]) -> Option<f64> {
    let differ = others.iter().filter(|other| !agrees(first, other)).count();
    (!others.is_empty()).then(|| differ as f64 / others.len() as f64)
}

fn agrees(one: &Answer, other: &Answer) -> bool {
    if one.calls.is_empty() && other.calls.is_empty() {
        return one.text.trim() == other.text.trim();
    }
    let calls = |answer: &Answer| {
        let call = |call: &super::answer::ToolCall| (call.name.clone(), Value::Object(call.arguments.clone()));
        answer.calls.iter().map(call).collect::<Vec<_>>()
    };
    calls(one) == calls(other)
}

/// The figure with four digits after the point, as policies read it. It is rounded up, because a smaller figure could
/// clear a call.
pub(super) fn rounded(figure: f64) -> f64 {
    /// What floating-point numbers add by themselves.
    const NOISE: f64 = 1e-6;
    // The sum makes a negative zero positive.
    (figure * 10_000.0 - NOISE).ceil().clamp(0.0, 10_000.0) / 10_000.0 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(tokens: &[(&str, f64)], arguments: &[&str]) -> Option<f64> {
        let token = |(text, probability): &(&str, f64)| Token { text: (*text).into(), logprob: probability.ln() };
        let tokens: Vec<Token> = tokens.iter().map(token).collect();
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).into()).collect();
        of_tokens(&tokens, &arguments).map(rounded)
    }

    #[test]
    fn the_least_probable_token_of_the_arguments_counts() {
        let call = [("I", 0.1), (" pay", 0.2), ("{\"a\":", 0.99), ("12", 0.6), ("}", 1.0)];
        assert_eq!(figure(&call, &["{\"a\":12}"]), Some(0.4));
        // A token that is only partly in the arguments counts too.
        assert_eq!(figure(&[("x{", 0.5), ("}", 1.0)], &["{}"]), Some(0.5));
        // Without arguments, and where they stand there in another form, every token counts.
        assert_eq!(figure(&call, &[]), Some(0.9));
        assert_eq!(figure(&call, &["{\"a\": 12}"]), Some(0.9));
        let two = [("{1}", 0.9), (" ", 0.1), ("{1}", 0.7)];
        assert_eq!(figure(&two, &["{1}", "{1}"]), Some(0.3));
        for (tokens, expected) in [(&[][..], None), (&[("x", 0.0)], Some(1.0)), (&[("x", 2.0)], Some(0.0))] {
            assert_eq!(figure(tokens, &[]), expected);
        }
        assert_eq!(figure(&[("x", f64::NAN)], &[]), None);
    }

    #[test]
    fn a_figure_is_never_smaller_than_measured() {
        for (figure, expected) in [(0.0, 0.0), (0.00001, 0.0001), (0.5, 0.5), (0.33333, 0.3334), (1.0, 1.0)] {
            assert_eq!(rounded(figure), expected);
        }
    }
}
