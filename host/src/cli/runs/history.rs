//! `holdshort runs events` and `runs logs`.

use holdshort_gate::RunState;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::api::history::{EventPage, LogPage};
use crate::api::runs::Run;
use crate::cli::args::{History, RunName};
use crate::cli::client::{self, Client};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::review::sentences;

/// Events or lines per request.
const PAGE: u32 = 200;
/// The interval between requests with `--follow`.
const PAUSE: Duration = Duration::from_millis(500);

/// Prints the events. With `--follow` it also prints new events until the run ends.
pub(super) fn events(args: &History, client: &Client, output: &Output) -> Result<Exit, Failure> {
    follow(args, client, |after| event_page(&args.id, after, client, output))
}

/// Prints the log lines. With `--follow` it also prints new lines until the run ends.
pub(super) fn logs(args: &History, client: &Client, output: &Output) -> Result<Exit, Failure> {
    follow(args, client, |after| log_page(&args.id, after, client, output))
}

/// Calls `page` repeatedly. `page` prints a page and returns the number of its last entry, or
/// `None` if there are no more entries yet.
fn follow(
    args: &History,
    client: &Client,
    page: impl Fn(u64) -> Result<Option<u64>, Failure>,
) -> Result<Exit, Failure> {
    let mut after = args.after;
    loop {
        // The state is read first, so that the pages after it contain everything that an ended run
        // wrote.
        let run = if args.follow { Some(client::read::<Run>(&client.run(&args.id)?)?) } else { None };
        while let Some(last) = page(after)? {
            after = last;
        }
        match run {
            None => return Ok(Exit::Done),
            Some(run) if run.is_over() => {
                return Ok(if run.state == RunState::Finished { Exit::Done } else { Exit::RunEnded });
            }
            Some(_) => thread::sleep(PAUSE),
        }
    }
}

fn event_page(run: &RunName, after: u64, client: &Client, output: &Output) -> Result<Option<u64>, Failure> {
    let answer = fetch(run, "events", after, client)?;
    let page = client::read::<EventPage>(&answer)?;
    if output.json {
        documents(&answer, "events", output)?;
    } else {
        for event in &page.events {
            let label = format!("{:>4}  {}  ", event.seq, event.at);
            // An unknown event is shown as received.
            let text = match event.known() {
                Some(known) => match known.call() {
                    Some(call) => format!("call {call} {}", sentences::sentence(&known)),
                    None => sentences::sentence(&known),
                },
                None => format!("{} {}", event.kind, event.data),
            };
            output.row(&label, &text)?;
        }
    }
    Ok(page.events.last().map(|event| event.seq))
}

fn log_page(run: &RunName, after: u64, client: &Client, output: &Output) -> Result<Option<u64>, Failure> {
    let answer = fetch(run, "logs", after, client)?;
    let page = client::read::<LogPage>(&answer)?;
    if output.json {
        documents(&answer, "lines", output)?;
    } else {
        for line in &page.lines {
            output.said(&format!("{:>4}  {}  {:<5}  ", line.number, line.at, line.level), &line.message)?;
        }
    }
    Ok(page.lines.last().map(|line| line.number))
}

fn fetch(run: &RunName, what: &str, after: u64, client: &Client) -> Result<Value, Failure> {
    let query = [("after", after.to_string()), ("limit", PAGE.to_string())];
    client.get(&format!("/runs/{run}/{what}"), &query)
}

/// Prints one JSON document per line, so that a program can read each document at once.
fn documents(answer: &Value, list: &str, output: &Output) -> Result<(), Failure> {
    let mut documents = answer.get(list).and_then(Value::as_array).into_iter().flatten();
    documents.try_for_each(|document| output.json_line(document))
}
