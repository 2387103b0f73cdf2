//! The program's output: results on stdout, everything else on stderr. This is the only place that
//! writes to either.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;

use super::exit::{Exit, Failure};
use crate::review::terminal::{self, Line};
use crate::review::{VisibleLines, visible};

/// The number of columns if the terminal's width is unknown.
const COLUMNS: usize = 100;
/// The maximum number of columns for comfortable reading.
const COLUMNS_MAX: usize = 140;
/// The interval of the progress animation.
const SPINNER_TICK: Duration = Duration::from_millis(120);

/// The output settings.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether results are JSON for programs.
    pub json: bool,
    colour: bool,
    colour_aside: bool,
    columns: usize,
    /// The width of list rows. Rows for programs are never wrapped.
    row_columns: usize,
}

impl Output {
    /// Uses colours on a terminal, unless `--no-color` or `NO_COLOR` forbids them.
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

    /// Whether stdout uses colours.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// The maximum width of a line.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Prints lines that the package `review` has made.
    pub fn lines(&self, lines: &[Line]) -> Result<(), Failure> {
        print(&painted(lines, self.colour))
    }

    /// Prints lines that the package `review` has made, on stderr. A failure is ignored.
    pub fn aside(&self, lines: &[Line]) {
        let _ = print_aside(&painted(lines, self.colour_aside));
    }

    /// Shows a progress animation on a terminal until the value is dropped.
    pub fn progress(&self, what: &str) -> Progress {
        let bar = ProgressBar::new_spinner().with_message(visible::line(what));
        bar.enable_steady_tick(SPINNER_TICK);
        Progress(bar)
    }

    /// Prints a label and a text, wrapped on a terminal.
    pub fn row(&self, label: &str, text: &str) -> Result<(), Failure> {
        self.lines(&terminal::row(label, text, self.row_columns))
    }

    /// Prints a label and an agent's words, wrapped on a terminal.
    pub fn said(&self, label: &str, words: &str) -> Result<(), Failure> {
        self.lines(&terminal::said(label, words, self.row_columns))
    }

    /// Prints an agent's result: unchanged for programs; on a terminal marked as the agent's words,
    /// because other lines stand above it.
    pub fn returned(&self, text: &str) -> Result<(), Failure> {
        if io::stdout().is_terminal() { self.lines(&terminal::returned(text, self.columns)) } else { self.text(text) }
    }

    /// Prints indented JSON with invisible characters as escapes.
    pub fn json(&self, value: &Value) -> Result<(), Failure> {
        print(&VisibleLines::json(value))
    }

    /// Prints JSON on one line.
    pub fn json_line(&self, value: &Value) -> Result<(), Failure> {
        print(&VisibleLines::json_line(value))
    }

    /// Prints a text as the complete output.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        print(&VisibleLines::text(text))
    }

    /// Prints a message on stderr. A failure is ignored.
    pub fn note(&self, text: &str) {
        let _ = print_aside(&VisibleLines::plain(&terminal::note("", text)));
    }

    /// Whether stderr is a terminal that a person reads, and no program reads the output.
    pub fn is_watched(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Prints several lines of the host without wrapping, so that they can be copied.
    pub fn notes(&self, lines: &[&str]) {
        let lines: Vec<Line> = lines.iter().flat_map(|line| terminal::note("", line)).collect();
        let _ = print_aside(&VisibleLines::plain(&lines));
    }

    /// Prints the error and the advice of a failure. A failure without a message prints nothing.
    pub fn failure(&self, failure: &Failure) {
        if !failure.message.is_empty() {
            let hint = failure.hint.iter().flat_map(|hint| terminal::note("hint: ", hint));
            let lines: Vec<Line> = terminal::note("error: ", &failure.message).into_iter().chain(hint).collect();
            let _ = print_aside(&VisibleLines::plain(&lines));
        }
    }

    /// Asks on the terminal; `None` without a terminal. End of input (Ctrl-D) is a failure.
    pub fn ask(&self, question: &str) -> Result<Option<String>, Failure> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        // No lock is held while the person thinks, so that other messages can be printed.
        let mut answer = String::new();
        let bytes = print_aside(&VisibleLines::question(question))
            .and_then(|()| io::stdin().read_line(&mut answer))
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot ask on the terminal: {error}")))?;
        if bytes == 0 {
            let _ = print_aside(&VisibleLines::gap());
            return Err(Failure::new(Exit::Failed, "nothing was typed; nothing was decided"));
        }
        Ok(Some(answer.trim().to_owned()))
    }
}

/// The destination of the host's log. Each entry is one line of visible text, because it may quote
/// an agent or a program.
pub(super) struct Log {
    /// Whether entries are JSON.
    pub(super) json: bool,
}

impl Write for Log {
    /// Writes one entry, as `tracing_subscriber` passes it.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        print_aside(&if self.json { VisibleLines::json_entry(&text) } else { VisibleLines::entry(&text) })?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A progress animation. If stderr is not a terminal, nothing is shown.
pub struct Progress(ProgressBar);

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

// INVARIANT: only `print` (stdout) and `print_aside` (stderr) write to the program's outputs. They
// accept only a `VisibleLines`, which only the package `review` makes.

fn print(shown: &VisibleLines) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            // The reader closed the pipe. That is no failure.
            return Failure::new(Exit::Done, "");
        }
        Failure::new(Exit::Failed, format!("cannot write the output: {error}"))
    })
}

fn print_aside(shown: &VisibleLines) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(shown.as_bytes()).and_then(|()| stderr.flush())
}

fn painted(lines: &[Line], colours: bool) -> VisibleLines {
    if colours { VisibleLines::painted(lines) } else { VisibleLines::plain(lines) }
}
