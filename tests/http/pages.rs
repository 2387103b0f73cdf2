//! The pages about runs and history, and their forms: what they show for calls in every state, where a page ends, and
//! what is refused.

use std::collections::BTreeSet;

use holdshort_gate::command::{AttemptOutcome, Choice, EndRun, Finish, FirstVerdict, RecordRoutine, RunEnd};
use holdshort_gate::{Action, CallState, Digest, EffectClass, RunPhase, WitType};
use holdshort_journal::LogLine;
use serde_json::json;

use crate::client::{Reply, Request, get, post};
use crate::world::{How, World, decide, proposal};

/// The greatest size of a page, whatever agents wrote.
const PAGE_BYTES: usize = 100 * 1000;
const ORIGIN: &str = "http://holdshort.test";
/// Markup, a line break, and a character that reverses the reading direction.
const HOSTILE: &str = "</bdi><script>alert(1)</script><img src=x onerror=alert(2)>\"'\n\u{202e}txet";

/// A browser of a reviewer who has signed in.
pub struct Browser<'a> {
    world: &'a World,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// Signs in as a person does, with a link, its form and a cookie.
    pub async fn of(world: &'a World, reviewer: &str) -> Self {
        let made = post("/v1/sign-in-links", &json!({})).by(reviewer).send(world.at).await.json();
        let code = made["url"].as_str().unwrap().split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        let nobody = Self { world, cookie: String::new() };
        let reply = nobody.send("/sign-in", &[("code", &code)]).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Self { cookie, ..nobody }
    }

    fn asks(&self, path: &str) -> Request {
        get(path).without("Authorization").with("Cookie", &self.cookie)
    }

    fn sends(&self, path: &str, fields: &[(&str, &str)]) -> Request {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.asks(path).method("POST").with("Origin", ORIGIN);
        request.with("Content-Type", "application/x-www-form-urlencoded").body(body)
    }

    pub async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.sends(path, fields).send(self.world.at).await
    }

    /// A page. It must exist, be small, and be well made.
    pub async fn page(&self, path: &str) -> String {
        let reply = self.asks(path).send(self.world.at).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert!(reply.body.len() < PAGE_BYTES, "{path} weighs {}", reply.body.len());
        let html = reply.text();
        well_made(path, &html);
        html
    }
}

/// Checks what a screen reader, a keyboard and a careful browser rely on, and that no text of an agent is markup.
pub fn well_made(path: &str, html: &str) {
    assert_eq!(html.matches("<script").count(), 1, "{path}: a script of ours and no other");
    assert!(!html.contains('\u{202e}') && !html.contains("<img"), "{path}: something of an agent's acts");
    let levels: Vec<u32> =
        html.match_indices("<h").filter_map(|(at, _)| html[at + 2..].chars().next()?.to_digit(10)).collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{path}: one heading of the page");
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{path}: headings skip a level: {levels:?}");
    let ids: Vec<&str> = html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{path}: an id comes twice: {ids:?}");
    for named in ["aria-labelledby=\"", " for=\""] {
        for id in html.split(named).skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(ids.contains(&id), "{path}: nothing has the id {id}");
        }
    }
    for head in html.split("<th").skip(1).filter(|rest| rest.starts_with([' ', '>'])) {
        assert!(head.starts_with(" scope="), "{path}: a heading of a table has no scope");
    }
}

