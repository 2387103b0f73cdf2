//! Watches for other reviewers' actions in the background, so that the screen never waits.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::inbox::Inbox;
use crate::cli::approvals::show::Page;
use crate::cli::args::CallId;
use crate::cli::client::Client;

/// The pause before listening again after a failure.
const AGAIN: Duration = Duration::from_secs(2);
/// The pause between an event and loading the changes, so that one request covers several events.
const BURST: Duration = Duration::from_millis(50);

/// The part of the host's data that is on the reviewer's screen.
#[derive(Clone, Default)]
pub(super) struct ReviewerView {
    /// The open page.
    pub(super) at: Option<CallId>,
    /// The number of pages of the inbox that are loaded.
    pub(super) pages: usize,
}

/// The current state after a change.
pub(super) struct News {
    /// The time of the request.
    pub(super) asked: Instant,
    pub(super) inbox: Inbox,
    /// The open page, if it may have changed.
    pub(super) page: Option<Box<Page>>,
}

/// The source of news.
pub(super) struct Feed {
    looking: Arc<Mutex<ReviewerView>>,
    news: Receiver<News>,
}

impl Feed {
    /// Starts to listen. Its threads end with the process.
    pub(super) fn begin(client: &Arc<Client>) -> Self {
        let looking = Arc::new(Mutex::new(ReviewerView::default()));
        let (happened, heard) = channel();
        let (tell, news) = channel();
        let ear = client.clone();
        thread::spawn(move || listen(&ear, &happened));
        let (eye, at) = (client.clone(), looking.clone());
        thread::spawn(move || look(&eye, &at, &heard, &tell));
        Self { looking, news }
    }

    /// Sets the part of the host's data that is on the screen.
    pub(super) fn look_at(&self, looking: ReviewerView) {
        *locked(&self.looking) = looking;
    }

    /// The news since the last call.
    pub(super) fn next(&self) -> Option<News> {
        self.news.try_recv().ok()
    }
}

/// Reports the run of each event. `None` means that any run may have changed, because events were
/// missed.
fn listen(client: &Client, happened: &Sender<Option<String>>) {
    loop {
        // If the host cannot be reached, the reviewer's next request reports it.
        let _ = client.listen(|run| drop(happened.send(run.map(str::to_owned))));
        thread::sleep(AGAIN);
        if happened.send(None).is_err() {
            return;
        }
    }
}

fn look(client: &Client, looking: &Mutex<ReviewerView>, heard: &Receiver<Option<String>>, tell: &Sender<News>) {
    while let Ok(first) = heard.recv() {
        thread::sleep(BURST);
        let runs: Vec<Option<String>> = std::iter::once(first).chain(heard.try_iter()).collect();
        let ReviewerView { at, pages } = locked(looking).clone();
        let asked = Instant::now();
        let concerned = |id: &CallId| runs.iter().any(|run| run.as_ref().is_none_or(|run| *run == id.run.to_string()));
        let page = at.filter(concerned).and_then(|id| Page::load(&id, client).ok()).map(Box::new);
        // If loading fails, this news is dropped. The next event loads again, or the reviewer's
        // next request reports the failure.
        let Ok(inbox) = Inbox::load(pages.max(1), client) else { continue };
        if tell.send(News { asked, inbox, page }).is_err() {
            return;
        }
    }
}

fn locked(looking: &Mutex<ReviewerView>) -> MutexGuard<'_, ReviewerView> {
    looking.lock().unwrap_or_else(PoisonError::into_inner)
}
