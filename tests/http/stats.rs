//! The review load: the endpoint, the page and the metrics give the same figures for one history.

use std::sync::atomic::Ordering;

use holdshort::policy::load::Source;
use holdshort::policy::{CedarPolicy, Defaults, People};
use holdshort_gate::command::{CancelRun, Choice, EndRun, FirstVerdict, RunEnd};
use holdshort_gate::{FunctionType, Requirement, Reviewers, WitType};
use serde_json::{Value, json};

use crate::client::get;
use crate::pages::Browser;
use crate::world::{Held, How, World, decide, proposal};

const MINUTE: u64 = 60_000_000;
const SEND: &str = "acme:mail/send@1.0.0#send";

fn pass(world: &World, us: u64) {
    world.clock.fetch_add(us, Ordering::Relaxed);
}

async fn says(world: &World, held: &Held, after_us: u64, who: &'static str, choice: Choice) {
    pass(world, after_us);
    let _ = world.submit(&held.run, Some(1), decide(who, held.digest, choice)).await.unwrap();
}

/// A held call with this text, which Alice approved `after_us` microseconds later.
async fn approved(world: &World, text: &str, after_us: u64) -> Held {
    let held = world.proposed(FirstVerdict::Hold(Box::new(proposal(text, &How::PLAIN)))).await;
    says(world, &held, after_us, "alice", Choice::Approve).await;
    held
}

async fn stats(world: &World, query: &str) -> Value {
    world.ask(&get(&format!("/v1/stats{query}"))).await.json()["stats"].clone()
}

/// The lines of the metrics that are about reviewers.
async fn scraped(world: &World) -> String {
    let text = world.ask(&get("/metrics")).await.text();
    let of = ["calls_judged", "holds", "policy_", "decisions", "hasty", "decision_seconds", "runs_ended"];
    let ours = |line: &&str| of.iter().any(|name| line.starts_with(&format!("holdshort_{name}")));
    text.lines().filter(ours).map(|line| format!("{line}\n")).collect()
}

fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "no `{line}` in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_history_is_told_alike_everywhere() {
    let world = World::new().await;
    let none = stats(&world, "").await;
    assert_eq!(
        (&none["calls"]["held"], &none["calls"]["share_held"], &none["suggestions"]),
        (&json!(0), &Value::Null, &json!([]))
    );
    // This call was held long before the window of the request below, and was decided in the window.
    let old = world.held(&How::PLAIN).await;
    pass(&world, 40 * 1_440 * MINUTE);
    says(&world, &old, 0, "alice", Choice::Approve).await;
    for number in 0..21 {
        let ended =
            approved(&world, &format!("text {}", number % 3), if number == 0 { 1_000_000 } else { 2 * MINUTE }).await;
        if number < 4 {
            let _ = world.submit(&ended.run, None, CancelRun { by: "olga".into(), reason: None }).await.unwrap();
        }
    }
    let idle = world.run().await;
    let _ = world.submit(&idle, None, EndRun(RunEnd::Finished(Ok(String::new())))).await.unwrap();
    world.call("cleared").await;
    world.call("refused").await;

    let all = stats(&world, "").await;
    let calls = &all["calls"];
    let of = |name: &str| calls[name].as_u64().unwrap();
    assert_eq!(["cleared", "held", "refused", "approved", "rejected", "expired"].map(of), [1, 21, 1, 22, 0, 0]);
    assert_eq!((&calls["share_held"], &calls["approval_rate"]), (&json!(0.913), &json!(1.0)));
    let decisions = &calls["decisions"];
    assert_eq!(
        (&decisions["approvals"], &decisions["too_fast"], &decisions["timed"]),
        (&json!(22), &json!(1), &json!(22))
    );
    let seconds = |name: &str| decisions[name].as_f64().unwrap();
    assert!((seconds("median_s") - 120.0).abs() < 6.0 && (seconds("p95_s") - 120.0).abs() < 6.0, "{decisions}");
    assert_eq!(all["by_group"][0]["name"], "finance");
    assert_eq!(all["by_group"].as_array().unwrap().len(), 1);
    assert_eq!(all["by_group_and_capability"][0]["capability"], SEND);
    assert_eq!(all["by_policy"][0]["name"], "hold-everything");
    assert_eq!(all["runs"], json!({"ended": 5, "held_per_run": 0.8, "held_most": 1, "never_held": 1}));
    let ever = stats(&world, "?since=1970-01-01T00:00:00Z").await;
    assert_eq!((&ever["calls"]["held"], &ever["calls"]["approved"]), (&json!(22), &json!(22)));

    let [clear, unused] = &all["suggestions"].as_array().unwrap()[..] else { panic!("{all}") };
    let policy = clear["policy"].as_str().unwrap();
    assert!(
        policy.contains("[\"hello\", \"text 0\", \"text 1\", \"text 2\"].contains(resource.arguments.text)"),
        "{policy}"
    );
    let function = FunctionType { params: vec![("text".into(), WitType::String)], result: None };
    let source = Source { path: "a.cedar".into(), text: policy.into() };
    let types = [(SEND.parse().unwrap(), function)].into_iter().collect();
    let base = Defaults::new(|_| Requirement::plain(Reviewers::Any, 1, 1_000));
    assert!(CedarPolicy::load(&[source], &types, People::default(), base).is_ok(), "{policy}");
    assert_eq!(
        unused["text"],
        "`never-\"needed\"` determined the verdict on none of 23 calls: check whether this policy is needed"
    );
    // The 22 decisions took 19 times two minutes, one second, and twice the maximum of a quarter of an hour. One of
    // these calls waited for forty days.
    assert_eq!((&clear["decisions"], &clear["minutes"]), (&json!(22), &json!(55.0)));

    let page = Browser::of(&world, "alice").await.page("/stats").await;
    for part in
        ["By group and capability", "1 cleared (4.3 %), 21 held (91.3 %), 1 refused (4.3 %)", "finance", "never-"]
    {
        assert!(page.contains(part), "no `{part}` in {page}");
    }
    let link = page.split("href=\"/backtest?").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    let added: Vec<(String, String)> = form_urlencoded::parse(link.as_bytes()).into_owned().collect();
    assert_eq!(added, [("add".to_owned(), policy.to_owned())]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_goes_on_where_the_last_one_ended() {
    let world = World::new().await;
    for seconds in [5, 50, 500] {
        approved(&world, "hello", seconds * 1_000_000).await;
    }
    let first = scraped(&world).await;
    let group = format!("group=\"finance\",capability=\"{SEND}\"");
    has(
        &first,
        &[
            &format!("holdshort_calls_judged_total{{capability=\"{SEND}\",verdict=\"held\"}} 3"),
            &format!("holdshort_decisions_total{{{group},decision=\"approve\"}} 3"),
            &format!("holdshort_decision_seconds_bucket{{{group},le=\"10\"}} 1"),
            &format!("holdshort_decision_seconds_bucket{{{group},le=\"60\"}} 2"),
            &format!("holdshort_decision_seconds_bucket{{{group},le=\"900\"}} 3"),
            &format!("holdshort_decision_seconds_bucket{{{group},le=\"+Inf\"}} 3"),
            &format!("holdshort_decision_seconds_count{{{group}}} 3"),
            "holdshort_policy_holds_total{policy=\"hold-everything\",outcome=\"approved\"} 3",
        ],
    );
    assert_eq!(scraped(&world).await, first, "nothing has happened");
    let held = world.held(&How::PLAIN).await;
    scraped(&world).await;
    says(&world, &held, 700_000, "bob", Choice::Approve).await;
    world.decided(&How::PLAIN, "olga", Choice::Reject).await;
    let hostile = holdshort_gate::Proposal {
        policy: holdshort_gate::clearance::PolicyRecord {
            determining: vec!["a\"b\\c\nd".into()],
            ..proposal("hello", &How::PLAIN).policy
        },
        ..proposal("hello", &How::PLAIN)
    };
    world.proposed(FirstVerdict::Hold(Box::new(hostile))).await;
    let later = scraped(&world).await;
    let nobodys = format!("group=\"nobody's group\",capability=\"{SEND}\"");
    has(
        &later,
        &[
            &format!("holdshort_calls_judged_total{{capability=\"{SEND}\",verdict=\"held\"}} 6"),
            &format!("holdshort_decisions_total{{{group},decision=\"approve\"}} 3"),
            &format!("holdshort_decisions_total{{{nobodys},decision=\"approve\"}} 1"),
            &format!("holdshort_decisions_total{{{nobodys},decision=\"reject\"}} 1"),
            &format!("holdshort_hasty_approvals_total{{{nobodys}}} 1"),
            "holdshort_policy_holds_total{policy=\"hold-everything\",outcome=\"rejected\"} 1",
            "holdshort_policy_calls_judged_total{policy=\"a\\\"b\\\\c<U+000A>d\",verdict=\"held\"} 1",
        ],
    );
    // Counters never decrease.
    let values = |text: &str| -> std::collections::BTreeMap<String, f64> {
        let pairs = text.lines().filter_map(|line| line.rsplit_once(' '));
        pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    };
    let after = values(&later);
    assert!(values(&first).iter().all(|(name, value)| after[name] >= *value));
    world.stop().await;
}
