use holdshort_words::{Sentence, say};

fn sentence(payee: &str) -> Sentence {
    say!(payee)
}

fn main() {
    drop(sentence("Globex"));
}
