//! A suggestion for a name that is unknown.

/// The known name most similar to `name`, if it is similar enough for a suggestion.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.replace('_', "-");
    let (begun, known): (Vec<&str>, Vec<&str>) = known.partition(|known| known.starts_with(&name));
    if let [one] = begun.as_slice() {
        return Some(one);
    }
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(&name, known), known));
    let (distance, known) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= 2.max(name.len() / 3)).then_some(known)
}
