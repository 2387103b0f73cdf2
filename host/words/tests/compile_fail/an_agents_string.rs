use holdshort_words::{Sentence, say};

fn sentence(payee: &str) -> Sentence {
    say!("pay {}", payee.to_owned())
}

fn main() {
    drop(sentence("Globex"));
}