/// The value of a field of a form.
pub fn field<'a>(html: &'a str, action: &str, name: &str) -> &'a str {
    let form = html.split(&format!("action=\"{action}\"")).nth(1).unwrap_or_else(|| panic!("no form {action}: {html}"));
    let field = form.split("</form>").next().unwrap().split(&format!("name=\"{name}\" value=\"")).nth(1);
    field.unwrap_or_else(|| panic!("no field {name}")).split('"').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_shows_calls_in_every_state() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice").await;
    for phase in CallState::ALL.map(CallState::as_str) {
        let held = world.call(phase).await;
        let (run, id) = (&held.run, &held.id);
        let page = alice.page(&format!("/runs/{run}")).await;
        assert!(page.contains(&format!("href=\"/approvals/{id}\"")), "{phase}: {page}");
        assert!(
            page.contains("olga starts the agent release: <bdi class=\"theirs\">&#34;write to them&#34;</bdi>"),
            "{page}"
        );
        let words = match phase {
            "refused" => "is refused at once; the call is not allowed: never",
            "cleared" => "is cleared by policy: send hello",
            "succeeded" => "Receipt: <code><bdi>&#34;sent&#34;</bdi>",
            "failed" => "was tried and did not happen: no such address",
            "in-doubt" => "is in doubt: the reply was lost",
            "unresolved" => "is resolved by alice as abandoned",
            "rejected" => "is rejected by alice",
            "answered" => "is answered by alice: <bdi class=\"theirs\">&#34;yes&#34;</bdi>",
            "expired" => "expires: no decision in time",
            "cancelled" => "olga cancels the run",
            "approved" | "started" => "is approved by alice",
            _ => "is held: send hello",
        };
        assert!(page.contains(words), "{phase}: {page}");
        assert_eq!(page.contains(&format!("/runs/{run}/cancel")), phase != "cancelled", "{phase}");
        let settles = format!("action=\"/approvals/{id}/resolution\"");
        let approval = alice.page(&format!("/approvals/{id}")).await;
        for page in [&page, &approval] {
            assert_eq!(page.contains(&settles), phase == "in-doubt", "{phase}: {page}");
        }
        let printed = alice.page(&format!("/approvals/{id}?evidence=whole")).await;
        let history = alice.page(&format!("/history?outcome={phase}")).await;
        let decided = !["held"].contains(&phase);
        assert_eq!(history.contains(&format!("/approvals/{id}\"")), decided, "{phase}: {history}");
        if phase != "refused" {
            assert!(printed.contains(&format!("digest\">{}", held.digest)) && printed.contains(id.as_str()));
            assert_eq!(history.contains(&held.digest.to_string()), decided, "{phase}");
        }
    }
    let runs = alice.page("/runs").await;
    assert_eq!(runs.matches("data-row").count(), CallState::ALL.len());
    let lately = alice.page("/").await;
    let lately = lately.split("id=\"lately\"").nth(1).expect("what was decided lately");
    assert_eq!(lately.matches("<li>").count(), 9, "{lately}");
    for (path, status) in [
        ("/runs/none", 404),
        ("/runs/none/cancel", 404),
        ("/runs?state=tired", 400),
        ("/runs?before=a/b", 404),
        ("/history?kind=shrug", 400),
        ("/history?outcome=x", 400),
        ("/history?from=then", 400),
        ("/history?before=x", 400),
        ("/history?whose=mine", 400),
        ("/stats?from=then", 400),
        ("/stats?from=2026-01-02&until=2025-01-01", 422),
        ("/stats?whose=mine", 400),
        ("/runs/a?log=x", 400),
    ] {
        let reply = alice.asks(path).send(world.at).await;
        assert_eq!(reply.status, status, "{path}");
        well_made(path, &reply.text());
    }
    world.stop().await;
}

