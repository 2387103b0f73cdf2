//! Gaps in the host's own evidence: changes that a diff cannot show, and history that is missing in
//! an incomplete repository.
//!
//! A gap is reported as a warning, like a contradicted claim. Otherwise a reviewer could approve a change without
//! noticing that no evidence shows it.

use serde_json::Value;

use super::differences::{Difference, Plain};
use holdshort_words::{Sentence, say};

/// Lists the gaps, from the facts of a proposal.
pub(super) fn evidence_gaps(facts: &Value) -> Vec<Difference> {
    [no_diff(facts), not_shown(facts), history(facts)].into_iter().flatten().collect()
}

/// There is no diff, because the current commit of the deployment's target is unknown.
fn no_diff(facts: &Value) -> Option<Difference> {
    let is_deployment = facts.get("old-commit") == Some(&Value::Null) && facts.get("new-commit").is_some();
    let text = say!("is not shown: the target's current commit is unknown, so there is nothing to compare with");
    let is_missing = is_deployment && facts.get("files-changed").is_none();
    is_missing.then(|| Difference { place: "the diff".into(), text })
}

/// The diff omits lines of some files.
fn not_shown(facts: &Value) -> Option<Difference> {
    let count = |name: &str| facts.get(name).and_then(Value::as_u64);
    let not_shown = count("files-not-shown").filter(|count| *count > 0)?;
    let of = count("files-changed").map(|all| say!(" of {}", all)).unwrap_or_default();
    let kinds = facts.get("kinds-not-shown").and_then(Value::as_array).into_iter().flatten();
    let kinds = kinds.filter_map(Value::as_str).map(|kind| say!("{}", Plain::of(kind)));
    let files = if not_shown == 1 && of.is_empty() { "file" } else { "files" };
    let kinds = Sentence::join(kinds, ", ");
    let text = say!(
        "does not show {}{} {} in full ({}): the evidence names each file and the reason",
        not_shown,
        of,
        files,
        kinds
    );
    Some(Difference { place: "the diff".into(), text })
}

/// The deployment may add or remove commits that the host cannot list.
fn history(facts: &Value) -> Option<Difference> {
    let is_unknown = facts.get("history-known") == Some(&Value::Bool(false));
    let text =
        say!("is not known: the repository is a shallow clone and lacks commits that this deployment may add or lose");
    is_unknown.then(|| Difference { place: "the history".into(), text })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_evidence_leaves_open_is_pointed_out() {
        let told = |facts: Value| evidence_gaps(&facts).iter().map(ToString::to_string).collect::<Vec<_>>();
        let none = "the diff is not shown: the target's current commit is unknown, so there is nothing to compare with";
        assert_eq!(told(json!({"old-commit": null, "new-commit": "1"})), [none]);
        let new = json!({"old-commit": null, "new-commit": "1", "files-changed": 1});
        let again = json!({"old-commit": "1", "new-commit": "1"});
        for whole in
            [new, again, json!(null), json!({"files-not-shown": 0, "kinds-not-shown": [], "history-known": true})]
        {
            assert_eq!(told(whole), [""; 0]);
        }
        let facts = json!({"files-changed": 5, "files-not-shown": 2, "kinds-not-shown": ["binary", "rename\u{202e}"], "history-known": false});
        let expected = [
            "the diff does not show 2 of 5 files in full (binary, rename): the evidence names each file and the reason",
            "the history is not known: the repository is a shallow clone and lacks commits that this deployment may add or lose",
        ];
        assert_eq!(told(facts), expected);
    }
}
