//! The program's two outputs. Results go to stdout, everything else to stderr; this is the only place that writes to either.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;

use super::exit::{Exit, Failure};
use crate::review::terminal::{self, Line, Tone};
use crate::review::visible;

/// Columns when nobody says how wide the terminal is.
const COLUMNS: usize = 100;
/// The widest text that is pleasant to read.
const COLUMNS_MAX: usize = 140;
/// How often a sign of life moves.
const SPINNER_TICK: Duration = Duration::from_millis(120);

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether a program reads the results.
    pub json: bool,
    colour: bool,
    colour_aside: bool,
    columns: usize,
    /// Of a row of a list: a program that reads one does not want it broken.
    row_columns: usize,
}

impl Output {
    /// Colours need a terminal that nobody has asked to be without them (`--no-color`, `NO_COLOR`).
    pub fn new(json: bool, no_color: bool) -> Self {
        let wanted = !no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let columns =
            terminal_size::terminal_size().map_or(COLUMNS, |(terminal_size::Width(columns), _)| columns.into());
        let columns = columns.min(COLUMNS_MAX);
        Self {
            json,
            colour: wanted && io::stdout().is_terminal(),
            colour_aside: wanted && io::stderr().is_terminal(),
            columns,
            row_columns: if io::stdout().is_terminal() { columns } else { usize::MAX },
        }
    }

    /// How wide a line may be.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Prints reviewed lines.
    pub fn lines(&self, lines: &[Line]) -> Result<(), Failure> {
        self.text(&painted(lines, self.colour))
    }

    /// Prints reviewed lines beside the results. Nobody is told if even that fails.
    pub fn aside(&self, lines: &[Line]) {
        let _ = io::stderr().lock().write_all(painted(lines, self.colour_aside).as_bytes());
    }

    /// Shows on a terminal that something takes its time, until the value is dropped.
    pub fn progress(&self, what: &str) -> Progress {
        let bar = ProgressBar::new_spinner().with_message(visible::line(what));
        bar.enable_steady_tick(SPINNER_TICK);
        Progress(bar)
    }

    /// Prints a label of ours and any text behind it, wrapped on a terminal.
    pub fn row(&self, label: &str, text: &str) -> Result<(), Failure> {
        self.lines(&terminal::row(label, text, self.row_columns))
    }

    /// Prints a label of ours and an agent's words behind it, wrapped on a terminal.
    pub fn said(&self, label: &str, words: &str) -> Result<(), Failure> {
        self.lines(&terminal::said(label, words, self.row_columns))
    }

    /// Prints JSON, indented, every invisible character as an escape.
    pub fn json(&self, value: &Value) -> Result<(), Failure> {
        self.text(&(visible::json(value) + "\n"))
    }

    /// Prints text that is already safe.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
            if error.kind() == ErrorKind::BrokenPipe {
                // Whoever read has seen enough.
                return Failure::new(Exit::Done, "");
            }
            Failure::new(Exit::Failed, format!("cannot write the output: {error}"))
        })
    }

    /// Says something beside the results. Nobody is told if even that fails.
    pub fn note(&self, text: &str) {
        let safe: String = visible::lines(text).iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let _ = io::stderr().lock().write_all(safe.as_bytes());
    }

    /// Says why the program ends, unless there is nothing to say.
    pub fn failure(&self, failure: &Failure) {
        if !failure.message.is_empty() {
            self.note(&format!("error: {}", failure.message));
            if let Some(hint) = &failure.hint {
                self.note(&format!("hint: {hint}"));
            }
        }
    }

    /// Asks on the terminal; `None` without one. Whoever types nothing more (Ctrl-D) decides nothing.
    pub fn ask(&self, question: &str) -> Result<Option<String>, Failure> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        // Not locked while a person thinks: others may have something to say meanwhile.
        let mut stderr = io::stderr();
        let mut answer = String::new();
        let bytes = stderr
            .write_all(format!("{question} ").as_bytes())
            .and_then(|()| stderr.flush())
            .and_then(|()| io::stdin().read_line(&mut answer))
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot ask on the terminal: {error}")))?;
        if bytes == 0 {
            drop(stderr.write_all(b"\n"));
            return Err(Failure::new(Exit::Failed, "nothing was typed; nothing was decided"));
        }
        Ok(Some(answer.trim().to_owned()))
    }
}

/// A sign that something is going on; nothing where stderr is no terminal.
pub struct Progress(ProgressBar);

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn painted(lines: &[Line], colours: bool) -> String {
    if !colours {
        return terminal::plain(lines);
    }
    // The only escape sequences that this program prints; the lines themselves can hold none.
    let painted = lines.iter().map(|line| match colour(line.tone()) {
        Some(code) => format!("\u{1b}[{code}m{}\u{1b}[0m\n", line.text()),
        None => format!("{}\n", line.text()),
    });
    painted.collect()
}

fn colour(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Heading => Some("1"),
        Tone::Warning => Some("1;33"),
        Tone::Claim => Some("2"),
        Tone::Before => Some("31"),
        Tone::After => Some("32"),
        Tone::Matter => None,
    }
}
