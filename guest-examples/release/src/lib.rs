//! Releases a revision: runs the tests on it, writes release notes from its commits, and asks to deploy it.
//!
//! Task: `[Release] REVISION to TARGET`, such as `Release main to production`. What is left out is `main` and `production`.
//! The target's present state is read from the branch that has the target's name.

// `generate!` turns the world `agent` of our WIT package into Rust: a module for every interface that can be imported,
// and a trait `Guest` with the functions that must be exported. What is not used does not end up in the component.
wit_bindgen::generate!({ world: "agent", path: "../../wit", additional_derives: [PartialEq] });

use holdshort::agent::checks;
use holdshort::agent::deployment::{self, DeployReceipt, Release};
use holdshort::agent::log::{self, Level};
use holdshort::agent::repository::{self, Commit};
use holdshort::agent::types::{ClaimedExhibit, Rationale, Refusal};

/// How often the agent proposes before it gives up. A reviewer who says no three times means it.
const PROPOSALS_MAX: u32 = 3;
/// How many commits the notes cover at most; with subjects cut to 72 characters they stay below the 64 KiB that a reviewer is asked to read.
const COMMITS_MAX: u32 = 100;
/// How many commits short notes name.
const SHORT_COMMITS: usize = 3;

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let (revision, target) = parse(&task)?;

        // A routine call: answered at once, and recorded in the journal, so that a replayed run sees the same report.
        let report = checks::run("tests", &revision)?;
        if !report.passed {
            let (status, tail) = (report.exit_status, report.output_tail.trim_end());
            return Err(format!("`tests` failed on {revision} with exit status {status}; not released:\n{tail}"));
        }
        // From here on only the commit that was tested counts: the branch may move while a person thinks.
        let commit = report.revision;

        let (commits, more, size) = changes(&target, &commit)?;
        if commits.is_empty() {
            return Ok(format!("nothing to release: {target} already has {revision} ({})", short(&commit)));
        }
        let title = format!("{revision} ({}) to {target}", short(&commit));
        let counts = |c: checks::Counts| format!("{} passed, {} failed, {} skipped", c.passed, c.failed, c.skipped);
        let (s, more) = (if commits.len() == 1 { "" } else { "s" }, if more { " or more" } else { "" });
        let waiting = format!("{} commit{s}{more}", commits.len());
        let claim = |title: &str, text| ClaimedExhibit { title: title.into(), text };
        let tests = report.counts.map_or("passed".into(), counts);
        let exhibits = vec![claim("tests", tests), claim("size of the diff", format!("{waiting}, {size}"))];

        let mut release = Release { target, revision: commit, notes: notes(&title, &commits, commits.len()) };
        let mut summary = format!("Release {title}: its tests pass, and {waiting} would go live.");
        let mut last = String::new();
        for proposal in 1..=PROPOSALS_MAX {
            let rationale = Rationale { summary, confidence: Some(0.9), exhibits: exhibits.clone() };
            // The consequential call. It may take days, during which this component is not even in memory; in the code it is a call.
            match deployment::deploy(&release, &rationale) {
                Ok(receipt) => return Ok(done(&release, &receipt)),
                // A reviewer said no and why. A changed proposal is a new call, which is reviewed anew.
                Err(Refusal::Rejected(guidance)) => {
                    log::log(Level::Info, &format!("proposal {proposal} was rejected: {guidance}"));
                    release.notes = revise(&title, &commits, &guidance);
                    summary = format!("Release {title}, with other notes, as a reviewer asked: {guidance:.1000}");
                    last = guidance;
                }
                Err(refusal) => return Err(format!("not released: {}", explain(&refusal))),
            }
        }
        Err(format!("not released: rejected {PROPOSALS_MAX} times, the last time with: {last}"))
    }
}

/// Reads the task: an optional verb, the revision, `to`, the target.
fn parse(task: &str) -> Result<(String, String), String> {
    let mut words: Vec<&str> = task.split_whitespace().collect();
    if words.first().is_some_and(|word| ["release", "deploy"].contains(&word.to_lowercase().as_str())) {
        words.remove(0);
    }
    let (revision, target) = match words[..] {
        [] => ("main", "production"),
        [revision] => (revision, "production"),
        ["to", target] => ("main", target),
        [revision, "to", target] => (revision, target),
        _ => return Err(format!("`{task}` is not a task for this agent; write `Release REVISION to TARGET`")),
    };
    Ok((revision.into(), target.into()))
}

/// What the commit has and the target has not: commits, whether there are more, and the diff's size. Without a branch it is the whole history.
fn changes(target: &str, commit: &str) -> Result<(Vec<Commit>, bool, String), String> {
    // In full, because a tag may have the name of the branch.
    let branch = format!("refs/heads/{target}");
    let log = |from, limit| repository::log(from, commit, limit).map(|found| (found.len() == limit as usize, found));
    // Where so many long messages are more than one answer holds, the newest is asked for.
    let newest = |from| log(from, COMMITS_MAX).or_else(|_| log(from, 1));
    let (more, commits) = newest(Some(&branch)).or_else(|why: String| {
        log::log(Level::Warn, &format!("no earlier release to compare with: {why}"));
        newest(None)
    })?;
    // The error for a diff that is too large says how large it is.
    let size = repository::diff(&branch, commit).map(|diff| format!("{} lines of diff", diff.lines().count()));
    Ok((commits, more, size.unwrap_or_else(|why| why)))
}

/// Release notes that name the first `count` commits, newest first.
fn notes(title: &str, commits: &[Commit], count: usize) -> String {
    let mut notes = format!("Release of {title}\n\n");
    for commit in commits.iter().take(count) {
        notes.push_str(&format!("- {:.72} ({})\n", commit.subject, short(&commit.id)));
    }
    match commits.len().saturating_sub(count) {
        0 => notes,
        more => notes + &format!("- and {more} more\n"),
    }
}

/// The notes again, as the guidance asks: shorter if it says so, and the guidance itself in them otherwise.
/// An agent with a language model would give it the guidance; this one knows two answers.
fn revise(title: &str, commits: &[Commit], guidance: &str) -> String {
    if ["short", "brief", "lines"].iter().any(|word| guidance.to_lowercase().contains(word)) {
        return notes(title, commits, SHORT_COMMITS);
    }
    format!("{}\nFrom review: {:.1000}\n", notes(title, commits, commits.len()), guidance.trim())
}

/// The receipt says what was really done, which a reviewer may have edited.
fn done(proposed: &Release, receipt: &DeployReceipt) -> String {
    let edited = if receipt.deployed == *proposed { "" } else { ", as edited in review" };
    let previous = receipt.previous.as_deref().map_or("nothing", short);
    format!("deployed {} to {} (before: {previous}){edited}", short(&receipt.commit), receipt.deployed.target)
}

/// Every way a consequential call can end without being done. Only `unresolved` leaves open whether it happened.
fn explain(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Rejected(guidance) => format!("a reviewer rejected it: {guidance}"),
        Refusal::Expired => "nobody decided in time".into(),
        Refusal::Cancelled => "it was cancelled".into(),
        Refusal::Forbidden(reason) => format!("not allowed: {reason}"),
        Refusal::Invalid(reason) => format!("it makes no sense: {reason}"),
        Refusal::Failed(reason) => format!("it was tried and failed: {reason}"),
        Refusal::Unresolved(reason) => format!("whether it happened is unknown: {reason}"),
    }
}

/// The first characters of a commit id.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
