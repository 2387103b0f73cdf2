//! Tests that the command line is well formed and refuses meaningless combinations.

use clap::CommandFactory;

use super::*;

fn parse(words: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(words.split(' '))
}

#[test]
fn every_subcommand_is_well_formed() {
    Cli::command().debug_assert();
    // These arguments are added by the files that implement the subcommands.
    for augment in [
        RunArgs::augment_args,
        ServeArgs::augment_args,
        DemoArgs::augment_args,
        NewArgs::augment_args,
        DevArgs::augment_args,
        InspectArgs::augment_args,
    ] {
        augment(clap::Command::new("holdshort")).debug_assert();
    }
}

#[test]
fn lists_are_the_default() {
    let Command::Approvals(approvals) = parse("holdshort approvals --state all --json").unwrap().command else {
        panic!()
    };
    assert!(approvals.action.is_none());
    assert_eq!((approvals.list.state.to_string().as_str(), approvals.list.order()), ("all", "waiting"));
    let Command::Approvals(approvals) = parse("holdshort approvals --mine").unwrap().command else { panic!() };
    let list = approvals.list;
    assert_eq!((list.state.to_string().as_str(), list.order(), list.mine), ("waiting", "rank", true));
    let Command::Runs(runs) = parse("holdshort runs").unwrap().command else { panic!() };
    assert_eq!((runs.action.is_none(), runs.list.limit), (true, 20));
}

#[test]
fn global_options_stand_anywhere() {
    let cli = parse("holdshort approvals show 0k3v9m2e8q1c4z7d.5 --url http://127.0.0.1:1 --no-color").unwrap();
    assert_eq!(cli.global.url.as_deref(), Some("http://127.0.0.1:1"));
    let Command::Approvals(ApprovalsArgs { action: Some(ApprovalsAction::Show(show)), .. }) = cli.command else {
        panic!()
    };
    assert_eq!(show.id.to_string(), "0k3v9m2e8q1c4z7d.5");
}

#[test]
fn nonsense_is_refused() {
    let digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    assert!(parse(&format!("holdshort approvals approve a.1 --yes --digest {digest}")).is_ok());
    for words in [
        "holdshort approvals approve a.1 --yes",
        "holdshort approvals approve a.1 --digest 9f86",
        "holdshort approvals approve ../a.1",
        "holdshort approvals show a",
        "holdshort approvals --state sleeping",
        "holdshort approvals --order newest",
        "holdshort approvals respond a.1",
        "holdshort approvals respond a.1 yes --json-answer true",
        "holdshort runs resolve a.1 maybe",
        "holdshort runs show a/../b",
        "holdshort frobnicate",
    ] {
        assert!(parse(words).is_err(), "{words}");
    }
}

/// Lists every argument that accepts free text, found by its type, and whether its value may begin
/// with a hyphen.
fn texts(command: &clap::Command, above: &str) -> Vec<(String, bool)> {
    let text = |arg: &&clap::Arg| {
        arg.get_action().takes_values()
            && arg.get_value_parser().type_id() == std::any::TypeId::of::<String>()
            && arg.get_possible_values().is_empty()
            && arg.get_env().is_none()
    };
    let here = command.get_arguments().filter(text);
    let here = here.map(|arg| (format!("{above} {}", arg.get_id()), arg.is_allow_hyphen_values_set()));
    let below = command.get_subcommands().flat_map(|below| texts(below, &format!("{above} {}", below.get_name())));
    here.chain(below).collect()
}

/// Free text may begin with a hyphen: a list, a negative number, an option's name.
#[test]
fn text_may_begin_with_a_hyphen() {
    // Names that cannot begin with a hyphen.
    let names = [
        "holdshort run agent",
        "holdshort demo model",
        "holdshort demo model_name",
        "holdshort demo credential",
        "holdshort new name",
        "holdshort dev agent",
        "holdshort runs replay agent",
        "holdshort notify test name",
    ];
    let texts = texts(&Cli::command(), "holdshort");
    assert!(texts.len() > 10, "{texts:?}");
    let refused: Vec<_> = texts.into_iter().filter(|(_, allowed)| !allowed).map(|(name, _)| name).collect();
    assert_eq!(refused, names, "say `allow_hyphen_values = true` there");
    for said in ["- shorter notes", "-5", "--", "-m", "--digest", "-- two", "-", "--yes please", "- [ ] one\n- [ ] two"]
    {
        for command in [
            &["run", "a.wasm", "--task"][..],
            &["approvals", "approve", "a.1", "-m"],
            &["approvals", "approve", "a.1", "--message"],
            &["approvals", "edit", "a.1", "-m"],
            &["approvals", "reject", "a.1", "-m"],
            &["approvals", "reject", "a.1", "--message"],
            &["approvals", "respond", "a.1", "--json-answer"],
            &["runs", "cancel", "a", "-m"],
            &["runs", "cancel", "a", "--reason"],
            &["runs", "resolve", "a.1", "not-done", "-m"],
            &["runs", "resolve", "a.1", "done", "--receipt"],
        ] {
            let words = [&["holdshort"], command, &[said]].concat();
            let parsed = Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
            assert!(format!("{parsed:?}").contains(&format!("{said:?}")), "{words:?}: {parsed:?}");
        }
    }
    // A positional argument that equals an option's name is read as that option. After `--` it is
    // text.
    for said in ["- shorter notes", "-5", "-", "-- two", "--yes please"] {
        let Command::Approvals(ApprovalsArgs { action: Some(ApprovalsAction::Respond(respond)), .. }) =
            Cli::try_parse_from(["holdshort", "approvals", "respond", "a.1", said]).unwrap().command
        else {
            panic!("{said}")
        };
        assert_eq!(respond.text.as_deref(), Some(said));
    }
    assert!(Cli::try_parse_from(["holdshort", "approvals", "respond", "a.1", "--", "--digest"]).is_ok());
    let reject = parse("holdshort approvals reject a.1").unwrap();
    assert!(format!("{reject:?}").contains("message: None"), "a reason may be left out: {reject:?}");
}