/// Follows the links to the next page from `path` on. Returns the addresses of the approvals or runs in the rows, in
/// order.
async fn all_rows(browser: &Browser<'_>, path: &str) -> Vec<String> {
    let (mut path, mut rows) = (path.to_owned(), Vec::new());
    loop {
        let page = browser.page(&path).await;
        let links = page.split("<th scope=\"row\"><a href=\"").skip(1);
        rows.extend(links.map(|rest| rest.split('"').next().unwrap().to_owned()));
        let Some(next) = page.split("rel=\"next\" href=\"").nth(1) else { return rows };
        path = next.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_paged_without_gaps() {
    let world = World::new().await;
    let bob = Browser::of(&world, "bob").await;
    let mut made = Vec::new();
    for n in 0..60 {
        let (who, choice) = if n % 3 == 0 { ("bob", Choice::Reject) } else { ("alice", Choice::Approve) };
        made.push(world.decided(&How::PLAIN, who, choice).await);
    }
    made.reverse();
    let runs: Vec<String> = made.iter().map(|held| format!("/runs/{}", held.run)).collect();
    assert_eq!(all_rows(&bob, "/runs").await, runs);
    let (ready, waiting) = (all_rows(&bob, "/runs?state=running").await, all_rows(&bob, "/runs?state=waiting").await);
    assert_eq!((ready.len(), waiting.len()), (20, 40));
    assert_eq!(all_rows(&bob, "/runs?state=").await, runs);
    let history = |some: fn(usize) -> bool| -> Vec<String> {
        let kept = made.iter().enumerate().filter(|(at, _)| some(59 - at));
        kept.map(|(_, held)| format!("/approvals/{}", held.id)).collect()
    };
    let nothing: fn(usize) -> bool = |_| false;
    type Fits = fn(usize) -> bool;
    let cases: [(&str, Fits); 14] = [
        ("", |_| true),
        ("?search=&by=&agent=&capability=&kind=&outcome=&from=&until=", |_| true),
        ("?by=bob", |n| n % 3 == 0),
        ("?by=olga", nothing),
        ("?kind=approve", |n| n % 3 != 0),
        ("?kind=reject&by=bob", |n| n % 3 == 0),
        ("?outcome=approved", |n| n % 3 != 0),
        ("?agent=release&capability=acme:mail/send@1.0.0%23send", |_| true),
        ("?agent=another", nothing),
        ("?capability=acme:mail/list@1.0.0%23list", nothing),
        ("?from=2026-01-01&until=2026-01-01", |_| true),
        ("?until=2025-12-31", nothing),
        ("?search=hel+send", |n| n % 3 == 0),
        ("?search=goodbye", nothing),
    ];
    for (query, some) in cases {
        assert_eq!(all_rows(&bob, &format!("/history{query}")).await, history(some), "{query}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_run_is_told_in_pages_and_routine_calls_in_one_line() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice").await;
    let run = world.run().await;
    for call in 1..=230 {
        routine(&world, &run, call, &json!({"ok": "x"})).await;
    }
    let (mut path, mut told, mut pages) = (format!("/runs/{run}"), Vec::new(), 0);
    loop {
        let page = alice.page(&path).await;
        let story = page.split("id=\"steps\"").nth(1).unwrap().split("</ol>\n").next().unwrap();
        told.extend(
            story.split("<li>call ").skip(1).map(|rest| rest.split(' ').next().unwrap().parse::<u32>().unwrap()),
        );
        if pages == 0 {
            assert!(page.contains("<summary>99 routine calls: list.list ×99</summary>"), "{page}");
        }
        pages += 1;
        let Some(next) = page.split("rel=\"next\" href=\"?after=").nth(1) else { break };
        path = format!("/runs/{run}?after={}", next.split('#').next().unwrap());
    }
    assert_eq!((told, pages), ((1..=230).collect(), 3));
    world.stop().await;
}

async fn routine(world: &World, run: &holdshort_gate::RunId, call: u32, result: &serde_json::Value) {
    let capability = "acme:mail/list@1.0.0#list".parse().unwrap();
    let function = holdshort_gate::FunctionType { params: vec![("text".into(), WitType::String)], result: None };
    let action = Action::new(Digest::of(b"component"), capability, &function, &json!({"text": "a"})).unwrap();
    let answered_at = world.journal.now();
    let _ = world.submit(run, None, RecordRoutine { call, action, result: result.clone(), answered_at }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_writes_stays_text_and_light() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice").await;
    let held = world.proposed(FirstVerdict::Hold(Box::new(proposal(HOSTILE, &How::PLAIN)))).await;
    world
        .journal
        .log(&held.run, LogLine { at: world.journal.now(), level: HOSTILE.into(), message: HOSTILE.repeat(200) });
    let reject = holdshort_gate::command::Decide {
        message: Some(HOSTILE.repeat(500)),
        ..decide("bob", held.digest, Choice::Reject)
    };
    let _ = world.submit(&held.run, Some(1), reject).await.unwrap();
    for call in 2..=9 {
        routine(&world, &held.run, call, &json!({"err": HOSTILE.repeat(500)})).await;
    }
    let _ = world.submit(&held.run, None, EndRun(RunEnd::Finished(Err(HOSTILE.repeat(2_000))))).await.unwrap();
    let id = &held.id;
    for path in [
        format!("/runs/{}", held.run),
        "/runs".into(),
        "/history".into(),
        "/stats".into(),
        "/".into(),
        format!("/runs/{}?log=0", held.run),
    ] {
        let page = alice.page(&path).await;
        assert!(
            ["/runs", "/stats"].contains(&path.as_str()) || page.contains("&#60;script&#62;alert(1)"),
            "{path}: {page}"
        );
    }
    let run = alice.page(&format!("/runs/{}", held.run)).await;
    assert!(run.contains("This is the beginning of") && run.contains("?words=whole"), "{run}");
    let whole = alice.asks(&format!("/runs/{}?words=whole", held.run)).send(world.at).await.text();
    assert!(!whole.contains("This is the beginning of") && whole.matches("&#60;script&#62;alert(1)").count() > 2_000);
    let search = alice.page(&format!("/history?search={}", "%3Cscript%3E%22")).await;
    assert!(!search.contains(id.as_str()) || search.contains("&#60;script&#62;"), "{search}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_no_page_of_the_session_showed_changes_nothing() {
    let world = World::new().await;
    let (alice, bob) = (Browser::of(&world, "alice").await, Browser::of(&world, "bob").await);
    let (one, other) = (world.in_doubt(&How::PLAIN).await, world.in_doubt(&How::PLAIN).await);
    let cancel = |held: &crate::world::Held| format!("/runs/{}/cancel", held.run);
    let resolve = |held: &crate::world::Held| format!("/approvals/{}/resolution", held.id);
    let seals = [
        field(&alice.page(&cancel(&one)).await, &cancel(&one), "seal").to_owned(),
        field(&alice.page(&format!("/runs/{}", one.run)).await, &resolve(&one), "seal").to_owned(),
    ];
    let sign_out = field(&alice.page("/").await, "/sign-out", "seal").to_owned();
    let foreign = [
        field(&bob.page(&cancel(&one)).await, &cancel(&one), "seal").to_owned(),
        field(&alice.page(&cancel(&other)).await, &cancel(&other), "seal").to_owned(),
        field(&alice.page(&format!("/approvals/{}", other.id)).await, &resolve(&other), "seal").to_owned(),
        sign_out,
        String::new(),
        "AAAA".into(),
    ];
    let written = world.written().await;
    for (path, own, wrong) in [(cancel(&one), &seals[0], &seals[1]), (resolve(&one), &seals[1], &seals[0])] {
        let fields = |seal| [("seal", seal), ("attempt", "1"), ("resolution", "not-done"), ("reason", "enough")];
        for seal in foreign.iter().chain([wrong]) {
            assert_eq!(alice.send(&path, &fields(seal.as_str())).await.status, 403, "{path} {seal}");
        }
        let good = alice.sends(&path, &fields(own.as_str()));
        for (request, status) in [
            (good.clone().without("Origin"), 403),
            (good.clone().with("Origin", "http://evil.example"), 403),
            (good.clone().with("Origin", "null"), 403),
            (good.clone().without("Cookie"), 401),
            (good.clone().without("Cookie").with("Authorization", "Bearer token-of-alice"), 401),
            (good.clone().with("Content-Type", "application/json"), 415),
            (good.clone().with("Content-Type", "text/plain"), 415),
        ] {
            assert_eq!(request.send(world.at).await.status, status, "{request:?}");
        }
    }
    for fields in [
        [("attempt", "2"), ("resolution", "done"), ("receipt", "")],
        [("attempt", "1"), ("resolution", "perhaps"), ("receipt", "")],
        [("attempt", "1"), ("resolution", "done"), ("receipt", "{")],
        [("attempt", "1"), ("resolution", "done"), ("receipt", "7")],
        [("attempt", "1"), ("resolution", "not-done"), ("receipt", "\"x\"")],
        [("attempt", "1"), ("attempt", "1"), ("resolution", "done")],
    ] {
        let reply = alice.send(&resolve(&one), &[&fields[..], &[("seal", &seals[1])]].concat()).await;
        assert!((400..500).contains(&reply.status), "{fields:?}: {}", reply.text());
    }
    assert_eq!(world.written().await, written);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_in_doubt_is_settled_and_a_run_cancelled_from_the_page() {
    let world = World::new().await;
    let bob = Browser::of(&world, "bob").await;
    for (class, resolution, receipt, phase) in [
        (EffectClass::Idempotent, "done", "", "succeeded"),
        (EffectClass::Reconcilable, "done", "\"seen\"", "succeeded"),
        (EffectClass::OneShot, "not-done", "", "failed"),
        (EffectClass::OneShot, "abandon", "", "unresolved"),
        (EffectClass::Idempotent, "send-again", "", "approved"),
    ] {
        let held = world.in_doubt(&How { class, ..How::PLAIN }).await;
        let finish = Finish {
            attempt: 1,
            outcome: AttemptOutcome::Unknown("?".into()),
            evidence: Some("the folder is empty".into()),
        };
        let _ = world.submit(&held.run, Some(1), finish).await.unwrap();
        let page = bob.page(&format!("/approvals/{}", held.id)).await;
        assert!(page.contains("the folder is empty") && page.contains("the reply was lost"), "{page}");
        assert_eq!(page.contains("value=\"send-again\""), class == EffectClass::Idempotent);
        assert_eq!(page.contains("found it"), class == EffectClass::Idempotent, "the receipt without a word");
        let action = format!("/approvals/{}/resolution", held.id);
        let (seal, attempt) = (field(&page, &action, "seal"), field(&page, &action, "attempt"));
        let fields = [
            ("seal", seal),
            ("attempt", attempt),
            ("resolution", resolution),
            ("receipt", receipt),
            ("message", "I looked"),
        ];
        let reply = bob.send(&action, &fields).await;
        assert_eq!((reply.status, reply.header("location")), (303, Some(format!("/approvals/{}", held.id).as_str())));
        let call = world.journal.subject(&held.run, Some(1)).await.unwrap().unwrap().call.unwrap();
        assert_eq!(call.phase.state().as_str(), phase, "{resolution}");
        let run = bob.page(&format!("/runs/{}", held.run)).await;
        assert!(run.contains("is resolved by bob as") && run.contains("I looked") && !run.contains(&action), "{run}");
    }
    let strict =
        world.in_doubt(&How { who: holdshort_gate::Reviewers::Named(vec!["alice".into()]), ..How::PLAIN }).await;
    let page = bob.page(&format!("/runs/{}", strict.run)).await;
    assert!(page.contains("You may not resolve this") && !page.contains("/resolution\""), "{page}");

    let held = world.call("held").await;
    let path = format!("/runs/{}/cancel", held.run);
    let page = bob.page(&path).await;
    assert_eq!(
        world.journal.subject(&held.run, None).await.unwrap().unwrap().run.unwrap().phase.state().as_str(),
        "waiting"
    );
    let reply = bob.send(&path, &[("seal", field(&page, &path, "seal")), ("reason", "enough")]).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some(format!("/runs/{}", held.run).as_str())));
    assert_eq!(world.journal.subject(&held.run, None).await.unwrap().unwrap().run.unwrap().phase, RunPhase::Cancelled);
    let run = bob.page(&format!("/runs/{}", held.run)).await;
    let reason = "bob cancels the run: <bdi class=\"theirs\">&#34;enough&#34;</bdi>";
    assert!(run.contains(reason) && !run.contains(&path), "{run}");
    assert!(!bob.page(&path).await.contains(&format!("action=\"{path}\"")), "nothing is left to cancel");
    world.stop().await;
}
