//! `holdshort run`: runs one agent in this process with a host of its own, or at a host that
//! already has the journal.

use std::path::{Path, PathBuf};

use holdshort_gate::{AgentName, EffectClass};
use holdshort_journal::OpenError;
use serde_json::json;

use super::approvals::show::Page;
use super::args::{CallId, Global, RunArgs, RunName};
use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::host::Host;
use super::output::Output;
use super::session::{self, Session};
use super::watch::{self, RunWatch};
use super::{host, inspect, logging, script, sign_in, socket};
use crate::api::runs::RunStarted;
use crate::config::{self, Config};

/// Starts a run and watches it. The host in this process is complete, with journal and endpoint, so
/// reviewers decide on held calls as usual. If another host has this folder's journal, or with
/// `--url` or `--detach`, that host runs the agent.
pub(super) fn run(args: &RunArgs, global: &Global, config: Config, output: &Output) -> Result<Exit, Failure> {
    let (name, configured) = agent(&args.agent, &config)?;
    let mut local = config.clone();
    if let Some(component) = configured {
        local.agents.insert(name.clone(), config::Agent { component, workspace: None, build: None });
    }
    if let Some(path) = &args.script {
        // A script never reaches another host, so `HOLDSHORT_URL` has no meaning here.
        return script::run(path, args.task.as_deref(), &name, local, output);
    }
    let task = args.task.as_deref().unwrap_or_default();
    if global.url.is_some() || args.detach {
        return elsewhere(args, global, &name, &config, output);
    }
    if let Some(agent) = local.agents.get(&name) {
        inspect::check(&agent.component, &config)?;
    }
    host::keep_private(&config, output)?;
    let journal = match host::open_journal(&config) {
        // Another host of this folder is running, and can run the agent.
        Err(OpenError::Locked { .. }) => return elsewhere(args, global, &name, &config, output),
        journal => journal?,
    };
    logging::begin("warn", output.json);
    let session = Session::start(Host::new(local, journal)?, &name, output)?;
    let interrupted = session.interrupted();
    let started = start(&session.client, &name, task)?;
    let watch = RunWatch { client: &session.client, run: started, output, interrupted: &interrupted };
    let local = Global { url: None, token_file: None, ..global.clone() };
    let holds = HeldCallPrinter { client: &session.client, global: &local, token_file: &config.token_file, output };
    let ended = watch.until_over(|id| holds.print(id));
    let exit = match ended? {
        Some(row) => watch::finish(&row, output)?,
        None => {
            let (run, ours) = (&watch.run, program(&local));
            output.note(&format!("{run} is parked, and nothing is lost. Start `{ours} serve` here to continue the run; then `{ours} runs show {run}` shows its state."));
            Exit::Interrupted
        }
    };
    session.stop()?;
    Ok(exit)
}

/// The agent's name, and the file if `given` is a file that no configured agent has. The run of
/// such a file gets a name that no section can have. So it does not get the settings of a
/// configured agent, such as its workspace.
fn agent(given: &str, config: &Config) -> Result<(AgentName, Option<PathBuf>), Failure> {
    let wrong = |message: String| Failure::new(Exit::Usage, message);
    if let Some((name, _)) = config.agents.get_key_value(given) {
        return Ok((name.clone(), None));
    }
    let path = std::path::absolute(given).map_err(|error| wrong(format!("`{given}`: {error}")))?;
    if let Some((name, _)) = config.agents.iter().find(|(_, agent)| agent.component == path) {
        return Ok((name.clone(), None));
    }
    if !path.exists() {
        let known: Vec<&str> = config.agents.keys().map(AgentName::as_str).collect();
        let known = if known.is_empty() {
            "no agent is configured".into()
        } else {
            format!("configured: {}", known.join(", "))
        };
        return Err(wrong(format!("there is no file `{given}`, and no agent with this name"))
            .hint(format!("give the file of a component, or the name of an agent; {known}")));
    }
    let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name = format!("./{}", file.chars().map(plain).take(config::defaults::NAME_CHARS_MAX).collect::<String>());
    Ok((AgentName::new(name), Some(path)))
}

