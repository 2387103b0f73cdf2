//! `holdshort sign-in`: prints a sign-in link for a browser.

use serde_json::{Value, json};

use super::args::{CallId, SignInArgs};
use super::client::{Client, read};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::api::sign_in::LinkMade;

/// The address of an approval's page. On a terminal it is a sign-in link. If the output may be
/// stored, it is a plain address, which needs a session.
pub(super) fn shown_link(client: &Client, id: &CallId, output: &Output) -> Result<String, Failure> {
    if !output.is_watched() {
        return Ok(format!("{}/approvals/{id}", client.base()));
    }
    let answer: Value = client.post("/sign-in-links", &json!({ "next": format!("/approvals/{id}") }))?;
    Ok(read::<LinkMade>(&answer)?.url)
}

/// Prints a link that signs in the token's owner. It works once.
pub(super) fn run(args: &SignInArgs, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let next = args.approval.as_ref().map(|id| format!("/approvals/{id}"));
    let answer: Value = client.post("/sign-in-links", &json!({ "next": next }))?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let link: LinkMade = read(&answer)?;
    output.text(&link.url)?;
    output.note(&format!("the link works once, within {} minutes, for anyone who has it", link.expires_in_s / 60));
    Ok(Exit::Done)
}
