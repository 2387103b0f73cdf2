//! What others do meanwhile: listened to beside the screen, which never waits for it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::inbox::Inbox;
use crate::cli::approvals::show::Page;
use crate::cli::args::CallId;
use crate::cli::client::Client;

/// Until the host is asked again, when it could not be listened to.
const AGAIN: Duration = Duration::from_secs(2);
/// Between what has happened and looking what that changed, so that one look serves a burst.
const BURST: Duration = Duration::from_millis(50);

/// What the person has before them.
#[derive(Clone, Default)]
pub(super) struct Looking {
    /// The page that is open.
    pub(super) at: Option<CallId>,
    /// Pages of the inbox.
    pub(super) pages: usize,
}

/// How things stand after something has happened.
pub(super) struct News {
    /// When the host was asked.
    pub(super) asked: Instant,
    pub(super) inbox: Inbox,
    /// The page that was open, if it may have changed.
    pub(super) page: Option<Box<Page>>,
}

/// Where news come from.
pub(super) struct Feed {
    looking: Arc<Mutex<Looking>>,
    news: Receiver<News>,
}

impl Feed {
    /// Begins to listen. The threads end with the process.
    pub(super) fn begin(client: &Arc<Client>) -> Self {
        let looking = Arc::new(Mutex::new(Looking::default()));
        let (happened, heard) = channel();
        let (tell, news) = channel();
        let ear = client.clone();
        thread::spawn(move || listen(&ear, &happened));
        let (eye, at) = (client.clone(), looking.clone());
        thread::spawn(move || look(&eye, &at, &heard, &tell));
        Self { looking, news }
    }

    /// Says what the person has before them now.
    pub(super) fn look_at(&self, looking: Looking) {
        *locked(&self.looking) = looking;
    }

    /// What has changed since.
    pub(super) fn next(&self) -> Option<News> {
        self.news.try_recv().ok()
    }
}

/// Passes on that something has happened, with the run. What was missed while nobody listened can be anything.
fn listen(client: &Client, happened: &Sender<Option<String>>) {
    loop {
        // A host that is gone says so to whoever asks it for something.
        let _ = client.listen(|run| drop(happened.send(run.map(str::to_owned))));
        thread::sleep(AGAIN);
        if happened.send(None).is_err() {
            return;
        }
    }
}

fn look(client: &Client, looking: &Mutex<Looking>, heard: &Receiver<Option<String>>, tell: &Sender<News>) {
    while let Ok(first) = heard.recv() {
        thread::sleep(BURST);
        let runs: Vec<Option<String>> = std::iter::once(first).chain(heard.try_iter()).collect();
        let Looking { at, pages } = locked(looking).clone();
        let asked = Instant::now();
        let concerned = |id: &CallId| runs.iter().any(|run| run.as_ref().is_none_or(|run| *run == id.run.to_string()));
        let page = at.filter(concerned).and_then(|id| Page::load(&id, client).ok()).map(Box::new);
        // What cannot be had now comes with the next event, or the host is gone, which the next key tells.
        let Ok(inbox) = Inbox::load(pages.max(1), client) else { continue };
        if tell.send(News { asked, inbox, page }).is_err() {
            return;
        }
    }
}

fn locked(looking: &Mutex<Looking>) -> MutexGuard<'_, Looking> {
    looking.lock().unwrap_or_else(PoisonError::into_inner)
}
