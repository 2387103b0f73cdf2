//! `holdshort demo`: a real run in a scratch folder. The demo leads the user through each approval. Without a terminal,
//! it takes the same steps over HTTP.

mod assistant;
mod model;
mod release;
mod scratch;

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicBool;

use holdshort_gate::{AgentName, Digest, EffectClass};

use super::approvals::decide::{decision, send};
use super::approvals::show::Page;
use super::args::{CallId, DemoAgent, DemoArgs};
use super::exit::{Exit, Failure};
use super::host::Host;
use super::output::Output;
use super::session::Session;
use super::watch::{self, RunWatch};
use super::{host, logging, run, sign_in};
use crate::config::Config;
use scratch::Scratch;

/// The answer to a question of an agent if there is no terminal.
const NOBODY: &str = "Nobody is here to answer. Decide yourself.";

/// Runs the agent of the demo in a scratch folder, and fails unless its effect can be seen there.
pub(super) fn run(args: &DemoArgs, output: &Output) -> Result<Exit, Failure> {
    logging::begin("warn", output.json);
    match args.agent {
        DemoAgent::Release if args.model.is_some() => {
            Err(Failure::new(Exit::Usage, "the agent `release` asks no model")
                .hint("add `--agent assistant`, or leave out `--model`"))
        }
        DemoAgent::Release => release::run(args, output),
        DemoAgent::Assistant => assistant::run(args, output),
    }
}

/// Runs the agent on its task with a host in the scratch folder, and leads the user through each held call. The
/// question that rejects a call gives `example` of guidance.
fn guided(scratch: &Scratch, agent: &'static str, task: &str, example: &str, output: &Output) -> Result<Exit, Failure> {
    let config = Config::load(None, scratch.folder())?;
    let agent = AgentName::from(agent);
    host::keep_private(&config, output)?;
    let journal = host::open_journal(&config)?;
    let session = Session::start(Host::new(config, journal)?, &agent, output)?;
    let (folder, output_aside) = (scratch.temporary(), *output);
    session.end_on_interrupt(move || {
        // After Ctrl-C the process ends without dropping `scratch`, so the folder is removed here.
        let _ = folder.map(std::fs::remove_dir_all);
        output_aside
            .notes(&["", "the demo stops here; the scratch folder is removed unless you asked to keep the folder"]);
    });
    let run = run::start(&session.client, &agent, task)?;
    let watch = RunWatch { client: &session.client, run, output, interrupted: &AtomicBool::new(false) };
    let guide = Guide { session: &session, output, alone: !io::stdin().is_terminal(), example };
    let ended = watch.until_over(|id| guide.decide(id))?;
    let exit = ended.map_or(Ok(Exit::Interrupted), |row| watch::finish(&row, output))?;
    session.stop()?;
    Ok(exit)
}

/// The reviewer in the demo.
struct Guide<'a> {
    session: &'a Session,
    output: &'a Output,
    /// Whether there is no terminal to ask on.
    alone: bool,
    example: &'a str,
}

impl Guide<'_> {
    /// Shows the page of `approvals show --full` and decides with its digest, as any reviewer does.
    fn decide(&self, id: &CallId) -> Result<(), Failure> {
        let client = &self.session.client;
        let page = Page::open(id, None, true, client)?;
        self.output.aside(&page.lines(client, self.output.columns())?);
        let digest = page.verified.digest;
        if page.verified.proposal.class == EffectClass::Question {
            return self.answer(id, digest);
        }
        if self.alone {
            let how = format!(
                "There is no terminal for the question: the demo approves {digest} over HTTP at {}",
                client.base()
            );
            self.output.notes(&["", &how]);
            client.decide(id, &decision("approve", digest, None))?;
            return Ok(());
        }
        self.output
            .notes(&["", "This call is held. Nothing happens until you decide; the agent is not even in memory."]);
        loop {
            let answer = self.output.ask(
                "Approve exactly this? [y] yes, [n] no, with guidance for the agent, [b] in a browser, [q] quit:",
            )?;
            match answer.as_deref().map(str::to_lowercase).as_deref() {
                Some("y" | "yes") => return self.send(id, "approve", digest, None),
                Some("n" | "no") => {
                    return self.send(id, "reject", digest, Some(&self.guidance()?));
                }
                Some("b" | "browser") => {
                    let link = sign_in::shown_link(client, id, self.output)?;
                    self.output.notes(&[
                        "",
                        "Open this link, which works once. The demo continues after your decision there:",
                        &format!("  {link}"),
                    ]);
                    return Ok(());
                }
                Some("q" | "quit") | None => {
                    return Err(Failure::new(Exit::Failed, "nothing was decided, and nothing was done"));
                }
                Some(_) => {}
            }
        }
    }

    /// Answers a question of the agent.
    fn answer(&self, id: &CallId, digest: Digest) -> Result<(), Failure> {
        if self.alone {
            self.output.notes(&["", &format!("There is no terminal for the question: the demo answers: {NOBODY}")]);
            return self.session.client.decide(id, &decision("respond", digest, Some(NOBODY))).map(drop);
        }
        loop {
            match self.output.ask("The agent asks, and waits for your answer:")? {
                Some(text) if !text.is_empty() => return self.send(id, "respond", digest, Some(&text)),
                Some(_) => {}
                None => return Err(Failure::new(Exit::Failed, "nothing was decided, and nothing was done")),
            }
        }
    }

    /// The changes that the user wants. Without them the agent would propose the same call again.
    fn guidance(&self) -> Result<String, Failure> {
        loop {
            match self.output.ask(&format!("What should the agent change? (Try: {})", self.example))? {
                Some(text) if !text.is_empty() => return Ok(text),
                Some(_) => {}
                None => return Err(Failure::new(Exit::Failed, "nothing was decided, and nothing was done")),
            }
        }
    }

    fn send(&self, id: &CallId, kind: &str, digest: Digest, message: Option<&str>) -> Result<(), Failure> {
        send(id, decision(kind, digest, message), &self.session.client, self.output).map(drop)
    }
}
