//! `holdshort check`: whether this host would run an agent, and if not, what to change. It reads
//! and classifies the imports as [`inspect`] does.

use serde_json::json;

use super::args::InspectArgs;
use super::exit::{Exit, Failure};
use super::inspect;
use super::output::Output;
use crate::config::Config;

/// Prints the refused imports and the changes that an author can make. The exit code is 1 if an
/// import is refused.
pub(super) fn run(args: &InspectArgs, config: &Config, output: &Output) -> Result<Exit, Failure> {
    let report = inspect::examine(&args.component, config)?;
    let mut changes: Vec<String> = Vec::new();
    for change in report.refused.iter().filter_map(|refused| change(&refused.import)) {
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    let refused: Vec<&str> = report.refused.iter().map(|refused| refused.why.as_str()).collect();
    let exit = if refused.is_empty() { Exit::Done } else { Exit::Failed };
    let path = args.component.display();
    if output.json {
        output.json(&json!({ "can_run": refused.is_empty(), "refused": refused, "changes": changes }))?;
    } else if refused.is_empty() {
        output.row("", &format!("`{path}` can run here"))?;
    } else {
        output.row("", &format!("`{path}` cannot run here:"))?;
        refused.iter().try_for_each(|why| output.row("  - ", why))?;
        if !changes.is_empty() {
            output.row("", "What the agent's author can change:")?;
        }
        changes.iter().try_for_each(|change| output.row("  - ", change))?;
    }
    Ok(exit)
}

/// How a refused import usually gets into a component, as far as the import's name shows it, and how the author removes
/// the import. `None` for a function that the world imports directly: there the reason of the refusal is enough.
fn change(import: &str) -> Option<String> {
    let (interface, _) = import.split_once('#').unwrap_or((import, ""));
    interface.split_once('/')?;
    let version = interface.split_once('@').map_or("", |(_, version)| version);
    Some(if interface.starts_with("wasi:http/") {
        format!(
            "`{interface}` comes from `fetch` in the engine of TypeScript, or from a library that sends HTTP requests: for an agent without requests, build with `jco componentize --disable http --disable fetch-event`, or remove the library"
        )
    } else if interface.starts_with("wasi:") && version.starts_with("0.3") {
        format!(
            "`{interface}` comes from a toolchain that builds for WASI 0.3: build for WASI 0.2 (with componentize-qjs: `--sync`)"
        )
    } else if interface.starts_with("wasi:") {
        format!("`{interface}` comes from a library of the agent, or from its world: remove the library, or the import")
    } else {
        format!(
            "`{interface}` comes from the agent's world: if the agent does not use the interface, remove `import {interface};` from the world in `wit/`, because the toolchains of Python and TypeScript import all of a world"
        )
    })
}
