//! `holdshort policy`: tests policies before calls depend on them. Subcommands about recorded calls
//! ask the host. The others need neither a host nor a journal.

mod backtest;
mod explain;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::args::{Global, PolicyAction};
use super::client;
use super::exit::{Exit, Failure};
use super::host::{forgetful_reader, policy_setup};
use super::output::Output;
use crate::config::Config;
use crate::policy::batch::judge_all;
use crate::policy::cases::Cases;
use crate::policy::load::{PolicyProblem, Source};
use crate::policy::schema::schema;
use crate::policy::{CedarPolicy, Policy};
use crate::review::sentences;

/// Runs the subcommand.
pub(super) fn run(action: &PolicyAction, global: &Global, config: &Config, output: &Output) -> Result<Exit, Failure> {
    match action {
        PolicyAction::Check { files } => check(&*policies(config, files)?, output),
        PolicyAction::Schema => {
            let text = schema(&policy_setup::types(config, &forgetful_reader(config)?)?);
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

/// Loads the policies in these files; without files, the configured policies.
fn policies(config: &Config, files: &[PathBuf]) -> Result<Arc<CedarPolicy>, Failure> {
    let sources: Vec<Source> = if files.is_empty() {
        policy_setup::sources(config)?
    } else {
        files.iter().map(|path| policy_setup::read(path)).collect::<Result<_, _>>()?
    };
    policy_setup::load(config, sources, &forgetful_reader(config)?)?.present.ok_or_else(|| {
        let hint = "name files, or write `[policy]` and `files = [\"calls.cedar\"]` into holdshort.toml";
        Failure::new(Exit::Usage, "there are no policies, so every consequential call is held").hint(hint)
    })
}

/// Prints a summary, and probable mistakes.
fn check(policies: &CedarPolicy, output: &Output) -> Result<Exit, Failure> {
    let [calls, reviews, decides, grants] = policies.counts();
    let text = |problems: &[PolicyProblem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (warnings, notes) = (text(policies.warnings()), text(&policies.notes()));
    if output.json {
        let counts = json!({ "call": calls, "review": reviews, "decide": decides, "grant": grants });
        let said = json!({ "warnings": warnings, "notes": notes });
        let both = [counts, said].into_iter().filter_map(|part| part.as_object().cloned()).flatten();
        output.json(&both.collect::<serde_json::Map<_, _>>().into())?;
    } else {
        for note in &notes {
            output.text(&format!("note: {note}"))?;
        }
        for warning in &warnings {
            output.text(&format!("warning: {warning}"))?;
        }
        output.text(&format!(
            "the policies are valid: {calls} on `call`, {reviews} on `review`, {decides} on `decide`, {grants} on `grant`"
        ))?;
    }
    Ok(Exit::Done)
}

/// Evaluates the cases in a file, and fails if a verdict differs from the expected one.
fn test(path: &Path, policies: &CedarPolicy, config: &Config, output: &Output) -> Result<Exit, Failure> {
    let usage = |what: String| Failure::new(Exit::Usage, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    let cases: Cases = toml::from_str(&text).map_err(|error| usage(error.to_string()))?;
    let types = policy_setup::types(config, &forgetful_reader(config)?)?;
    let questions = cases.questions(&policies.zone(), &types).map_err(usage)?;
    let tried = cases.results(judge_all(policies, &types, &questions), sentences::needs);
    let failed = tried.iter().filter(|one| one.differs.is_some()).count();
    if output.json {
        output.json(&json!({ "cases": tried, "failed": failed }))?;
    } else {
        for one in &tried {
            let remark = if one.differs.is_some() { "FAILED" } else { "ok" };
            let errors = one.errors.iter().map(|error| format!("could not be evaluated: {error}"));
            output.text(&format!("{remark}: {}: {}", one.name, one.one_line()))?;
            for line in errors.chain(one.differs.clone()) {
                output.text(&format!("  {line}"))?;
            }
        }
        output.text(&format!("{} cases, {failed} not as expected", tried.len()))?;
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}
