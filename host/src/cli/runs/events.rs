//! `holdshort runs events`.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::cli::args::{Events, RunName};
use crate::cli::client::{self, Client, EventPage, RunRow};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::story;
use crate::review::visible;

/// Events of one request.
const PAGE: u32 = 200;
/// How often a run that is followed is asked for news.
const PAUSE: Duration = Duration::from_millis(500);

/// Prints what happened, and with `--follow` what happens until the run is over.
pub(super) fn events(args: &Events, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let mut after = args.after;
    loop {
        // Asked first, so that whatever an ended run wrote is among the events that follow.
        let run = if args.follow { Some(client::read::<RunRow>(&client.run(&args.id)?)?) } else { None };
        while let Some(last) = page(&args.id, after, client, output)? {
            after = last;
        }
        match run {
            None => return Ok(Exit::Done),
            Some(run) if run.is_over() => return Ok(if run.state == "finished" { Exit::Done } else { Exit::RunEnded }),
            Some(_) => thread::sleep(PAUSE),
        }
    }
}

/// Prints the next events and returns the number of the last; `None` when there are no more.
fn page(run: &RunName, after: u64, client: &Client, output: &Output) -> Result<Option<u64>, Failure> {
    let query = [("after", after.to_string()), ("limit", PAGE.to_string())];
    let answer: Value = client.get(&format!("/runs/{run}/events"), &query)?;
    let page = client::read::<EventPage>(&answer)?;
    if output.json {
        // One document a line, so that a reader can follow.
        for event in answer.get("events").and_then(Value::as_array).into_iter().flatten() {
            output.text(&(visible::json_line(event) + "\n"))?;
        }
    } else {
        for event in &page.events {
            let label = format!("{:>4}  {}  ", event.seq, visible::line(&story::moment(&event.at)));
            // What this program does not know is shown as it came.
            let text = match story::event(event) {
                Some(known) => match known.call() {
                    Some(call) => format!("call {call} {}", story::sentence(&known)),
                    None => story::sentence(&known),
                },
                None => format!("{} {}", event.kind, event.data),
            };
            output.row(&label, &text)?;
        }
    }
    Ok(page.events.last().map(|event| event.seq))
}
