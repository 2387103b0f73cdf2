//! `holdshort notify test`: checks that a notification target works.

use serde_json::json;

use super::args::NotifyAction;
use super::exit::{Exit, Failure};
use super::host::{self, system_clock};
use super::output::Output;
use super::session;
use crate::config::Config;
use crate::notify::webhook::NotDelivered;
use crate::notify::{Notice, Target};

/// Sends one notification once and prints the answer. It needs no host and no journal.
pub(super) fn run(action: &NotifyAction, config: &Config, output: &Output) -> Result<Exit, Failure> {
    let NotifyAction::Test { name } = action;
    let clock = system_clock();
    let targets = host::targets(config, &clock)?;
    let found = targets.iter().find(|target| plain(target) == name || target.name == *name);
    let Some(target) = found else {
        let known: Vec<&str> = targets.iter().map(plain).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        let hint = "add a section `[notify.NAME]`, or add `email = \"…\"` to a section `[reviewers.NAME]`";
        return Err(Failure::new(Exit::Usage, format!("unknown notification target `{name}`; known targets: {known}"))
            .hint(hint));
    };
    let drawn = getrandom::u64().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let now = clock();
    let notice = Notice::test(&format!("{drawn:016x}"), now);
    let base = host::public_base(config, config.server.listen);
    match session::runtime()?.block_on(target.send(&notice, &base, now)) {
        Ok(said) if output.json => {
            output.json_line(&json!({ "target": target.name, "id": notice.id, "answer": said }))?
        }
        Ok(said) => output.text(&format!("{}: {said}", target.name))?,
        Err(NotDelivered { why, .. }) => return Err(Failure::new(Exit::Failed, format!("{}: {why}", target.name))),
    }
    Ok(Exit::Done)
}

/// The target's name in the configuration. If a webhook and a reviewer have the same name,
/// `mail to NAME` names the reviewer's target.
fn plain(target: &Target) -> &str {
    target.name.rsplit(' ').next().unwrap_or(&target.name)
}
