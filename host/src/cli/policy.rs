//! `holdshort policy`: whether policies say what they should, before a call depends on it. What looks at recorded calls asks the host that has them;
//! the others need no host, and touch no journal.

mod backtest;
mod explain;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{Global, PolicyAction};
use super::client;
use super::exit::{Exit, Failure};
use super::host::judging;
use super::output::Output;
use crate::config::Config;
use crate::policy::cases::{Cases, verdict};
use crate::policy::load::Source;
use crate::policy::schema::schema;
use crate::policy::{CedarPolicy, Verdict};
use crate::review::story;

/// Does what is asked of the policies.
pub(super) fn run(action: &PolicyAction, global: &Global, config: &Config, output: &Output) -> Result<Exit, Failure> {
    match action {
        PolicyAction::Check { files } => check(&*policies(config, files)?, output),
        PolicyAction::Schema => {
            let text = schema(&judging::types(config)?);
            if output.json {
                output.json(&json!({ "schema": text }))?
            } else {
                output.text(&text)?
            }
            Ok(Exit::Done)
        }
        PolicyAction::Backtest(args) => backtest::run(args, &client::connect(global, config, output)?, output),
        PolicyAction::Explain { id } => explain::run(id, &client::connect(global, config, output)?, output),
        PolicyAction::Test { cases, files } => test(cases, &*policies(config, files)?, config, output),
    }
}

/// The policies in these files, or in those of the configuration.
fn policies(config: &Config, files: &[PathBuf]) -> Result<Arc<CedarPolicy>, Failure> {
    let sources: Vec<Source> = if files.is_empty() {
        judging::sources(config)?
    } else {
        files.iter().map(|path| judging::read(path)).collect::<Result<_, _>>()?
    };
    judging::setting(config, sources)?.present.ok_or_else(|| {
        let hint = "name files, or write `[policy]` and `files = [\"calls.cedar\"]` into holdshort.toml";
        Failure::new(Exit::Usage, "there are no policies, so every consequential call is held").hint(hint)
    })
}

/// Says what there is, and what is likely to be a mistake.
fn check(policies: &CedarPolicy, output: &Output) -> Result<Exit, Failure> {
    let [calls, reviews, decides] = policies.counts();
    let warnings: Vec<String> = policies.warnings().iter().map(ToString::to_string).collect();
    if output.json {
        output.json(&json!({ "call": calls, "review": reviews, "decide": decides, "warnings": warnings }))?;
    } else {
        for warning in &warnings {
            output.text(&format!("warning: {warning}"))?;
        }
        output.text(&format!(
            "the policies are sound: {calls} about calls, {reviews} about who must review, {decides} about who may decide"
        ))?;
    }
    Ok(Exit::Done)
}

/// Judges the cases of a file, and fails if a verdict is not the expected one.
fn test(path: &Path, policies: &CedarPolicy, config: &Config, output: &Output) -> Result<Exit, Failure> {
    let usage = |what: String| Failure::new(Exit::Usage, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    let Cases { case: cases } = toml::from_str(&text).map_err(|error| usage(error.to_string()))?;
    let types = judging::types(config)?;
    let mut failed = 0;
    let mut told = Vec::<Value>::new();
    for case in &cases {
        let judged = case.judge(policies, &types);
        let judgement = judged.map_err(|error| usage(format!("case `{}`: {error}", case.name)))?;
        let needs = story::needs(&judgement.requirement);
        let differs = case.differs(&judgement, &needs);
        failed += usize::from(differs.is_some());
        let record = &judgement.record;
        let why = match &judgement.verdict {
            Verdict::Refuse(why) => why.clone(),
            Verdict::Clear | Verdict::Hold => String::new(),
        };
        if output.json {
            told.push(json!({
                "name": case.name, "verdict": verdict(&judgement), "by": record.determining, "errors": record.errors,
                "needs": needs, "why": why, "differs": differs,
            }));
            continue;
        }
        let mark = if differs.is_some() { "FAILED" } else { "ok" };
        let mut line = format!("{mark}: {}: {}", case.name, verdict(&judgement));
        if !record.determining.is_empty() {
            line += &format!(", by {}", record.determining.join(", "));
        }
        match &judgement.verdict {
            Verdict::Hold => line += &format!("; needs {needs}"),
            Verdict::Refuse(_) => line += &format!("; {why}"),
            Verdict::Clear => {}
        }
        let errors = record.errors.iter().map(|error| format!("\n  could not be evaluated: {error}"));
        line.extend(errors.chain(differs.map(|differs| format!("\n  {differs}"))));
        output.text(&line)?;
    }
    if output.json {
        output.json(&json!({ "cases": told, "failed": failed }))?;
    } else {
        output.text(&format!("{} cases, {failed} not as expected", cases.len()))?;
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}
