//! The output of the program: the real binary is the client of a real endpoint. In the endpoint's journal, every text
//! that an agent, a program or a reviewer can write is bait.

use std::process::Command;

use holdshort_gate::command::{
    AttemptOutcome, CancelRun, Choice, CreateRun, Decide, EndRun, Finish, FirstVerdict, Propose, Resolve, RunEnd, Start,
};
use holdshort_gate::{
    Action, Digest, EffectClass, FunctionType, Proposal, RefusalReason, Resolution, RunId, RunLimits, Time, WitType,
};
use holdshort_journal::{Fence, LogLine};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{get, post};
use crate::corpus::{assert_harmless, assert_visible, classes};
use crate::evidence;
use crate::support::HOLDSHORT;
use crate::world::{How, World, decide, proposal};

/// A folder in which the binary uses a world, as Alice.
struct Desk {
    folder: TempDir,
    url: String,
}

impl Desk {
    fn new(world: &World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "token-of-alice\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.path().join("token"), mode).unwrap();
        Self { folder, url: format!("http://{}", world.at) }
    }

    /// Everything that a command prints. If the command fails, it prints why.
    async fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(HOLDSHORT);
        command.args(arguments).args(["--url", &self.url, "--token-file", "token"]).current_dir(self.folder.path());
        for name in ["HOLDSHORT_CONFIG", "HOLDSHORT_URL", "HOLDSHORT_TOKEN_FILE", "NO_COLOR", "RUST_LOG"] {
            command.env_remove(name);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }
}

/// An action with `text` in a field and in the agent's rationale.
fn action(text: &str) -> Action {
    let fields = ["text", "rationale"].map(|name| (name.to_owned(), WitType::String));
    let function = FunctionType { params: fields.into(), result: None };
    let arguments = json!({"text": text, "rationale": text});
    Action::new(Digest::of(b"component"), "acme:mail/send@1.0.0#send".parse().unwrap(), &function, &arguments).unwrap()
}

fn proposed(text: &str, how: &How) -> Proposal {
    let mut proposal = proposal("hello", how);
    proposal.action = action(text);
    proposal.summary = format!("say {text}");
    proposal.exhibits[0].title = format!("about {text}");
    proposal.preconditions = json!({ "tip": text });
    proposal
}

/// A run in which every text is bait, with the numbers of the calls for each text.
struct Story<'a> {
    world: &'a World,
    run: RunId,
    calls: u32,
}

impl<'a> Story<'a> {
    async fn begin(world: &'a World, task: &str) -> Self {
        let run = RunId(format!(
            "bait-{}",
            Digest::of(task.as_bytes()).to_string().chars().skip(7).take(11).collect::<String>()
        ));
        let limits =
            RunLimits { cpu_ms: 1_000, memory_bytes: 1 << 20, held_calls: 9_999, calls: 9_999, journal_bytes: 1 << 30 };
        let create = CreateRun {
            agent: "release".into(),
            component: Digest::of(b"component"),
            task: task.into(),
            started_by: "olga".into(),
            limits,
            seed: Digest::of(b"seed"),
        };
        let _ = world.journal.submit(&run, None, Fence::None, create).await.unwrap();
        Self { world, run, calls: 0 }
    }

    async fn propose(&mut self, proposed: FirstVerdict) -> String {
        self.calls += 1;
        let _ = self.world.submit(&self.run, None, Propose { call: self.calls, proposed }).await.unwrap();
        format!("{}.{}", self.run, self.calls)
    }

    async fn decide(&self, choice: Choice, message: &str) {
        let subject = self.world.journal.subject(&self.run, Some(self.calls)).await.unwrap().unwrap();
        let clearance = subject.call.unwrap().clearance.unwrap();
        let decide = Decide { message: Some(message.into()), ..decide("bob", clearance, choice) };
        let _ = self.world.submit(&self.run, Some(self.calls), decide).await.unwrap();
    }

    async fn finish(&self, outcome: AttemptOutcome, evidence: Option<&str>) {
        let finish = Finish { attempt: 1, outcome, evidence: evidence.map(str::to_owned) };
        let _ = self.world.submit(&self.run, Some(self.calls), finish).await.unwrap();
    }

