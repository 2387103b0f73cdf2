//! The result of a script, as text for people and as JSON for programs.

use std::path::Path;

use holdshort_gate::Event;
use serde_json::{Value, json};

use super::play::{Difference, Played};
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::review::{sentences, terminal};

/// The last lines of the story that are printed with a difference.
const STORY_LINES_MAX: usize = 100;

/// Prints what happened. Returns whether everything was as the script says.
pub(super) fn print(played: &Played, path: &Path, output: &Output) -> Result<bool, Failure> {
    let Played { story, difference, end, calls } = played;
    let passed = difference.is_none() && end.is_some();
    if output.json {
        let difference = difference.as_ref().map(|difference| difference.json(path));
        output.json(&json!({
            "passed": passed,
            "calls": calls,
            "result": end.as_ref().and_then(result),
            "difference": difference,
            "story": story,
        }))?;
        return Ok(passed);
    }
    let Some(difference) = difference else {
        if let Some(end) = end {
            let plural = if *calls == 1 { "" } else { "s" };
            output.row("passed: ", &format!("{calls} call{plural}; {}", sentences::sentence(end)))?;
        }
        return Ok(passed);
    };
    output.row("the story so far:", "")?;
    let left_out = story.len().saturating_sub(STORY_LINES_MAX);
    if left_out > 0 {
        output.row("  ", &format!("({left_out} earlier events)"))?;
    }
    story.iter().skip(left_out).try_for_each(|line| output.row("  ", line))?;
    difference.print(path, output)?;
    Ok(passed)
}

/// The agent's own result.
fn result(end: &Event) -> Option<Value> {
    let Event::RunFinished { result } = end else { return None };
    Some(match result {
        Ok(text) => json!({ "ok": text }),
        Err(text) => json!({ "err": text }),
    })
}

impl Difference {
    fn json(&self, path: &Path) -> Value {
        let fields = self
            .fields
            .iter()
            .map(|field| json!({ "path": field.place, "expected": field.before, "found": field.after }));
        json!({
            "script": path.display().to_string(),
            "line": self.line,
            "expected": self.expected,
            "found": self.found,
            "fields": fields.collect::<Vec<_>>(),
            "arguments": self.proposed,
        })
    }

    fn print(&self, path: &Path, output: &Output) -> Result<(), Failure> {
        let place = match self.line {
            Some(line) => format!("{}:{line}", path.display()),
            None => path.display().to_string(),
        };
        output.row("", "")?;
        output.row(&format!("{place}: "), "the run is not as the script says")?;
        output.row("  expected: ", &self.expected)?;
        output.row("  found:    ", &self.found)?;
        for field in &self.fields {
            let text = |value: &Option<Value>| value.as_ref().map_or("nothing".into(), Value::to_string);
            output.row(
                &format!("  {}: ", field.place),
                &format!("expected {}, found {}", text(&field.before), text(&field.after)),
            )?;
        }
        if let Some(proposed) = &self.proposed {
            output.row("what the agent proposed:", "")?;
            output.lines(&terminal::value(proposed, output.columns()))?;
        }
        Ok(())
    }
}
