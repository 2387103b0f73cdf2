//! The kinds of warnings and notes about a text.

/// The reason for a warning or a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The text contains invisible characters. They are shown as `<U+…>`.
    Hidden { count: usize },
    /// The text contains invisible characters, but only at positions where honest text has them, such as the joiner in
    /// an emoji. They are shown as `<U+…>`.
    Apart { count: usize },
    /// A word mixes letters of different scripts. This is common in words that imitate another word.
    MixedScripts {
        /// The word, in its visible form.
        word: String,
        /// The Unicode names of the scripts.
        scripts: Vec<&'static str>,
    },
    /// A word or an address looks like an ASCII text, but consists of other characters.
    LooksLike {
        /// The word, in its visible form.
        text: String,
        /// The text that it looks like, by the confusables of UTS #39.
        ascii: String,
    },
    /// The text contains digits of a script to which none of its letters belong. Some digits look like an ASCII digit
    /// of another value: the Bengali four looks like 8.
    Digits {
        /// The digits, in their visible form.
        digits: String,
    },
    /// The text mixes right-to-left letters with left-to-right letters or digits, so a reader may see its parts
    /// in another order.
    RightToLeft {
        /// The parts in the order in which they are stored, in their visible form.
        parts: Vec<String>,
    },
    /// A host name differs from the name that a network lookup would use.
    Host {
        /// The name as written, in its visible form.
        shown: String,
        /// The name in ASCII; `None` if no host can have the name.
        ascii: Option<String>,
    },
}
