//! `holdshort serve`: the host, until somebody ends it.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::args::ServeArgs;
use super::exit::{Exit, Failure};
use super::host::{self, Host};
use super::output::Output;
use super::{logging, session};
use crate::config::Config;
use crate::connectors::checks::Checks;

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
    let journal = host::open_journal(&config)?;
    let listener = listen(config.server.listen).await?;
    let url = host::base(listener.local_addr().map_err(failed)?);
    let (token_file, checks) = (config.token_file.clone(), !config.checks.is_empty());
    let agents: Vec<String> = config.agents.keys().cloned().collect();
    let host = Host::new(config, journal)?;
    for agent in &agents {
        // The others can still be run, and runs that wait for a decision must not be kept waiting.
        if let Err(error) = host.runs.load(agent).await {
            say(output, &format!("warning: the agent `{agent}` cannot be started: {error}"));
        }
    }
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("shutting down; every run that waits goes on at the next start");
    };
    let serving = host.serve(listener, shutdown)?;
    if checks {
        say(output, &format!("note: {}", Checks::isolation()));
    }
    if output.json {
        let ready = json!({ "version": env!("CARGO_PKG_VERSION"), "url": url, "token_file": token_file });
        output.json_line(&ready)?;
    } else {
        output.note(&format!("holdshort {} is ready at {url}", env!("CARGO_PKG_VERSION")));
        output.note(&format!("your token is in {}", token_file.display()));
        output.note("`holdshort sign-in` prints a link to the review page");
    }
    serving.await?;
    Ok(Exit::Done)
}

/// Says something to whoever starts the host; to a program, in the log.
fn say(output: &Output, text: &str) {
    if output.json {
        tracing::warn!("{text}");
    } else {
        output.note(text);
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::new(Exit::Failed, format!("cannot listen at {address}: {error}"));
        if error.kind() == ErrorKind::AddrInUse {
            return failure
                .hint("another program listens there: end it, or choose another place with `--listen 127.0.0.1:PORT`");
        }
        failure
    })
}
