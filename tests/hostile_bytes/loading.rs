//! How a host loads agents: it serves requests meanwhile, only a child process fills the cache of compiled code, and a
//! lost cache is filled again.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::code;
use crate::encode::{and, section};
use crate::support::{Folder, Host, component, until};

fn state(host: &Host, agent: &str) -> serde_json::Value {
    let agents = host.get("/v1/agents");
    agents["agents"].as_array().unwrap().iter().find(|one| one["name"] == agent).unwrap().clone()
}

fn ready(host: &Host, agent: &str) {
    until("loaded agent", || (state(host, agent)["state"] == "ready").then_some(()));
}

/// The compiled components in the cache of a folder, without the other files there.
fn entries(folder: &Folder) -> Vec<PathBuf> {
    let versions = folder.path().join(".holdshort/compiled/modules");
    let versions = fs::read_dir(versions).into_iter().flatten().map(|version| version.unwrap().path());
    let files = versions.flat_map(|version| fs::read_dir(version).unwrap().map(|file| file.unwrap().path()));
    files.filter(|file| file.extension().is_none()).collect()
}

fn runs(host: &Host) {
    let run = host.start("many-calls", "routine=0 held=1");
    host.approve(&host.held(&run));
    host.over(&run);
}

#[test]
fn what_a_child_compiled_is_used_by_every_later_host() {
    let folder = Folder::new(&["many-calls"], "");
    let host = folder.serve();
    runs(&host);
    let [entry] = &entries(&folder)[..] else { panic!("{:?}", entries(&folder)) };
    let written = fs::metadata(entry).unwrap().modified().unwrap();
    host.stop();
    let host = folder.serve();
    runs(&host);
    assert_eq!(fs::metadata(entry).unwrap().modified().unwrap(), written, "nothing was compiled again");
    assert_eq!(entries(&folder).len(), 1);
    host.stop();
    // Whatever happened to the cached file, a child writes it again. If the host itself compiled, the file would have
    // another name.
    for harm in [|entry: &PathBuf| fs::remove_file(entry).unwrap(), |entry: &PathBuf| fs::write(entry, b"").unwrap()] {
        harm(entry);
        let host = folder.serve();
        runs(&host);
        assert!(fs::metadata(entry).unwrap().len() > 1_000);
        assert_eq!(entries(&folder).len(), 1);
        host.stop();
    }
    let left = fs::read_dir(folder.path().join(".holdshort/compiled")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.starts_with("new-")), "{left:?}");
}

#[test]
fn a_cache_that_cannot_be_written_is_a_plain_error() {
    let folder = Folder::new(&["many-calls"], "");
    // A file stands in the place of wasmtime's folder. Permissions alone would not be enough, because the tests may run
    // as root.
    folder.write(".holdshort/compiled/modules", "");
    fs::set_permissions(folder.path().join(".holdshort"), fs::Permissions::from_mode(0o700)).unwrap();
    let host = folder.serve();
    let agent =
        until("agent that has failed", || Some(state(&host, "many-calls")).filter(|one| one["state"] == "failed"));
    let problem = agent["problem"].as_str().unwrap();
    assert!(problem.contains("compiled code cannot be written to `") && problem.contains("compiled`"), "{problem}");
    // The machine caused this error, so the next run tries again.
    fs::remove_file(folder.path().join(".holdshort/compiled/modules")).unwrap();
    runs(&host);
}

#[test]
fn a_host_serves_before_it_has_read_an_agent_and_ends_with_its_children() {
    let limits = "[limits]\nload-cpu-seconds = 60\nload-memory-mib = 4_096\n";
    let folder = Folder::new(&["many-calls"], "");
    let bomb = &code::bombs().into_iter().find(|(name, _)| *name == "500-loops-20000-locals").unwrap().1;
    fs::write(folder.path().join("bomb.wasm"), bomb).unwrap();
    let agents = format!(
        "[agents.bomb]\ncomponent = \"bomb.wasm\"\n[agents.many-calls]\ncomponent = \"{}\"\n",
        component("many-calls").display()
    );
    folder.configure(&(agents + limits));
    let host = folder.serve();
    assert_eq!(state(&host, "bomb")["state"], "loading");
    ready(&host, "many-calls");
    runs(&host);
    assert_eq!(state(&host, "bomb")["state"], "loading", "it is compiled yet");
    let children = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap().map(|task| task.unwrap().path());
        let children = tasks.filter_map(|task| fs::read_to_string(task.join("children")).ok());
        children.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let child = until("child", || children().first().cloned());
    host.kill();
    // A killed host cannot end its children. The kernel ends them.
    until("end of the child", || {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

/// Policies are checked against the types of imported functions. So the host reads the agents that import them before
/// it answers other requests.
#[test]
fn a_host_that_reads_what_policies_speak_of_is_alive_and_says_that_it_is_starting() {
    let folder = Folder::new(&[], "");
    let mut sections =
        String::from("[capabilities.\"acme:a/b@1.0.0#f\"]\nclass = \"consequential\"\ncommand = [\"true\"]\n");
    for number in 0..20_u8 {
        let name = format!("agent-{number}");
        fs::write(folder.path().join(&name), and(&[section(0, &[1, b'n', number])])).unwrap();
        sections += &format!("[agents.{name}]\ncomponent = \"{name}\"\n");
    }
    folder.configure(&sections);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut host = folder.command(&["serve", "--listen", &address]).stderr(Stdio::null()).spawn().unwrap();
    let agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().new_agent();
    let ask = |path: &str| agent.get(format!("http://{address}{path}")).call().ok();
    until("host that is alive", || (ask("/healthz")?.status() == 200).then_some(()));
    let mut told = [0; 3];
    until("host that is ready", || {
        for (path, told) in ["/readyz", "/v1/agents", "/"].into_iter().zip(&mut told) {
            let mut answer = ask(path)?;
            let text = answer.body_mut().read_to_string().unwrap();
            if answer.status() == 503 {
                assert!(text.contains("the host is starting and still reads policies"), "{path}: {text}");
                assert_eq!(answer.headers()["retry-after"], "1", "{path}");
                assert_eq!(text.starts_with('{'), path != "/", "{path}: {text}");
                *told += 1;
            }
        }
        (ask("/readyz")?.status() == 200).then_some(())
    });
    assert!(told.iter().all(|told| *told > 0), "it was ready at once: {told:?}");
    assert!(Command::new("kill").arg(host.id().to_string()).status().unwrap().success());
    assert!(host.wait().unwrap().success());
}