    async fn start(&mut self, text: &str) -> String {
        let id = self.propose(FirstVerdict::Hold(Box::new(proposed(text, &How::PLAIN)))).await;
        self.decide(Choice::Approve, text).await;
        let _ = self.world.submit(&self.run, Some(self.calls), Start { perform_within_ms: 1_000 }).await.unwrap();
        id
    }

    /// Puts one text into every field about a call. Returns the approvals that show it.
    async fn tell(&mut self, text: &str) -> [String; 6] {
        let done = self.start(text).await;
        self.finish(AttemptOutcome::Happened(json!({ "note": text })), Some(text)).await;
        let failed = self.start(text).await;
        self.finish(AttemptOutcome::DidNotHappen(text.into()), None).await;
        let doubtful = self.start(text).await;
        self.finish(AttemptOutcome::Unknown(text.into()), Some(text)).await;
        let resolution = Resolution::Done(json!({ "note": text }));
        let resolve = Resolve { attempt: 1, by: "carol".into(), resolution, message: Some(text.into()) };
        let _ = self.world.submit(&self.run, Some(self.calls), resolve).await.unwrap();
        let again = self.start(text).await;
        let proposal = Box::new(proposed(text, &How::PLAIN));
        self.finish(AttemptOutcome::FactsChanged { reason: text.into(), proposal }, None).await;
        self.decide(Choice::Reject, text).await;
        let refusal = RefusalReason::Invalid(text.into());
        let refused = self.propose(FirstVerdict::Refuse(Box::new(action(text)), refusal, None)).await;
        let question = How { class: EffectClass::Question, ..How::PLAIN };
        let asked = self.propose(FirstVerdict::Hold(Box::new(proposed(text, &question)))).await;
        self.decide(Choice::Respond(json!(text)), text).await;
        let line = LogLine { at: Time(1), level: "info".into(), message: text.into() };
        self.world.journal.log(&self.run, line);
        [done, failed, doubtful, again, refused, asked]
    }
}

