//! For authors of agents. `new`: what it refuses, and what it leaves untouched. `check`: what it says of an agent.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use crate::said::{fails, holdshort, prints};
use crate::scene::shop;
use crate::support::{Folder, component, top};

#[test]
fn new_says_how_to_build_and_run() {
    let folder = Folder::new(&[], "");
    prints("new", &folder, &["new", "my-agent", "--lang", "python"]);
    let said = holdshort(&folder, &["new", "other", "--lang", "python", "--json"]).exits(0).json();
    let readme = fs::read_to_string(folder.path().join("other/README.md")).unwrap();
    for command in ["setup", "build", "run"] {
        let line = said["commands"][command].as_str().unwrap();
        assert!(readme.contains(&format!("\n{line}")), "{line}: {readme}");
    }
    for file in fs::read_dir(top().join("wit")).unwrap().map(|file| file.unwrap().path()) {
        let copy = folder.path().join("other/wit/deps/holdshort-agent").join(file.file_name().unwrap());
        assert_eq!(copy.exists(), file.extension().is_some_and(|ending| ending == "wit"), "{}", copy.display());
        assert!(!copy.exists() || fs::read(&copy).unwrap() == fs::read(&file).unwrap(), "{}", copy.display());
    }
}

#[test]
fn new_overwrites_nothing() {
    let folder = Folder::new(&[], "");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("file"), "mine").unwrap();
    symlink("elsewhere", path("link")).unwrap();
    for name in ["empty", "file", "link"] {
        fails(&format!("new-over-{name}"), &folder, &["new", name, "--lang", "rust"]).exits(2);
    }
    assert_eq!(fs::read_dir(path("empty")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "mine");
    assert!(!path("elsewhere").exists());
}

#[test]
fn new_takes_only_names_and_languages_that_it_knows() {
    let folder = Folder::new(&[], "");
    let long = "a".repeat(65);
    let names = ["", "My-agent", "1st", "-x", "../up", "/tmp/up", "a.b", "a_b", "a b", "a\"]\nx=1", "äpfel", &long];
    for name in names {
        let said = holdshort(&folder, &["new", "--lang", "rust", "--", name]).exits(2);
        assert!(said.err.contains("write a name of at most 64 lower-case letters"), "{name}: {said:?}");
    }
    fails("new-with-a-path", &folder, &["new", "agents/mine", "--lang", "rust"]).exits(2);
    fails("new-without-language", &folder, &["new", "my-agent"]).exits(2);
    fails("new-in-unknown-language", &folder, &["new", "my-agent", "--lang", "cobol"]).exits(2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the configuration");
}

#[test]
fn an_assistant_needs_no_more_than_its_key() {
    let folder = Folder::new(&[], "");
    for (lang, policies) in [("typescript", "1 on `call`, 0 on `review`, 1"), ("python", ""), ("rust", "")] {
        holdshort(&folder, &["new", lang, "--lang", lang, "--template", "assistant"]).exits(0);
        let project = |command: &[&str], key: &[(&str, &str)]| {
            let mut command = folder.command(command);
            command.current_dir(folder.path().join(lang)).env_remove("OPENAI_API_KEY").envs(key.iter().copied());
            let output = command.output().unwrap();
            (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
        };
        if !policies.is_empty() {
            let valid = format!("the policies are valid: {policies} on `decide`, 0 on `grant`\n");
            assert_eq!(project(&["policy", "check"], &[]), (Some(0), valid));
        }
        let (code, said) = project(&["config"], &[("OPENAI_API_KEY", "a-key-of-ours")]);
        assert!(code == Some(0) && !said.contains("a-key-of-ours"), "{said}");
        let imports = fs::read_to_string(folder.path().join(lang).join("wit/world.wit")).unwrap();
        assert!(imports.contains("/payments@") && imports.contains("/model@") == policies.is_empty(), "{imports}");
    }
    // The projects name the versions of the tools that the examples are built and tested with.
    let versions = |text: &str| {
        let json: Value = serde_json::from_str(text).unwrap();
        let all = ["dependencies", "devDependencies", "overrides"]
            .map(|kind| json[kind].as_object().cloned().unwrap_or_default());
        all.into_iter().flatten().collect::<Vec<_>>()
    };
    let tested = versions(&fs::read_to_string(top().join("guest-examples/typescript/package.json")).unwrap());
    for template in ["typescript", "typescript/assistant"] {
        let file = top().join("host/src/cli/new/templates").join(template).join("package.json");
        let lost: Vec<_> =
            versions(&fs::read_to_string(file).unwrap()).into_iter().filter(|pin| !tested.contains(pin)).collect();
        assert!(lost.is_empty(), "{template}: {lost:?}");
    }
}

#[test]
fn new_leaves_nothing_where_it_cannot_write() {
    let folder = Folder::new(&[], "");
    fs::create_dir(folder.path().join("closed")).unwrap();
    fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write in every folder, but not even root can make a folder in `/proc`.
    let closed = if rustix::process::geteuid().is_root() { "/proc".into() } else { folder.path().join("closed") };
    let said = folder.command(&["new", "my-agent", "--lang", "rust"]).current_dir(closed).output().unwrap();
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let err = String::from_utf8(said.stderr).unwrap();
    assert!(err.contains("error: cannot make the folder `my-agent`: "), "{err}");
}

/// A program that imports these interfaces of WASI, each with one function.
fn importing(interfaces: &[&str]) -> Vec<u8> {
    let import = |name: &&str| format!("(import \"{name}\" (instance (export \"look\" (func (result u32)))))\n");
    wat::parse_str(format!(
        "(component {}
            (core module $code (func (export \"run\") (result i32) i32.const 0))
            (core instance $code (instantiate $code))
            (func $run (result (result)) (canon lift (core func $code \"run\")))
            (instance $run (export \"run\" (func $run)))
            (export \"wasi:cli/run@0.2.12\" (instance $run)))",
        interfaces.iter().map(import).collect::<String>()
    ))
    .unwrap()
}

#[test]
fn check_says_what_runs_here_and_what_to_change() {
    let folder = Folder::new(&[], "");
    let interfaces =
        ["wasi:clocks/monotonic-clock@0.3.0", "wasi:http/outgoing-handler@0.2.12", "wasi:keyvalue/store@0.2.0"];
    fs::write(folder.path().join("wasi.wasm"), importing(&interfaces)).unwrap();
    fs::write(folder.path().join("plain.wasm"), importing(&[])).unwrap();
    let built = |name: &str| component(name).to_str().unwrap().to_owned();
    for (name, file) in [
        ("no-repository", built("release")),
        ("unclassified-imports", built("third-party")),
        ("async-function", built("refuses-async")),
        ("wasi", "wasi.wasm".into()),
    ] {
        fails(&format!("check-{name}"), &folder, &["check", &file]).exits(1);
        let json = holdshort(&folder, &["check", "--json", &file]).exits(1).json();
        let inspected = holdshort(&folder, &["inspect", "--json", &file]).exits(1).json();
        assert_eq!((&json["can_run"], &json["refused"]), (&false.into(), &inspected["refused"]), "{name}");
        assert!(!json["changes"].as_array().unwrap().is_empty(), "{json}");
    }
    let said = holdshort(&folder, &["check", "plain.wasm"]).exits(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("`plain.wasm` can run here\n", ""));
    // The answer depends on the configuration of the folder: with a repository, the host would run the agent.
    let (shop, _) = shop(&[]);
    holdshort(&shop, &["check", &built("release")]).exits(0);
    assert!(!folder.path().join(".holdshort").exists(), "looking changes nothing");
}
