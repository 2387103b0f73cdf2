use holdshort_words::{Sentence, say};

fn sentence(payee: &str) -> Sentence {
    say!("pay {payee}")
}

fn main() {
    drop(sentence("Globex"));
}
