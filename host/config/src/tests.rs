//! Tests every kind of error against the expected text in a data file, tests the defaults, and compares
//! `host/CONFIGURATION.md` with the code.

use std::path::{Path, PathBuf};

use holdshort_gate::{Capability, Digest, Reviewers, Time};

use super::*;

fn context() -> ConfigContext {
    ConfigContext { folder: "/srv/shop".into(), is_repository: true, operator: "olga".into() }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Some(Path::new("holdshort.toml")), &context())
}

fn home(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// With `HOLDSHORT_BLESS=1` the test writes the texts of the errors into the data files. Review them
/// before a commit.
#[test]
fn every_mistake_says_where_and_what_to_do() {
    let mut wrong = Vec::new();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(home("tests/data/config")).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "toml"));
    assert!(files.len() >= 45, "only {} mistakes are tried", files.len());
    for file in files {
        let error = match parse(&std::fs::read_to_string(&file).unwrap()) {
            Ok(_) => panic!("{} is accepted", file.display()),
            Err(error) => error,
        };
        let found = format!("error: {error}\nhint: {}\n", error.hint().unwrap_or("-"));
        let expected = file.with_extension("txt");
        if std::env::var_os("HOLDSHORT_BLESS").is_some() {
            std::fs::write(&expected, &found).unwrap();
        } else if std::fs::read_to_string(&expected).ok().as_deref() != Some(&found) {
            wrong.push(format!("{}:\n{found}", expected.display()));
        }
        assert!(!found.contains("hunter2") && !found.contains("correct horse"), "a secret is repeated: {found}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_a_file_the_host_works_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::load(None, folder.path()).unwrap();
    assert_eq!(config.source, None);
    assert_eq!(config.journal, folder.path().join(".holdshort/journal.db"));
    assert_eq!(config.email.connector, Mail::Maildir { path: folder.path().join(".holdshort/mail") });
    assert_eq!(config.payments.path, folder.path().join(".holdshort/ledger.db"));
    assert_eq!((config.deployment, config.repository), (None, None));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:7411");

    std::fs::create_dir(folder.path().join(".git")).unwrap();
    let config = Config::load(None, folder.path()).unwrap();
    assert_eq!(config.repository.as_deref(), Some(folder.path()));
    assert_eq!(config.deployment.unwrap().connector, Deploy::Git);
}

#[test]
fn a_named_file_must_be_there_and_paths_start_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let error = Config::load(Some(Path::new("etc/other.toml")), folder.path()).unwrap_err();
    assert!(error.to_string().contains("etc/other.toml"), "{error}");
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    std::fs::write(folder.path().join("etc/other.toml"), "[agents.a]\ncomponent = './a.wasm'\n").unwrap();
    let config = Config::load(Some(Path::new("etc/other.toml")), folder.path()).unwrap();
    assert_eq!(config.agents["a"].component, folder.path().join("etc/a.wasm"));
    assert_eq!(config.state, folder.path().join("etc/.holdshort"));
}

/// An example with hashes instead of the placeholders.
fn with_hashes(sample: &str) -> String {
    let hash = |name: &str| Digest::of(name.as_bytes()).to_string();
    sample.replace("HASH-OF-ALICES-TOKEN", &hash("alice's")).replace("HASH-OF-BOBS-TOKEN", &hash("bob's"))
}

/// The example in the README does not load as it is. It loads after the reader has replaced the
/// placeholders by hashes.
#[test]
fn the_front_pages_sample_is_true() {
    let page = std::fs::read_to_string(home("README.md")).unwrap();
    let sample = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(parse(sample).unwrap_err().to_string().contains("not the SHA-256 of a token"));
    assert_eq!(parse(&with_hashes(sample)).unwrap().reviewers.len(), 2);
}

/// In `host/CONFIGURATION.md`, the block "Every setting with its default" means the same as an empty file. The block
/// with every setting is accepted.
#[test]
fn the_operators_page_is_true() {
    let page = std::fs::read_to_string(home("host/CONFIGURATION.md")).unwrap();
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [defaults, everything] = blocks.as_slice() else { panic!("{} TOML blocks, not 2", blocks.len()) };
    assert_eq!(parse(defaults).unwrap(), parse("").unwrap());
    // The block does not load unchanged, because a reader who copies it must insert hashes.
    assert!(parse(everything).unwrap_err().to_string().contains("not the SHA-256 of a token"));
    let everything = parse(&with_hashes(everything)).unwrap();
    assert_eq!(everything.approval.quorum, 2);
    // The page must contain every key of the code.
    let sections = [
        include_str!("authored.rs"),
        include_str!("resolve/capabilities.rs"),
        include_str!("resolve/credentials.rs"),
        include_str!("resolve/http.rs"),
        include_str!("resolve/models.rs"),
        include_str!("resolve/budget.rs"),
    ];
    let keys = sections.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let line = line.trim();
        let (key, _) = line.strip_prefix("pub(super) ").or(line.strip_prefix("pub(crate) "))?.split_once(": ")?;
        (!key.starts_with("fn ")).then_some(key)
    });
    for key in keys {
        assert!(page.contains(&key.replace('_', "-")), "`{key}` is missing on the page");
    }
}

