//! `holdshort review`: what waits, read and decided on with the keyboard, on a full screen.
//!
//! It is a client of the endpoint like `approvals`, with the same pages and the same checks. Read in this order: [`screen`] has the terminal,
//! [`inbox`], [`reading`] and [`ask`] are what is on it, [`desk`] what keys do, [`sheet`] what it looks like, [`news`] what others do meanwhile.

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
use super::client::{self, Client, Decided};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::review::changes;
use desk::{Desk, Fetched, Order};
use inbox::Inbox;
use news::Feed;
use screen::{Input, Screen};

/// Shows what waits until the person has had enough.
pub(super) fn run(client: Client, output: &Output) -> Result<Exit, Failure> {
    if output.json {
        let failure = Failure::new(Exit::Usage, "`review` is for people, and prints no JSON");
        return Err(failure.hint("programs ask `holdshort approvals --json`"));
    }
    let client = Arc::new(client);
    // Whoever cannot reach the host, or may not ask it, learns that on the terminal as it was.
    let inbox = Inbox::load(1, &client)?;
    let mut review = Review { screen: Screen::open()?, feed: Feed::begin(&client), client, desk: Desk::default() };
    review.desk.colours = output.colour();
    review.desk.listed(inbox, 1);
    review.until_left()
}

/// A desk, its terminal and its host.
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
                None => news.map_or(Order::Wait, |news| self.desk.told(news)),
            };
            // One thing may lead to another: a decision opens what comes next.
            while order != Order::Wait {
                if order == Order::Leave {
                    return Ok(Exit::Done);
                }
                order = self.carry_out(order)?;
                self.feed.look_at(self.desk.looking());
            }
        }
    }

    /// Does what is to be done. What fails at the host is shown; a failure here is one of the terminal.
    fn carry_out(&mut self, order: Order) -> Result<Order, Failure> {
        match order {
            Order::Wait | Order::Leave => {}
            Order::List(pages) => {
                let client = self.client.clone();
                let listed = self.screen.during(move || Ok(Inbox::load(pages, &client)))?;
                match listed {
                    Ok(inbox) => self.desk.listed(inbox, pages),
                    Err(failure) => self.desk.failed(failure),
                }
            }
            Order::Open(id, full) => {
                let client = self.client.clone();
                match self.screen.during(move || Ok(fetch(&id, full, &client)))? {
                    Ok(fetched) => self.desk.opened(fetched),
                    Err(failure) => self.desk.failed(failure),
                }
            }
            Order::Edit => self.edit()?,
            Order::Send(decision) => return self.send(&decision),
        }
        Ok(Order::Wait)
    }

    fn send(&mut self, decision: &Value) -> Result<Order, Failure> {
        let Some(id) = self.desk.looking().at else { return Ok(Order::Wait) };
        let client = self.client.clone();
        let sent = self
            .screen
            .during(|| Ok(client.decide(&id, decision).and_then(|answer| client::read::<Decided>(&answer))))?;
        // It was typed at what is decided now, and not at what comes next.
        self.screen.forget_typed();
        match sent {
            Ok(decided) => {
                if let Some(edit) = &self.desk.edit {
                    // What is left of it is only a copy of what the journal holds.
                    let _ = fs::remove_file(&edit.draft);
                }
                let edit = decision.get("type").is_some_and(|kind| kind == "edit");
                Ok(self.desk.decided(&id, edit, &decided))
            }
            Err(failure) => {
                let stale = desk::is_stale(&failure);
                self.desk.failed(failure);
                Ok(if stale { Order::Open(id, false) } else { Order::Wait })
            }
        }
    }

    /// Has the arguments changed in the reviewer's editor.
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

/// An approval with its evidence.
fn fetch(id: &CallId, full: bool, client: &Client) -> Result<Fetched, Failure> {
    let asked = Instant::now();
    let page = Page { full, ..Page::load(id, client)? };
    let exhibits = page.exhibits(client)?;
    Ok(Fetched { asked, page, exhibits })
}
