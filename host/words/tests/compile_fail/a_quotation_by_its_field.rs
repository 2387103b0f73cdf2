use holdshort_words::{Quoted, Sentence, say};

fn sentence(payee: &str) -> Sentence {
    say!("pay {}", Quoted(payee.to_owned()))
}

fn main() {
    drop(sentence("Globex"));
}
