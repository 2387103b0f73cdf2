//! Compares the agent's claims with the facts that the host found, and reports contradictions.
//!
//! The rules are simple searches for words. They read the rationale and the release notes sentence by sentence. A
//! reported contradiction hides nothing, and a call without contradictions is not cleared for that reason. A report
//! names the position of the claim and does not repeat the agent's words.

use std::borrow::Cow;
use std::fmt;

use holdshort_gate::Proposal;
use serde_json::Value;

use super::visible;
use holdshort_words::{HostText, Sentence, quote, say};

/// A report names at most this many commits or domains. It says how many others there are.
const NAMED_MAX: usize = 5;
/// An agent that states a higher confidence than this claims to be sure.
const SURE: f64 = 0.5;

/// A contradiction between a claim and the facts, in the host's words. The text is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The position of the claim, such as `rationale.summary`.
    pub place: String,
    /// The claim, and the fact that contradicts it.
    pub text: Sentence,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, visible::line(self.text.as_str()))
    }
}

/// Finds the contradictions in a proposal. A kind of contradiction is reported once, at its first position.
pub fn differences(proposal: &Proposal) -> Vec<Difference> {
    let same = proposal.same_effect_calls().map(|other| Difference {
        place: "the same call".into(),
        text: say!("waits as {}: if both are approved, the effect happens twice", Plain::of(&other.id.to_string())),
    });
    same.chain(between(proposal.action.arguments(), &proposal.facts)).collect()
}

fn between(arguments: &Value, facts: &Value) -> Vec<Difference> {
    let claims = Claims::of(arguments);
    let found = [
        checks(&claims, facts),
        confidence(arguments, facts),
        left_out(arguments, facts),
        not_among(arguments, facts),
        first_payment(&claims, facts),
        outside_account(&claims, facts),
        outside_domains(&claims, facts),
    ];
    found.into_iter().flatten().collect()
}

/// The agent's sentences with their positions. Each sentence is in lower case, with one space
/// around each word.
struct Claims(Vec<(String, String)>);

impl Claims {
    fn of(arguments: &Value) -> Self {
        let mut sentences = Vec::new();
        let mut add = |place: String, text: &str| {
            sentences.extend(self::sentences(text).map(|sentence| (place.clone(), plain(sentence))));
        };
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(rationale) = arguments.get("rationale") {
            add("rationale.summary".into(), &text(rationale, "summary"));
            let exhibits = rationale.get("exhibits").and_then(Value::as_array);
            for (index, exhibit) in exhibits.into_iter().flatten().enumerate() {
                // The title comes before the text, because the title can be the subject of the text's sentence:
                // "tests", "12 passed".
                let whole = format!("{}: {}", text(exhibit, "title"), text(exhibit, "text"));
                add(format!("rationale.exhibits[{index}]"), &whole);
            }
        }
        add("release.notes".into(), notes(arguments).unwrap_or_default());
        Self(sentences)
    }

    /// The position of the first sentence that has a phrase of `host_text`, has no phrase of `unless`, and
    /// is not negated.
    fn find(&self, host_text: &[&str], unless: &[&str]) -> Option<String> {
        let says = |sentence: &str| has(sentence, host_text) && !has(sentence, unless) && !has(sentence, NOT);
        self.0.iter().find(|(_, sentence)| says(sentence)).map(|(place, _)| place.clone())
    }
}

/// Words that negate a sentence.
const NOT: &[&str] = &[
    "not", "no", "never", "without", "cannot", "cant", "isnt", "arent", "wasnt", "werent", "dont", "doesnt", "didnt",
    "havent", "hasnt",
];
/// Words that make a sentence a wish or a condition, and so no claim.
const WISH: &[&str] =
    &["if", "when", "once", "until", "unless", "should", "must", "will", "make", "makes", "whether", "please"];
const FAILED: &[&str] = &["fail", "fails", "failed", "failing", "failure", "failures", "red", "broken"];
const CHECKS: &[&str] = &["test", "tests", "check", "checks", "ci", "suite", "build", "pipeline"];
const PASSED: &[&str] = &["pass", "passes", "passed", "passing", "green", "succeeded", "succeed", "succeeds", "ok"];
const NO_FAILURE: &[&str] =
    &["0 failed", "0 failures", "0 errors", "no failures", "no errors", "none failed", "without failures"];
const PAID_BEFORE: &[&str] = &[
    "paid before",
    "paid them before",
    "paid in the past",
    "previous payment",
    "previous payments",
    "earlier payments",
    "recurring",
    "as every month",
    "as last month",
    "like last month",
    "as usual",
    "known payee",
    "known supplier",
    "known vendor",
    "existing payee",
    "existing supplier",
    "existing vendor",
    "regular payee",
    "regular supplier",
    "regular vendor",
    "usual supplier",
    "usual vendor",
];
const OWN_ACCOUNTS: &[&str] =
    &["own account", "own accounts", "our accounts", "internal transfer", "between accounts of ours"];