#[test]
fn what_is_written_is_used() {
    let config = parse(
        r##"
        [server]
        listen = "0.0.0.0:80"
        behind-proxy = true
        allowed-hosts = ["Approvals.example.org"]
        [approval]
        reviewers = ["alice", "olga", "alice"]
        quorum = 2
        expires-after = "24h"
        [reviewers.alice]
        token-sha256 = "339f694afaae46da6ea82f200af9b636304d534bc92054419f5688ea53171240"
        [email]
        connector = "smtp"
        from = "Our Bots <bot@Exämple.org>"
        reply-to = "Help <help@example.org>"
        host = "mail.example.org"
        tls = "starttls"
        username = "bot"
        password-file = "smtp-password"
        [deployment]
        targets = { production = "main", staging = "refs/heads/next" }
        [capabilities."acme:crm/contacts@1.0.0#*"]
        class = "routine"
        command = ["tools/crm", "read"]
        [capabilities."acme:crm/contacts@1.0.0#delete-contact"]
        class = "consequential"
        command = ["crm"]
        refusal = '{"denied": null}'
        "##,
    )
    .unwrap();
    let bound = config.server.listen;
    assert_eq!(config.server.hosts(bound), ["approvals.example.org"]);
    assert_eq!(config.server.origins(bound), ["https://approvals.example.org"]);
    assert_eq!(config.approval.reviewers, Reviewers::Named(vec!["alice".into(), "olga".into()]));
    assert_eq!(config.approval.requirement(Time(5)).expires_at, Some(Time(5 + 86_400_000_000)));
    assert_eq!(config.email.own_domains, ["xn--exmple-cua.org"]);
    assert_eq!(config.email.from, "Our Bots <bot@Exämple.org>");
    assert_eq!(config.email.reply_to.as_deref(), Some("Help <help@example.org>"));
    assert_eq!(config.email.notices_from, "bot@Exämple.org", "letters of the host have its own name");
    let Mail::Smtp(smtp) = &config.email.connector else { panic!("not smtp") };
    assert_eq!((smtp.port, smtp.login.as_ref().unwrap().1.as_path()), (587, Path::new("/srv/shop/smtp-password")));
    let targets = &config.deployment.as_ref().unwrap().targets;
    assert_eq!((targets["production"].as_str(), targets["staging"].as_str()), ("refs/heads/main", "refs/heads/next"));
    let rule = |function| config.rule(&Capability::new("acme:crm/contacts@1.0.0", function).unwrap());
    assert!(matches!(rule("delete-contact"), Some(CapabilityRule::Consequential(Perform { refusal: Some(_), .. }))));
    assert!(
        matches!(rule("list"), Some(CapabilityRule::Routine(Command { argv, .. })) if argv[0] == "/srv/shop/tools/crm")
    );
    assert_eq!(config.rule(&Capability::new("acme:crm/contacts@2.0.0", "list").unwrap()), None);
}

#[test]
fn programs_get_the_variables_that_are_named() {
    let config = parse(
        r#"
        [deployment]
        connector = "command"
        command = ["deploy"]
        environment = ["KUBECONFIG"]
        [checks.plain]
        command = ["make"]
        [checks.tests]
        command = ["cargo", "test"]
        environment = ["HOME", "_x1"]
        "#,
    )
    .unwrap();
    assert_eq!(config.checks["plain"].environment, Vec::<String>::new());
    assert_eq!(config.checks["tests"].environment, ["HOME", "_x1"]);
    let Deploy::Command(command) = config.deployment.unwrap().connector else { panic!("not a command") };
    assert_eq!(command.environment, ["KUBECONFIG"]);
}