/// The lines of an output that begin neither with two spaces nor as `begins` demands.
fn strays(output: &str, begins: impl Fn(&str) -> bool) -> Vec<&str> {
    output.lines().filter(|line| !line.is_empty() && !line.starts_with("  ") && !begins(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_printed_can_be_seen_and_is_told_apart() {
    let world = World::new().await;
    let desk = Desk::new(&world);
    let mut printed = 0;
    let mut all = Vec::new();
    for (class, baits) in classes() {
        let texts: Vec<&str> = baits.iter().map(|bait| bait.text.as_str()).collect();
        let mut story = Story::begin(&world, &texts.join("\n")).await;
        let run = story.run.0.clone();
        for (number, bait) in baits.iter().enumerate() {
            let ids = story.tell(&bait.text).await;
            // The first text is tried on every kind of approval, and every other text on one kind.
            let shown = if number == 0 { &ids[..] } else { std::slice::from_ref(&ids[number % ids.len()]) };
            for id in shown {
                let page = desk.run(&["approvals", "show", id, "--full"]).await;
                let what = format!("{class}, approval {id}: {}", bait.attack);
                assert_harmless(&page, baits.iter().copied(), &what);
                assert_visible(&page, bait, &what);
                let edge = |line: &str| line.starts_with("say ") || HEADINGS.contains(&line);
                assert_eq!(strays(&page, edge), [""; 0], "{what}: {page}");
                printed += 1;
            }
        }
        // When this blob is stored, the log lines before it are stored too.
        let _ = world.journal.put_blob(vec![1]).await.unwrap();
        let end = match class.len() % 3 {
            0 => RunEnd::Finished(Ok(texts.join("\n"))),
            1 => RunEnd::Finished(Err(texts.join("\n"))),
            _ => RunEnd::Diverged { place: texts[0].into(), recorded: texts.join("\n"), found: texts.join("\n") },
        };
        let _ = world.submit(&story.run, None, EndRun(end)).await.unwrap();
        for arguments in [
            &["runs", "show", &run][..],
            &["runs", "show", &run, "--json"],
            &["runs", "events", &run],
            &["runs", "events", &run, "--json"],
            &["runs", "logs", &run],
            &["runs", "logs", &run, "--json"],
        ] {
            let output = desk.run(arguments).await;
            let what = format!("{class}: {arguments:?}");
            assert_harmless(&output, baits.iter().copied(), &what);
            assert!(output.len() > 20, "{what}: {output}");
            if !arguments.contains(&"--json") {
                let labels = [
                    "run:",
                    "state:",
                    "agent:",
                    "task:",
                    "started by:",
                    "calls:",
                    "reason:",
                    "result, as the agent returned it:",
                ];
                let numbered = |line: &str| line.trim_start().chars().next().is_some_and(|c| c.is_ascii_digit());
                let begins = |line: &str| {
                    if arguments[1] == "show" {
                        labels.iter().any(|label| line.starts_with(label))
                    } else {
                        numbered(line)
                    }
                };
                assert_eq!(strays(&output, begins), [""; 0], "{what}");
            }
            if arguments[1] == "logs" && arguments.len() == 3 {
                baits.iter().for_each(|bait| assert_visible(&output, bait, &what));
            }
            printed += 1;
        }
        all.extend(baits);
    }
    for arguments in [
        &["runs", "list", "--limit", "100"][..],
        &["runs", "list", "--limit", "100", "--json"],
        &["approvals", "list", "--state", "all", "--limit", "100"],
        &["approvals", "list", "--state", "all", "--limit", "100", "--json"],
    ] {
        let output = desk.run(arguments).await;
        assert_harmless(&output, all.iter().copied(), &format!("{arguments:?}"));
        if !arguments.contains(&"--json") {
            let begins = |line: &str| line.starts_with("bait-") || line.starts_with("for more ");
            assert_eq!(strays(&output, begins), [""; 0], "{arguments:?}");
        }
        printed += 1;
    }
    evidence::figure("T9", "outputs of the program", printed);
    world.stop().await;
}

const HEADINGS: [&str; 9] = [
    "Warnings",
    "Code points of the texts",
    "What would be done",
    "Only if this is still true",
    "What the host found out",
    "The agent's rationale (its own words, not verified)",
    "What was done (the connector's receipt)",
    "Refused without asking a reviewer; nothing was done",
    "What the agent requested",
];

/// The endpoint's answers, as `curl` prints them, with every text that they repeat from a request or from the journal.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_endpoint_can_be_read_as_it_comes() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let mut answers = 0;
    for (class, baits) in classes() {
        for bait in baits {
            let path: String = bait.text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let path = path.chars().take(3 * 900).collect::<String>();
            let decision = |more: Value| {
                let mut body = json!({"type": "edit", "digest": held.digest});
                body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                post(&format!("/v1/approvals/{}/decisions", held.id), &body)
            };
            let requests = [
                (get(&format!("/v1/runs/{path}")), 404),
                (get(&format!("/v1/approvals?state={path}")), 400),
                (post("/v1/runs", &json!({"agent": bait.text, "task": bait.text})), 422),
                (decision(json!({"arguments": {"text": [bait.text]}})), 422),
                (decision(json!({"arguments": {(bait.text.as_str()): "a"}})), 422),
                (post(&format!("/v1/approvals/{}/decisions", held.id), &json!({"type": bait.text})), 400),
            ];
            for (request, status) in requests {
                let reply = request.send(world.at).await;
                let what = format!("{class}: {}: {}", request.target, reply.text());
                assert_eq!(reply.status, status, "{what}");
                assert_harmless(&reply.text(), [bait], &what);
                answers += 1;
            }
        }
        let run = Story::begin(&world, &format!("{class} {}", classes()[class][0].text)).await.run;
        let cancel = CancelRun { by: "olga".into(), reason: Some(classes()[class][0].text.clone()) };
        let _ = world.submit(&run, None, cancel).await.unwrap();
        for path in [format!("/v1/runs/{run}"), format!("/v1/runs/{run}/events"), "/v1/runs".into()] {
            let reply = get(&path).send(world.at).await;
            assert_eq!(reply.status, 200);
            assert_harmless(&reply.text(), classes().into_values().flatten(), &path);
            answers += 1;
        }
    }
    evidence::figure("T9", "answers of the endpoint", answers);
    world.stop().await;
}
