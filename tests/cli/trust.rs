//! The commands in a folder trust the host that works in the folder, and no other program that listens at the host's
//! former address.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::evidence;
use crate::said::holdshort;
use crate::scene::{post_office, shop};
use crate::support::{Folder, Host, component};

/// Listens where a host listened, answers `200 OK` to everything, and keeps what it receives.
fn squat(address: &str) -> Arc<Mutex<Vec<u8>>> {
    let listener = TcpListener::bind(address).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let kept = kept.clone();
            std::thread::spawn(move || hear(stream, &kept));
        }
    });
    heard
}

fn hear(mut stream: TcpStream, kept: &Mutex<Vec<u8>>) {
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        kept.lock().unwrap().extend_from_slice(&buffer[..read]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    }
}

/// Spellings of an address of a port on this machine, and texts that only look like such an address.
fn spellings(bare: &str, port: &str) -> Vec<String> {
    let schemes = ["HTTP://", "Http://", "hTTp://", "httP://", "HTtp://", "", "//", "http:", "http:/", "http:///"];
    let mut all: Vec<String> = schemes.map(|scheme| format!("{scheme}{bare}")).into();
    let names = [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1.",
        "127.1",
        "127.0.0.2",
        "0",
        "0.0.0.0",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7F00:1]",
        "user@127.0.0.1",
        "user:secret@127.0.0.1",
        "127.0.0.1@localhost",
        "@127.0.0.1",
        "%31%32%37.0.0.1",
    ];
    for scheme in ["http", "HTTP", "hTTp"] {
        all.extend(names.map(|name| format!("{scheme}://{name}:{port}")));
        all.extend(
            ["/", "//", "/v1", "/?a", "#a", "/#a", " ", "\t", "\n", "\\"].map(|end| format!("{scheme}://{bare}{end}")),
        );
        all.extend([" ", "\t", "\n", "\u{a0}"].map(|before| format!("{before}{scheme}://{bare}")));
        all.push(format!("{scheme}://127.0.0.1:0{port}"));
    }
    all
}

const COMMANDS: &[&[&str]] = &[
    &["approvals"],
    &["approvals", "--mine"],
    &["approvals", "--json"],
    &["approvals", "show", "0k3v9m2e8q1c4z7d.1"],
    &[
        "approvals",
        "approve",
        "0k3v9m2e8q1c4z7d.1",
        "--yes",
        "--digest",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ],
    &["approvals", "reject", "0k3v9m2e8q1c4z7d.1", "-m", "no"],
    &["approvals", "respond", "0k3v9m2e8q1c4z7d.1", "yes"],
    &["runs"],
    &["runs", "show", "0k3v9m2e8q1c4z7d"],
    &["runs", "events", "0k3v9m2e8q1c4z7d"],
    &["runs", "logs", "0k3v9m2e8q1c4z7d"],
    &["runs", "cancel", "0k3v9m2e8q1c4z7d"],
    &["runs", "resolve", "0k3v9m2e8q1c4z7d.1", "done"],
    &["run", "scripted", "--task", "log hello", "--detach"],
    &["stats"],
    &["sign-in"],
    &["grants"],
    &["grants", "show", "0k3v9m2e8q1c4z7d.1"],
    &["grants", "revoke", "0k3v9m2e8q1c4z7d.1"],
    &["policy", "explain", "0k3v9m2e8q1c4z7d.1"],
    &["review"],
];