/// Starts the run at another host. That host reads no files of this machine, and knows only the
/// agents of its own configuration.
fn elsewhere(
    args: &RunArgs,
    global: &Global,
    name: &AgentName,
    config: &Config,
    output: &Output,
) -> Result<Exit, Failure> {
    let client = client::connect(global, config, output)?;
    let run = start(&client, name, args.task.as_deref().unwrap_or_default()).map_err(|failure| {
        if failure.exit != Exit::Refused || (args.agent == name.as_str() && config.agents.contains_key(name)) {
            return failure;
        }
        let hint = format!(
            "the host at {} uses this folder's journal, and runs only the agents in its configuration: add the section `[agents.{}]` and restart the host, or stop the host",
            client.base(),
            name.as_str().trim_start_matches("./").trim_end_matches(".wasm")
        );
        if args.agent == name.as_str() {
            return failure.hint(hint);
        }
        Failure::new(failure.exit, format!("the file `{}` cannot be run while another host serves this folder", args.agent)).hint(hint)
    })?;
    if args.detach {
        if output.json {
            output.json(&json!({ "id": run.to_string() }))?;
        } else {
            output.text(&run.to_string())?;
        }
        return Ok(Exit::Done);
    }
    let token_file = global.token_file.clone().unwrap_or_else(|| config.token_file.clone());
    output.note(&format!("the host at {} runs the agent as {run}", client.base()));
    // Ctrl-C ends only this program; the run belongs to the host.
    let runtime = session::runtime()?;
    let interrupted = session::interrupted(&runtime);
    let watch = RunWatch { client: &client, run, output, interrupted: &interrupted };
    let holds = HeldCallPrinter { client: &client, global, token_file: &token_file, output };
    if let Some(row) = watch.until_over(|id| holds.print(id))? {
        return watch::finish(&row, output);
    }
    let run = &watch.run;
    output.note(&format!("{run} continues at the host; `{} runs show {run}` shows its state.", program(global)));
    Ok(Exit::Interrupted)
}

/// Asks the host to start a run. The id in the answer is validated, because it is used in addresses
/// and in commands for copying.
pub(super) fn start(client: &Client, agent: &AgentName, task: &str) -> Result<RunName, Failure> {
    let RunStarted { id, .. } = client.post_once("/runs", &json!({ "agent": agent, "task": task }))?;
    id.0.parse().map_err(|why| Failure::new(Exit::Failed, format!("the host answered with the run id `{id}`: {why}")))
}

/// Shows held calls. Their page goes to stderr, because stdout is for the agent's result.
struct HeldCallPrinter<'a> {
    client: &'a Client,
    /// The options that the printed commands must repeat to reach the same host.
    global: &'a Global,
    token_file: &'a Path,
    output: &'a Output,
}

impl HeldCallPrinter<'_> {
    /// Shows the call's content, and the commands for deciding on exactly this revision.
    fn print(&self, id: &CallId) -> Result<(), Failure> {
        let page = Page::open(id, None, false, self.client)?;
        let columns = self.output.columns();
        self.output.aside(&page.lines(self.client, columns)?);
        let question = page.verified.proposal.class == EffectClass::Question;
        let (kind, more) = if question { ("respond", ",\"message\":\"your answer\"") } else { ("approve", "") };
        let digest = page.verified.digest;
        let socket = socket::beside(self.token_file, self.client.base());
        let socket = socket.map(|path| format!(" --unix-socket {}", word(&path))).unwrap_or_default();
        let curl = format!(
            "curl -sS{socket} -H \"Authorization: Bearer $(cat {})\" -H 'Content-Type: application/json' {}/v1/approvals/{id}/decisions -d '{{\"type\":\"{kind}\",\"digest\":\"{digest}\"{more}}}'",
            word(self.token_file),
            self.client.base()
        );
        let ours = program(self.global);
        // The lines are not wrapped, so that they can be copied.
        let (asks, how) = if question {
            (format!("{id} is a question, and the agent waits for the answer:"), "respond")
        } else {
            (format!("{id} is held. To approve exactly this:"), "approve")
        };
        let answer = if question { " \"your answer\"" } else { "" };
        let link = sign_in::shown_link(self.client, id, self.output)?;
        self.output.notes(&[
            "",
            &asks,
            &format!("  {link}"),
            &format!("  {ours} approvals {how} {id}{answer}"),
            &format!("  {curl}"),
        ]);
        if !question {
            self.output.notes(&["To reject it:", &format!("  {ours} approvals reject {id} -m \"what to change\"")]);
        }
        self.output.note("");
        Ok(())
    }
}

/// This program's name with the options that reach the same host from the same folder.
fn program(global: &Global) -> String {
    let options = [
        ("--config", global.config.as_deref()),
        ("--url", global.url.as_deref().map(Path::new)),
        ("--token-file", global.token_file.as_deref()),
    ];
    let given = options.into_iter().filter_map(|(name, value)| Some(format!(" {name} {}", word(value?))));
    format!("holdshort{}", given.collect::<String>())
}

/// A path as one word of a shell.
fn word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:".contains(c);
    let quoted = text.is_empty() || !text.chars().all(plain);
    if quoted { format!("'{}'", text.replace('\'', "'\\''")) } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for path in ["/tmp/token", "/tmp/a b", "", "http://[::1]:7411", "/tmp/it's $HOME `id`"] {
            let echoed =
                std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", word(Path::new(path)))).output();
            assert_eq!(String::from_utf8(echoed.unwrap().stdout).unwrap(), path);
        }
    }
}
