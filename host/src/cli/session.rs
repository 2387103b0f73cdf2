//! A host in this process for the duration of one command. The command is an ordinary HTTP client
//! of this host.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdshort_gate::AgentName;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::host::{self, Host};
use super::listening::Listening;
use super::output::Output;
use crate::config::Server;

/// The time limit for stopping the host's tasks. An agent that computes is interrupted within
/// milliseconds.
const TASKS_TIME_MAX: Duration = Duration::from_secs(2);

/// A running host and its client.
pub(super) struct Session {
    pub(super) client: Client,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), Failure>>,
}

impl Session {
    /// Starts a host that can run `agent`. Errors of the agent are reported here.
    pub(super) fn start(host: Host, agent: &AgentName, output: &Output) -> Result<Self, Failure> {
        let runtime = runtime()?;
        let (server, token_file) = (host.config.server.clone(), host.config.token_file.clone());
        let progress = output.progress(&format!("compiling {agent}"));
        // The run loads the agent again at its start, but that only checks the time of the agent's file.
        let loaded = runtime.block_on(host.runs.load(agent));
        drop(progress);
        loaded.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        if let Some(note) = host.checks_note() {
            output.note(&format!("note: {note}"));
        }
        let _inside = runtime.enter();
        let listening = runtime.block_on(near(&server))?;
        let failed = |error: std::io::Error| Failure::new(Exit::Failed, error.to_string());
        let url = host::base(listening.main.local_addr().map_err(failed)?);
        let (stop, stopped) = oneshot::channel();
        let served = runtime.spawn(host.serve(listening, stopped)?);
        let client = Client::new(&url, &client::token(&token_file, output)?);
        drop(_inside);
        Ok(Self { client, runtime, stop, served })
    }

    /// Waits for work of the host's own rooms.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// A flag that Ctrl-C sets, as [`interrupted()`] describes.
    pub(super) fn interrupted(&self) -> Arc<AtomicBool> {
        interrupted(&self.runtime)
    }

    /// On Ctrl-C, runs `last` and ends the process, even during a prompt.
    pub(super) fn end_on_interrupt(&self, last: impl FnOnce() + Send + 'static) {
        self.runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                last();
                std::process::exit(Exit::Interrupted.code().into());
            }
        });
    }

    /// Stops the host. Waiting runs continue when a host opens the journal again.
    pub(super) fn stop(self) -> Result<(), Failure> {
        // If the host has stopped by itself, nobody receives this message, and `served` has the reason.
        let _ = self.stop.send(());
        let served = self.runtime.block_on(self.served);
        // The tasks are not left in the background, because the last task closes the journal and
        // removes the address beside it.
        self.runtime.shutdown_timeout(TASKS_TIME_MAX);
        served.unwrap_or_else(|error| Err(Failure::new(Exit::Failed, format!("the host failed: {error}"))))
    }
}

/// A flag that Ctrl-C sets. From now on Ctrl-C does not end the process by itself.
pub(super) fn interrupted(runtime: &Runtime) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            set.store(true, Ordering::Relaxed);
        }
    });
    flag
}

/// The runtime of a host.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Failed, format!("cannot start the host's threads: {error}")))
}

/// Listens at the configured address, or at a free port if the configured port is taken. Clients find the address
/// beside the journal.
async fn near(server: &Server) -> Result<Listening, Failure> {
    let listen = server.listen;
    let bound = match Listening::at(server, listen).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Listening::at(server, SocketAddr::new(listen.ip(), 0)).await
        }
        bound => bound,
    };
    bound.map_err(|error| Failure::new(Exit::Failed, format!("cannot listen at {listen}: {error}")))
}
