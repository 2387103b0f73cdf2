//! Where what an agent claims does not fit what the host found out.
//!
//! The rules are few and plain: they look for words, sentence by sentence, in the rationale and in release notes. What they find is pointed out and
//! hides nothing; that they find nothing says nothing, so it is never a reason to clear. The agent's words are not repeated here, only where they stand.
//!
//! **Invariant:** A difference is a sentence of the host's that names the place of a claim and never repeats it, so no agent writes in the part
//! of the page that people read first. The rules are plain and without a model, so tests can hold what they find; none of them clears a call.

use std::borrow::Cow;
use std::fmt;

use holdshort_gate::Proposal;
use serde_json::Value;

use super::visible;
use holdshort_words::{Said, Sentence, quote, say};

/// How many commits or domains are named; how many there are is said.
const NAMED_MAX: usize = 5;
/// Above it an agent says that it is rather sure than not.
const SURE: f64 = 0.5;

/// A claim and what the host found instead, in the host's words. Its text is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where the claim stands, as `rationale.summary`.
    pub place: String,
    /// What is claimed there, and what was found.
    pub text: Sentence,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, visible::line(self.text.as_str()))
    }
}

/// Every difference between the agent's claims and the facts of a proposal, each kind once, at the first place where it is.
pub fn differences(proposal: &Proposal) -> Vec<Difference> {
    let same = proposal.same_beside().map(|other| Difference {
        place: "the same call".into(),
        text: say!("waits as {}: this would do it once more", Plain::of(&other.id.to_string())),
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

/// What the agent says in its own words: sentences, each with its place, in plain lower-case words between single spaces.
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
                // A title says what its text is about: "tests", "12 passed".
                let whole = format!("{}: {}", text(exhibit, "title"), text(exhibit, "text"));
                add(format!("rationale.exhibits[{index}]"), &whole);
            }
        }
        add("release.notes".into(), notes(arguments).unwrap_or_default());
        Self(sentences)
    }

    /// The place of the first sentence that says one of `said` and none of `unless`.
    fn find(&self, said: &[&str], unless: &[&str]) -> Option<String> {
        let says = |sentence: &str| has(sentence, said) && !has(sentence, unless) && !has(sentence, NOT);
        self.0.iter().find(|(_, sentence)| says(sentence)).map(|(place, _)| place.clone())
    }
}

/// Words that turn a sentence round.
const NOT: &[&str] = &[
    "not", "no", "never", "without", "cannot", "cant", "isnt", "arent", "wasnt", "werent", "dont", "doesnt", "didnt",
    "havent", "hasnt",
];
/// Words that make a wish or a condition of it.
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

/// Says that checks passed where the host's own failed, or where it ran none.
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
        (false, _) => say!("where this host ran them, {}", Sentence::join(failed, ", ")),
        (true, 0) => say!("this host ran none for this run"),
        (true, _) => say!("this host ran none on the commit that would be deployed, only on another"),
    };
    Some(Difference { place, text: say!("says that checks passed; {}", found) })
}

/// Each check that failed, and how often if it was run again.
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

/// Is sure beside a check whose last report is that it failed.
fn confidence(arguments: &Value, facts: &Value) -> Option<Difference> {
    let sure = arguments.get("rationale")?.get("confidence")?.as_f64()?;
    let still_fails = |check: &&Value| check.get("passed") == Some(&Value::Bool(false));
    let failing = facts.get("checks")?.as_array()?.iter().filter(still_fails).count();
    (sure > SURE && failing > 0).then(|| Difference {
        place: "rationale.confidence".into(),
        text: say!(
            "is {} %; {} of the checks that this host ran on this commit failed",
            Plain::of(&format!("{:.0}", sure * 100.0)),
            failing,
        ),
    })
}

/// Notes that name commits, but not all of them. Merges are no change of their own, and notes that name none are prose.
fn left_out(arguments: &Value, facts: &Value) -> Option<Difference> {
    let notes = notes(arguments)?;
    let (words, ids) = (plain(notes), ids(notes));
    let commits = commits(facts);
    let is_named = |(id, subject): &(&str, &str)| {
        ids.iter().any(|short| id.starts_with(short)) || subjects(subject).iter().any(|subject| words.contains(subject))
    };
    let (named, missing): (Vec<_>, Vec<_>) = commits.iter().partition(|commit| is_named(commit));
    let missing: Vec<_> = missing.into_iter().filter(|(_, subject)| !subject.starts_with("Merge ")).collect();
    let said = has(&words, &[&format!("and {} more", missing.len())]);
    if named.is_empty() || missing.is_empty() || said {
        return None;
    }
    let short = |id: &str| Plain::of(&id.chars().take(12).collect::<String>());
    let each = missing.iter().map(|(id, subject)| say!("{} {}", short(id), quote(subject)));
    let text = say!("leaves out {} of {} commits: {}", missing.len(), commits.len(), some(each));
    Some(Difference { place: "release.notes".into(), text })
}

