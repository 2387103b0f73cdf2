//! The list of waiting approvals: those in doubt first, then held ones, in the host's order.

use holdshort_gate::CallState;
use std::ops::Range;
use std::time::Instant;

use crate::api::inbox::{ApprovalPage, ApprovalRow};
use crate::cli::approvals::list;
use crate::cli::args::{CallId, ListApprovals};
use crate::cli::client::{self, Client};
use crate::cli::exit::{Exit, Failure};
use crate::review::terminal::{self, Line};

/// Approvals per request, the host's maximum.
const PAGE: u32 = 200;

/// A waiting approval.
pub(super) struct WaitingApproval {
    pub(super) id: CallId,
    row: ApprovalRow,
}

/// The waiting approvals loaded so far.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) waiting: Vec<WaitingApproval>,
    /// The number of approvals in doubt. They come first.
    pub(super) doubtful: usize,
    /// Whether the host has more approvals.
    pub(super) more: bool,
    /// The index of the selected approval.
    pub(super) chosen: usize,
    /// The time of the request.
    asked: Option<Instant>,
}

impl Inbox {
    /// Loads this number of pages.
    pub(super) fn load(pages: usize, client: &Client) -> Result<Self, Failure> {
        let mut inbox = Self { asked: Some(Instant::now()), ..Self::default() };
        let mut after = None;
        for _ in 0..pages {
            let page = list::page(&ListApprovals::waiting(PAGE, after), client)?;
            let page = client::read::<ApprovalPage>(&page)?;
            for row in page.approvals {
                let wrong = |why| Failure::new(Exit::Failed, format!("the host's list has the id `{}`: {why}", row.id));
                inbox.doubtful += usize::from(row.state == CallState::InDoubt);
                inbox.waiting.push(WaitingApproval { id: row.id.parse().map_err(wrong)?, row });
            }
            after = page.next;
            inbox.more = after.is_some();
            if !inbox.more {
                break;
            }
        }
        Ok(inbox)
    }

    /// Replaces the list with a newer one. The selected approval stays selected if it still waits. A list that was
    /// requested earlier than the present list is ignored.
    pub(super) fn follow(&mut self, newer: Self) {
        if newer.asked >= self.asked {
            *self = newer.following(self);
        }
    }

    fn following(mut self, older: &Self) -> Self {
        let place = older.chosen().and_then(|id| self.waiting.iter().position(|waiting| waiting.id == *id));
        self.chosen = place.unwrap_or(older.chosen).min(self.waiting.len().saturating_sub(1));
        self
    }

    /// The selected approval.
    pub(super) fn chosen(&self) -> Option<&CallId> {
        self.waiting.get(self.chosen).map(|waiting| &waiting.id)
    }

    /// Selects the approval `steps` rows after `id`, if there is one.
    pub(super) fn select_neighbour(&mut self, id: &CallId, steps: isize) -> Option<CallId> {
        let place = self.waiting.iter().position(|waiting| waiting.id == *id)?;
        self.chosen = place.checked_add_signed(steps).filter(|place| *place < self.waiting.len())?;
        self.chosen().cloned()
    }

    /// Removes a decided approval and selects the next one.
    pub(super) fn without(&mut self, id: &CallId) {
        let Some(place) = self.waiting.iter().position(|waiting| waiting.id == *id) else { return };
        self.waiting.remove(place);
        self.doubtful -= usize::from(place < self.doubtful);
        self.chosen = place.min(self.waiting.len().saturating_sub(1));
    }

    /// The lines of the list, and the range of the selected one.
    pub(super) fn lines(&self, columns: usize) -> (Vec<Line>, Range<usize>) {
        let (mut lines, mut chosen) = (Vec::new(), 0..0);
        for (place, WaitingApproval { id, row }) in self.waiting.iter().enumerate() {
            if place == 0 && self.doubtful > 0 {
                lines.extend(terminal::warning("In doubt: the page of each call says how to resolve it", columns));
            }
            if place == self.doubtful && place > 0 {
                lines.extend(terminal::row("", "", columns));
            }
            let start = lines.len();
            let until = row.deadline.iter().map(|deadline| format!(", until {deadline}")).collect::<String>();
            let sign = if place == self.chosen { ">" } else { " " };
            let text = format!("{}: {} (since {}{until})", row.agent, row.summary, row.proposed_at);
            lines.extend(terminal::row(&format!("{sign} {id}  "), &text, columns));
            if place == self.chosen {
                chosen = start..lines.len();
            }
        }
        (lines, chosen)
    }
}
