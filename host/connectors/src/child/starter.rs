//! The thread that starts all children. It lives as long as the host.
//!
//! A sandbox asks the kernel to end the sandbox when its parent ends. For the kernel, the parent is the thread that
//! started the sandbox. A runtime thread can end while the sandbox still runs, so it must not be the parent.

use std::io;
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Starts a child on the calling task's runtime. If the caller has gone before the child has started, the
/// child is killed.
pub(super) async fn start(mut command: Command) -> io::Result<Child> {
    static JOBS: LazyLock<Sender<Job>> = LazyLock::new(|| {
        let (jobs, waiting) = channel::<Job>();
        // If the thread cannot be started, sending a job fails, and the caller gets that error.
        let _ = std::thread::Builder::new().name("children".into()).spawn(move || waiting.iter().for_each(|job| job()));
        jobs
    });
    let ended = || io::Error::other("the host's thread that starts programs has ended");
    let (reply, started) = oneshot::channel();
    let runtime = Handle::current();
    command.kill_on_drop(true);
    let job: Job = Box::new(move || {
        let _inside = runtime.enter();
        // If the caller is gone, the child is dropped and thereby killed.
        let _ = reply.send(command.spawn());
    });
    JOBS.send(job).map_err(|_| ended())?;
    started.await.map_err(|_| ended())?
}
