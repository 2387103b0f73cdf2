//! The program's two outputs. Results go to stdout, everything else to stderr; this is the only place that writes to either.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;

use super::exit::{Exit, Failure};
use crate::review::terminal::{self, Line};
use crate::review::{Shown, visible};

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
        print(&painted(lines, self.colour))
    }

    /// Prints reviewed lines beside the results. Nobody is told if even that fails.
    pub fn aside(&self, lines: &[Line]) {
        let _ = print_aside(&painted(lines, self.colour_aside));
    }

    /// Shows on a terminal that something takes its time, until the value is dropped.
    pub fn progress(&self, what: &str) -> Progress {
        let bar = ProgressBar::new_spinner().with_message(visible::line(what));
        bar.enable_steady_tick(SPINNER_TICK);
        Progress(bar)
    }

    /// Prints a label and any text behind it, wrapped on a terminal.
    pub fn row(&self, label: &str, text: &str) -> Result<(), Failure> {
        self.lines(&terminal::row(label, text, self.row_columns))
    }

    /// Prints a label and an agent's words behind it, wrapped on a terminal.
    pub fn said(&self, label: &str, words: &str) -> Result<(), Failure> {
        self.lines(&terminal::said(label, words, self.row_columns))
    }

    /// Prints what an agent returned: alone where a program reads it, and on a terminal, where other lines stand above it, as its words.
    pub fn returned(&self, text: &str) -> Result<(), Failure> {
        if io::stdout().is_terminal() { self.lines(&terminal::returned(text, self.columns)) } else { self.text(text) }
    }

    /// Prints JSON, indented, every invisible character as an escape.
    pub fn json(&self, value: &Value) -> Result<(), Failure> {
        print(&Shown::json(value))
    }

    /// Prints JSON on a line.
    pub fn json_line(&self, value: &Value) -> Result<(), Failure> {
        print(&Shown::json_line(value))
    }

    /// Prints a text that is all that is printed, line by line.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        print(&Shown::text(text))
    }

    /// Says something beside the results. Nobody is told if even that fails.
    pub fn note(&self, text: &str) {
        let _ = print_aside(&Shown::plain(&terminal::note("", text)));
    }

    /// Whether a person sees what is said beside the results, and nobody keeps it.
    pub fn is_watched(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Says several lines of the host's own. They are not wrapped: some are there to be copied.
    pub fn notes(&self, lines: &[&str]) {
        let lines: Vec<Line> = lines.iter().flat_map(|line| terminal::note("", line)).collect();
        let _ = print_aside(&Shown::plain(&lines));
    }

    /// Says why the program ends, unless there is nothing to say.
    pub fn failure(&self, failure: &Failure) {
        if !failure.message.is_empty() {
            let hint = failure.hint.iter().flat_map(|hint| terminal::note("hint: ", hint));
            let lines: Vec<Line> = terminal::note("error: ", &failure.message).into_iter().chain(hint).collect();
            let _ = print_aside(&Shown::plain(&lines));
        }
    }

    /// Asks on the terminal; `None` without one. Whoever types nothing more (Ctrl-D) decides nothing.
    pub fn ask(&self, question: &str) -> Result<Option<String>, Failure> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        // Nothing is locked while a person thinks: others may have something to say meanwhile.
        let mut answer = String::new();
        let bytes = print_aside(&Shown::question(question))
            .and_then(|()| io::stdin().read_line(&mut answer))
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot ask on the terminal: {error}")))?;
        if bytes == 0 {
            let _ = print_aside(&Shown::gap());
            return Err(Failure::new(Exit::Failed, "nothing was typed; nothing was decided"));
        }
        Ok(Some(answer.trim().to_owned()))
    }
}

/// Where the host's log is written: each entry on one line in which everything can be seen, because it may quote an agent or a program's complaint.
pub(super) struct Log {
    /// Whether entries are JSON.
    pub(super) json: bool,
}

impl Write for Log {
    /// Takes one entry at a time, as `tracing_subscriber` writes them.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        print_aside(&if self.json { Shown::json_entry(&text) } else { Shown::entry(&text) })?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sign that something is going on; nothing where stderr is no terminal.
pub struct Progress(ProgressBar);

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

// INVARIANT: these two are all that write to the program's outputs, and they take only what `review` has made.

fn print(shown: &Shown) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            // Whoever read has seen enough.
            return Failure::new(Exit::Done, "");
        }
        Failure::new(Exit::Failed, format!("cannot write the output: {error}"))
    })
}

fn print_aside(shown: &Shown) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(shown.as_bytes()).and_then(|()| stderr.flush())
}

fn painted(lines: &[Line], colours: bool) -> Shown {
    if colours { Shown::painted(lines) } else { Shown::plain(lines) }
}
