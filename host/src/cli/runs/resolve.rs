//! `holdshort runs resolve`: a reviewer resolves an effect in doubt.

use serde_json::{Value, json};

use crate::api::approvals::Approval;
use crate::api::resolutions::ResolutionAnswer;
use crate::cli::args::{FindingWord, Resolve};
use crate::cli::client::{self, Client};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use holdshort_common::once::once;

/// Sends the reviewer's finding about the attempt that the reviewer checked.
pub(super) fn resolve(args: &Resolve, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let attempt = match args.attempt {
        Some(attempt) => attempt,
        None => last_attempt(args, client)?,
    };
    let mut body = json!({"type": args.finding.word(), "attempt": attempt});
    if let Some(fields) = body.as_object_mut() {
        if let Some(text) = &args.receipt {
            if args.finding != FindingWord::Done {
                return Err(Failure::new(Exit::Usage, "`--receipt` is allowed only with `done`"));
            }
            let wrong = |error| Failure::new(Exit::Usage, format!("`--receipt` is not JSON: {error}"));
            fields.insert("receipt".into(), once(text.as_bytes()).map_err(wrong)?);
        }
        if let Some(message) = &args.message {
            fields.insert("message".into(), message.as_str().into());
        }
    }
    let path = format!("/runs/{}/calls/{}/resolution", args.id.run, args.id.call);
    let answer: Value = client.post(&path, &body)?;
    if output.json {
        output.json(&answer)?;
    } else {
        let state = client::read::<ResolutionAnswer>(&answer)?.state;
        output.row(&format!("{} ", args.id), &format!("is resolved as {}: {state}", args.finding.word()))?;
    }
    Ok(Exit::Done)
}

/// The number of the last attempt. The host refuses the resolution if another attempt has begun
/// since.
fn last_attempt(args: &Resolve, client: &Client) -> Result<u32, Failure> {
    let detail = client::read::<Approval>(&client.approval(&args.id)?)?;
    detail.effect.map(|effect| effect.attempts).ok_or_else(|| {
        Failure::new(Exit::Refused, format!("`{}` has no effect to resolve: it is {}", args.id, detail.state))
    })
}
