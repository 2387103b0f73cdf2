//! The differences between two JSON values, listed by their position. Reviewers see them for an edit and for
//! a changed fact.

use serde_json::Value;

use super::outline;

/// One position at which two values differ.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueChange {
    /// The position of the difference, as in `message.to[2]`. The text is safe to show.
    pub place: String,
    /// The old value; `None` if the position is new.
    pub before: Option<Value>,
    /// The new value; `None` if the position is gone.
    pub after: Option<Value>,
}

/// Lists every difference. The list is empty exactly if the two values are equal.
pub fn changes(before: &Value, after: &Value) -> Vec<ValueChange> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

fn compare(place: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<ValueChange>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let added = after.keys().filter(|name| !before.contains_key(*name));
            for name in before.keys().chain(added) {
                let label = outline::key(name);
                let inner = if place.is_empty() { label } else { format!("{place}.{label}") };
                compare(&inner, before.get(name), after.get(name), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                compare(&format!("{place}[{index}]"), before.get(index), after.get(index), found);
            }
        }
        (None, None) => {}
        (before, after) => {
            let place = if place.is_empty() { "the whole value" } else { place };
            found.push(ValueChange { place: place.into(), before: before.cloned(), after: after.cloned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_difference_has_its_place() {
        let before = json!({"cc": null, "subject": "s", "to": ["a", "b"]});
        let after = json!({"bcc": [], "subject": "s", "to": ["a", "c", "d"]});
        let places: Vec<String> = changes(&before, &after).into_iter().map(|change| change.place).collect();
        assert_eq!(places, ["cc", "to[1]", "to[2]", "bcc"]);
        assert_eq!(changes(&before, &before), []);
        assert_eq!(changes(&json!(1), &json!("1"))[0].place, "the whole value");
    }
}
