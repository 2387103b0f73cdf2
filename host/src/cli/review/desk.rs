//! The state of the full screen, and its reaction to keys. It does no IO: it returns each action as a [`DeskCommand`].
// INVARIANT: a decision names the digest of the open page. An approval is sent only after the end of the page was on
// the screen.

use std::path::PathBuf;
use std::time::Instant;

use holdshort_gate::{CallState, EffectClass};
use serde_json::Value;

use super::ask::{Prompt, PromptKind, PromptState};
use super::inbox::Inbox;
use super::news::{News, ReviewerView};
use super::reading::ReadingProgress;
use super::screen::Input;
use crate::api::decisions::DecisionAnswer;
use crate::api::shapes::Lenient;
use crate::cli::approvals::decide::{add, decision, outcome};
use crate::cli::approvals::show::{MARKED, Page};
use crate::cli::args::CallId;
use crate::cli::exit::{Exit, Failure};
use crate::review::sentences;
use crate::review::terminal;
use crate::review::{ShownExhibit, changes, remarks};

/// An action for the caller to carry out.
#[derive(Debug, PartialEq)]
pub(super) enum DeskCommand {
    /// Wait for the next key.
    Wait,
    Leave,
    /// Load this number of pages of the list.
    List(usize),
    /// Load an approval, with or without its long exhibits.
    Open(CallId, bool),
    /// Open the reviewer's editor with the arguments.
    Edit,
    /// Send a decision on the open approval.
    Send(Value),
}

/// A loaded approval.
pub(super) struct FetchedApproval {
    /// The time of the request.
    pub(super) asked: Instant,
    pub(super) page: Page,
    pub(super) exhibits: Vec<ShownExhibit>,
}

/// The approval on the screen.
pub(super) struct OpenApproval {
    pub(super) fetched: FetchedApproval,
    pub(super) reading: ReadingProgress,
}

/// The reviewer's edited arguments.
pub(super) struct OpenEdit {
    pub(super) after: Value,
    /// The draft's file, kept until the host has accepted the edit.
    pub(super) draft: PathBuf,
    pub(super) reading: ReadingProgress,
}

/// The state of the screen.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) colours: bool,
    pub(super) inbox: Inbox,
    pub(super) pages: usize,
    pub(super) list: ReadingProgress,
    pub(super) open: Option<OpenApproval>,
    pub(super) edit: Option<OpenEdit>,
    pub(super) help: Option<ReadingProgress>,
    pub(super) prompt: Option<Prompt>,
    /// A message that stays until the next key.
    pub(super) status: String,
}

impl Desk {
    /// Processes a key.
    pub(super) fn press(&mut self, input: &Input) -> DeskCommand {
        if self.is_too_small() {
            return if *input == Input::Char('q') { DeskCommand::Leave } else { DeskCommand::Wait };
        }
        if let Some(prompt) = self.prompt.take() {
            return self.answer(prompt, input);
        }
        self.status.clear();
        let leaves = matches!(input, Input::Escape | Input::Char('q'));
        if let Some(help) = &mut self.help {
            help.scroll(input);
            if leaves || *input == Input::Char('?') {
                self.help = None;
            }
            return DeskCommand::Wait;
        }
        if *input == Input::Char('?') {
            self.help = Some(ReadingProgress::default());
            return DeskCommand::Wait;
        }
        if let Some(edit) = &mut self.edit {
            edit.reading.scroll(input);
            if leaves {
                self.status = format!("nothing was sent; your draft is kept in `{}`", edit.draft.display());
                self.edit = None;
            } else if *input == Input::Char('a') {
                self.ask_to_edit();
            }
            return DeskCommand::Wait;
        }
        if self.open.is_some() { self.press_on_page(input) } else { self.press_in_list(input) }
    }

    fn press_in_list(&mut self, input: &Input) -> DeskCommand {
        let last = self.inbox.waiting.len().saturating_sub(1);
        let page = (self.rows / 3).max(1);
        let chosen = self.inbox.chosen;
        self.inbox.chosen = match input {
            Input::Down | Input::Char('j') => chosen + 1,
            Input::Up | Input::Char('k') => chosen.saturating_sub(1),
            Input::PageDown | Input::Char(' ') => chosen + page,
            Input::PageUp | Input::Char('b') => chosen.saturating_sub(page),
            Input::Home | Input::Char('g') => 0,
            Input::End | Input::Char('G') => last,
            Input::Enter | Input::Char('l') => {
                let chosen = self.inbox.chosen().cloned();
                return chosen.map_or(DeskCommand::Wait, |id| DeskCommand::Open(id, false));
            }
            Input::Char('u') => return DeskCommand::List(self.pages),
            Input::Char('q') => return DeskCommand::Leave,
            Input::Char('a' | 'e' | 'r' | 'w') => {
                self.status = "open the call first: you decide on the page of the call".into();
                chosen
            }
            Input::Char(_) | Input::Paste(_) | Input::Escape | Input::Backspace | Input::Stop => chosen,
        }
        .min(last);
        // At the end of the loaded list, more is loaded.
        if self.inbox.more && self.inbox.chosen == last && chosen != last {
            return DeskCommand::List(self.pages + 1);
        }
        DeskCommand::Wait
    }

