//! The thread that starts every child, and lives as long as the host does.
//!
//! A sandbox asks the kernel to end it with its parent, and to the kernel that is the thread that started it. Threads of a runtime come and go.

use std::io;
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Starts a child of the calling task's runtime. One that nobody takes any more is killed.
pub(super) async fn start(mut command: Command) -> io::Result<Child> {
    static JOBS: LazyLock<Sender<Job>> = LazyLock::new(|| {
        let (jobs, waiting) = channel::<Job>();
        // Where there is no thread, whoever sends a job is told.
        let _ = std::thread::Builder::new().name("children".into()).spawn(move || waiting.iter().for_each(|job| job()));
        jobs
    });
    let ended = || io::Error::other("the host's thread that starts programs has ended");
    let (reply, started) = oneshot::channel();
    let runtime = Handle::current();
    command.kill_on_drop(true);
    let job: Job = Box::new(move || {
        let _inside = runtime.enter();
        // If nobody waits any more the child is dropped, and so killed.
        let _ = reply.send(command.spawn());
    });
    JOBS.send(job).map_err(|_| ended())?;
    started.await.map_err(|_| ended())?
}