const INSIDE: &[&str] =
    &["internal", "internally", "in house", "inhouse", "only colleagues", "within the company", "inside the company"];

/// The agent claims that checks passed, but a check that the host ran failed, or the host ran none.
fn checks(claims: &Claims, facts: &Value) -> Option<Difference> {
    let checks = facts.get("checks")?.as_array()?;
    let failed = failed(checks);
    if failed.is_empty() && !checks.is_empty() {
        return None;
    }
    let says = |sentence: &str| {
        let calm = NO_FAILURE.iter().fold(sentence.to_owned(), |text, calm| text.replace(&format!(" {calm} "), " "));
        has(&calm, CHECKS) && has(&calm, PASSED) && ![NOT, WISH, FAILED].iter().any(|words| has(&calm, words))
    };
    let place = claims.0.iter().find(|(_, sentence)| says(sentence)).map(|(place, _)| place.clone())?;
    let others = facts.get("checks-on-other-commits").and_then(Value::as_u64).unwrap_or(0);
    let found = match (failed.is_empty(), others) {
        (false, _) => say!("on this host {}", Sentence::join(failed, ", ")),
        (true, 0) => say!("this host ran no checks for this run"),
        (true, _) => say!("this host ran checks only on another commit, not on the commit that would be deployed"),
    };
    Some(Difference { place, text: say!("says that checks passed, but {}", found) })
}

/// The name of each failed check. If the check ran several times, it also says how often it failed.
fn failed(checks: &[Value]) -> Vec<Sentence> {
    let failed = |check: &Value| {
        let count = |name: &str| check.get(name).and_then(Value::as_u64).unwrap_or(0);
        let (runs, failures, passed) = (count("runs"), count("failures"), check.get("passed")?.as_bool()?);
        let name = quote(check.get("name")?.as_str()?);
        match (passed, failures) {
            (true, 0) => None,
            (false, _) if runs <= 1 => Some(say!("{} failed", name)),
            _ => Some(say!("{} failed {} of {} times", name, failures, runs)),
        }
    };
    checks.iter().filter_map(failed).collect()
}

/// The agent claims to be sure, although the last run of a check failed.
fn confidence(arguments: &Value, facts: &Value) -> Option<Difference> {
    let sure = arguments.get("rationale")?.get("confidence")?.as_f64()?;
    let still_fails = |check: &&Value| check.get("passed") == Some(&Value::Bool(false));
    let failing = facts.get("checks")?.as_array()?.iter().filter(still_fails).count();
    (sure > SURE && failing > 0).then(|| Difference {
        place: "rationale.confidence".into(),
        text: say!(
            "is {} %, but {} of the checks that this host ran on this commit failed",
            Plain::of(&format!("{:.0}", sure * 100.0)),
            failing,
        ),
    })
}

/// The release notes name some commits of the deployment and leave out others. Merge commits do not count. Notes that
/// name no commit at all are prose and are not compared.
fn left_out(arguments: &Value, facts: &Value) -> Option<Difference> {
    let notes = notes(arguments)?;
    let (words, ids) = (plain(notes), ids(notes));
    let commits = commits(facts);
    let is_named = |(id, subject): &(&str, &str)| {
        ids.iter().any(|short| id.starts_with(short)) || subjects(subject).iter().any(|subject| words.contains(subject))
    };
    let (named, missing): (Vec<_>, Vec<_>) = commits.iter().partition(|commit| is_named(commit));
    let missing: Vec<_> = missing.into_iter().filter(|(_, subject)| !subject.starts_with("Merge ")).collect();
    let host_text = has(&words, &[&format!("and {} more", missing.len())]);
    if named.is_empty() || missing.is_empty() || host_text {
        return None;
    }
    let short = |id: &str| Plain::of(&id.chars().take(12).collect::<String>());
    let each = missing.iter().map(|(id, subject)| say!("{} {}", short(id), quote(subject)));
    let text = say!("leaves out {} of {} commits: {}", missing.len(), commits.len(), some(each));
    Some(Difference { place: "release.notes".into(), text })
}

