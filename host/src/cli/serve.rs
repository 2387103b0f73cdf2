//! `holdshort serve`: the host, until somebody ends it.

use std::io::ErrorKind;
use std::path::PathBuf;

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

/// A component from this size on is pointed out: without debug information few are as large.
const LARGE_MIB: u64 = 64;
/// How much of a reason is told when an agent cannot be started; `holdshort inspect` tells all.
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

/// The journal comes first, because of two hosts in one folder the second must not get as far as taking a port.
async fn serve(config: Config, output: &Output) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, error.to_string());
    // Both before anything is announced: until a signal is caught it ends the process, which is safe but rude.
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
        tracing::info!("shutting down; every run that waits goes on at the next start");
    };
    let mut shutdown = Box::pin(shutdown);
    let bound = listening.main.local_addr().map_err(failed)?;
    let url = host::base(bound);
    let token_file = config.token_file.clone();
    let agents: Vec<(String, PathBuf)> =
        config.agents.iter().map(|(name, agent)| (name.clone(), agent.component.clone())).collect();
    // Policies are checked against the agents' types, and both are read in children, which may take all the time that they are given.
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

/// Loads the configured agents beside everything else, and says in a line which cannot be started. Runs of the others begin meanwhile.
async fn load(runs: &Runs, agents: &[(String, PathBuf)], output: &Output) {
    let load = async |(agent, component): &(String, PathBuf)| {
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
    // `Runs` decides how many are read at a time.
    futures_util::future::join_all(agents.iter().map(load)).await;
}

/// Says something to whoever starts the host; to a program, in the log.
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
                .hint("another program listens there: end it, or choose another place with `--listen 127.0.0.1:PORT`");
        }
        failure
    })
}
