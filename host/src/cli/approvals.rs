//! `holdshort approvals`: list held calls, show their content, and decide on it.

pub(super) mod decide;
pub(super) mod edit;
pub(super) mod list;
pub(super) mod show;

use super::args::{ApprovalsAction, ApprovalsArgs};
use super::client::Client;
use super::exit::{Exit, Failure};
use super::output::Output;

/// Runs the subcommand. Without a subcommand it prints the list.
pub(super) fn run(args: ApprovalsArgs, client: &Client, output: &Output) -> Result<Exit, Failure> {
    match args.action {
        None => list::list(&args.list, client, output),
        Some(ApprovalsAction::List(list)) => list::list(&list, client, output),
        Some(ApprovalsAction::Show(show)) => show::show(&show, client, output),
        Some(ApprovalsAction::Approve(approve)) => decide::approve(&approve, client, output),
        Some(ApprovalsAction::Edit(edit)) => edit::edit(&edit, client, output),
        Some(ApprovalsAction::Reject(reject)) => decide::reject(&reject, client, output),
        Some(ApprovalsAction::Respond(respond)) => decide::respond(&respond, client, output),
    }
}