    fn press_on_page(&mut self, input: &Input) -> DeskCommand {
        let Some(open) = &mut self.open else { return DeskCommand::Wait };
        open.reading.scroll(input);
        let id = open.fetched.page.id.clone();
        match input {
            Input::Escape | Input::Char('q' | 'h') => {
                self.open = None;
                return DeskCommand::List(self.pages);
            }
            Input::Char('n') => return self.select_neighbour(&id, 1),
            Input::Char('p') => return self.select_neighbour(&id, -1),
            Input::Char('u') => return DeskCommand::Open(id, open.fetched.page.full),
            Input::Char('f') if open.fetched.page.leaves_out() => return DeskCommand::Open(id, true),
            Input::Char('a') => self.ask_to_approve(),
            Input::Char('r') => self.ask_for(PromptKind::Reject, false),
            Input::Char('w') => self.ask_for(PromptKind::Respond, true),
            Input::Char('e') => match self.may_read_on() {
                None => return DeskCommand::Edit,
                Some(why) => self.status = why,
            },
            Input::Char(_) | Input::Paste(_) | Input::Enter | Input::Backspace | Input::Stop => {}
            Input::Up | Input::Down | Input::PageUp | Input::PageDown | Input::Home | Input::End => {}
        }
        DeskCommand::Wait
    }

    fn select_neighbour(&mut self, id: &CallId, steps: isize) -> DeskCommand {
        if let Some(id) = self.inbox.select_neighbour(id, steps) {
            return DeskCommand::Open(id, false);
        }
        self.status = if steps > 0 { "this is the last call" } else { "this is the first call" }.into();
        DeskCommand::Wait
    }

    /// The reason why the reviewer cannot approve now; `None` if approving is possible.
    fn may_read_on(&self) -> Option<String> {
        let Some(OpenApproval { fetched: FetchedApproval { page, .. }, reading }) = &self.open else {
            return Some("open the call first".into());
        };
        if let Some(why) = waits_for_nothing(page) {
            Some(why)
        } else if page.verified.proposal.class == EffectClass::Question {
            Some("this is a question: `w` writes the answer, `r` rejects it".into())
        } else if page.leaves_out() {
            Some("long evidence is not loaded yet: press `f`, then read it".into())
        } else if !reading.ended {
            Some("read to the end first: the end of this page has not been on the screen yet (Space scrolls, G goes to the end)".into())
        } else {
            None
        }
    }

    fn ask_to_approve(&mut self) {
        if let Some(why) = self.may_read_on() {
            self.status = why;
            return;
        }
        let caution = self.open.as_ref().and_then(|open| open.fetched.page.caution());
        self.prompt = Some(Prompt::new(PromptKind::Approve, caution));
    }

    fn ask_to_edit(&mut self) {
        let (Some(edit), Some(open)) = (&self.edit, &self.open) else { return };
        if !edit.reading.ended {
            self.status = "read to the end first: the end of the difference has not been on the screen yet".into();
            return;
        }
        let marked = remarks::of_value("", &edit.after).iter().any(remarks::Remark::alarms);
        let caution = if marked { Some(MARKED) } else { open.fetched.page.caution() };
        self.prompt = Some(Prompt::new(PromptKind::Edit, caution));
    }

    fn ask_for(&mut self, ask: PromptKind, question: bool) {
        let Some(OpenApproval { fetched: FetchedApproval { page, .. }, .. }) = &self.open else { return };
        let wrong = question && page.verified.proposal.class != EffectClass::Question;
        match waits_for_nothing(page) {
            Some(why) => self.status = why,
            None if wrong => self.status = "this is not a question: `a` approves it, `r` rejects it".into(),
            None => self.prompt = Some(Prompt::new(ask, None)),
        }
    }

    fn answer(&mut self, mut prompt: Prompt, input: &Input) -> DeskCommand {
        let ask = prompt.ask;
        match prompt.answer(input) {
            PromptState::Still => self.prompt = Some(prompt),
            PromptState::No(why) => self.status = why,
            PromptState::Yes(text) => {
                let Some(open) = &self.open else { return DeskCommand::Wait };
                let mut decision = decision(ask.kind(), open.fetched.page.verified.digest, text.as_deref());
                if let (PromptKind::Edit, Some(edit)) = (ask, &self.edit) {
                    add(&mut decision, "arguments", edit.after.clone());
                }
                return DeskCommand::Send(decision);
            }
        }
        DeskCommand::Wait
    }