#[test]
fn whoever_listens_where_a_host_did_gets_no_token() {
    let folder = post_office("");
    let mut tried = 0;
    let stop = |host: Host| assert_eq!(host.stop().code(), Some(0));
    for end in [stop, Host::kill] {
        let host = folder.serve();
        for command in [&["approvals"][..], &["runs"], &["stats"], &["sign-in"], &["grants"]] {
            holdshort(&folder, command).exits(0);
        }
        let (url, token) = (host.url.clone(), host.token.clone());
        end(host);
        let heard = squat(url.trim_start_matches("http://"));
        let file = folder.path().join(".holdshort/token");
        let file = file.to_str().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        for command in COMMANDS {
            let here = folder.command(command).output().unwrap();
            let named = folder.command(&[command, &["--url", &url][..]].concat()).output().unwrap();
            let by_variable = folder.command(command).env("HOLDSHORT_URL", &url).output().unwrap();
            let with_file =
                folder.command(&[command, &["--url", &url, "--token-file", file][..]].concat()).output().unwrap();
            let from_elsewhere = folder
                .command(&[command, &["--url", &url, "--token-file", file][..]].concat())
                .current_dir(elsewhere.path())
                .output()
                .unwrap();
            for said in [here, named, by_variable, with_file, from_elsewhere] {
                // `run` looks up the agent first, and the agent is not known elsewhere.
                let usage = said.status.code() == Some(2) && command[0] == "run";
                assert!(said.status.code() == Some(5) || usage, "{command:?}: {said:?}");
                tried += 1;
            }
        }
        // The same address in every other spelling: with each, the command still uses the socket.
        let bare = url.trim_start_matches("http://");
        let port = bare.rsplit(':').next().unwrap();
        for spelled in spellings(bare, port) {
            let by_option = folder.command(&["approvals", "--url", &spelled]).output().unwrap();
            let by_variable = folder.command(&["sign-in"]).env("HOLDSHORT_URL", &spelled).output().unwrap();
            for said in [by_option, by_variable] {
                assert!(matches!(said.status.code(), Some(2 | 5)), "{spelled:?}: {said:?}");
                tried += 1;
            }
        }
        let heard = heard.lock().unwrap().clone();
        assert!(heard.is_empty(), "{}", String::from_utf8_lossy(&heard));
        assert!(token.starts_with("holdshort_"));
    }
    evidence::figure("T33", "commands beside a listener that is not the host", tried);
}

