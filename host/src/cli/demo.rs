//! `holdshort demo`: a real run on a scratch repository. The demo leads the user through the
//! approval. Without a terminal, it takes the same steps over HTTP.

mod scratch;

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicBool;

use super::approvals::decide::{decision, send};
use super::approvals::show::Page;
use super::args::{CallId, DemoArgs};
use super::exit::{Exit, Failure};
use super::host::Host;
use super::output::Output;
use super::session::Session;
use super::watch::{self, RunWatch};
use super::{host, logging, run, sign_in};
use crate::config::Config;
use scratch::Scratch;

/// The agent.
const AGENT: &str = "release";
/// The agent's task.
const TASK: &str = "Release main to production";

/// Makes a repository, runs the agent on it, and fails unless the branch moved. The final state of
/// the branch is read with git and not from the host, because the demo must convince people who do
/// not trust the host yet.
pub(super) fn run(args: &DemoArgs, output: &Output) -> Result<Exit, Failure> {
    logging::begin("warn", output.json);
    let scratch = Scratch::make(args.keep.as_deref())?;
    let config = Config::load(None, scratch.folder())?;
    let (before, wanted) = (scratch.tip("production")?, scratch.tip("main")?);
    let folder = scratch.folder().display();
    output.notes(&[
        &format!("The folder {folder} has a small project with tests; its branch `main` is ahead of `production`."),
        &format!("The task of the agent `{AGENT}`: {TASK}."),
        "The agent runs the tests, reads the log and the diff, and asks to deploy. The agent cannot deploy by itself.",
        "",
    ]);

    host::keep_private(&config, output)?;
    let journal = host::open_journal(&config)?;
    let session = Session::start(Host::new(config, journal)?, &AGENT.into(), output)?;
    let (folder, output_aside) = (scratch.temporary(), *output);
    session.end_on_interrupt(move || {
        // After Ctrl-C the process ends without dropping `scratch`, so the folder is removed here.
        let _ = folder.map(std::fs::remove_dir_all);
        output_aside
            .notes(&["", "the demo stops here; the scratch folder is removed unless you asked to keep the folder"]);
    });
    let run = run::start(&session.client, &AGENT.into(), TASK)?;
    let watch = RunWatch { client: &session.client, run, output, interrupted: &AtomicBool::new(false) };
    let guide = Guide { session: &session, output, alone: !io::stdin().is_terminal() };
    let ended = watch.until_over(|id| guide.decide(id))?;
    let exit = ended.map_or(Ok(Exit::Interrupted), |row| watch::finish(&row, output))?;
    session.stop()?;

    let after = scratch.tip("production")?;
    if after == before {
        output.notes(&["", "`production` has not moved: nothing was cleared, so nothing was done."]);
        return Ok(if exit == Exit::Done { Exit::Failed } else { exit });
    }
    if after != wanted {
        let message = format!("`production` moved to {after}, but the cleared commit is {wanted}");
        return Err(Failure::new(Exit::Failed, message));
    }
    output.notes(&["", &format!("`production` moved from {before} to {after}: exactly what was cleared.")]);
    output.note(&scratch.farewell());
    Ok(exit)
}

/// The reviewer in the demo.
struct Guide<'a> {
    session: &'a Session,
    output: &'a Output,
    /// Whether there is no terminal to ask on.
    alone: bool,
}

impl Guide<'_> {
    /// Shows the page of `approvals show --full` and decides with its digest, as any reviewer does.
    fn decide(&self, id: &CallId) -> Result<(), Failure> {
        let client = &self.session.client;
        let page = Page::open(id, None, true, client)?;
        self.output.aside(&page.lines(client, self.output.columns())?);
        let digest = page.verified.digest;
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

    /// The changes that the user wants. Without them the agent would propose the same call again.
    fn guidance(&self) -> Result<String, Failure> {
        loop {
            match self.output.ask("What should the agent change? (Try: keep the notes short)")? {
                Some(text) if !text.is_empty() => return Ok(text),
                Some(_) => {}
                None => return Err(Failure::new(Exit::Failed, "nothing was decided, and nothing was done")),
            }
        }
    }

    fn send(
        &self,
        id: &CallId,
        kind: &str,
        digest: holdshort_gate::Digest,
        message: Option<&str>,
    ) -> Result<(), Failure> {
        send(id, decision(kind, digest, message), &self.session.client, self.output).map(drop)
    }
}
