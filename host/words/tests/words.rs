//! Whatever foreign words a sentence contains, the host's own part of the sentence does not change.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use holdshort_words::{Piece, Sentence, pieces, quote, quote_start, say};
use icu_properties::CodePointSetData;
use icu_properties::props::QuotationMark;
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

/// Everything that looks like a double quotation mark is escaped in a quotation, whether it is one character or a
/// combination of two. The test finds such characters by Unicode's properties and by their names.
#[test]
fn whatever_looks_like_the_end_of_a_quotation_is_escaped() {
    let is_escaped = |words: &str| Sentence::from(quote(words)).as_str().chars().filter(|c| *c == '\\').count();
    // Characters found by name: double quotation marks, primes, accents, apostrophes, commas and ditto marks. The
    // characters that look like single marks follow.
    let double = "\u{2ba}\u{2dd}\u{2ee}\u{2f5}\u{2f6}\u{5f4}\u{1425}\u{1cd3}\u{201c}\u{201d}\u{201e}\u{201f}\u{2033}\u{2034}\u{2036}\u{2037}\
                  \u{2057}\u{275d}\u{275e}\u{2760}\u{2e42}\u{2e49}\u{3003}\u{301d}\u{301e}\u{301f}\u{ff02}\u{1145a}\u{1f676}\u{1f677}\u{1f678}\"";
    let single = "\u{2b9}\u{2bb}\u{2bc}\u{2bd}\u{2c8}\u{2ca}\u{55a}\u{5f3}\u{7f4}\u{7f5}\u{2018}\u{2019}\u{201a}\u{201b}\u{2032}\u{2035}\u{275b}\
                  \u{275c}\u{275f}\u{a78c}\u{ff07}'`´";
    for c in double.chars() {
        assert_eq!(is_escaped(&format!("a{c}b")), 1, "{c:?} U+{:04X}", u32::from(c));
    }
    for first in single.chars() {
        assert_eq!(is_escaped(&format!("a{first}b")), 0, "{first:?} alone is an apostrophe");
        for second in single.chars() {
            assert_eq!(is_escaped(&format!("a{first}{second}b")), 1, "{first:?} {second:?}");
        }
    }
    // Characters found by property, over all of Unicode: only those that look like a bracket or an arrow are not
    // escaped.
    let marks = CodePointSetData::new::<QuotationMark>();
    let stay: String =
        ('\0'..=char::MAX).filter(|c| marks.contains(*c) && is_escaped(&format!("{c}{c}")) == 0).collect();
    assert_eq!(stay, "«»‹›「」『』﹁﹂﹃﹄｢｣");
    // Letters are not escaped, except a few that are drawn as a single stroke.
    let letters = ('\0'..=char::MAX).filter(|c| c.is_alphabetic() && is_escaped(&format!("{c}{c}")) > 0);
    assert!(letters.count() < 40, "letters of some script are escaped");
}

/// Code that would put foreign words into a sentence unquoted does not compile.
#[test]
fn unquoted_words_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
