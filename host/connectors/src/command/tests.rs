//! Tests with real programs. `tests/any_import.rs` shows a call's way through the whole host.

use std::path::Path;
use std::time::Duration;

use holdshort_gate::{Digest, EffectKey, RunId, Time};

use super::super::child::Children;
use super::super::exhibit::tests::sentence;
use super::super::{Routine, RoutineCall, Unavailable};
use super::*;

/// `delete: func(id: string) -> result<u64, string>`, of an imaginary component.
fn function() -> FunctionType {
    let result = WitType::Result { ok: Some(Box::new(WitType::U64)), err: Some(Box::new(WitType::String)) };
    FunctionType { params: vec![("id".into(), WitType::String)], result: Some(result) }
}

struct Known(Result<FunctionType, Sentence>);

impl FunctionTypes for Known {
    fn of<'a>(&'a self, _: &'a Action) -> BoxFuture<'a, Result<std::sync::Arc<FunctionType>, Sentence>> {
        async move { self.0.clone().map(std::sync::Arc::new) }.boxed()
    }
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn context(&self, ty: Result<FunctionType, Sentence>) -> CommandContext {
        CommandContext::new(Children::open(&self.path().join("children")).unwrap(), std::sync::Arc::new(Known(ty)))
    }

    fn program(&self, script: &str) -> Program {
        Program {
            argv: sh(script),
            folder: self.path().to_owned(),
            time_out: Duration::from_secs(20),
            environment: Vec::new(),
            not_done: vec![4],
        }
    }

    fn acts(&self, script: &str) -> EffectCommand {
        EffectCommand::new(self.program(script), CommandOptions::default(), self.context(Ok(function())))
    }

    fn shows(&self, preview: &str) -> EffectCommand {
        let options = CommandOptions { preview: Some(sh(preview)), ..CommandOptions::default() };
        EffectCommand { options, ..self.acts("exit 9") }
    }

    fn finds(&self, lookup: &str) -> EffectCommand {
        let options = CommandOptions { lookup: Some(sh(lookup)), ..CommandOptions::default() };
        EffectCommand { options, ..self.acts("exit 9") }
    }

    async fn answer(&self, ty: FunctionType, script: &str) -> Result<Value, Unavailable> {
        let answers = RoutineCommand::new(self.program(script), self.context(Ok(ty)));
        let (run, action) = (RunId("r1".into()), action("7"));
        answers.answer(RoutineCall { agent: &"clerk".into(), run: &run, action: &action }).await
    }
}

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

fn action(id: &str) -> Action {
    let capability = "acme:crm/contacts@1.0.0#delete".parse().unwrap();
    Action::new(Digest::of(b"agent"), capability, &function(), &json!({ "id": id })).unwrap()
}

async fn perform(acts: &EffectCommand) -> Attempt {
    let previewed = acts.preview(&"clerk".into(), &action("7")).await.unwrap();
    let (run, key) = (RunId("r1".into()), EffectKey("key1".into()));
    acts.attempt(&action("7"), &previewed.preconditions, AttemptOrigin { run: &run, call: 3, attempt: 1, key: &key })
        .await
}

fn inquiry() -> Inquiry {
    Inquiry {
        run: RunId("r1".into()),
        call: 3,
        attempt: 1,
        started_at: Time(1_767_225_600_000_001),
        action: action("7"),
        preconditions: Value::Null,
        key: EffectKey("key1".into()),
    }
}

