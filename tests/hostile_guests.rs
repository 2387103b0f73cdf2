//! Agents that are malicious from their first instruction (`guest-examples/hostile`), in the real host.
//!
//! Each ends within its limits and for a reason that is told, an honest run beside it does not notice, and nothing outside is touched.
//! Whatever it makes its calls say, a reviewer's terminal shows it whole and obeys none of it, or the call is refused.
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

/// An operator's folder with a repository, these agents, which may read the folder `files`, and these limits.
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

/// Starts a run that an honest agent makes: it reads, asks for an email, waits for a person, and is done.
pub fn honest(host: &Host) -> String {
    host.start("many-calls", "routine=3 held=1")
}

/// Decides on the honest run's call and sees it end well.
pub fn decide_honest(host: &Host, run: &str) {
    let approval = host.held(run);
    host.approve(&approval);
    host.effect(approval["id"].as_str().unwrap(), "succeeded");
    assert_eq!(host.over(run)["result"]["ok"], "listed 3 of 3, sent 1 of 1");
}
