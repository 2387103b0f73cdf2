//! The prompt before a decision, and the typed answer.

use super::screen::Input;

/// The kinds of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PromptKind {
    Approve,
    Edit,
    /// Asks for the guidance of a rejection.
    Reject,
    /// Asks for the answer to a question.
    Respond,
}

impl PromptKind {
    /// The resulting decision kind.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Edit => "edit",
            Self::Reject => "reject",
            Self::Respond => "respond",
        }
    }
}

/// A prompt for the reviewer.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) ask: PromptKind,
    /// The reason why the confirmation word is required instead of a key.
    caution: Option<&'static str>,
    typed: String,
}

/// The state of a prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PromptState {
    /// More input is needed.
    Still,
    /// The prompt was cancelled.
    No(String),
    /// The decision is confirmed. It is sent with this text, if the prompt asks for a text.
    Yes(Option<String>),
}

impl Prompt {
    pub(super) fn new(ask: PromptKind, caution: Option<&'static str>) -> Self {
        Self { ask, caution, typed: String::new() }
    }

    /// The prompt, and the text typed so far.
    pub(super) fn text(&self) -> (String, &str) {
        let question = match self.ask {
            PromptKind::Approve => "Approve exactly this?",
            PromptKind::Edit => "Send this edit?",
            PromptKind::Reject => {
                "Reject this call. Guidance for the agent (Enter sends, also without text; Esc cancels):"
            }
            PromptKind::Respond => "Your answer (Enter sends, Esc cancels):",
        };
        let question = match (self.is_text(), self.caution) {
            (true, _) => question.to_owned(),
            (false, Some(why)) => format!("{why} {question} Type `{}`:", self.ask.kind()),
            (false, None) => format!("{question} [y/N]"),
        };
        (question, &self.typed)
    }

    fn is_text(&self) -> bool {
        matches!(self.ask, PromptKind::Reject | PromptKind::Respond)
    }

    /// Processes a key.
    pub(super) fn answer(&mut self, input: &Input) -> PromptState {
        let no = || PromptState::No("not confirmed; nothing was sent".into());
        if !self.is_text() && self.caution.is_none() {
            let yes = matches!(input, Input::Char('y' | 'Y'));
            return if yes { PromptState::Yes(None) } else { no() };
        }
        match input {
            Input::Escape => return no(),
            Input::Char(c) => self.typed.push(*c),
            // The confirmation word must be typed; pasting is ignored.
            Input::Paste(text) if self.is_text() => self.typed.push_str(text),
            Input::Backspace => drop(self.typed.pop()),
            Input::Enter => {
                let typed = self.typed.trim();
                return match self.is_text() {
                    true if typed.is_empty() && self.ask == PromptKind::Reject => PromptState::Yes(None),
                    true if typed.is_empty() => PromptState::No("nothing was typed; nothing was sent".into()),
                    true => PromptState::Yes(Some(typed.to_owned())),
                    false if typed.to_lowercase() == self.ask.kind() => PromptState::Yes(None),
                    false => no(),
                };
            }
            Input::Paste(_) | Input::Stop | Input::Up | Input::Down => {}
            Input::PageUp | Input::PageDown | Input::Home | Input::End => {}
        }
        PromptState::Still
    }
}