/// Notes that name a commit which would not be deployed.
fn not_among(arguments: &Value, facts: &Value) -> Option<Difference> {
    let commits = commits(facts);
    // Where not all commits are known it cannot be told.
    if facts.get("commit-count")?.as_u64()? != commits.len() as u64 {
        return None;
    }
    let tips = ["old-commit", "new-commit"].map(|name| facts.get(name).and_then(Value::as_str).unwrap_or_default());
    let known: Vec<&str> = commits.iter().map(|(id, _)| *id).chain(tips).collect();
    let mut odd = ids(notes(arguments)?);
    odd.retain(|short| !known.iter().any(|id| id.starts_with(short)));
    let odd_ones = some(odd.iter().map(|id| say!("{}", Plain::of(id))));
    let text = say!("names {}, which would not come with this deployment", odd_ones);
    (!odd.is_empty()).then(|| Difference { place: "release.notes".into(), text })
}

/// Says that the payee is known, and it was never paid.
fn first_payment(claims: &Claims, facts: &Value) -> Option<Difference> {
    let is_first = is(facts, "first-payment", true) && is(facts, "own-account", false);
    let place = claims.find(PAID_BEFORE, &["new", "first", "unknown"]).filter(|_| is_first)?;
    Some(Difference { place, text: say!("says that the payee is known; the ledger has no payment to it") })
}

/// Says that the money stays in the house, and it leaves it.
fn outside_account(claims: &Claims, facts: &Value) -> Option<Difference> {
    let place = claims.find(OWN_ACCOUNTS, &["outside", "external"]).filter(|_| is(facts, "own-account", false))?;
    Some(Difference { place, text: say!("says that the money stays in own accounts; the payee is outside") })
}

/// Says that the message stays inside, and it does not.
fn outside_domains(claims: &Claims, facts: &Value) -> Option<Difference> {
    let domains = facts.get("outside-domains")?.as_array().filter(|domains| !domains.is_empty())?;
    let place = claims.find(INSIDE, &["outside", "external", "externally"])?;
    let names = some(domains.iter().filter_map(Value::as_str).map(|domain| say!("{}", Plain::of(domain))));
    Some(Difference { place, text: say!("says that it stays inside; it goes to {}", names) })
}

fn is(facts: &Value, name: &str, value: bool) -> bool {
    facts.get(name) == Some(&Value::Bool(value))
}

fn notes(arguments: &Value) -> Option<&str> {
    arguments.get("release")?.get("notes")?.as_str()
}

/// Id and subject of the commits that are named in the facts.
fn commits(facts: &Value) -> Vec<(&str, &str)> {
    let commits = facts.get("commits").and_then(Value::as_array).into_iter().flatten();
    commits.filter_map(|commit| Some((commit.get("id")?.as_str()?, commit.get("subject")?.as_str()?))).collect()
}

/// The spellings of a subject that notes use: whole, without the number of its pull request, without its kind (`fix: `).
fn subjects(subject: &str) -> Vec<String> {
    let bare = subject.rfind(" (#").map_or(subject, |at| subject.get(..at).unwrap_or(subject));
    let kind = bare.split_once(": ").filter(|(kind, _)| !kind.contains(' ')).map(|(_, rest)| rest);
    let spelled = [Some(subject), Some(bare), kind].into_iter().flatten().map(plain);
    spelled.filter(|words| words.trim() != "").collect()
}

/// What can only be the id of a commit, or its beginning: at least seven hexadecimal digits, letters and numerals among them.
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

/// A full stop ends a sentence only before a space, so that versions and hosts stay whole.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', ';', '!', '?']).flat_map(|line| line.split(". "))
}

/// Lower-case words with a single space around each; `didn't` is one word.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase().replace(['\'', '’'], "");
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |text, word| text + word + " ")
}

/// Whether plain text has one of these words or phrases.
fn has(plain: &str, words: &[&str]) -> bool {
    words.iter().any(|word| plain.contains(&format!(" {word} ")))
}

/// A number, an id or a host: letters and digits of ASCII with `.` and `-`. Any other character is left out.
pub(super) struct Plain(String);

impl Plain {
    pub(super) fn of(text: &str) -> Self {
        Self(text.chars().filter(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect())
    }
}

impl Said for Plain {
    fn said(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }
}

/// The first few of many, and how many more there are.
fn some(all: impl Iterator<Item = Sentence>) -> Sentence {
    let mut all: Vec<Sentence> = all.collect();
    let more = all.len().saturating_sub(NAMED_MAX);
    all.truncate(NAMED_MAX);
    all.extend((more > 0).then(|| say!("and {} more", more)));
    Sentence::join(all, ", ")
}

#[cfg(test)]
mod tests;