    /// Shows a newly loaded list.
    pub(super) fn listed(&mut self, inbox: Inbox, pages: usize) {
        self.inbox.follow(inbox);
        self.pages = pages;
    }

    /// Shows a loaded approval. If everything that a decision covers is the same as before, the reading progress is
    /// kept.
    pub(super) fn opened(&mut self, fetched: FetchedApproval) {
        self.inbox.select_neighbour(&fetched.page.id, 0);
        let lines = self.laid_out(&fetched);
        let of = |page: &Page| (page.id.clone(), page.verified.digest, page.full);
        match &mut self.open {
            Some(open) if of(&open.fetched.page) == of(&fetched.page) => {
                open.reading.again(&lines, self.columns);
                open.fetched = fetched;
            }
            open => *open = Some(OpenApproval { reading: ReadingProgress::new(&lines, self.columns), fetched }),
        }
    }

    pub(super) fn laid_out(&self, fetched: &FetchedApproval) -> Vec<terminal::Line> {
        fetched.page.laid_out(&fetched.exhibits, "press f", self.columns)
    }

    /// Takes the editor's text and shows the changes before it asks for confirmation.
    pub(super) fn edited(&mut self, after: Value, draft: PathBuf) {
        self.edit = Some(OpenEdit { after, draft, reading: ReadingProgress::default() });
        self.lay_out_edit();
    }

    pub(super) fn lay_out_edit(&mut self) {
        let (Some(open), Some(edit)) = (&self.open, &mut self.edit) else { return };
        let before = open.fetched.page.verified.proposal.action.arguments();
        let mut lines = terminal::changes(&changes(before, &edit.after), self.columns);
        for remark in remarks::of_value("", &edit.after) {
            lines.extend(terminal::warning(&format!("! {remark}"), self.columns));
        }
        edit.reading.again(&lines, self.columns);
    }

    /// Takes the result of a decision and opens the next approval. After an edit, the new revision is opened.
    pub(super) fn decided(&mut self, id: &CallId, edit: bool, decided: &DecisionAnswer) -> DeskCommand {
        self.edit = None;
        self.status = format!("{id} {}", outcome(decided));
        if edit && decided.state == CallState::Held {
            return DeskCommand::Open(id.clone(), false);
        }
        let next = self.inbox.select_neighbour(id, 1);
        if decided.state != CallState::Held {
            self.inbox.without(id);
        }
        self.open = None;
        next.map_or(DeskCommand::List(self.pages), |id| DeskCommand::Open(id, false))
    }

    /// Shows a failure as the message.
    pub(super) fn failed(&mut self, failure: Failure) {
        // The next step is visible on this screen, so the failure's advice is left out.
        let hint = failure.hint.filter(|_| failure.exit != Exit::Refused);
        self.status = failure.message + &hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    }

    /// Shows news about other reviewers' actions.
    pub(super) fn take_news(&mut self, news: News) -> DeskCommand {
        self.inbox.follow(news.inbox);
        let (Some(page), Some(open)) = (news.page, &mut self.open) else { return DeskCommand::Wait };
        let shown = &open.fetched.page;
        let same = page.verified.digest == shown.verified.digest && state(&page) == state(shown);
        let more = page.detail.decisions.len() > shown.detail.decisions.len();
        // Whether the page on the screen was requested later than the news.
        let late = news.asked < open.fetched.asked;
        if page.id != shown.id || late || (same && !more) {
            return DeskCommand::Wait;
        }
        let last = page.detail.decisions.last().filter(|_| more);
        self.status = match last {
            Some(last) => format!("meanwhile the call was {}", sentences::decided(&last.decision)),
            None => format!("meanwhile the call has changed; it is now {}", state(&page)),
        };
        if !same {
            // The prompt or the edit refers to an outdated page.
            self.prompt = None;
            if let Some(edit) = self.edit.take() {
                self.status += &format!("; your draft is kept in `{}`", edit.draft.display());
            }
        }
        DeskCommand::Open(page.id, shown.full)
    }

    /// The part of the host's data that is on the screen.
    pub(super) fn looking(&self) -> ReviewerView {
        ReviewerView { at: self.open.as_ref().map(|open| open.fetched.page.id.clone()), pages: self.pages }
    }
}

/// The reason why no decision is possible; `None` if the call waits for a decision.
fn waits_for_nothing(page: &Page) -> Option<String> {
    (page.detail.state != CallState::Held)
        .then(|| format!("the call does not wait for a decision: it is {}", state(page)))
}

/// The state of the effect; before there is an effect, the state of the call.
pub(super) fn state(page: &Page) -> &Lenient<CallState> {
    page.detail.effect.as_ref().map_or(&page.detail.state, |effect| &effect.state)
}

/// Whether a failure can mean that the screen is outdated: the host refused the request.
pub(super) fn is_stale(failure: &Failure) -> bool {
    failure.exit == Exit::Refused
}