#[test]
fn a_check_is_confined_where_it_can_be_unless_the_operator_says_otherwise() {
    let check = |keys: &str| {
        let config = parse(&format!("[checks.tests]\ncommand = [\"make\"]\n{keys}"));
        config.map(|config| config.checks["tests"].clone()).map_err(|error| error.to_string())
    };
    let usual = check("").unwrap();
    assert_eq!((usual.confinement, usual.network), (Confinement::WhenAvailable, false));
    assert_eq!((usual.paths, usual.memory_mib), (Vec::<std::path::PathBuf>::new(), None));
    let set =
        check("confinement = \"required\"\npaths = [\"tools\", \"/opt/jdk\"]\nnetwork = true\nmemory-mib = 512\n")
            .unwrap();
    assert_eq!((set.confinement, set.network, set.memory_mib), (Confinement::Required, true, Some(512)));
    assert!(set.paths[0].is_absolute() && set.paths[0].ends_with("tools") && set.paths[1] == Path::new("/opt/jdk"));
    assert_eq!(check("confinement = \"off\"").unwrap().confinement, Confinement::Off);
    for wrong in [
        "confinement = \"of\"",
        "confinement = false",
        "network = \"yes\"",
        "paths = \"/opt\"",
        "memory-mib = 0",
        "writable-paths = []",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn loopback_answers_to_its_own_names_and_to_nothing_else() {
    let server = parse("").unwrap().server;
    let bound = "127.0.0.1:40001".parse().unwrap();
    assert_eq!(server.hosts(bound), ["127.0.0.1:40001", "localhost:40001"]);
    assert_eq!(server.origins(bound)[1], "http://localhost:40001");
    assert!(server.clone().with_listen("127.0.0.2:0".parse().unwrap()).is_ok());
    assert!(server.with_listen("192.0.2.1:80".parse().unwrap()).is_err());
}

#[test]
fn it_can_be_printed() {
    let config = parse(
        "[capabilities.'a:b/c#d']\nclass = 'consequential'\ncommand = ['x']\nrefusal = 'null'\n[approval]\nreviewers = ['olga']\n\
         [capabilities.'a:b/c#e']\nclass = 'consequential'\nconnector = 'file-drop'\nfolder = 'reports'\n",
    )
    .unwrap();
    let printed = toml::to_string(&config).unwrap();
    let sections = |connector| format!("class = \"consequential\"\nconnector = \"{connector}\"\n");
    assert!(["command", "file-drop"].iter().all(|name| printed.contains(&sections(name))), "{printed}");
    let accounts = "[payments.accounts.a]\nopening = [\"10.05 EUR\", \"7 JPY\"]\n\n[payments.accounts.a.deposits]\nmay = \"0.500 BHD\"\n";
    let config = parse(accounts).unwrap();
    let amount = &config.payments.accounts["a"].opening[0];
    assert_eq!((amount.minor_units, amount.currency.as_str()), (1_005, "EUR"));
    assert_eq!(config.payments.accounts["a"].deposits["may"].minor_units, 500);
    assert!(
        toml::to_string(&config).unwrap().contains(accounts),
        "what is written is printed: {}",
        toml::to_string(&config).unwrap()
    );
    assert!(printed.contains("cpu-ms = 10000") && printed.contains("refusal = \"null\""), "{printed}");
}

/// A link in a notification works, or the host reports at its start why it does not.
#[test]
fn a_link_that_cannot_work_is_noted() {
    let bound = "127.0.0.1:7411".parse().unwrap();
    let beyond = "listen = \"0.0.0.0:7411\"\nbehind-proxy = true\nallowed-hosts = [\"a.example\"]\n";
    for (server, told, expected) in [
        ("", false, None),
        ("", true, Some("set `public-url`")),
        (beyond, true, Some("set `public-url`")),
        ("public-url = \"http://127.0.0.1:7411\"", true, None),
        ("public-url = \"http://localhost:7411\"", true, None),
        ("public-url = \"http://localhost\"", true, Some("add `localhost` to `allowed-hosts`")),
        ("public-url = \"https://a.example\"", true, Some("add `a.example` to `allowed-hosts`")),
        ("public-url = \"https://a.example\"", false, Some("add `a.example` to `allowed-hosts`")),
        (
            "public-url = \"https://a.example\"\nallowed-hosts = [\"b.example\"]",
            true,
            Some("answers only to `b.example`"),
        ),
        ("public-url = \"https://a.example\"\nallowed-hosts = [\"a.example\"]", true, Some("set `behind-proxy`")),
        ("public-url = \"https://a.example\"\nallowed-hosts = [\"a.example\"]\nbehind-proxy = true", true, None),
        ("public-url = \"https://A.example\"\nallowed-hosts = [\"a.example\"]\nbehind-proxy = true", true, None),
        (
            "public-url = \"http://a.example\"\nallowed-hosts = [\"a.example\"]\nbehind-proxy = true",
            true,
            Some("pages of `https://a.example`"),
        ),
        (
            "public-url = \"https://a.example\"\nallowed-hosts = [\"a.example\"]\nallowed-origins = [\"https://b.example\"]",
            true,
            Some("add `https://a.example` to `allowed-origins`"),
        ),
    ] {
        let config = parse(&format!("[server]\n{server}\n")).unwrap();
        let bound = if server == beyond { config.server.listen } else { bound };
        let said = config.server.broken_links(bound, told);
        match expected {
            None => assert_eq!(said, None, "{server}"),
            Some(expected) => assert!(said.as_deref().unwrap_or_default().contains(expected), "{server}: {said:?}"),
        }
    }
}

/// If sessions have host names, the host listens at both addresses to which browsers resolve these
/// names.
#[test]
fn names_of_sessions_lead_to_the_host_alone() {
    for (server, bound, twin) in [
        ("", "127.0.0.1:7411", Some("[::1]:7411")),
        ("", "[::1]:9", Some("127.0.0.1:9")),
        ("", "127.0.0.2:7411", None),
        ("", "0.0.0.0:7411", None),
        ("session-names = true", "127.0.0.1:7411", Some("[::1]:7411")),
        ("session-names = false", "127.0.0.1:7411", None),
        ("behind-proxy = true", "127.0.0.1:7411", None),
    ] {
        let config = parse(&format!("[server]\n{server}\n")).unwrap();
        let found = config.server.twin(bound.parse().unwrap());
        assert_eq!(found, twin.map(|twin| twin.parse().unwrap()), "{server} at {bound}");
    }
}
