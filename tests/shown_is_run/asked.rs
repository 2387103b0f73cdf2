//! A change that the diff does not show needs the confirmation word, on the page and on a terminal. A policy on the
//! number of lines does not clear such a change.

use serde_json::{Value, json};

use crate::imported::{File, Import, file, git, with_mode};
use crate::support::{Folder, Host, host_and_code};
use crate::{client, folder};

/// A policy that clears small changes, as an operator may have written it before the other facts existed.
const SMALL: &str = "@id(\"small\")\npermit (principal, action == Action::\"call\", resource is deployment::Deploy)\n\
                     when { resource.facts.lines_added <= 20 && resource.facts.lost_commit_count == 0 };\n\
                     @id(\"people\")\npermit (principal, action == Action::\"decide\", resource);\n";

/// The page of an approval, in the browser of the local operator.
async fn page(host: &Host, approval: &Value) -> String {
    let at = host.url.trim_start_matches("http://").parse().unwrap();
    let (status, link) = host.post("/v1/sign-in-links", &json!({}));
    assert!(status < 300, "{link}");
    let (name, code) = host_and_code(&link);
    let own = |request: client::Request| request.with("Host", &name).with("Origin", &format!("http://{name}"));
    let form = own(client::get("/sign-in").without("Authorization")).method("POST").body(format!("code={code}"));
    let signed = form.with("Content-Type", "application/x-www-form-urlencoded").send(at).await;
    let cookie =
        signed.header("set-cookie").unwrap_or_else(|| panic!("{signed:?}")).split(';').next().unwrap().to_owned();
    let id = approval["id"].as_str().unwrap();
    own(client::get(&format!("/approvals/{id}")).without("Authorization")).with("Cookie", &cookie).send(at).await.text()
}

/// A repository whose branch `production` has the files `old`, and whose branch `main` has the files `new`.
fn repository(folder: &Folder, old: &[File], new: &[File]) {
    let (path, mut import) = (folder.path().join("shop.git"), Import::default());
    std::fs::remove_dir_all(&path).unwrap();
    let first = import.commit("production", &[], old);
    import.commit("main", &[first], new);
    import.into_repository(&path);
}

fn shown(folder: &Folder, approval: &Value) -> String {
    let shown = folder.run(&["approvals", "show", approval["id"].as_str().unwrap(), "--full"]);
    String::from_utf8(shown.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_shown_takes_the_typed_word() {
    let plain = || file("a.sh", "one\n");
    let cases: [(&[File], &str); 5] = [
        (&[file("a.sh", "one\0\n")], "nul-bytes"),
        (&[plain(), file("logo.png", (0..=255).collect::<Vec<u8>>())], "binary"),
        (&[with_mode("100755", "a.sh", "one\n")], "mode"),
        (&[file("b.sh", "one\n")], "rename"),
        (&[plain(), with_mode("160000", "lib", "1".repeat(40))], "submodule"),
    ];
    for (new, kind) in cases {
        let (folder, _) = folder("");
        repository(&folder, &[plain()], new);
        let host = folder.serve();
        let held = host.held(&host.start("scripted", "deploy main production Notes"));
        assert_eq!(held["proposal"]["facts"]["kinds-not-shown"], json!([kind]), "{held}");
        let warning = format!("the diff does not show 1 of 1 files in full ({kind})");
        let (page, terminal) = (page(&host, &held).await, shown(&folder, &held));
        assert!(page.contains(&warning) && page.contains("name=\"word\""), "{kind}: {page}");
        assert!(terminal.contains("Warnings") && terminal.contains(&warning[..40]), "{kind}: {terminal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bytes_are_two_bytes_everywhere_and_ask_for_no_word() {
    let (folder, _) = folder("");
    repository(&folder, &[file(b"src b/caf\xe9", b"caf\xe9\n")], &[file(b"src b/caf\xe9", b"caf\xe8\n")]);
    let host = folder.serve();
    let held = host.held(&host.start("scripted", "deploy main production Notes"));
    let (page, terminal) = (page(&host, &held).await, shown(&folder, &held));
    for text in [&page.replace("&lt;", "<").replace("&#60;", "<").replace("&gt;", ">").replace("&#62;", ">"), &terminal]
    {
        for line in ["-caf<E9>", "+caf<E8>", "src b/caf<E9>"] {
            assert!(text.contains(line), "no {line} in {text}");
        }
    }
    assert!(!page.contains("name=\"word\"") && !terminal.contains("Warnings"), "{terminal}");
    // The evidence itself contains the bytes.
    let exhibits = held["proposal"]["exhibits"].as_array().unwrap();
    let diff = exhibits.iter().find(|one| one["media"] == "text/x-diff").unwrap()["digest"].as_str().unwrap();
    let path = format!("/v1/approvals/{}/exhibits/{diff}", held["id"].as_str().unwrap());
    let address = host.url.trim_start_matches("http://");
    let asked = client::get(&path).with("Host", address).with("Authorization", &format!("Bearer {}", host.token));
    let bytes = asked.send(address.parse().unwrap()).await.body;
    assert!(bytes.windows(6).any(|line| line == b"+caf\xe8\n"), "{}", String::from_utf8_lossy(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_on_lines_clears_what_is_shown_and_holds_what_is_not() {
    let base = [file("a", "1\n")];
    let cases: [(&str, &[File], bool); 3] = [
        ("a line", &[file("a", "2\n")], true),
        ("a picture", &[file("a", "1\n"), file("logo.png", (0..=255).collect::<Vec<u8>>())], false),
        ("a submodule", &[file("a", "1\n"), with_mode("160000", "lib", "1".repeat(40))], false),
    ];
    for (what, new, clears) in cases {
        let (folder, _) = folder("[policy]\nfiles = [\"small.cedar\"]\n");
        folder.write("small.cedar", SMALL);
        repository(&folder, &base, new);
        let host = folder.serve();
        let run = host.start("scripted", "deploy main production Notes");
        if clears {
            host.over(&run);
            assert_eq!(host.get("/v1/approvals")["approvals"], json!([]), "{what}");
        } else {
            let held = host.held(&run);
            assert!(held["proposal"]["facts"].get("lines-added").is_none(), "{what}: {held}");
        }
    }
    // In a shallow clone the host cannot tell whether commits would be lost.
    let (folder, _) = folder("[policy]\nfiles = [\"small.cedar\"]\n");
    folder.write("small.cedar", SMALL);
    repository(&folder, &base, &[file("a", "2\n")]);
    let (whole, shallow) = (folder.path().join("shop.git"), folder.path().join("shallow.git"));
    let url = format!("file://{}", whole.display());
    git(
        folder.path(),
        &["clone", "--quiet", "--bare", "--no-single-branch", "--depth=1", &url, shallow.to_str().unwrap()],
    );
    std::fs::remove_dir_all(&whole).unwrap();
    std::fs::rename(&shallow, &whole).unwrap();
    let host = folder.serve();
    let held = host.held(&host.start("scripted", "deploy main production Notes"));
    let page = page(&host, &held).await;
    assert!(page.contains("the history is not known") && page.contains("name=\"word\""), "{page}");
}
