//! Controls the whole terminal: opens it, draws, reads keys, and restores it however the program
//! ends.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, KeyCode, KeyEventKind, KeyModifiers,
};
use ratatui::crossterm::{cursor, execute, terminal};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::exit::{Exit, Failure};
use crate::cli::session;
use crate::review::Screenful;

/// The interval for checking background work while waiting for keys.
const TICK: Duration = Duration::from_millis(20);

/// The reviewer's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Char(char),
    /// Pasted text.
    Paste(String),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Stop,
}

/// The terminal while this program controls it.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// Keys typed during slow work, in order.
    typed: VecDeque<Input>,
    /// Locked while drawing, so that a signal does not restore the terminal in the middle.
    drawing: Arc<Mutex<()>>,
    /// Whether another program controls the terminal.
    away: Arc<AtomicBool>,
    _signals: Runtime,
}

impl Screen {
    /// Takes control of the terminal.
    pub(super) fn open() -> Result<Self, Failure> {
        let dumb = std::env::var("TERM").is_ok_and(|name| name == "dumb");
        if dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Failure::new(Exit::Usage, "`review` needs a terminal that can show a full-screen program")
                .hint("without such a terminal, `holdshort approvals` lists the waiting calls, and its subcommands show a call and decide on it"));
        }
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).map_err(lost)?;
        let (drawing, away) = (Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
        let signals = watch_signals(drawing.clone(), away.clone())?;
        let mut screen = Self { terminal, typed: VecDeque::new(), drawing, away, _signals: signals };
        screen.take()?;
        Ok(screen)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> Result<(usize, usize), Failure> {
        let size = self.terminal.size().map_err(lost)?;
        Ok((size.width.into(), size.height.into()))
    }

    /// Draws a screen. A screen with characters about whose width terminals disagree is redrawn
    /// completely.
    pub(super) fn draw(&mut self, sheet: &Screenful) -> Result<(), Failure> {
        let _drawing = self.drawing.lock().unwrap_or_else(PoisonError::into_inner);
        if sheet
            .body
            .iter()
            .any(|line| line.text().contains(|c| c >= '\u{300}' && !('\u{2000}'..'\u{2600}').contains(&c)))
        {
            forget_drawn(&mut self.terminal)?;
        }
        self.terminal.draw(|frame| frame.render_widget(sheet, frame.area())).map_err(lost)?;
        Ok(())
    }

    /// The next input, if it arrives within [`TICK`].
    pub(super) fn next(&mut self) -> Result<Option<Input>, Failure> {
        match self.typed.pop_front() {
            Some(input) => Ok(Some(input)),
            None => self.poll(),
        }
    }

    fn poll(&mut self) -> Result<Option<Input>, Failure> {
        if !event::poll(TICK).map_err(lost)? {
            return Ok(None);
        }
        Ok(input(event::read().map_err(lost)?))
    }

    /// Runs slow work beside the screen. Ctrl-C works meanwhile, and other keys are kept.
    pub(super) fn during<T: Send>(&mut self, work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
        thread::scope(|scope| {
            let worker = scope.spawn(work);
            while !worker.is_finished() {
                match self.poll()? {
                    // Ends now, because the request could take another minute.
                    Some(Input::Stop) => end(&self.drawing),
                    input => self.typed.extend(input),
                }
            }
            worker.join().unwrap_or_else(|_| Err(Failure::new(Exit::Failed, "the request failed")))
        })
    }

    /// Drops keys that were typed early, because they were meant for the previous screen.
    pub(super) fn forget_typed(&mut self) {
        self.typed.clear();
    }

    /// Gives the terminal to another program.
    pub(super) fn lend<T>(&mut self, program: impl FnOnce() -> T) -> Result<T, Failure> {
        self.away.store(true, Ordering::Relaxed);
        give_back();
        let result = program();
        self.away.store(false, Ordering::Relaxed);
        self.take()?;
        forget_drawn(&mut self.terminal)?;
        Ok(result)
    }

    fn take(&mut self) -> Result<(), Failure> {
        terminal::enable_raw_mode().map_err(lost)?;
        let backend = self.terminal.backend_mut();
        execute!(backend, terminal::EnterAlternateScreen, EnableBracketedPaste, cursor::Hide).map_err(lost)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Clears the screen. Unlike `Terminal::clear`, it does not ask the terminal for the cursor's
/// position, because some terminals never answer.
fn forget_drawn(terminal: &mut Terminal<CrosstermBackend<Stdout>>) -> Result<(), Failure> {
    let size = terminal.size().map_err(lost)?;
    terminal.resize(size.into()).map_err(lost)
}

/// Restores the terminal. A failure is ignored.
fn give_back() {
    let _ = execute!(io::stdout(), DisableBracketedPaste, terminal::LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
}

/// Ends the program at once and restores the terminal.
fn end(drawing: &Mutex<()>) -> ! {
    let _drawing = drawing.lock().unwrap_or_else(PoisonError::into_inner);
    give_back();
    std::process::exit(Exit::Interrupted.code().into())
}

/// Ends the program on a signal. While another program controls the terminal, an interrupt from the
/// keyboard is meant for that program.
fn watch_signals(drawing: Arc<Mutex<()>>, away: Arc<AtomicBool>) -> Result<Runtime, Failure> {
    let runtime = session::runtime()?;
    let inside = runtime.enter();
    let (mut interrupt, mut terminate, mut hang_up) = (
        signal(SignalKind::interrupt()).map_err(lost)?,
        signal(SignalKind::terminate()).map_err(lost)?,
        signal(SignalKind::hangup()).map_err(lost)?,
    );
    drop(inside);
    runtime.spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => if away.load(Ordering::Relaxed) { continue },
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            end(&drawing);
        }
    });
    Ok(runtime)
}

/// Translates a terminal event. A change of size is ignored, because the size is read before each
/// drawing.
#[allow(clippy::wildcard_enum_match_arm, reason = "whatever else terminals can say means nothing here")]
fn input(event: event::Event) -> Option<Input> {
    let key = match event {
        event::Event::Key(key) if key.kind != KeyEventKind::Release => key,
        event::Event::Paste(text) => return Some(Input::Paste(text)),
        _ => return None,
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if control => Input::Stop,
        KeyCode::Char('f') if control => Input::PageDown,
        KeyCode::Char('b') if control => Input::PageUp,
        KeyCode::Char(c) if !control && !key.modifiers.contains(KeyModifiers::ALT) => Input::Char(c),
        KeyCode::Enter => Input::Enter,
        KeyCode::Esc => Input::Escape,
        KeyCode::Backspace => Input::Backspace,
        KeyCode::Up => Input::Up,
        KeyCode::Down => Input::Down,
        KeyCode::PageUp => Input::PageUp,
        KeyCode::PageDown => Input::PageDown,
        KeyCode::Home => Input::Home,
        KeyCode::End => Input::End,
        _ => return None,
    })
}

fn lost(error: io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the terminal cannot be used: {error}"))
}
