//! T49: the SDKs that people know work in agents as they are. Each example of `guest-examples/typescript` is a loop of
//! a model and its tools, written with an unmodified SDK. It runs against a model's server that nobody here wrote,
//! through holds, a rejection with guidance, an edit, an approval, parking, replay and `kill -9`. No request reaches the
//! server twice, and each effect happens once.
//!
//! `tests/run` installs the SDKs and the server under `target/`. The landing tries two of the SDKs, the long run all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "sdks/assistant.rs"]
mod assistant;
#[path = "sdks/built.rs"]
mod built;
#[path = "sdks/endpoint.rs"]
mod endpoint;
#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::time::{Duration, Instant};

use built::Built;
use endpoint::{Endpoint, KEY};
use serde_json::{Value, json};
use support::Host;
use support::evidence::{figure, is_long};
use support::skipped::skipped;

/// How long a debug build of the host may take to compile a component, beside other tests.
const COMPILED_WITHIN: Duration = Duration::from_secs(600);

/// An SDK: the name of its example, the path of its requests, and the header that has the key.
#[derive(Clone, Copy)]
struct Sdk {
    name: &'static str,
    path: &'static str,
    key: (&'static str, &'static str),
    /// Whether it asks a busy server again.
    asks_again: bool,
    /// Whether the landing tries it, and not the long run alone.
    landing: bool,
}

const OPENAI: Sdk = Sdk {
    name: "openai",
    path: "/v1/chat/completions",
    key: ("authorization", "Bearer "),
    asks_again: true,
    landing: true,
};
const LANGGRAPH: Sdk = Sdk { name: "langgraph", asks_again: false, ..OPENAI };
const AI: Sdk = Sdk { name: "ai", landing: false, ..OPENAI };
const OPENAI_AGENTS: Sdk = Sdk { name: "openai-agents", ..AI };
const ANTHROPIC: Sdk = Sdk { name: "anthropic", path: "/v1/messages", key: ("x-api-key", ""), ..AI };

/// A model's server with its rules, and a project whose agents `careless` and `careful` have the same component. Nobody
/// is asked about requests of the first to its model.
struct World {
    sdk: Sdk,
    server: Endpoint,
    address: String,
    built: Built,
    /// What `new` wrote into `holdshort.toml`.
    settings: String,
}

/// What the model does in the story. The first rule that fits answers, so the latest turn stands first.
fn rules(sdk: &Sdk) -> Value {
    let email = |body: &str| {
        let arguments = json!({ "to": "ann@example.org", "subject": "The report", "body": body, "why": "the task" });
        json!({ "tool_calls": [{ "name": "send_email", "arguments": arguments }] })
    };
    let question = json!({ "question": "May I write to Ann?", "why": "the task is short" });
    let rules = [
        (
            "reads the edit",
            json!({ "tool_result_contains": "sent to ann@example.org: Ready, says Olivia." }),
            json!({ "content": "Ann knows." }),
        ),
        ("reads the guidance", json!({ "tool_result_contains": "never on a Friday" }), email("It comes on Monday.")),
        ("reads the answer", json!({ "tool_result_contains": "Yes, to Ann." }), email("It is ready.")),
        (
            "begins",
            json!({ "messages_contain": "the report is ready" }),
            json!({ "tool_calls": [{ "name": "ask_person", "arguments": question }] }),
        ),
        (
            "is busy",
            json!({ "messages_contain": "a busy day", "turn": 1 }),
            json!({ "status": 429, "error": "too many requests" }),
        ),
        ("is free again", json!({ "messages_contain": "a busy day" }), json!({ "content": "At last." })),
        ("says goodbye", json!({ "messages_contain": "goodbye" }), json!({ "content": "Goodbye." })),
    ];
    let rule = |(name, mut when, respond): (&str, Value, Value)| {
        when[format!("header.{}", sdk.key.0)] = format!("{}{KEY}", sdk.key.1).into();
        json!({ "name": name, "when": when, "respond": respond })
    };
    assistant::rules(json!("12050"), json!("6025")).into_iter().chain(rules).map(rule).collect()
}

impl World {
    /// `None` without the tools or the server.
    fn new(sdk: Sdk, number: u8) -> Option<Self> {
        let address = endpoint::address(number);
        let server = Endpoint::start(&address, &rules(&sdk))?;
        let built = Built::example(sdk.name, &address)?;
        let text = |name: &str| fs::read_to_string(built.project.path().join(name)).unwrap();
        let policy = text("model.cedar").replace("my-agent", "careless").replace("/v1/chat/completions", sdk.path);
        built.project.write("model.cedar", &policy.replace("api.openai.com", &address));
        let world = Self { sdk, server, settings: text("holdshort.toml"), address, built };
        world.configure(&world.address);
        Some(world)
    }