#[test]
fn a_token_of_ones_own_goes_to_whoever_is_named() {
    let folder = Folder::new(&[], "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let heard = squat(&address);
    let file = folder.write("mine", "a-token-of-my-own\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    holdshort(&folder, &["runs", "--url", &format!("http://{address}"), "--token-file", "mine"]);
    assert!(String::from_utf8_lossy(&heard.lock().unwrap()).contains("Bearer a-token-of-my-own"));
}

#[test]
fn the_socket_is_found_wherever_the_folder_is() {
    let (long, name) = (tempfile::tempdir().unwrap(), "a-folder-with-a-long-name-".repeat(5));
    let deep = long.path().join(&name).join("host");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("holdshort.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let ours = Folder::new(&[], "");
    let mut host = ours.command(&["serve", "--config", deep.join("holdshort.toml").to_str().unwrap()]);
    let mut host = host.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let config = deep.join("holdshort.toml");
    let asks = || holdshort(&ours, &["runs", "--config", config.to_str().unwrap()]);
    crate::support::until("host", || deep.join(".holdshort/socket").exists().then_some(()));
    crate::support::until("answer", || (asks().code == Some(0)).then_some(()));
    let mode = fs::metadata(deep.join(".holdshort/socket")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    // The files that a killed host leaves behind do not stop the next host from starting.
    host.kill().unwrap();
    host.wait().unwrap();
    assert!(deep.join(".holdshort/socket").exists());
    let said = asks().exits(5);
    assert!(said.err.contains("cannot reach the host of"), "{said:?}");
    fs::rename(&deep, long.path().join("short")).unwrap();
    let moved = long.path().join("short/holdshort.toml");
    let mut host = ours.command(&["serve", "--config", moved.to_str().unwrap()]);
    let mut host = host.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    crate::support::until("answer", || {
        (holdshort(&ours, &["runs", "--config", moved.to_str().unwrap()]).code == Some(0)).then_some(())
    });
    host.kill().unwrap();
    host.wait().unwrap();
}

#[test]
fn a_host_without_a_socket_says_so_and_serves() {
    let folder = Folder::new(&[], "");
    folder.serve().stop();
    // A file is in the place of the socket. So the host cannot make the socket, as on a file system without sockets.
    folder.write(".holdshort/socket", "somebody's notes");
    let host = folder.serve();
    assert!(host.said().contains("cannot make the local socket"), "{}", host.said());
    assert_eq!(host.get("/v1/runs")["runs"].as_array().unwrap().len(), 0);
    holdshort(&folder, &["runs"]).exits(5);
    host.stop();
    assert_eq!(fs::read_to_string(folder.path().join(".holdshort/socket")).unwrap(), "somebody's notes");
}

/// Each fault, how `serve` ends with it, and what it prints.
#[test]
fn a_host_starts_only_with_what_is_its_own() {
    let is_root = rustix::process::geteuid().is_root();
    let set = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let give = |path: &Path| chown(path, Some(12_345), None).unwrap();
    type Change<'a> = &'a dyn Fn(&Path);
    let cases: &[(&str, bool, Change<'_>, &str)] = &[
        (".holdshort/token", true, &give, "belongs to user 12345"),
        (".holdshort/operator", true, &give, "belongs to user 12345"),
        (".holdshort/journal.db", true, &give, "belongs to user 12345"),
        (".holdshort", true, &give, "belongs to user 12345"),
        (".holdshort/compiled", true, &give, "belongs to user 12345"),
        (".holdshort/ledger.db", true, &give, "belongs to user 12345"),
        ("holdshort.toml", true, &give, "belongs to user 12345"),
        ("secret", true, &give, "belongs to user 12345"),
        (".holdshort/token", false, &|path| set(path, 0o644), "chmod 600"),
        (".holdshort/operator", false, &|path| set(path, 0o666), "chmod 600"),
        (".holdshort/journal.db", false, &|path| set(path, 0o666), "other users can write"),
        (".holdshort/ledger.db", false, &|path| set(path, 0o606), "other users can write"),
        ("holdshort.toml", false, &|path| set(path, 0o646), "other users can write"),
        ("secret", false, &|path| set(path, 0o602), "other users can write"),
        ("", false, &|path| set(path, 0o777), "other users can write"),
    ];
    let mut tried = 0;
    for (path, needs_root, change, said) in cases {
        if *needs_root && !is_root {
            continue;
        }
        tried += 1;
        let folder = Folder::new(
            &[],
            "[notify.ops]\nurl = \"http://127.0.0.1:9/\"\nallow-http = true\nallow-private = true\nsecret-file = \"secret\"\n\
             [payments.accounts.operating]\nopening = [\"10.00 EUR\"]\n",
        );
        let secret = folder.write("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
        set(&secret, 0o600);
        folder.serve().stop();
        let _ = fs::create_dir(folder.path().join(".holdshort/compiled"));
        change(&folder.path().join(path));
        let ended = holdshort(&folder, &["serve", "--listen", "127.0.0.1:0"]).exits(1);
        assert!(ended.err.contains(said), "{path}: {ended:?}");
        assert!(!ended.err.contains("whsec_"), "{ended:?}");
    }
    for (path, mode) in
        [(".holdshort", 0o755), (".holdshort", 0o777), (".holdshort/journal.db", 0o644), (".holdshort/compiled", 0o755)]
    {
        tried += 1;
        let folder = Folder::new(&[], "");
        folder.serve().stop();
        let _ = fs::create_dir(folder.path().join(".holdshort/compiled"));
        set(&folder.path().join(path), mode);
        let host = folder.serve();
        assert!(host.said().contains("was open to other users"), "{path}: {}", host.said());
        assert_eq!(fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o077, 0, "{path}");
        host.stop();
    }
    evidence::figure("T33", "folders that are looked at before a host starts", if is_root { tried } else { 19 });
}

/// Every other file that the configuration names and that affects decisions or is executed. The test lets other users
/// change each file, in every way.
#[test]
fn a_host_goes_by_and_runs_only_what_others_cannot_change() {
    type Hand<'a> = (&'a str, bool, &'a dyn Fn(&Path), &'a str);
    let set = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let hands: &[Hand<'_>] = &[
        ("another's", true, &|path| chown(path, Some(12_345), None).unwrap(), "belongs to user 12345"),
        ("everybody's", false, &|path| set(path, 0o757), "other users can write"),
        (
            "a group's",
            true,
            &|path| {
                chown(path, None, Some(12_345)).unwrap();
                set(path, 0o775);
            },
            "other users can write",
        ),
        (
            "by another's link",
            true,
            &|path| {
                let moved = path.with_extension("moved");
                fs::rename(path, &moved).unwrap();
                std::os::unix::fs::symlink(moved, path).unwrap();
                std::os::unix::fs::lchown(path, Some(12_345), None).unwrap();
            },
            "belongs to user 12345",
        ),
        ("in everybody's folder", false, &|path| set(path.parent().unwrap(), 0o777), "other users can write"),
    ];
    let named = [
        ("rules/a.cedar", "[policy] files"),
        ("agent/a.wasm", "[agents.a] component"),
        ("tools/check", "[checks.tests] command"),
        ("tools/script", "[checks.script] command"),
        ("toolchain/bin", "[checks.tests] paths"),
        ("tools/deploy", "[deployment] command"),
        ("tools/find", "[capabilities.\"acme:crm/contacts@1.0.0#find-contact\"]"),
        ("tools/act", "[capabilities.\"acme:crm/contacts@1.0.0#*\"]"),
        ("tools/show", "[capabilities.\"acme:crm/contacts@1.0.0#*\"]"),
        ("tools/look", "[capabilities.\"acme:crm/contacts@1.0.0#*\"]"),
        ("mail/ca.pem", "[email] ca-file"),
    ];
    let is_root = rustix::process::geteuid().is_root();
    let (folder, _repository) = shop(&[]);
    let at = |path: &str| folder.path().join(path);
    let make = || {
        for (path, _) in named {
            drop(fs::remove_dir_all(at(path).parent().unwrap()));
        }
        for (path, _) in named {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            set(at(path).parent().unwrap(), 0o755);
            if path == "toolchain/bin" {
                fs::create_dir(at(path)).unwrap();
            } else {
                folder.write(path, if path.ends_with(".cedar") { "" } else { "#!/bin/sh\n" });
            }
            set(&at(path), 0o755);
        }
    };
    let root = folder.path().display();
    let without_mail = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[repository]\npath = \"shop.git\"\n\
         [policy]\nfiles = [\"rules/a.cedar\"]\n[agents.a]\ncomponent = \"agent/a.wasm\"\nworkspace = \"shared\"\n\
         [checks.tests]\ncommand = [\"{root}/tools/check\"]\npaths = [\"toolchain/bin\"]\n\
         [checks.script]\ncommand = [\"sh\", \"{root}/tools/script\"]\n\
         [deployment]\nrepository = \"shop.git\"\nconnector = \"command\"\ncommand = [\"sh\", \"../tools/deploy\"]\n\
         [capabilities.\"acme:crm/contacts@1.0.0#find-contact\"]\nclass = \"routine\"\ncommand = [\"tools/find\"]\n\
         [capabilities.\"acme:crm/contacts@1.0.0#*\"]\nclass = \"consequential\"\ncommand = [\"tools/act\"]\n\
         preview = [\"tools/show\"]\nlookup = [\"tools/look\"]\n"
    );
    let mail = "[email]\nconnector = \"smtp\"\nhost = \"127.0.0.1\"\nca-file = \"mail/ca.pem\"\n";
    folder.configure(&format!("{without_mail}{mail}"));
    fs::create_dir(at("shared")).unwrap();
    let mut tried = 0;
    for (hand, needs_root, give, said) in hands {
        for (path, setting) in named.iter().filter(|_| is_root || !needs_root) {
            make();
            give(&at(path));
            let ended = holdshort(&folder, &["serve"]).exits(1);
            let named = *hand == "in everybody's folder" || ended.err.contains(setting);
            assert!(named && ended.err.contains(said), "{path} is {hand}: {ended:?}");
            tried += 1;
        }
    }
    // With correct permissions the host starts. A folder that an agent reads may belong to another user if the
    // configuration says so.
    make();
    set(&at("shared"), 0o777);
    folder.configure(&without_mail);
    let host = folder.serve();
    assert!(
        host.said().contains("note: agents may read and attach files from `a` that other users can change"),
        "{}",
        host.said()
    );
    host.stop();
    evidence::figure("T33", "files that decide or run, in others' hands", if is_root { tried } else { 55 });
}

/// The command checks the owner of a token's file, and who can write to it, before it sends the token anywhere.
#[test]
fn a_token_that_others_can_change_is_not_used() {
    let (folder, host) = Folder::new(&[], "").into_served();
    let mine = folder.write("mine", &host.token);
    let set = |mode: u32| fs::set_permissions(&mine, fs::Permissions::from_mode(mode)).unwrap();
    set(0o600);
    holdshort(&folder, &["runs", "--token-file", "mine"]).exits(0);
    set(0o640);
    let said = holdshort(&folder, &["runs", "--token-file", "mine"]).exits(0);
    assert!(said.err.contains("other users can read your token"), "{said:?}");
    set(0o602);
    let said = holdshort(&folder, &["runs", "--token-file", "mine"]).exits(2);
    assert!(said.err.contains("other users can write"), "{said:?}");
    set(0o600);
    if rustix::process::geteuid().is_root() {
        chown(&mine, Some(12_345), None).unwrap();
        let said = holdshort(&folder, &["runs", "--token-file", "mine"]).exits(2);
        assert!(said.err.contains("belongs to user 12345"), "{said:?}");
    }
    // The token is not sent either if any user could listen in the state folder.
    fs::set_permissions(folder.path().join(".holdshort"), fs::Permissions::from_mode(0o777)).unwrap();
    let said = holdshort(&folder, &["runs"]).exits(5);
    assert!(said.err.contains("other users can write"), "{said:?}");
}

#[test]
fn checks_are_said_to_be_unconfined_where_they_are() {
    let (folder, _repository) = shop(&["scripted"]);
    let text = fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    let scripted = component("scripted");
    let inspected = || holdshort(&folder, &["inspect", scripted.to_str().unwrap()]).exits(0).out;
    // A machine without bubblewrap. Everything else that a host needs is on this path.
    let tools = tempfile::tempdir().unwrap();
    for tool in ["git", "sh", "true", "nice", "choom", "rm", "chmod"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        if found.starts_with('/') {
            std::os::unix::fs::symlink(found.trim(), tools.path().join(tool)).unwrap();
        }
    }
    let without = [("PATH", tools.path().to_str().unwrap())];
    let ready = |host: &Host| host.request("", "/readyz", None).1.as_str().unwrap().to_owned();

    folder.configure(&text.replace("confinement = \"off\"", ""));
    let host = folder.serve_with(&without);
    assert!(host.said().contains("note: checks run the repository's own code unconfined"), "{}", host.said());
    assert_eq!(ready(&host), "ready\nchecks: unconfined\n");
    let run = host.start("scripted", "check tests main");
    assert_eq!(host.over(&run)["state"], "finished", "and they run");
    host.stop();

    folder.configure(&text.replace("confinement = \"off\"", "confinement = \"required\""));
    let ended = folder.command(&["serve", "--listen", "127.0.0.1:0"]).envs(without).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(1) && said.contains("the check `tests` must run confined"), "{said}");

    folder.configure(&text);
    let host = folder.serve();
    assert!(host.said().contains("(`tests`: `confinement` is \"off\")"), "{}", host.said());
    assert_eq!(ready(&host), "ready\nchecks: unconfined\n");
    host.stop();

    if holdshort::connectors::confined::Sandbox::find().is_ok() {
        folder.configure(&text.replace("confinement = \"off\"", "confinement = \"required\""));
        assert!(inspected().contains("note: checks run the repository's own code confined"), "{}", inspected());
        let host = folder.serve();
        assert!(host.said().contains("note: checks run the repository's own code confined"), "{}", host.said());
        assert_eq!(ready(&host), "ready\n");
        let run = host.start("scripted", "check tests main");
        assert_eq!(host.over(&run)["state"], "finished");
        host.stop();
        for (paths, said) in [
            ("[\".holdshort\"]", "belongs to the host"),
            ("[\".\"]", "belongs to the host"),
            ("[\"/\"]", "belongs to the host"),
            ("[\"shop.git\"]", "belongs to the host"),
            ("[\"shop.git/objects\"]", "belongs to the host"),
            ("[\"holdshort.toml\"]", "belongs to the host"),
            ("[\".holdshort/../.holdshort/token\"]", "belongs to the host"),
            ("[\"/proc/1\"]", "other processes"),
            ("[\"missing\"]", "there is no"),
        ] {
            folder.configure(&text.replace("confinement = \"off\"", &format!("paths = {paths}")));
            let ended = holdshort(&folder, &["serve", "--listen", "127.0.0.1:0"]).exits(2);
            assert!(ended.err.contains("[checks.tests] paths: ") && ended.err.contains(said), "{paths}: {ended:?}");
        }
    }
}