#[tokio::test]
async fn a_program_reads_exactly_what_was_digested_and_nothing_of_the_hosts_environment() {
    let scratch = Scratch::new();
    let acts = scratch.acts("cat > got; env > environment; echo '\"18446744073709551615\"'");
    assert_eq!(perform(&acts).await, Attempt::Done(json!("18446744073709551615")));
    let got = scratch.read("got");
    let component = action("7").component();
    assert_eq!(
        got,
        format!(
            r#"{{"arguments":{{"id":"7"}},"capability":"acme:crm/contacts@1.0.0#delete","component":"{component}","format":1}}"#
        )
    );
    assert_eq!(Digest::tagged("holdshort/action", got.as_bytes()), action("7").digest());
    let mut environment: Vec<String> = scratch.read("environment").lines().map(str::to_owned).collect();
    // These variables come from the shell that runs the script, and not from the host.
    environment.retain(|line| !["PATH=", "PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|name| line.starts_with(name)));
    environment.sort();
    let expected = [
        "HOLDSHORT_ATTEMPT=1",
        "HOLDSHORT_CALL=3",
        "HOLDSHORT_CAPABILITY=acme:crm/contacts@1.0.0#delete",
        "HOLDSHORT_KEY=key1",
        "HOLDSHORT_RUN=r1",
    ];
    assert_eq!(environment, expected);
    assert_eq!(std::fs::read_dir(scratch.path().join("children")).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn only_exit_0_with_a_fitting_value_is_done_and_only_a_named_code_is_not_done() {
    use Attempt::{Done, NotDone, Unknown};
    let cases = [
        ("echo '\"5\"'; echo noise >&2", Done(json!("5"))),
        // A 64-bit number may be printed as a JSON number; the agent gets the normal form, a string.
        ("echo 5", Done(json!("5"))),
        ("echo no such contact >&2; exit 4", NotDone(sentence("exit status 4: \"no such contact\""))),
        ("exit 4", NotDone("exit status 4".into())),
        ("echo '\"5\"'; exit 1", Unknown("exit status 1".into())),
        ("echo lost the line >&2; kill -9 $$", Unknown(sentence("ended by signal 9: \"lost the line\""))),
        ("true", Unknown("exit status 0, but the output is empty, although the function returns a value".into())),
        (
            "echo deleted",
            Unknown(sentence("exit status 0, but the output is not JSON: \"expected value at line 1 column 1\"")),
        ),
        (
            "echo '{\"ok\": 5}'; echo x >&2",
            Unknown(sentence(
                r#"exit status 0, but the output is not a value of the function's type: "`value`: expected a string of digits (a u64), found {\"ok\":5}": "x""#,
            )),
        ),
        (
            "printf '\"5\"'; head -c 2000000 /dev/zero | tr '\\0' ' '",
            Unknown("exit status 0, but the program printed 2000003 bytes; at most 1048576 are read".into()),
        ),
        ("sleep 3 >/dev/null & exit 4", Unknown("exit status 4, but a process of the program still runs".into())),
    ];
    for (script, expected) in cases {
        let scratch = Scratch::new();
        assert_eq!(perform(&scratch.acts(script)).await, expected, "{script}");
        let doubt = matches!(expected, Unknown(_));
        let kept = scratch.path().join("children/effect-key1-1.err").exists();
        assert_eq!(kept, doubt, "what it said is kept for whoever has to find out, and for nobody else: {script}");
    }
}

#[tokio::test]
async fn a_program_that_takes_too_long_may_have_acted_and_one_that_cannot_start_has_not() {
    let scratch = Scratch::new();
    let mut acts = scratch.acts("echo begun >&2; sleep 30");
    acts.program.time_out = Duration::from_millis(300);
    let expected = "stopped, because the program ran longer than 0.3 seconds: \"begun\"";
    assert_eq!(perform(&acts).await, Attempt::Unknown(sentence(expected)));
    acts.program.argv = vec!["/no/such/program".into()];
    assert!(
        matches!(perform(&acts).await, Attempt::NotDone(why) if why.starts_with("`/no/such/program` cannot be run"))
    );
    acts.context = scratch.context(Err("the journal is away".into()));
    assert_eq!(perform(&acts).await, Attempt::NotDone("the journal is away".into()));
}

#[tokio::test]
async fn a_function_that_returns_nothing_needs_no_output() {
    let ty =
        FunctionType { result: Some(WitType::Result { ok: None, err: Some(Box::new(WitType::String)) }), ..function() };
    let scratch = Scratch::new();
    let context = scratch.context(Ok(ty));
    for (script, done) in [("true", true), ("echo null", true), ("echo 5", false)] {
        let acts = EffectCommand { context: context.clone(), ..scratch.acts(script) };
        let attempt = perform(&acts).await;
        assert_eq!(attempt == Attempt::Done(Value::Null), done, "{script}: {attempt:?}");
    }
}

#[tokio::test]
async fn a_clearance_is_for_the_program_that_was_shown() {
    let scratch = Scratch::new();
    let shown = scratch.acts("exit 4").preview(&"clerk".into(), &action("7")).await.unwrap();
    let (run, key) = (RunId("r1".into()), EffectKey("key1".into()));
    let origin = AttemptOrigin { run: &run, call: 3, attempt: 1, key: &key };
    let other = scratch.acts("touch acted");
    let attempt = other.attempt(&action("7"), &shown.preconditions, origin).await;
    let why = r#"the program was ["sh","-c","exit 4"] when the call was shown and is ["sh","-c","touch acted"] now"#;
    assert_eq!(attempt, Attempt::FactsChanged(sentence(why)));
    assert!(!scratch.path().join("acted").exists());
}

#[tokio::test]
async fn the_class_is_what_the_operator_says() {
    let scratch = Scratch::new();
    let class = |idempotent, lookup: Option<&str>| {
        let options = CommandOptions { idempotent, lookup: lookup.map(sh), ..CommandOptions::default() };
        EffectCommand { options, ..scratch.acts("true") }.effect().class
    };
    assert_eq!(class(false, None), EffectClass::OneShot);
    assert_eq!(class(false, Some("true")), EffectClass::Reconcilable);
    assert_eq!(class(true, None), EffectClass::Idempotent);
    assert_eq!(class(true, Some("true")), EffectClass::Idempotent);
}

#[tokio::test]
async fn a_preview_is_evidence_of_the_hosts_or_says_why_there_is_none() {
    let scratch = Scratch::new();
    let acts = scratch.shows("cat; echo; echo the contact");
    let previewed = acts.preview(&"clerk".into(), &action("7")).await.unwrap();
    assert_eq!(previewed.summary, r#"acme:crm/contacts@1.0.0#delete(id: "7")"#);
    assert_eq!(previewed.preconditions, json!({ "program": ["sh", "-c", "exit 9"] }));
    let [preview, program] = previewed.exhibits.as_slice() else { panic!("{previewed:?}") };
    assert_eq!(
        (preview.title.as_str(), preview.media()),
        ("the preview from `sh -c cat; echo; echo the contact`", "text/plain")
    );
    assert_eq!(preview.bytes, format!("{}\nthe contact\n", action("7").canonical()).into_bytes());
    assert_eq!(program.title, "the program");
    let described: Value = serde_json::from_slice(&program.bytes).unwrap();
    assert_eq!(described["argv"], json!(["sh", "-c", "exit 9"]));

    let silent = scratch.shows("true").preview(&"clerk".into(), &action("7")).await.unwrap();
    assert_eq!(silent.exhibits[0].bytes, b"(the program printed nothing)\n");
    let nothing = scratch.acts("true").preview(&"clerk".into(), &action("7")).await.unwrap();
    assert_eq!(nothing.exhibits.len(), 1, "without a preview there is the program alone");
}

#[tokio::test]
async fn a_preview_that_fails_is_the_calls_fault_or_the_hosts() {
    let scratch = Scratch::new();
    let unavailable = |script: &str, why: &str| {
        let why = sentence(&format!("the preview program `sh -c {script}`: {why}"));
        (script.to_owned(), CannotPreview::Unavailable(why))
    };
    let too_large = "over a limit of this host: the preview is 2000000 bytes, but at most 1048576 bytes are shown to reviewers, and a preview is never cut";
    let cases = [
        (
            "echo no contact 7 >&2; exit 4".to_owned(),
            CannotPreview::Impossible(sentence(
                r#"the preview program `sh -c echo no contact 7 >&2; exit 4` says: "no contact 7""#,
            )),
        ),
        ("exit 4".to_owned(), CannotPreview::Impossible("exit status 4".into())),
        unavailable("echo shown; echo away >&2; exit 1", "exit status 1: \"away\""),
        unavailable("kill -9 $$", "ended by signal 9"),
        ("head -c 2000000 /dev/zero".to_owned(), CannotPreview::Impossible(too_large.into())),
    ];
    for (script, expected) in cases {
        assert_eq!(scratch.shows(&script).preview(&"clerk".into(), &action("7")).await, Err(expected), "{script}");
    }
}

#[tokio::test]
async fn a_lookup_says_what_happened_or_that_it_cannot_tell() {
    let scratch = Scratch::new();
    let left = format!(
        "the program is not running any more, and there is no file `{}`",
        scratch.path().join("children/effect-key1-1.err").display()
    );
    let unknown =
        |why: &str| Finding::Unknown { evidence: sentence(&format!("{left}; the lookup program `SCRIPT`: {why}")) };
    let happened = |evidence: &str| Finding::Happened { receipt: json!("5"), evidence: sentence(evidence) };
    let not = |evidence: &str| Finding::DidNotHappen { evidence: sentence(evidence) };
    let cases = [
        (
            "echo 5; echo gone since noon >&2",
            happened("the lookup program `SCRIPT`: exit status 0: \"gone since noon\""),
        ),
        ("echo still there >&2; exit 4", not("the lookup program `SCRIPT`: exit status 4: \"still there\"")),
        // A failure status that the operator did not list leaves the outcome unknown.
        ("echo 5; exit 1", unknown("exit status 1")),
        ("echo 5; kill -9 $$", unknown("ended by signal 9")),
        ("true", unknown("exit status 0, but the output is empty, although the function returns a value")),
    ];
    for (script, expected) in cases {
        let found = format!("{:?}", scratch.finds(script).lookup(&inquiry()).await);
        assert_eq!(found.replace(&format!("sh -c {script}"), "SCRIPT"), format!("{expected:?}"), "{script}");
    }
    let none = scratch.acts("true").lookup(&inquiry()).await;
    assert_eq!(none, Finding::Unknown { evidence: sentence(&left) });
}

#[tokio::test]
async fn a_lookup_knows_the_attempt() {
    let scratch = Scratch::new();
    scratch.finds("cat > got; env > environment; exit 4").lookup(&inquiry()).await;
    assert_eq!(scratch.read("got"), action("7").canonical());
    let environment = scratch.read("environment");
    for line in ["HOLDSHORT_KEY=key1", "HOLDSHORT_ATTEMPT=1", "HOLDSHORT_STARTED_AT=2026-01-01T00:00:00.000001Z"] {
        assert!(environment.lines().any(|found| found == line), "{line}: {environment}");
    }
}

#[tokio::test]
async fn nothing_is_looked_up_while_the_lost_program_may_still_act() {
    let scratch = Scratch::new();
    let mut acts = scratch.finds("touch looked; exit 4");
    acts.program.argv = sh("sleep 300 & echo $! > pid; exit 1");
    assert!(matches!(perform(&acts).await, Attempt::Unknown(_)));
    acts.program.time_out = Duration::from_secs(1);
    let Finding::Unknown { evidence } = acts.lookup(&inquiry()).await else { panic!("found out") };
    assert!(evidence.contains("still runs"), "{evidence}");
    assert!(!scratch.path().join("looked").exists());
    let kill = std::process::Command::new("kill").args(["-9", scratch.read("pid").trim()]).status().unwrap();
    assert!(kill.success());
    acts.program.time_out = Duration::from_secs(20);
    assert!(matches!(acts.lookup(&inquiry()).await, Finding::DidNotHappen { .. }));
    assert!(scratch.path().join("looked").exists());
}

#[tokio::test]
async fn an_agent_hears_what_a_program_decided_and_the_host_keeps_its_failures() {
    let result = |ok: &str| Ok(json!({ "ok": ok }));
    let err = |text: &str| Ok(json!({ "err": text }));
    let host = |why: &str| Err(format!("`SCRIPT` for `acme:crm/contacts@1.0.0#delete`: {why}"));
    let cases = [
        ("echo '{\"ok\": \"5\"}'", result("5")),
        ("echo '{\"err\": \"nobody\"}'", err("nobody")),
        ("echo nobody >&2; exit 1", err("nobody")),
        ("exit 4", err("exit status 4")),
        ("echo later >&2; exit 75", host("exit status 75: \"later\"")),
        ("kill -9 $$", host("ended by signal 9")),
        (
            "echo '\"5\"'",
            host(
                r#"the output is not a value of the function's type: "`value`: expected an object with `ok` or `err`, found \"5\"""#,
            ),
        ),
        ("true", host("the output is empty, although the function returns a value")),
    ];
    for (script, expected) in cases {
        let scratch = Scratch::new();
        let found = scratch.answer(function(), script).await;
        let found =
            found.map_err(|Unavailable(why)| why.replace(&format!("sh -c {}", script.replace('"', "'")), "SCRIPT"));
        assert_eq!(found, expected, "{script}");
        assert_eq!(std::fs::read_dir(scratch.path().join("children")).unwrap().count(), 0, "{script}");
    }
}

#[tokio::test]
async fn where_an_error_is_no_text_only_the_program_itself_can_err() {
    let result = |err: Option<WitType>| WitType::Result { ok: None, err: err.map(Box::new) };
    let returning = |result: Option<WitType>| FunctionType { result, ..function() };
    let scratch = Scratch::new();
    for ty in [None, Some(WitType::String), Some(result(None)), Some(result(Some(WitType::U8)))] {
        let answer = scratch.answer(returning(ty.clone()), "echo nobody >&2; exit 1").await;
        assert!(
            matches!(&answer, Err(Unavailable(why)) if why.ends_with("exit status 1: \"nobody\"")),
            "{ty:?} {answer:?}"
        );
    }
    let typed = scratch.answer(returning(Some(result(Some(WitType::U8)))), "echo '{\"err\": 7}'").await;
    assert_eq!(typed, Ok(json!({ "err": 7 })));
    assert_eq!(scratch.answer(returning(None), "true").await, Ok(Value::Null));
}

#[tokio::test]
async fn a_routine_program_knows_who_asks() {
    let scratch = Scratch::new();
    scratch.answer(function(), "cat > got; env > environment; echo '{\"ok\": 5}'").await.unwrap();
    assert_eq!(scratch.read("got"), action("7").canonical());
    let environment = scratch.read("environment");
    for line in ["HOLDSHORT_AGENT=clerk", "HOLDSHORT_RUN=r1", "HOLDSHORT_CAPABILITY=acme:crm/contacts@1.0.0#delete"] {
        assert!(environment.lines().any(|found| found == line), "{line}: {environment}");
    }
    assert!(!environment.contains("HOLDSHORT_KEY"), "an answer has no key: nothing is done");
}

/// A program that an earlier host left running under the same number does not delay a new program.
#[tokio::test]
async fn programs_that_look_do_not_wait_for_each_other() {
    let scratch = Scratch::new();
    let earlier = RoutineCommand::new(scratch.program("sleep 2; echo '{\"ok\": 5}'"), scratch.context(Ok(function())));
    let (run, action) = (RunId("r1".into()), action("7"));
    let call = RoutineCall { agent: &"clerk".into(), run: &run, action: &action };
    let quick = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // This context counts its programs from 0 again, like a restarted host.
        scratch.answer(function(), "echo '{\"ok\": 6}'").await
    };
    let (slow, quick) = tokio::join!(earlier.answer(call), quick);
    assert_eq!((slow, quick), (Ok(json!({ "ok": "5" })), Ok(json!({ "ok": "6" }))));
}
