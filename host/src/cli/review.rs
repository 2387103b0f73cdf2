//! `holdshort review`: read and decide on waiting approvals with the keyboard on a full screen.
//!
//! It is a client of the endpoint like `approvals`, with the same pages and checks. Read in this
//! order: [`screen`] controls the terminal; [`inbox`], [`reading`] and [`ask`] are the parts of the
//! screen; [`desk`] reacts to keys; [`sheet`] draws; [`news`] watches other reviewers' actions.

mod ask;
mod desk;
mod inbox;
mod news;
mod reading;
mod screen;
mod sheet;

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::approvals::{edit, show::Page};
use super::args::CallId;
use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::api::decisions::DecisionAnswer;
use crate::review::changes;
use desk::{Desk, DeskCommand, FetchedApproval};
use inbox::Inbox;
use news::Feed;
use screen::{Input, Screen};

/// Shows waiting approvals until the reviewer quits.
pub(super) fn run(client: Client, output: &Output) -> Result<Exit, Failure> {
    if output.json {
        let failure = Failure::new(Exit::Usage, "`review` is a full-screen program, and prints no JSON");
        return Err(failure.hint("for JSON, use `holdshort approvals --json`"));
    }
    let client = Arc::new(client);
    // Connection and authentication errors are reported before the program takes over the screen.
    let inbox = Inbox::load(1, &client)?;
    let mut review = Review { screen: Screen::open()?, feed: Feed::begin(&client), client, desk: Desk::default() };
    review.desk.colours = output.colour();
    review.desk.listed(inbox, 1);
    review.until_left()
}

/// The desk, its terminal and its host.
struct Review {
    screen: Screen,
    feed: Feed,
    client: Arc<Client>,
    desk: Desk,
}

impl Review {
    fn until_left(&mut self) -> Result<Exit, Failure> {
        let mut changed = true;
        loop {
            let (columns, rows) = self.screen.size()?;
            changed |= self.desk.resize(columns, rows);
            if changed {
                self.screen.draw(&self.desk.sheet())?;
            }
            let input = self.screen.next()?;
            let news = if input.is_none() { self.feed.next() } else { None };
            changed = input.is_some() || news.is_some();
            let mut order = match input {
                Some(Input::Stop) => return Ok(Exit::Interrupted),
                Some(input) => self.desk.press(&input),
                None => news.map_or(DeskCommand::Wait, |news| self.desk.take_news(news)),
            };
            // One action may cause another: a decision opens the next approval.
            while order != DeskCommand::Wait {
                if order == DeskCommand::Leave {
                    return Ok(Exit::Done);
                }
                order = self.carry_out(order)?;
                self.feed.look_at(self.desk.looking());
            }
        }
    }

    /// Carries out a command of the desk. Errors of the host are shown on the screen; only errors
    /// of the terminal are returned.
    fn carry_out(&mut self, order: DeskCommand) -> Result<DeskCommand, Failure> {
        match order {
            DeskCommand::Wait | DeskCommand::Leave => {}
            DeskCommand::List(pages) => {
                let client = self.client.clone();
                let listed = self.screen.during(move || Ok(Inbox::load(pages, &client)))?;
                match listed {
                    Ok(inbox) => self.desk.listed(inbox, pages),
                    Err(failure) => self.desk.failed(failure),
                }
            }
            DeskCommand::Open(id, full) => {
                let client = self.client.clone();
                match self.screen.during(move || Ok(fetch(&id, full, &client)))? {
                    Ok(fetched) => self.desk.opened(fetched),
                    Err(failure) => self.desk.failed(failure),
                }
            }
            DeskCommand::Edit => self.edit()?,
            DeskCommand::Send(decision) => return self.send(&decision),
        }
        Ok(DeskCommand::Wait)
    }

    fn send(&mut self, decision: &Value) -> Result<DeskCommand, Failure> {
        let Some(id) = self.desk.looking().at else { return Ok(DeskCommand::Wait) };
        let client = self.client.clone();
        let sent = self
            .screen
            .during(|| Ok(client.decide(&id, decision).and_then(|answer| client::read::<DecisionAnswer>(&answer))))?;
        // Keys typed so far were meant for this approval, not for the next.
        self.screen.forget_typed();
        match sent {
            Ok(decided) => {
                if let Some(edit) = &self.desk.edit {
                    // The journal has the edited arguments now, so the draft is not needed any
                    // more.
                    let _ = fs::remove_file(&edit.draft);
                }
                let edit = decision.get("type").is_some_and(|kind| kind == "edit");
                Ok(self.desk.decided(&id, edit, &decided))
            }
            Err(failure) => {
                let stale = desk::is_stale(&failure);
                self.desk.failed(failure);
                Ok(if stale { DeskCommand::Open(id, false) } else { DeskCommand::Wait })
            }
        }
    }

    /// Lets the reviewer change the arguments in their editor.
    fn edit(&mut self) -> Result<(), Failure> {
        let Some(open) = &self.desk.open else { return Ok(()) };
        let page = &open.fetched.page;
        let action = &page.verified.proposal.action;
        let written = match edit::editor() {
            Ok(editor) => self.screen.lend(|| edit::in_editor(&editor, action, &page.id.to_string()))?,
            Err(failure) => Err(failure),
        };
        match written {
            Ok((after, draft)) if changes(action.arguments(), &after).is_empty() => {
                let _ = fs::remove_file(draft);
                self.desk.status = "nothing was changed; nothing was sent".into();
            }
            Ok((after, draft)) => self.desk.edited(after, draft),
            Err(failure) => self.desk.failed(failure),
        }
        Ok(())
    }
}

/// Loads an approval with its exhibits.
fn fetch(id: &CallId, full: bool, client: &Client) -> Result<FetchedApproval, Failure> {
    let asked = Instant::now();
    let page = Page { full, ..Page::load(id, client)? };
    let exhibits = page.exhibits(client)?;
    Ok(FetchedApproval { asked, page, exhibits })
}
