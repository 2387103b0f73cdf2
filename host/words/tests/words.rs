//! Whatever somebody else's words are, the host's sentence around them is the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use holdshort_words::{Piece, Sentence, pieces, quote, quote_start, say};
use proptest::prelude::*;

fn host(sentence: &str) -> Vec<String> {
    pieces(sentence)
        .into_iter()
        .filter_map(|piece| matches!(piece, Piece::Host(_)).then(|| piece.to_string()))
        .collect()
}

proptest! {
    #[test]
    fn words_neither_end_their_quotation_nor_begin_a_line(words in "([\"'\\\\ ntr\n\r\t”“″‟ʺ''`’]|\\PC){0,24}", other in ".{0,9}") {
        let sentence = say!("pay {} to {}, paid {} times before", quote(&other), quote(&words), 3);
        let text = sentence.as_str();
        prop_assert_eq!(host(text), ["pay ", " to ", ", paid 3 times before"]);
        let read: Vec<String> = pieces(text).iter().map(Piece::text).collect();
        prop_assert_eq!(read.concat(), format!("pay {other} to {words}, paid 3 times before"));
        prop_assert!(!text.contains(['\n', '\r', '\t']) && !text.contains("  "), "{:?}", text);
        for max in 0..text.chars().count() {
            let start = holdshort_words::beginning(text, max);
            let cut = host(&start);
            let said = cut.concat().replace('…', "");
            prop_assert!("pay  to , paid 3 times before".starts_with(said.trim_end()), "{:?}", start);
        }
        let whole: String = pieces(text).iter().map(ToString::to_string).collect();
        prop_assert_eq!(whole, text);
    }
}

#[test]
fn a_quotation_reads_well_and_shows_what_looks_like_its_end() {
    for (words, quoted) in [
        ("ACME GmbH", r#""ACME GmbH""#),
        ("O'Neill & Söhne", r#""O'Neill & Söhne""#),
        ("C:\\x\ny", r#""C:\\x\ny""#),
        ("a\" b” c″ d'' e״ f’’", r#""a\" b\” c\″ d'\' e\״ f’\’""#),
        ("a   b", r#""a \ \ b""#),
    ] {
        assert_eq!(Sentence::from(quote(words)).as_str(), quoted);
    }
    assert_eq!(quote_start("abcdef", 4).as_str(), r#""abcd" and 2 more characters"#);
    assert_eq!(quote_start("abcd", 4).as_str(), r#""abcd""#);
    let lines = [say!("{}\n", quote("a\nb")), say!("{}: {}\n", "outside", 1_u64)];
    assert_eq!(lines.into_iter().sum::<Sentence>().as_str(), "\"a\\nb\"\noutside: 1\n");
    assert_eq!(pieces("no \"end"), [Piece::Host("no \"end")]);
}

/// What would bring somebody else's words into a sentence as they are does not compile.
#[test]
fn unquoted_words_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
