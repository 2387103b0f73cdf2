//! A check gets only those variables of the host's environment that the configuration names. A long check does not
//! delay other runs.

use std::collections::BTreeMap;

use crate::support::{Host, Repository, until};
use crate::{folder, lines};

/// The host's environment, in addition to that of the test.
const OF_THE_HOST: [(&str, &str); 3] =
    [("HOME", "/home/of-the-host"), ("SHOP_REGION", "eu"), ("SHOP_SECRET", "hunter2")];

/// The environment that the program `env` prints when it runs as the check `name`.
fn environment(host: &Host, name: &str) -> BTreeMap<String, String> {
    let run = host.start("scripted", &format!("check {name} main"));
    let report = lines(&host.over(&run)).join("\n");
    assert!(report.contains("passed: true, exit-status: 0"), "{report}");
    let printed = report.split("output-tail: \"").nth(1).unwrap().split('"').next().unwrap();
    let variables = printed.split("\\n").filter_map(|line| line.split_once('='));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_check_sees_the_variables_that_are_named_and_no_others() {
    let checks = r#"
[deployment]
repository = "shop.git"
[checks.plain]
command = ["env"]
confinement = "off"
[checks.named]
command = ["env"]
environment = ["SHOP_REGION", "HOME", "SHOP_ABSENT"]
"#;
    let folder = folder(&["scripted"], checks);
    Repository::bare(&folder.path().join("shop.git"));
    let host = folder.serve_with(&OF_THE_HOST);

    let plain = environment(&host, "plain");
    assert_eq!(plain.keys().collect::<Vec<_>>(), ["CI", "HOME", "LANG", "PATH", "TMPDIR"]);
    assert_eq!((plain["CI"].as_str(), plain["LANG"].as_str()), ("true", "C.UTF-8"));
    assert_eq!(plain["PATH"], std::env::var("PATH").unwrap());
    for own in ["HOME", "TMPDIR"] {
        assert!(plain[own].starts_with(folder.path().to_str().unwrap()), "{own} is {}", plain[own]);
    }

    let named = environment(&host, "named");
    // A sandbox sets `PWD` to the folder in which the check starts.
    let of_check = named.keys().filter(|name| *name != "PWD").collect::<Vec<_>>();
    assert_eq!(of_check, ["CI", "HOME", "LANG", "PATH", "SHOP_REGION", "TMPDIR"]);
    assert_eq!((named["HOME"].as_str(), named["SHOP_REGION"].as_str()), ("/home/of-the-host", "eu"));
}

#[test]
fn a_check_that_takes_long_keeps_no_other_run_from_computing() {
    let folder = folder(&["scripted"], "");
    let (begun, go_on) = (folder.path().join("begun"), folder.path().join("go-on"));
    let script = format!("touch {}; until [ -e {} ]; do sleep 0.05; done", begun.display(), go_on.display());
    let agent = std::fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    folder.configure(&format!(
        "{agent}\n[limits]\nlive-runs = 1\n[deployment]\nrepository = \"shop.git\"\n[checks.long]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nconfinement = \"off\"\n"
    ));
    Repository::bare(&folder.path().join("shop.git"));
    let host = folder.serve();
    let long = host.start("scripted", "check long main");
    until("the check", || begun.exists().then_some(()));
    let beside = host.over(&host.start("scripted", "list"));
    assert_eq!((&beside["state"], &host.show_run(&long)["state"]), (&"finished".into(), &"running".into()));
    std::fs::write(go_on, "").unwrap();
    assert_eq!(host.over(&long)["state"], "finished");
}
