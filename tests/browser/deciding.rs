//! From the inbox to the effect, as a person goes.

use crate::person::{Person, link};
use crate::scene::{held, repository, shop};

#[test]
fn a_release_is_read_approved_and_done() {
    let (folder, host) = shop(&["release"], "").into_served();
    let shop = repository(&folder);
    let (before, commit) = (shop.tip("production"), shop.tip("main"));
    let (run, id) = held(&host, "release", "");
    let Some(olivia) = Person::at(&host) else { return };
    olivia.goto(&link(&folder, &[]));
    olivia.click("main button");
    olivia.sees("What waits");

    // The action by its types, what the host found out, and last what the agent says.
    olivia.click("[data-row]");
    olivia.sees("Approve exactly this");
    assert_eq!(olivia.path(), format!("/approvals/{id}"));
    let page = olivia.body();
    let read = [
        "What would be done",
        "production",
        "What the host found out",
        "two",
        "What the agent says about it",
        "would go live",
    ];
    let places: Vec<_> =
        read.iter().map(|part| page.find(part).unwrap_or_else(|| panic!("no {part} in {page}"))).collect();
    let claims = page.find("What the agent says about it").unwrap();
    let headings = ["What would be done", "What the host found out"].map(|heading| page.find(heading).unwrap());
    assert!(headings.iter().all(|at| *at < claims) && places[5] > claims, "{page}");
    assert!(page.contains(&commit) && page.contains("The second commit"), "{page}");
    assert_eq!(olivia.text(".patch .new").trim_end(), "+two", "the true diff");
    assert_eq!(shop.tip("production"), before, "reading does nothing");

    olivia.click("button.approve");
    olivia.sees("You decided");
    host.effect(&id, "succeeded");
    assert_eq!(shop.tip("production"), commit, "the branch has really moved");
    assert!(host.over(&run)["result"]["ok"].is_string());
    olivia.goto(&format!("/approvals/{id}"));
    olivia.sees("It is done.");
    olivia.sees("approved by olivia");
    assert!(!olivia.has("#decide"), "there is nothing left to decide");
}