    /// Writes the configuration of a host whose agents may send requests to `server`: what `new` wrote, with the changes
    /// that its README names.
    fn configure(&self, server: &str) {
        let (header, prefix) = self.sdk.key;
        let component = format!("\"{}\"", self.built.component.display());
        let mut text =
            format!("{}\n[agents.careful]\ncomponent = \"agent.wasm\"\n[limits]\nlinger-ms = 0\n", self.settings);
        for (old, new) in [
            ("agents.my-agent", "agents.careless"),
            ("\"agent.wasm\"", &component),
            ("api.openai.com", server),
            ("timeout = \"2m\"", "timeout = \"2m\"\nallow-http = true\nallow-private = true"),
            ("[policy]", &format!("header = \"{header}\"\nprefix = \"{prefix}\"\n[policy]")),
        ] {
            assert!(text.contains(old), "{old}: {text}");
            text = text.replace(old, new);
        }
        self.built.project.configure(&text);
    }

    fn serve(&self) -> Host {
        self.serve_with(&[])
    }

    fn serve_with(&self, more: &[(&str, &str)]) -> Host {
        self.built.project.serve_with(&[&[("OPENAI_API_KEY", KEY)], more].concat())
    }

    /// The emails that were sent.
    fn letters(&self) -> Vec<String> {
        let folder = fs::read_dir(self.built.project.path().join("mail/new"));
        folder.map_or(vec![], |letters| {
            letters.map(|letter| fs::read_to_string(letter.unwrap().path()).unwrap()).collect()
        })
    }