/// The release notes name a commit that the deployment does not contain.
fn not_among(arguments: &Value, facts: &Value) -> Option<Difference> {
    let commits = commits(facts);
    // If the list of commits is incomplete, no commit can be called unknown.
    if facts.get("commit-count")?.as_u64()? != commits.len() as u64 {
        return None;
    }
    let tips = ["old-commit", "new-commit"].map(|name| facts.get(name).and_then(Value::as_str).unwrap_or_default());
    let known: Vec<&str> = commits.iter().map(|(id, _)| *id).chain(tips).collect();
    let mut odd = ids(notes(arguments)?);
    odd.retain(|short| !known.iter().any(|id| id.starts_with(short)));
    let odd_ones = some(odd.iter().map(|id| say!("{}", Plain::of(id))));
    let text = say!("names commits that are not part of this deployment: {}", odd_ones);
    (!odd.is_empty()).then(|| Difference { place: "release.notes".into(), text })
}

/// The agent claims that the payee is known, but no payment to the payee is on record.
fn first_payment(claims: &Claims, facts: &Value) -> Option<Difference> {
    let is_first = is(facts, "first-payment", true) && is(facts, "own-account", false);
    let place = claims.find(PAID_BEFORE, &["new", "first", "unknown"]).filter(|_| is_first)?;
    Some(Difference { place, text: say!("says that the payee is known, but the ledger has no payment to this payee") })
}

/// The agent claims that the account is the operator's own, but it is not.
fn outside_account(claims: &Claims, facts: &Value) -> Option<Difference> {
    let place = claims.find(OWN_ACCOUNTS, &["outside", "external"]).filter(|_| is(facts, "own-account", false))?;
    Some(Difference {
        place,
        text: say!("says that the money stays in your own accounts, but the payee is not one of your accounts"),
    })
}

/// The agent claims that the message stays inside the company, but a recipient is outside.
fn outside_domains(claims: &Claims, facts: &Value) -> Option<Difference> {
    let domains = facts.get("outside-domains")?.as_array().filter(|domains| !domains.is_empty())?;
    let place = claims.find(INSIDE, &["outside", "external", "externally"])?;
    let names = some(domains.iter().filter_map(Value::as_str).map(|domain| say!("{}", Plain::of(domain))));
    Some(Difference { place, text: say!("says that the message stays inside, but the message goes to {}", names) })
}

fn is(facts: &Value, name: &str, value: bool) -> bool {
    facts.get(name) == Some(&Value::Bool(value))
}

fn notes(arguments: &Value) -> Option<&str> {
    arguments.get("release")?.get("notes")?.as_str()
}

/// The id and the subject of each commit in the facts.
fn commits(facts: &Value) -> Vec<(&str, &str)> {
    let commits = facts.get("commits").and_then(Value::as_array).into_iter().flatten();
    commits.filter_map(|commit| Some((commit.get("id")?.as_str()?, commit.get("subject")?.as_str()?))).collect()
}

/// The spellings of a commit's subject that release notes may use: the complete subject, the subject without the number
/// of the pull request, and also without the prefix (`fix: `).
fn subjects(subject: &str) -> Vec<String> {
    let bare = subject.rfind(" (#").map_or(subject, |at| subject.get(..at).unwrap_or(subject));
    let kind = bare.split_once(": ").filter(|(kind, _)| !kind.contains(' ')).map(|(_, rest)| rest);
    let spelled = [Some(subject), Some(bare), kind].into_iter().flatten().map(plain);
    spelled.filter(|words| words.trim() != "").collect()
}

/// Finds the words that are probably a commit's id or the beginning of an id: at least seven hexadecimal digits, with
/// both letters and numerals.
fn ids(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'));
    let is_id = |word: &&str| {
        (7..=64).contains(&word.len())
            && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    words.filter(is_id).map(str::to_owned).collect()
}

/// Splits a text into sentences. A full stop ends a sentence only before a space, so version numbers and host
/// names stay whole.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', ';', '!', '?']).flat_map(|line| line.split(". "))
}

/// A text as its words in lower case, with one space before and after each word. `didn't` is one word.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase().replace(['\'', '’'], "");
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |text, word| text + word + " ")
}

/// Whether a normalised text contains one of the words or phrases.
fn has(plain: &str, words: &[&str]) -> bool {
    words.iter().any(|word| plain.contains(&format!(" {word} ")))
}

/// A number, a commit's id or a host name, for a sentence of the host without quotation marks. It keeps only ASCII
/// letters, digits, `.` and `-`.
pub(super) struct Plain(String);

impl Plain {
    pub(super) fn of(text: &str) -> Self {
        Self(text.chars().filter(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect())
    }
}

impl HostText for Plain {
    fn host_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }
}

/// Joins the first items into one sentence, which also says how many others there are.
fn some(all: impl Iterator<Item = Sentence>) -> Sentence {
    let mut all: Vec<Sentence> = all.collect();
    let more = all.len().saturating_sub(NAMED_MAX);
    all.truncate(NAMED_MAX);
    all.extend((more > 0).then(|| say!("and {} more", more)));
    Sentence::join(all, ", ")
}

#[cfg(test)]
mod tests;
