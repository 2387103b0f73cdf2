use holdshort_words::{Sentence, say};

fn sentence(payee: &str) -> Sentence {
    say!("pay {}", format!("to {payee}"))
}

fn main() {
    drop(sentence("Globex"));
}
