//! Checks `host/CONFIGURATION.md`: its example sections, with its example program, do what the page says.

use std::fs;

use serde_json::json;

use crate::crm::{data, executable, result};
use crate::support::{Folder, top};

/// The sections about the example interface, taken from the page.
fn sections(page: &str) -> String {
    let block = page.split("```toml\n").nth(2).unwrap().split("```").next().unwrap();
    let from = block.find("[capabilities.").unwrap();
    block[from..].to_owned()
}

fn program(page: &str) -> &str {
    let programs = page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    programs.into_iter().find(|program| program.contains("CRM_FOLDER")).expect("the page has the example")
}

#[test]
fn the_example_of_the_page_serves_the_example_interface() {
    let page = fs::read_to_string(top().join("host/CONFIGURATION.md")).unwrap();
    let folder = Folder::new(&["third-party"], &sections(&page));
    executable(&folder.write("tools/crm", program(&page)));
    fs::create_dir(folder.path().join("reports")).unwrap();
    let contact = fs::read_to_string(data("found.json")).unwrap();
    for id in ["7", "8"] {
        folder.write(&format!("contacts/{id}.json"), &contact.replace("c-7", id).replace("Ada ", &format!("{id} ")));
    }
    fs::create_dir(folder.path().join("contacts/deleted")).unwrap();
    let contacts = folder.path().join("contacts");
    let host = folder.serve_with(&[("CRM_FOLDER", contacts.to_str().unwrap())]);

    let run = host.start("third-party", "find nobody");
    assert_eq!(result(&host, &run), json!({ "err": "nobody is called nobody" }));
    let refused = result(&host, &host.start("third-party", "delete 9 x"));
    let said = format!("invalid: the preview program `{} show` says: ", folder.path().join("tools/crm").display());
    assert_eq!(refused, json!({ "err": format!("{said}\"there is no contact 9\"") }));
    let escape = host.start("third-party", "delete ../8 x");
    assert_eq!(result(&host, &escape), json!({ "err": format!("{said}\"an id is of letters and digits\"") }));

    let run = host.start("third-party", "delete 7 moved away");
    let approval = host.held(&run);
    assert_eq!(approval["proposal"]["class"], "idempotent");
    assert!(contacts.join("7.json").exists());
    host.approve(&approval);
    assert_eq!(result(&host, &run), json!({ "ok": "deleted 7" }));
    assert!(!contacts.join("7.json").exists() && contacts.join("8.json").exists());
    assert_eq!(fs::read_dir(contacts.join("deleted")).unwrap().count(), 1, "a file named by the key");
    // The section with `#*` applies to the functions without their own section.
    let run = host.start("third-party", "find x");
    assert_eq!(result(&host, &run), json!({ "err": "nobody is called x" }));
}