    /// Starts a run, as soon as the host has compiled the component.
    fn start(&self, host: &Host, agent: &str, task: &str) -> String {
        let start = Instant::now();
        loop {
            match host.post("/v1/runs", &json!({ "agent": agent, "task": task })) {
                (201, run) => {
                    self.built.keep();
                    return run["id"].as_str().unwrap().to_owned();
                }
                (503, said) => assert!(start.elapsed() < COMPILED_WITHIN, "{said}"),
                (status, said) => panic!("{status}: {said}"),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn arguments(approval: &Value) -> &Value {
    &approval["proposal"]["action"]["arguments"]
}

/// The requests of a run that were cleared or held.
fn requests(host: &Host, run: &str) -> usize {
    let is_call = |event: &&Value| event["type"] == "call-cleared" || event["type"] == "call-held";
    let calls = host.events(run).into_iter().filter(|event| is_call(&event));
    calls.filter(|call| call.to_string().contains("wasi:http/outgoing-handler")).count()
}

/// A model asks a person, proposes an email, is told why it was rejected, and proposes another, which a reviewer edits.
/// The host is killed at each step.
fn story(world: &World) {
    let host = world.serve();
    let run = world.start(&host, "careless", "Tell Ann that the report is ready.");
    let question = host.held(&run);
    assert_eq!(arguments(&question)["question"]["text"], "May I write to Ann?", "{question}");
    host.all_parked();
    host.kill();

    let host = world.serve();
    let (status, said) = host.decide(&question, "respond", &json!({ "message": "Yes, to Ann." }));
    assert_eq!(status, 200, "{said}");
    let email = host.held(&run);
    assert_eq!(arguments(&email)["message"]["body"], "It is ready.", "{email}");
    let (status, said) = host.decide(&email, "reject", &json!({ "message": "never on a Friday" }));
    assert_eq!(status, 200, "{said}");
    let email = host.held(&run);
    assert_eq!(arguments(&email)["message"]["body"], "It comes on Monday.", "{email}");
    host.kill();

    let host = world.serve();
    let mut edited = arguments(&email).clone();
    edited["message"]["body"] = "Ready, says Olivia.".into();
    let (status, said) = host.decide(&email, "edit", &json!({ "arguments": edited }));
    assert_eq!((status, world.letters().len()), (202, 0), "{said}");
    let email = host.held(&run);
    host.kill();

    // The host dies when the email has just been sent.
    let host = world.serve_with(&[("HOLDSHORT_KILL_AT", "after-perform")]);
    let decision = json!({ "type": "approve", "digest": email["digest"] });
    let path = format!("/v1/approvals/{}/decisions", email["id"].as_str().unwrap());
    drop(host.try_request(&host.token, &path, Some(&decision)));
    host.ended();
    let host = world.serve();
    let over = host.over(&run);
    assert_eq!(over["result"]["ok"], "Ann knows.", "{over}");
    let letters = world.letters();
    assert!(letters.len() == 1 && letters[0].contains("Ready, says Olivia."), "{letters:?}");
    assert_eq!(world.server.answered(), ["begins", "reads the answer", "reads the guidance", "reads the edit"]);
    assert_eq!(requests(&host, &run), 4, "each request is one call");
    has_no_key(world, &host, &run);
}

/// The key stands in no answer of the host and in no file of its folder, except what is compiled.
fn has_no_key(world: &World, host: &Host, run: &str) {
    let said = format!("{}{}{}", host.said(), json!(host.events(run)), json!(host.logs(run)));
    assert!(!said.contains(KEY) && said.contains("the-host-has-the-key"), "{said}");
    for file in ["journal.db", "journal.db-wal"] {
        let bytes = fs::read(world.built.project.path().join(".holdshort").join(file)).unwrap_or_default();
        assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{file}");
    }
}

/// What people decide on a request to the model is what the SDK gets: one answer 403, which it does not ask again for.
fn decided(world: &World) {
    let host = world.serve();
    let before = world.server.requests();
    let run = world.start(&host, "careful", "Say hello.");
    let request = host.held(&run);
    assert_eq!(request["proposal"]["facts"]["credentials"], json!(["openai"]), "{request}");
    assert_eq!(request["proposal"]["facts"]["path"], world.sdk.path);
    let (status, said) = host.decide(&request, "reject", &json!({ "message": "use the small model" }));
    assert_eq!(status, 200, "{said}");
    let over = host.over(&run);
    assert!(over["state"] == "failed" && over.to_string().contains("use the small model"), "{over}");
    assert_eq!((requests(&host, &run), world.server.requests() - before), (1, 0));

    let run = host.start("careful", "Say hello.");
    let request = host.held(&run);
    let mut edited = arguments(&request).clone();
    edited["body"]["text"] = edited["body"]["text"].as_str().unwrap().replace("Say hello.", "Say goodbye.").into();
    let (status, said) = host.decide(&request, "edit", &json!({ "arguments": edited }));
    assert_eq!(status, 202, "{said}");
    host.approve(&host.held(&run));
    let over = host.over(&run);
    assert_eq!((&over["result"]["ok"], world.server.requests() - before), (&json!("Goodbye."), 1), "{over}");
}

/// A server that is busy is asked again by the SDK itself, after a pause in which the agent takes no memory. LangChain
/// does not ask again.
fn busy(world: &World) {
    let host = world.serve();
    let run = world.start(&host, "careless", "It is a busy day.");
    let over = host.over(&run);
    let answered = world.server.answered();
    if world.sdk.asks_again {
        assert_eq!((&over["result"]["ok"], requests(&host, &run)), (&json!("At last."), 2), "{over}");
        assert_eq!(answered[answered.len() - 2..], ["is busy", "is free again"]);
    } else {
        assert!(over.to_string().contains("429 too many requests") && requests(&host, &run) == 1, "{over}");
        assert_eq!(answered.last().unwrap(), "is busy");
    }
}

/// A request to a host without a section is refused at once, and the SDK says so.
fn unnamed(world: &World) {
    world.configure("127.0.0.1:9");
    let (host, before) = (world.serve(), world.server.requests());
    let run = world.start(&host, "careless", "Say goodbye.");
    let over = host.over(&run);
    assert!(over["state"] == "failed" && over.to_string().contains("no section `[http.HOST]`"), "{over}");
    assert_eq!((requests(&host, &run), world.server.requests()), (0, before));
}

/// The script that `new` writes tests the agent without its model.
fn scripted(world: &World) {
    let (project, before) = (&world.built.project, world.server.requests());
    let script = fs::read_to_string(project.path().join("decisions.toml")).unwrap();
    let script = script.replace("https://", "http://").replace("api.openai.com", &world.address);
    for (script, code) in [
        (script.replace("Which report is ready?", "Which one?"), 0),
        (script.replace("contains.body.text = \"say", "contains.body.text = \"nobody says"), 6),
    ] {
        project.write("decisions.toml", &script);
        let mut command = project.command(&["run", "careless", "--script", "decisions.toml"]);
        let output = command.env("OPENAI_API_KEY", KEY).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    assert_eq!(world.server.requests(), before, "no request is sent");
}

/// Everything about one SDK. The number is that of the address of its server.
fn works(sdk: Sdk, number: u8) {
    if !sdk.landing && !is_long() {
        return skipped(&format!("an agent with the SDK `{}`: the long run tries it", sdk.name));
    }
    let Some(world) = World::new(sdk, number) else { return };
    story(&world);
    decided(&world);
    busy(&world);
    unnamed(&world);
    world.configure(&world.address);
    if sdk.name == OPENAI.name {
        let asked = world.server.requests();
        assistant::pays(&world.built.project, "careless", &world.server);
        assert_eq!(world.server.requests() - asked, 5, "each request is sent once");
        scripted(&world);
    }
    if sdk.landing {
        let what = format!("requests of an agent with the SDK `{}`, each sent once", sdk.name);
        figure("T49", &what, world.server.requests());
    }
}

#[test]
fn an_agent_with_openai() {
    works(OPENAI, 1);
}

#[test]
fn an_agent_with_langgraph() {
    works(LANGGRAPH, 2);
}

#[test]
fn an_agent_with_anthropic() {
    works(ANTHROPIC, 3);
}

#[test]
fn an_agent_with_ai() {
    works(AI, 4);
}

#[test]
fn an_agent_with_openai_agents() {
    works(OPENAI_AGENTS, 5);
}

/// A package that needs modules of Node is told apart when the agent is built.
#[test]
fn a_package_that_starts_processes_cannot_be_built() {
    let source =
        "// @ts-ignore\nimport spawn from 'cross-spawn';\nexport const run = (task: string): string => spawn(task);\n";
    let Some(project) = built::project(source) else { return };
    let said = built::build(&project).unwrap_err();
    assert!(said.contains("Could not resolve \"child_process\"") && said.contains("cross-spawn"), "{said}");
}
