//! `holdshort sign-in`: a link for a browser.

use serde_json::{Value, json};

use super::args::SignInArgs;
use super::client::{Client, SignInLink, read};
use super::exit::{Exit, Failure};
use super::output::Output;

/// Prints a link that signs whoever follows it first in as the token's owner.
pub(super) fn run(args: &SignInArgs, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let next = args.approval.as_ref().map(|id| format!("/approvals/{id}"));
    let answer: Value = client.post("/sign-in-links", &json!({ "next": next }))?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let link: SignInLink = read(&answer)?;
    output.text(&link.url)?;
    output.note(&format!("it signs in once, within {} minutes; whoever has it can use it", link.expires_in_s / 60));
    Ok(Exit::Done)
}
