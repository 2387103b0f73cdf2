//! How unsure a model was, as one figure from 0 to 1.
//!
//! Where the server gives the probability of each token, the figure is 1 minus the smallest probability of a token in the
//! names and arguments of the tool calls, or in the whole text if there are none: one doubtful digit makes an amount
//! doubtful, however sure the rest is. If a tool call does not stand among the tokens as the server wrote it, there is no
//! figure. Else the host asks several times, and the figure is the share of the further answers that ask for other tool
//! calls than the first, or have another text. An answer that could not be measured, or that was cut, has no figure.

use std::ops::Range;

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

/// The figure of an answer by its tokens. `calls` are the names of the tools with their arguments, as the server wrote
/// them.
pub(super) fn of_tokens(tokens: &[Token], calls: &[(String, String)]) -> Option<f64> {
    let text: String = tokens.iter().map(|token| token.text.as_str()).collect();
    let spans = spans(&text, calls)?;
    let (mut spans, mut from) = (spans.into_iter().peekable(), 0);
    let mut least: Option<f64> = None;
    for token in tokens {
        let to = from + token.text.len();
        while spans.next_if(|span| span.end <= from).is_some() {}
        if calls.is_empty() || spans.peek().is_some_and(|span| span.start < to) {
            if token.logprob.is_nan() {
                return None;
            }
            least = Some(least.map_or(token.logprob, |least| least.min(token.logprob)));
        }
        from = to;
    }
    Some(1.0 - least?.exp().clamp(0.0, 1.0))
}

/// Where the tool calls stand in the text, in order. They are searched from the end, because a text before them can
/// quote them.
fn spans(text: &str, calls: &[(String, String)]) -> Option<Vec<Range<usize>>> {
    let (mut spans, mut end) = (Vec::new(), text.len());
    for (name, arguments) in calls.iter().rev() {
        for part in [arguments, name].into_iter().filter(|part| !part.is_empty()) {
            let at = text.get(..end)?.rfind(part.as_str());
            match at {
                Some(at) => {
                    spans.push(at..at + part.len());
                    end = at;
                }
                // Some servers give the tokens of the arguments alone.
                None if part == name && !arguments.is_empty() => {}
                None => return None,
            }
        }
    }
    spans.reverse();
    Some(spans)
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

    fn figure(tokens: &[(&str, f64)], calls: &[(&str, &str)]) -> Option<f64> {
        let token = |(text, probability): &(&str, f64)| Token { text: (*text).into(), logprob: probability.ln() };
        let tokens: Vec<Token> = tokens.iter().map(token).collect();
        let calls: Vec<_> = calls.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        of_tokens(&tokens, &calls).map(rounded)
    }

    #[test]
    fn the_least_probable_token_of_the_arguments_counts() {
        let call = [("I", 0.1), (" pay", 0.8), ("{\"a\":", 0.99), ("12", 0.6), ("}", 1.0)];
        assert_eq!(figure(&call, &[("", "{\"a\":12}")]), Some(0.4));
        // A token that is only partly in the arguments counts too.
        assert_eq!(figure(&[("x{", 0.5), ("}", 1.0)], &[("", "{}")]), Some(0.5));
        // The name of the tool counts where it is given; without arguments it has to be.
        assert_eq!(figure(&[("pay", 0.5), ("{}", 1.0)], &[("pay", "{}")]), Some(0.5));
        assert_eq!(figure(&[("{}", 0.9)], &[("pay", "{}")]), Some(0.1));
        assert_eq!(figure(&[("pay", 0.5)], &[("pay", "")]), Some(0.5));
        // Without a tool call every token counts.
        assert_eq!(figure(&call, &[]), Some(0.9));
        let two = [("{1}", 0.9), (" ", 0.1), ("{1}", 0.7)];
        assert_eq!(figure(&two, &[("", "{1}"), ("", "{1}")]), Some(0.3));
        for (tokens, expected) in [(&[][..], None), (&[("x", 0.0)], Some(1.0)), (&[("x", 2.0)], Some(0.0))] {
            assert_eq!(figure(tokens, &[]), expected);
        }
        assert_eq!(figure(&[("x", f64::NAN)], &[]), None);
    }

    /// A sure text before a tool call says nothing about the call.
    #[test]
    fn what_was_not_measured_is_not_sure() {
        let text = [("Ok.", 0.999)];
        for call in [("pay", "{\"a\":1}"), ("pay", ""), ("", "{}")] {
            assert_eq!(figure(&text, &[call]), None, "{call:?}");
        }
        // Another spelling, and one of two calls.
        assert_eq!(figure(&[("{\"a\":1}", 0.9)], &[("", "{\"a\": 1}")]), None);
        assert_eq!(figure(&[("{1}", 0.9)], &[("", "{1}"), ("", "{1}")]), None);
        // A text that quotes the arguments surely, before the unsure call.
        let quoted = [("{\"a\":1}", 0.999), ("pay", 1.0), ("{\"a\":1}", 0.05)];
        assert_eq!(figure(&quoted, &[("pay", "{\"a\":1}")]), Some(0.95));
    }

    /// As many calls and tokens as a reply can have are matched in one pass.
    #[test]
    fn many_calls_are_matched_in_one_pass() {
        let tokens = vec![("{1}", 0.9); 200_000];
        let calls = vec![("", "{1}"); 200_000];
        assert_eq!(figure(&tokens, &calls), Some(0.1));
    }

    #[test]
    fn a_figure_is_never_smaller_than_measured() {
        for (figure, expected) in [(0.0, 0.0), (0.00001, 0.0001), (0.5, 0.5), (0.33333, 0.3334), (1.0, 1.0)] {
            assert_eq!(rounded(figure), expected);
        }
    }
}
