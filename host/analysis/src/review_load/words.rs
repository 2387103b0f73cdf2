//! The figures as text for the page and the terminal.

use super::report::{CallFigures, DecisionFigures, LoadReport, RunFigures};

/// The verdicts with their shares.
pub fn judged(calls: &CallFigures) -> String {
    let CallFigures { cleared, held, refused, share_cleared, share_held, share_refused, .. } = calls;
    let each = [("cleared", cleared, share_cleared), ("held", held, share_held), ("refused", refused, share_refused)];
    let said = each.map(|(word, count, share)| match share {
        Some(share) => format!("{count} {word} ({})", per_cent(*share)),
        None => format!("{count} {word}"),
    });
    said.join(", ")
}

/// The ends of holds, without those that never occurred.
pub fn ends(calls: &CallFigures) -> String {
    let each = [
        (calls.approved, "approved"),
        (calls.rejected, "rejected"),
        (calls.edited, "edited"),
        (calls.answered, "answered"),
        (calls.expired, "expired"),
        (calls.cancelled, "cancelled"),
        (calls.not_started, "not started in time"),
        (calls.reheld, "held again after facts changed"),
        (calls.escalated, "escalated"),
    ];
    let said: Vec<String> =
        each.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if said.is_empty() { "none ended".into() } else { said.join(", ") }
}

/// The decisions, their speed, and the number of approvals that came too fast.
pub fn decided(decisions: &DecisionFigures) -> String {
    let DecisionFigures { approvals, rejections, edits, answers, .. } = decisions;
    let each = [(approvals, "approve"), (rejections, "reject"), (edits, "edit"), (answers, "respond")];
    let said: Vec<String> =
        each.iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if said.is_empty() {
        return "no decisions".into();
    }
    let mut text = said.join(", ") + &times(decisions).map(|times| format!("; {times}")).unwrap_or_default();
    if decisions.too_fast > 0 {
        text += &format!("; {} of {approvals} approvals came faster than the content can be read", decisions.too_fast);
    }
    text
}

/// The median and the 95th percentile, if there were decisions.
pub fn times(decisions: &DecisionFigures) -> Option<String> {
    let (median, p95) = (decisions.median_s?, decisions.p95_s?);
    Some(format!("median {}, p95 {}", span(median), span(p95)))
}

/// The figures of runs.
pub fn runs(runs: &RunFigures) -> String {
    let RunFigures { ended, held_per_run, held_most, never_held } = runs;
    match held_per_run {
        Some(mean) => format!(
            "{ended} ended; held calls per run: {mean:.2} on average, at most {held_most}; runs without held calls: {never_held}"
        ),
        None => "none ended".into(),
    }
}

/// A share in per cent.
pub fn per_cent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A duration with a unit that fits its size.
pub fn span(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1_000.0),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3_600.0 => format!("{:.1} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// How to read the figures.
pub const NOTES: &str = "Times run from the first request to a reviewer to the decision that ended a hold or a stage; they come from a histogram and are exact to 5 %. An approval counts as too fast if it came before a person can have read the new content, at 238 words of 6 bytes a minute.";

impl LoadReport {
    /// The figures in sections. Each section has a heading and rows, and each row a name and a text.
    pub fn rows(&self) -> Vec<(&'static str, Vec<(String, String)>)> {
        let calls = |rows: &[super::report::CallRow]| -> Vec<(String, String)> {
            let said = |calls: &CallFigures| {
                let rate = calls.approval_rate.map(|rate| format!("; approval rate {}", per_cent(rate)));
                let held = format!("{}; {}{}", judged(calls), ends(calls), rate.unwrap_or_default());
                let times = times(&calls.decisions).map(|times| format!("; {times}")).unwrap_or_default();
                let hasty = calls.decisions.too_fast;
                let hasty = if hasty > 0 {
                    format!("; {hasty} came faster than the content can be read")
                } else {
                    String::new()
                };
                held + &times + &hasty
            };
            rows.iter().map(|row| (row.name.clone(), said(&row.calls))).collect()
        };
        let people = |rows: &[super::report::PeopleRow]| -> Vec<(String, String)> {
            let name = |row: &super::report::PeopleRow| match &row.capability {
                Some(capability) => format!("{} on {capability}", row.name),
                None => row.name.clone(),
            };
            rows.iter().map(|row| (name(row), decided(&row.decisions))).collect()
        };
        vec![
            (
                "all",
                vec![
                    ("calls".to_owned(), judged(&self.calls)),
                    ("of those held".to_owned(), ends(&self.calls)),
                    ("people".to_owned(), decided(&self.calls.decisions)),
                    ("runs".to_owned(), runs(&self.runs)),
                ],
            ),
            ("by capability", calls(&self.by_capability)),
            ("by agent", calls(&self.by_agent)),
            ("by policy", calls(&self.by_policy)),
            ("by group", people(&self.by_group)),
            ("by group and capability", people(&self.by_group_and_capability)),
            ("by reviewer", people(&self.by_reviewer)),
        ]
    }
}
