//! Draws the state of the desk.

use super::desk::{Desk, OpenApproval, state};
use super::reading::ReadingProgress;
use holdshort_gate::{CallState, EffectClass};

use crate::review::Screenful;
use crate::review::screen::rows;
use crate::review::terminal::{self, Line};

/// The minimum width of the screen for decisions.
const COLUMNS_MIN: usize = 24;
/// The minimum height of the screen for decisions.
const ROWS_MIN: usize = 8;

/// All keys.
const HELP: [(&str, &str); 16] = [
    ("j, k, arrows", "down and up"),
    ("Space, b, Page Down, Page Up", "a screen down and up"),
    ("g, G, Home, End", "to the beginning and to the end"),
    ("Enter", "in the list: open the chosen call"),
    ("n, p", "open the next call, the previous call"),
    ("q, Esc", "back to the list; in the list, leave"),
    ("a", "approve exactly the content of the page, after its end has been on the screen"),
    ("r", "reject, with guidance for the agent"),
    ("e", "edit the arguments in $VISUAL or $EDITOR; the difference is shown, and the key a sends the edit"),
    ("w", "write the answer to a question; for an answer that is not text: holdshort approvals respond --json-answer"),
    ("f", "fetch long evidence"),
    ("u", "reload from the host; decisions of other reviewers appear without a reload"),
    ("Ctrl-C", "leave from anywhere"),
    ("!", "begins a warning; to approve, you then type a word instead of a key"),
    ("│", "begins a line of a longer text; ┊ continues the line above"),
    ("in doubt", "an effect with an unknown outcome; its page names the command that resolves it"),
];

impl Desk {
    /// Whether the screen is too small for decisions.
    pub(super) fn is_too_small(&self) -> bool {
        self.columns < COLUMNS_MIN || self.rows < ROWS_MIN
    }

    /// Sets the screen's size and lays out the open page again. Returns whether the size changed.
    pub(super) fn resize(&mut self, columns: usize, rows: usize) -> bool {
        let before = (self.columns, self.rows);
        (self.columns, self.rows) = (columns, rows);
        if columns != before.0 {
            if let Some(mut open) = self.open.take() {
                open.reading.again(&self.laid_out(&open.fetched), columns);
                self.open = Some(open);
            }
            self.lay_out_edit();
        }
        before != (columns, rows)
    }

    /// The complete screen.
    pub(super) fn sheet(&mut self) -> Screenful {
        if self.is_too_small() {
            let text = format!(
                "The screen is too small: make it {COLUMNS_MIN} columns and {ROWS_MIN} rows or more. q leaves."
            );
            return Screenful { body: terminal::row("", &text, self.columns), ..Screenful::default() };
        }
        let (columns, colours) = (self.columns, self.colours);
        let mut foot = rows(&self.said(), columns);
        // A message may be long, so it gets at most half of the screen.
        foot.truncate(self.rows / 2);
        foot.extend(rows(&terminal::row("", &self.keys(), columns), columns));
        foot.truncate(self.rows.saturating_sub(3));
        let title = rows(&heading(&self.title(), columns), columns);
        let room = self.rows.saturating_sub(title.len() + foot.len());
        let body = self.body(room);
        Screenful { title, body, foot, colours }
    }

    fn body(&mut self, room: usize) -> Vec<Line> {
        let columns = self.columns;
        if let Some(help) = &mut self.help {
            let lines: Vec<Line> =
                HELP.iter().flat_map(|(key, does)| terminal::row(&format!("{key}: "), does, columns)).collect();
            help.again(&lines, columns);
            return help.view(room);
        }
        if let Some(edit) = &mut self.edit {
            return edit.reading.view(room);
        }
        if let Some(open) = &mut self.open {
            return open.reading.view(room);
        }
        let (lines, chosen) = self.inbox.lines(columns);
        if lines.is_empty() {
            return terminal::row("", "nothing waits for a decision", columns);
        }
        // Lines of the list may be wrapped again, so the position of the selected line is counted
        // in rows.
        let before = rows(lines.get(..chosen.start).unwrap_or_default(), columns).len();
        let its = rows(lines.get(chosen).unwrap_or_default(), columns).len();
        self.list.again(&lines, columns);
        self.list.show(before..before + its, room);
        self.list.view(room)
    }

    fn title(&self) -> String {
        if self.help.is_some() {
            return "Keys".into();
        }
        let share = |reading: &ReadingProgress| format!("{} %", reading.share());
        if let Some(edit) = &self.edit {
            return format!("What the edit changes  {}", share(&edit.reading));
        }
        match &self.open {
            Some(OpenApproval { fetched, reading }) => {
                let page = &fetched.page;
                let place = self.inbox.waiting.iter().position(|waiting| waiting.id == page.id);
                let place = place.map(|place| format!("  {} of {}", place + 1, self.inbox.waiting.len()));
                format!("{}  {}{}  {}", page.id, state(page), place.unwrap_or_default(), share(reading))
            }
            None => {
                let (all, doubtful) = (self.inbox.waiting.len(), self.inbox.doubtful);
                let more = if self.inbox.more { " or more" } else { "" };
                let doubt = if doubtful > 0 { format!(", {doubtful} in doubt") } else { String::new() };
                format!("Holdshort: {} held{more}{doubt}", all - doubtful)
            }
        }
    }

    /// The prompt or, without a prompt, the message.
    fn said(&self) -> Vec<Line> {
        match &self.prompt {
            Some(prompt) => {
                let (question, typed) = prompt.text();
                terminal::row(&format!("{question} "), &format!("{typed}_"), self.columns)
            }
            None if self.status.is_empty() => Vec::new(),
            None => terminal::warning(&self.status, self.columns),
        }
    }

    fn keys(&self) -> String {
        if self.prompt.is_some() {
            return String::new();
        }
        if self.help.is_some() {
            return "Space scroll  q back".into();
        }
        if self.edit.is_some() {
            return "Space scroll  a send this edit  q drop the edit  ? help".into();
        }
        let Some(open) = &self.open else {
            return "j k move  Enter open  u reload  q leave  ? help".into();
        };
        let page = &open.fetched.page;
        let question = page.verified.proposal.class == EffectClass::Question;
        let decide = match (page.detail.state == CallState::Held, question) {
            (true, true) => "w answer  r reject  ",
            (true, false) => "a approve  e edit  r reject  ",
            (false, _) => "",
        };
        let fetch = if page.leaves_out() { "f fetch evidence  " } else { "" };
        format!("Space scroll  {decide}{fetch}n next  q back  ? help")
    }
}

/// A heading without a line before it.
fn heading(text: &str, columns: usize) -> Vec<Line> {
    terminal::heading(text, columns).into_iter().skip(1).collect()
}
