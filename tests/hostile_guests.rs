//! Agents that are malicious from their first instruction (`guest-examples/hostile`), in a real host.
//!
//! Each attack ends within its limits, and the operator is told the reason. An honest run beside it is not disturbed,
//! and nothing outside is changed. Every text of its calls is shown whole on a reviewer's terminal, and the terminal
//! obeys no part of it; or the call is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "support/mod.rs"]
mod support;

#[path = "hostile_guests/attacks.rs"]
mod attacks;
#[path = "hostile_guests/deceiving.rs"]
mod deceiving;
#[path = "hostile_guests/limits.rs"]
mod limits;
#[path = "hostile_guests/minds.rs"]
mod minds;
#[path = "hostile_guests/out.rs"]
mod out;
#[path = "hostile_guests/text.rs"]
mod text;
#[path = "hostile_guests/worst.rs"]
mod worst;

use support::{Folder, Host, Repository, component, evidence};

/// An operator's folder with a repository, these limits, and these agents, which may read the folder `files`.
pub fn folder(agents: &[&str], limits: &str) -> Folder {
    let section = |name: &&str| {
        format!("[agents.{name}]\ncomponent = \"{}\"\nworkspace = \"files\"\n\n", component(name).display())
    };
    let sections: String = agents.iter().map(section).collect();
    let folder = Folder::new(
        &[],
        &format!("{sections}[deployment]\nrepository = \"shop.git\"\n\n[limits]\nlinger-ms = 100\n{limits}\n"),
    );
    Repository::bare(&folder.path().join("shop.git"));
    folder.write("files/report.txt", "nothing to see\n");
    folder
}

/// Starts a run of an honest agent: it makes routine calls, asks to send an email, waits for a reviewer, and ends.
pub fn honest(host: &Host) -> String {
    host.start("many-calls", "routine=3 held=1")
}

/// Decides on the honest run's call, and checks that the run ends well.
pub fn decide_honest(host: &Host, run: &str) {
    let approval = host.held(run);
    host.approve(&approval);
    host.effect(approval["id"].as_str().unwrap(), "succeeded");
    assert_eq!(host.over(run)["result"]["ok"], "listed 3 of 3, sent 1 of 1");
}
