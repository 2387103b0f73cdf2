use holdshort_words::Sentence;

fn sentence(payee: &str) -> Sentence {
    Sentence::from(payee.to_owned())
}

fn main() {
    drop(sentence("Globex"));
}
