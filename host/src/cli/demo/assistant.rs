//! The demo with the agent `assistant`: a language model pays an invoice and writes an email, each after an approval.

use std::fs;
use std::path::Path;

use super::scratch::{Scratch, failed};
use super::{guided, model};
use crate::cli::args::DemoArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::review::terminal;

/// The agent, built from `guest-examples/assistant`.
const COMPONENT: &[u8] = include_bytes!("../../../../guest-examples/built/assistant.wasm");
const AGENT: &str = "assistant";
const TASK: &str = "Pay invoice INV-7 of ACME GmbH, 120.50 EUR, and tell ann@example.org about it.";

/// The configuration, without the model.
const CONFIGURATION: &str = r#"# What `holdshort demo --agent assistant` uses. `holdshort config` prints every setting with its default.
[agents.assistant]
component = "assistant.wasm"

[email]
path = "mail"

[payments.accounts.operating]
opening = ["1000.00 EUR"]

[models.default]
"#;

/// Runs the agent, and fails unless an email was sent. The emails are read from their folder and not from the host.
pub(super) fn run(args: &DemoArgs, output: &Output) -> Result<Exit, Failure> {
    let scratch = Scratch::make(args.keep.as_deref())?;
    let (settings, about) = match &args.model {
        Some(url) => real(args, url)?,
        None => scripted()?,
    };
    scratch.write("assistant.wasm", COMPONENT)?;
    scratch.write("holdshort.toml", format!("{CONFIGURATION}{settings}").as_bytes())?;
    output.notes(&[
        &format!("The folder {} has an account with 1000.00 EUR, and a folder for mail.", scratch.folder().display()),
        &about,
        &format!("The task of the agent `{AGENT}`: {TASK}"),
        "The model may ask for payments and emails. Neither the model nor the agent can pay or send by itself.",
        "",
    ]);
    let exit = guided(&scratch, AGENT, TASK, "name the date", output)?;

    let letters = letters(&scratch.folder().join("mail/new"))?;
    if letters.is_empty() {
        output.notes(&["", "The folder `mail` is empty: no email was cleared, so none was sent."]);
        return Ok(if exit == Exit::Done { Exit::Failed } else { exit });
    }
    output.notes(&["", "The folder `mail` has this now; compare it with what was cleared:"]);
    letters.iter().for_each(|letter| output.aside(&terminal::said("mail/new: ", letter, output.columns())));
    output.note(&scratch.farewell());
    Ok(exit)
}

/// The settings of a scripted model, which this program serves from now on.
fn scripted() -> Result<(String, String), Failure> {
    let address = model::serve().map_err(|error| failed(&format!("cannot serve the scripted model: {error}")))?;
    let about = "A scripted model, a part of this program, stands in for a language model: it knows this task alone, and understands nothing. \
                 `--model URL` asks a real one.";
    Ok((format!("api = \"openai\"\nurl = \"http://{address}/v1\"\nmodel = \"{}\"\n", model::NAME), about.into()))
}

/// The settings of a model at this server.
fn real(args: &DemoArgs, url: &str) -> Result<(String, String), Failure> {
    let quoted = |text: &str| toml::Value::String(text.into()).to_string();
    let mut settings = format!("api = \"openai\"\nurl = {}\nmodel = {}\n", quoted(url), quoted(&args.model_name));
    if let Some(credential) = &args.credential {
        let source = if std::env::var_os(credential).is_some() {
            format!("environment = {}", quoted(credential))
        } else {
            let path = std::path::absolute(credential).ok().filter(|path| path.is_file()).ok_or_else(|| {
                Failure::new(
                    Exit::Usage,
                    format!("`--credential {credential}`: there is no such variable and no such file"),
                )
                .hint("name the variable or the file that has the key of the model's server")
            })?;
            format!("file = {}", quoted(&path.to_string_lossy()))
        };
        settings += &format!("credential = \"model\"\n\n[credentials.model]\n{source}\n");
    }
    Ok((
        settings,
        format!("The agent asks the model `{}` at {url}, which learns the task and each result.", args.model_name),
    ))
}

/// The emails in a folder; none if there is no folder.
fn letters(folder: &Path) -> Result<Vec<String>, Failure> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(vec![]) };
    let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry?.path());
    let letters = entries.map(read).collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
    Ok(letters.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect())
}
