//! Backtests of changed policies on recorded calls: what is counted, which rows come first, and what is refused.

use std::time::{Duration, Instant};

use holdshort::api::Limits;
use holdshort_gate::command::FirstVerdict;
use holdshort_gate::{CallState, EffectClass};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, Request, get, post};
use crate::pages::{Browser, field, well_made};
use crate::world::{How, World, proposal};

const ALL_DECIDE: &str = "\npermit (principal, action == Action::\"decide\", resource);";
const CLEAR_ALL: &str =
    "@id(\"all\") permit (principal, action == Action::\"call\", resource is acme::mail::send::Send);";

fn candidate(text: &str) -> Request {
    post("/v1/backtests", &json!({"policies": [{"name": "p.cedar", "text": text}]}))
}

fn row(answer: &Value, recorded: &str) -> [u64; 3] {
    let rows = answer["calls"].as_array().unwrap();
    let row = rows.iter().find(|row| row["recorded"] == recorded).unwrap();
    ["clear", "hold", "refuse"].map(|word| row[word].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_rejected_comes_first() {
    let world = World::new().await;
    for phase in CallState::ALL.map(CallState::as_str) {
        world.call(phase).await;
    }
    let rejected = world.call("rejected").await;
    let before = world.written().await;
    let answer = world.ask(&candidate(&format!("{CLEAR_ALL}{ALL_DECIDE}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["rejected_but_cleared"]["count"], json!(2));
    let listed = &answer["rejected_but_cleared"]["first"][1];
    assert_eq!(
        (&listed["id"], &listed["by"], &listed["determining"], &listed["why"]),
        (&json!(rejected.id), &json!(["alice"]), &json!(["all"]), &Value::Null)
    );
    assert_eq!(row(&answer, "cleared"), [1, 0, 0]);
    // These are approved calls: approved only, started, failed, succeeded, in doubt, and resolved.
    assert_eq!(row(&answer, "approved"), [6, 0, 0]);
    assert_eq!(row(&answer, "answered"), [0, 1, 0], "a question is never cleared");
    assert_eq!([row(&answer, "expired"), row(&answer, "cancelled"), row(&answer, "waiting")], [[1, 0, 0]; 3]);
    assert_eq!(row(&answer, "refused"), [0, 0, 0]);
    assert_eq!(answer["without_policy"], json!(1), "the refused one, which policy was not asked about");
    let everybody = &answer["burden"][0];
    assert_eq!(
        (&everybody["group"], &everybody["prompts"], &everybody["prompts_then"]),
        (&Value::Null, &json!(12), &json!(1))
    );

    let refuse =
        "forbid (principal, action == Action::\"call\", resource) when { resource.arguments.text == \"hello\" };";
    let answer = world.ask(&candidate(&format!("{refuse}{ALL_DECIDE}"))).await.json();
    assert_eq!(
        (&answer["rejected_but_cleared"]["count"], &answer["approved_but_refused"]["count"]),
        (&json!(0), &json!(6))
    );
    assert_eq!(row(&answer, "approved"), [0, 0, 6]);
    assert!(world.written().await == before, "a backtest writes nothing");
    world.stop().await;
}

/// One pattern on one text may need longer than a person waits, so a child process with a limit matches it. A client
/// that leaves does not free its turn: other backtests wait until its backtest has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_has_a_limit_and_is_one_at_a_time_whoever_leaves() {
    let world = World::judging_for(6, Limits::STANDARD).await;
    let text = "a".repeat(60_000);
    for _ in 0..8 {
        world.proposed(FirstVerdict::Hold(Box::new(proposal(&text, &How::PLAIN)))).await;
    }
    let slow = |number: usize| {
        let pattern = "a".repeat(20_000 - number);
        format!(
            "permit (principal, action == Action::\"call\", resource) when {{ resource.arguments.text like \"*{pattern}b*\" }};\n"
        )
    };
    let slow = (0..2).map(slow).collect::<String>() + ALL_DECIDE;
    let cheap = candidate(ALL_DECIDE).by("bob");
    // The host does not wait for a client that has left, but the client's backtest goes on for a moment.
    let start = Instant::now();
    let leaves = loop {
        let mut leaves = TcpStream::connect(world.at).await.unwrap();
        leaves.write_all(&candidate(&slow).bytes()).await.unwrap();
        // By now the child has read the policies and judges calls.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let reply = cheap.send(world.at).await;
        if reply.status == 409 {
            assert!(reply.text().contains("another backtest is running"), "{}", reply.text());
            break leaves;
        }
        assert!(start.elapsed() < 3 * PATIENCE, "{}", reply.text());
    };
    drop(leaves);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(cheap.send(world.at).await.status, 409, "the work goes on, and so does its turn");
    assert_eq!(world.ask(&get("/v1/agents").by("bob")).await.status, 200);
    let start = Instant::now();
    while cheap.send(world.at).await.status == 409 {
        assert!(start.elapsed() < 3 * PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The child gives way to other programs, so on a busy machine this answer needs longer than others.
    let (mut stays, mut answer) = (TcpStream::connect(world.at).await.unwrap(), Vec::new());
    stays.write_all(&candidate(&slow).bytes()).await.unwrap();
    tokio::time::timeout(6 * PATIENCE, stays.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    assert!(answer.contains("the candidate: judging calls by these policies takes more than"), "{answer}");
    assert_eq!(world.ask(&cheap).await.status, 200);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_trial_is_refused() {
    let world = World::new().await;
    world.held(&How::PLAIN).await;
    let none = json!({"policies": []});
    let big = "// ".to_owned() + &"x".repeat(140_000);
    let since = json!({"policies": [{"name": "p.cedar", "text": ALL_DECIDE}], "since": "yesterday"});
    // The parser recurses, and a text that is too deep would end the host's process. A text at the permitted depth is
    // judged.
    let when = |condition: String| {
        format!("permit (principal, action == Action::\"call\", resource) when {{ {condition} }};{ALL_DECIDE}")
    };
    let deep = when("(".repeat(30_000) + "true" + &")".repeat(30_000));
    let long = when("true && ".repeat(12_000) + "true");
    let nested = when("if true then true else ".repeat(600) + "true");
    for most in [
        "(".repeat(40) + "true" + &")".repeat(40),
        "true && ".repeat(490) + "true",
        "if true then true else ".repeat(400) + "true",
    ] {
        let reply = world.ask(&candidate(&when(most))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    for (request, status, says) in [
        (
            candidate(
                "permit (principal, action == Action::\"call\", resource) when { resource.arguments.texts == 1 };",
            ),
            422,
            "p.cedar:1: ",
        ),
        (candidate("permit nonsense"), 422, "p.cedar:1: "),
        (candidate(&deep), 422, "nesting is too deep"),
        (candidate(&long), 422, "nesting is too deep"),
        (candidate(&nested), 422, "500 nested operators"),
        (candidate(&big), 413, "128"),
        (post("/v1/backtests", &since), 400, "`yesterday` is not a time"),
        (post("/v1/backtests", &json!({})), 400, "missing field `policies`"),
        (post("/v1/backtests", &none), 400, "no policies"),
    ] {
        let reply = world.ask(&request).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(reply.json()["detail"].as_str().unwrap().contains(says), "{says}: {}", reply.text());
    }
    // A fault of a candidate is reported for the candidate's file, and not for the operator's file beside it.
    let brackets = |open: &str, close: &str| when(open.repeat(20_000) + "true" + &close.repeat(20_000));
    let texts = [deep.clone(), long.clone(), brackets("(", ")"), when("!".repeat(40_000) + "true"), "(".repeat(40_000)];
    for (number, text) in texts.iter().enumerate() {
        let harmless = |name: &&str| json!({ "name": name, "text": "" });
        let files = ["a.cedar", "b.cedar"][..number % 3].iter().map(harmless);
        let files: Vec<Value> = files.chain([json!({ "name": "deep.cedar", "text": text })]).collect();
        let reply = world.ask(&post("/v1/backtests", &json!({ "policies": files, "add": true }))).await;
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(reply.status, 422, "{detail}");
        assert!(detail.contains("deep.cedar") && !detail.contains("ours.cedar"), "{detail}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_is_tried_with_what_is_in_force() {
    let world = World::new().await;
    let _ = world.proposed(FirstVerdict::Hold(Box::new(proposal("short", &How::PLAIN)))).await;
    let _ = world.proposed(FirstVerdict::Hold(Box::new(proposal("hello", &How::PLAIN)))).await;
    let forbid =
        "forbid (principal, action == Action::\"call\", resource) when { resource.arguments.text == \"hello\" };";
    let tried = async |add: bool, since: &str| {
        let policies = json!([{"name": "p.cedar", "text": forbid}]);
        world.ask(&post("/v1/backtests", &json!({"policies": policies, "add": add, "since": since}))).await.json()
    };
    let long_ago = "2020-01-01T00:00:00Z";
    assert_eq!(row(&tried(true, long_ago).await, "waiting"), [1, 0, 1]);
    // Without the operator's policies no one may decide, so a call that would be held is refused.
    assert_eq!(row(&tried(false, long_ago).await, "waiting"), [0, 0, 2]);
    assert_eq!(row(&tried(true, "2030-01-01T00:00:00Z").await, "waiting"), [0, 0, 0]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_explained() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let path = format!("/v1/approvals/{}/explanation", held.id);
    let told = world.ask(&get(&path)).await.json();
    assert_eq!(told["recorded"]["verdict"], json!("hold"));
    let by = &told["recorded"]["determining"][0];
    assert_eq!((&by["name"], &by["file"]), (&json!("hold-everything"), &Value::Null), "none in force is called so");
    let present = &told["present"];
    assert_eq!((&present["verdict"], &present["same_policies"]), (&json!("hold"), &json!(false)));
    let sentence = "would be cleared if resource.arguments.text were \"short\" instead of \"hello\"";
    assert_eq!(present["changes"][0]["sentence"], json!(sentence));
    assert!(told["notes"].to_string().contains("the policies have changed since"), "{told}");

    let short = world.proposed(FirstVerdict::Clear(Box::new(proposal("short", &How::PLAIN)))).await;
    let told = world.ask(&get(&format!("/v1/approvals/{}/explanation", short.id))).await.json();
    let by = &told["present"]["determining"][0];
    assert_eq!(
        (&told["recorded"]["verdict"], &by["name"], &by["file"], &by["line"], &by["why"]),
        (&json!("clear"), &json!("short"), &json!("ours.cedar"), &json!(2), &json!("it says little"))
    );
    assert!(by["text"].as_str().unwrap().starts_with("@id(\"short\")"), "{by}");
    let refused = world.call("refused").await;
    let told = world.ask(&get(&format!("/v1/approvals/{}/explanation", refused.id))).await.json();
    assert_eq!(told["recorded"], Value::Null, "policy was not asked");
    assert_eq!(world.ask(&get("/v1/approvals/run-9999.1/explanation")).await.status, 404);
    world.stop().await;
}

/// No policy can clear a question or an edited call, so an explanation must not suggest that.
#[tokio::test(flavor = "multi_thread")]
async fn what_people_decide_in_any_case_is_never_said_to_be_cleared() {
    let world = World::new().await;
    let question = world.held(&How { class: EffectClass::Question, ..How::PLAIN }).await;
    let edited = world.held(&How::PLAIN).await;
    let edit = json!({ "type": "edit", "digest": edited.digest, "arguments": { "text": "short" } });
    assert_eq!(world.ask(&post(&format!("/v1/approvals/{}/decisions", edited.id), &edit)).await.status, 200);
    for (held, note) in [(question, "the call is a question"), (edited, "the call was edited")] {
        let told = world.ask(&get(&format!("/v1/approvals/{}/explanation", held.id))).await.json();
        assert_eq!((&told["recorded"]["verdict"], &told["present"]["verdict"]), (&json!("hold"), &json!("hold")));
        let changes = told["present"]["changes"].as_array().unwrap();
        assert!(changes.iter().all(|change| change["verdict"] != "clear"), "{told}");
        assert!(told["notes"].to_string().contains(note), "{told}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_is_on_pages() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice").await;
    let policy = alice.page("/policy").await;
    assert!(policy.contains("ours.cedar:2") && policy.contains("it says little"), "{policy}");
    let rejected = world.call("rejected").await;
    let page = alice.page(&format!("/approvals/{}", rejected.id)).await;
    assert!(page.contains(&format!("href=\"/approvals/{}/explanation\"", rejected.id)), "{page}");
    let page = alice.page(&format!("/approvals/{}/explanation", rejected.id)).await;
    assert!(page.contains("would be cleared if resource.arguments.text were &#34;short&#34;"), "{page}");

    let shown = alice.page("/backtest?add=%40id(%22x%22)%0A%3C%2Ftextarea%3E").await;
    assert!(shown.contains("@id(&#34;x&#34;)\n&#60;/textarea&#62;"), "filled in, and no markup: {shown}");
    let seal = field(&shown, "/backtest", "seal").to_owned();
    let before = world.written().await;
    let send = async |seal: &str, text: &str, days: &str| {
        alice.send("/backtest", &[("seal", seal), ("policies", text), ("how", "instead"), ("days", days)]).await
    };
    let reply = send(&seal, &format!("{CLEAR_ALL}{ALL_DECIDE}"), "30").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    well_made("/backtest", &reply.text());
    assert!(reply.text().contains("1 call that a reviewer rejected would have been cleared"), "{}", reply.text());
    assert!(reply.text().contains(&format!("href=\"/approvals/{}\"", rejected.id)));
    let reply = send(&seal, "permit nonsense", "").await;
    assert_eq!(reply.status, 422);
    assert!(reply.text().contains("your policies:1: ") && reply.text().contains("permit nonsense</textarea>"));
    assert_eq!(send(&seal, ALL_DECIDE, "some").await.status, 400);
    assert_eq!(send("forged", ALL_DECIDE, "").await.status, 403, "a form of another page, or session");
    assert!(world.written().await == before);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_likely_a_mistake_is_said() {
    let world = World::new().await;
    world.held(&How::PLAIN).await;
    let answer = world.ask(&candidate(CLEAR_ALL)).await.json();
    assert!(answer["warnings"][0].as_str().is_some_and(|said| said.contains("no policy permits `decide`")), "{answer}");
    let alice = Browser::of(&world, "alice").await;
    let seal = field(&alice.page("/backtest").await, "/backtest", "seal").to_owned();
    let form = [("seal", seal.as_str()), ("policies", CLEAR_ALL), ("how", "instead"), ("days", "")];
    let reply = alice.send("/backtest", &form).await;
    assert!(reply.text().contains("no policy permits `decide`"), "{}", reply.text());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_nobody_made_are_judged_on_a_page() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice").await;
    let shown = alice.page("/policy/cases").await;
    assert!(shown.contains("name = &#34;a message to a customer&#34;"), "an example: {shown}");
    let seal = field(&shown, "/policy/cases", "seal").to_owned();
    let case = |name: &str, text: &str, expect: &str| {
        format!(
            "[[case]]\nname = '{name}'\ncall = 'acme:mail/send@1.0.0#send'\narguments = {{ text = '{text}' }}\nexpect = '{expect}'\n"
        )
    };
    let cases = case("<b>short</b>", "short", "clear") + &case("long", "much longer", "clear");
    let before = world.written().await;
    let send = async |seal: &str, cases: &str, policies: &str, how: &str| {
        alice.send("/policy/cases", &[("seal", seal), ("cases", cases), ("policies", policies), ("how", how)]).await
    };
    let reply = send(&seal, &cases, "", "add").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    well_made("/policy/cases", &reply.text());
    for part in [
        "2 cases, 1 not as expected",
        "&#60;b&#62;short&#60;/b&#62;",
        "clear, by short",
        "expected the verdict `clear`, but the verdict is `hold`",
    ] {
        assert!(reply.text().contains(part), "{part}: {}", reply.text());
    }
    let reply = send(&seal, &cases, &format!("{CLEAR_ALL}{ALL_DECIDE}"), "instead").await;
    assert!(reply.text().contains("2 cases, 0 not as expected") && reply.text().contains("clear, by all"));
    let reply = send(&seal, &cases, "permit nonsense", "add").await;
    assert_eq!(reply.status, 422);
    assert!(reply.text().contains("your policies:1: ") && reply.text().contains("permit nonsense</textarea>"));
    let unknown = cases.replace("#send", "#nothing");
    for (bad, said) in
        [("[[case]]", "your cases: "), (unknown.as_str(), "unknown call `acme:mail/send@1.0.0#nothing`; known calls: ")]
    {
        let reply = send(&seal, bad, "", "add").await;
        assert_eq!(reply.status, 400);
        assert!(reply.text().contains(said), "{}", reply.text());
    }
    assert_eq!(send(&seal, &"#".repeat(200_000), "", "add").await.status, 413);
    assert_eq!(send("forged", &cases, "", "add").await.status, 403);
    assert!(world.written().await == before);
    world.stop().await;
}
