//! `holdshort serve`: runs the host until it is stopped.

use std::io::ErrorKind;
use std::path::PathBuf;

use holdshort_gate::AgentName;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::args::ServeArgs;
use super::exit::{Exit, Failure};
use super::host::{self, Host};
use super::listening::Listening;
use super::output::Output;
use super::{logging, session};
use crate::api;
use crate::config::{Config, Server};
use crate::runs::Runs;

/// A component of this size in MiB or more gets a note from the host, because few components are as large without debug
/// information.
const LARGE_MIB: u64 = 64;
/// The maximum length of a printed load error. `holdshort inspect` prints the whole error.
const WARNING_CHARS_MAX: usize = 600;

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(args: &ServeArgs, mut config: Config, output: &Output) -> Result<Exit, Failure> {
    logging::begin("info", output.json);
    if let Some(listen) = args.listen {
        let refused = |error: crate::config::ListenError| Failure::new(Exit::Usage, error.to_string());
        config.server = config.server.with_listen(listen).map_err(refused)?;
    }
    session::runtime()?.block_on(serve(config, output))
}

/// Runs the host until a signal stops it. Opens the journal before the port, so that a second host in the same folder
/// fails before it takes a port.
async fn serve(config: Config, output: &Output) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, error.to_string());
    // The host catches both signals before it announces itself. A signal that is not caught ends
    // the process, which is safe but stops requests in the middle.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    host::keep_private(&config, output)?;
    let journal = host::open_journal(&config)?;
    let listening = listen(&config.server).await?;
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("shutting down; every waiting run continues at the next start");
    };
    let mut shutdown = Box::pin(shutdown);
    let bound = listening.main.local_addr().map_err(failed)?;
    let url = host::base(bound);
    let token_file = config.token_file.clone();
    let agents: Vec<(AgentName, PathBuf)> =
        config.agents.iter().map(|(name, agent)| (name.clone(), agent.component.clone())).collect();
    // Child processes check the policies against the agents' types. They may take as long as their
    // limits allow, so requests are answered meanwhile.
    let wired = tokio::task::spawn_blocking(move || Host::new(config, journal));
    let host = tokio::select! {
        host = wired => host.map_err(|error| Failure::new(Exit::Failed, error.to_string()))??,
        () = &mut shutdown => return Ok(Exit::Done),
        never = api::starting(&listening.main) => match never {},
    };
    let (runs, note) = (host.runs.clone(), host.checks_note());
    let broken = host.broken_links(bound);
    let mut serving = Box::pin(host.serve(listening, shutdown)?);
    for note in note.into_iter().chain(broken) {
        say(output, &format!("note: {note}"));
    }
    if output.json {
        let ready = json!({ "version": env!("CARGO_PKG_VERSION"), "url": url, "token_file": token_file });
        output.json_line(&ready)?;
    } else {
        output.note(&format!("holdshort {} is ready at {url}", env!("CARGO_PKG_VERSION")));
        output.note(&format!("your token is in {}", token_file.display()));
        output.note("`holdshort sign-in` prints a link to the review page");
    }
    tokio::select! {
        served = &mut serving => served?,
        () = load(&runs, &agents, output) => serving.await?,
    }
    Ok(Exit::Done)
}

/// Loads the configured agents in the background, and prints a line for each agent that cannot be
/// started. Runs of the other agents start meanwhile.
async fn load(runs: &Runs, agents: &[(AgentName, PathBuf)], output: &Output) {
    let load = async |(agent, component): &(AgentName, PathBuf)| {
        let mib = std::fs::metadata(component).map_or(0, |file| file.len() >> 20);
        if mib >= LARGE_MIB {
            say(
                output,
                &format!(
                    "note: the component of `{agent}` has {mib} MiB, and the journal keeps each version of it that runs"
                ),
            );
        }
        if let Err(error) = runs.load(agent).await {
            let error = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            let more = error.char_indices().nth(WARNING_CHARS_MAX);
            let (error, more) = more.map_or((&*error, ""), |(at, _)| (error.get(..at).unwrap_or_default(), "…"));
            say(output, &format!("warning: the agent `{agent}` cannot be started: {error}{more}"));
        }
    };
    // `Runs` limits how many agents are read at a time.
    futures_util::future::join_all(agents.iter().map(load)).await;
}

/// Prints a message for the operator. With `--json` it goes to the log.
fn say(output: &Output, text: &str) {
    if output.json {
        tracing::warn!("{text}");
    } else {
        output.note(text);
    }
}

async fn listen(server: &Server) -> Result<Listening, Failure> {
    let address = server.listen;
    Listening::at(server, address).await.map_err(|error| {
        let failure = Failure::new(Exit::Failed, format!("cannot listen at {address}: {error}"));
        if error.kind() == ErrorKind::AddrInUse {
            return failure
                .hint("another program uses this address: stop that program, or choose another address with `--listen 127.0.0.1:PORT`");
        }
        failure
    })
}
