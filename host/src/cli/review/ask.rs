//! What is asked before a decision is sent, and what was typed.

use super::screen::Input;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Approve,
    Edit,
    /// Guidance for the agent.
    Reject,
    /// The answer to a question.
    Respond,
}

impl Ask {
    /// The decision that it becomes.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Edit => "edit",
            Self::Reject => "reject",
            Self::Respond => "respond",
        }
    }
}

/// A question to the person who reviews.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) ask: Ask,
    /// Why a word must be typed instead of a key pressed.
    careful: Option<&'static str>,
    typed: String,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// There is more to type.
    Still,
    /// Nothing is sent.
    No(String),
    /// It is sent, with this text.
    Yes(Option<String>),
}

impl Prompt {
    pub(super) fn new(ask: Ask, careful: Option<&'static str>) -> Self {
        Self { ask, careful, typed: String::new() }
    }

    /// The question, and what has been typed.
    pub(super) fn text(&self) -> (String, &str) {
        let question = match self.ask {
            Ask::Approve => "Approve exactly this?",
            Ask::Edit => "Propose this instead?",
            Ask::Reject => "Reject it; what should the agent know? (Enter sends, with or without a word; Esc does not)",
            Ask::Respond => "Your answer (Enter sends, Esc does not):",
        };
        let question = match (self.is_text(), self.careful) {
            (true, _) => question.to_owned(),
            (false, Some(why)) => format!("{why} {question} Type `{}`:", self.ask.kind()),
            (false, None) => format!("{question} [y/N]"),
        };
        (question, &self.typed)
    }

    fn is_text(&self) -> bool {
        matches!(self.ask, Ask::Reject | Ask::Respond)
    }

    /// What a key makes of it.
    pub(super) fn answer(&mut self, input: &Input) -> Asked {
        let no = || Asked::No("not confirmed; nothing was sent".into());
        if !self.is_text() && self.careful.is_none() {
            let yes = matches!(input, Input::Char('y' | 'Y'));
            return if yes { Asked::Yes(None) } else { no() };
        }
        match input {
            Input::Escape => return no(),
            Input::Char(c) => self.typed.push(*c),
            // A word that shows care is typed.
            Input::Paste(text) if self.is_text() => self.typed.push_str(text),
            Input::Backspace => drop(self.typed.pop()),
            Input::Enter => {
                let typed = self.typed.trim();
                return match self.is_text() {
                    true if typed.is_empty() && self.ask == Ask::Reject => Asked::Yes(None),
                    true if typed.is_empty() => Asked::No("nothing was typed; nothing was sent".into()),
                    true => Asked::Yes(Some(typed.to_owned())),
                    false if typed.to_lowercase() == self.ask.kind() => Asked::Yes(None),
                    false => no(),
                };
            }
            Input::Paste(_) | Input::Stop | Input::Up | Input::Down => {}
            Input::PageUp | Input::PageDown | Input::Home | Input::End => {}
        }
        Asked::Still
    }
}
