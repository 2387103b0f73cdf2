//! Editing in a browser: what the form shows, that a preview writes nothing, and that only what was previewed can be
//! sent.

use std::collections::BTreeMap;

use holdshort_gate::Reviewers as Who;
use serde_json::json;

use crate::client::{Reply, Request, get, post};
use crate::world::{Held, How, World};

/// The browser of a reviewer who has signed in.
struct Browser<'a> {
    world: &'a World,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// Signs in by a one-time link, as people do.
    async fn of(world: &'a World, who: &str) -> Self {
        let link = post("/v1/sign-in-links", &json!({})).by(who).send(world.at).await.json();
        let query = link["url"].as_str().unwrap().split_once('?').unwrap().1.to_owned();
        let visitor = Browser { world, cookie: String::new() };
        let reply = visitor.post("/sign-in", &query).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Browser { world, cookie }
    }

    fn request(&self, target: &str) -> Request {
        get(target).without("Authorization").with("Cookie", &self.cookie)
    }

    async fn get(&self, target: &str) -> Reply {
        self.request(target).send(self.world.at).await
    }

    async fn post(&self, target: &str, body: &str) -> Reply {
        let request = self.request(target).method("POST").with("Origin", "http://holdshort.test");
        request.with("Content-Type", "application/x-www-form-urlencoded").body(body).send(self.world.at).await
    }

    /// Sends the fields of a form of this page, with `others` in place of some of them.
    async fn send(&self, held: &Held, page: &Reply, others: &[(&str, &str)]) -> Reply {
        let mut fields = fields(page);
        fields.extend(others.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut body = form_urlencoded::Serializer::new(String::new());
        self.post(&format!("/approvals/{}/edit", held.id), &body.extend_pairs(fields).finish()).await
    }

    async fn form(&self, held: &Held) -> Reply {
        self.get(&format!("/approvals/{}/edit", held.id)).await
    }
}

/// The fields of the form in `main`: hidden inputs, inputs and text areas.
fn fields(page: &Reply) -> BTreeMap<String, String> {
    let text = page.text();
    let main = text.split("<main").nth(1).unwrap_or_else(|| panic!("{}: {text}", page.status));
    let attribute = |tag: &str, name: &str| {
        let found = tag.split(&format!(" {name}=\"")).nth(1)?;
        Some(unescape(found.split('"').next().unwrap()))
    };
    let mut found = BTreeMap::new();
    for tag in main.split("<input").skip(1) {
        let tag = tag.split('>').next().unwrap();
        let ticked = !tag.contains("type=\"checkbox\"") || tag.contains(" checked");
        if let Some(name) = attribute(tag, "name").filter(|_| ticked) {
            found.insert(name, attribute(tag, "value").unwrap_or_default());
        }
    }
    for tag in main.split("<textarea").skip(1) {
        let (head, rest) = tag.split_once(">\n").expect("a line end that the browser drops");
        let text = rest.split("</textarea>").next().unwrap();
        found.insert(attribute(head, "name").unwrap(), unescape(text));
    }
    found
}

fn unescape(text: &str) -> String {
    text.replace("&#60;", "<").replace("&#62;", ">").replace("&#34;", "\"").replace("&#39;", "'").replace("&#38;", "&")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_previewed_is_sent() {
    let world = World::new().await;
    let held = world.held(&How { quorum: 2, ..How::PLAIN }).await;
    let alice = Browser::of(&world, "alice").await;
    let form = alice.form(&held).await;
    assert_eq!((form.status, fields(&form)["v.0"].as_str()), (200, "hello"));
    assert!(form.text().contains("<label for=\"v.0\">"), "{}", form.text());
    let before = world.written().await;
    let preview = alice.send(&held, &form, &[("v.0", "<b>bye</b>\u{202e}"), ("action", "preview")]).await;
    assert_eq!(preview.status, 200, "{}", preview.text());
    for shown in ["hello", "&#60;b&#62;bye&#60;/b&#62;&#60;U+202E&#62;", "1 invisible character", "1 more approval"] {
        assert!(preview.text().contains(shown), "{shown}: {}", preview.text());
    }
    assert_eq!(world.written().await, before, "a preview writes nothing");
    let back = alice.send(&held, &preview, &[("action", "change")]).await;
    assert_eq!(fields(&back)["v.0"], "<b>bye</b><U+202E>");
    let sent = alice.send(&held, &preview, &[("action", "send"), ("message", "shorter"), ("word", "approve")]).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    assert_eq!(sent.header("location"), Some(format!("/approvals/{0}?decided={0}", held.id).as_str()));
    let now = world.ask(&get(&format!("/v1/approvals/{}", held.id))).await.json();
    assert_eq!(now["proposal"]["action"]["arguments"], json!({"text": "<b>bye</b>\u{202e}"}), "{now}");
    assert_eq!((&now["revision"], &now["edited_by"]), (&json!(2), &json!("alice")));
    // The form is sent again from the page that is still open. The edit was made once.
    let again = alice.send(&held, &preview, &[("action", "send"), ("message", "shorter")]).await;
    assert_ne!(again.status, 500);
    let written = world.written().await.len();
    let late = alice.send(&held, &form, &[("v.0", "other"), ("action", "preview")]).await;
    assert_eq!(late.status, 409, "{}", late.text());
    assert!(late.text().contains(&format!("href=\"/approvals/{}\"", held.id)), "{}", late.text());
    assert_eq!(world.written().await.len(), written);
    world.stop().await;
}

/// An edit approves the values that it changes and the values that it keeps. If either needs attention, the edit needs
/// the confirmation word.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_is_not_what_it_seems_takes_the_word() {
    let world = World::new().await;
    let (alice, bob) = (Browser::of(&world, "alice").await, Browser::of(&world, "bob").await);
    let hostile = [
        "send\u{202e}nos",
        "p\u{430}y",
        "a\u{200b}b",
        "a\u{2066}b",
        "a\u{ad}b",
        "a\u{e0041}b",
        "\u{3bf}perating",
        "a\u{2028}b",
        "a\u{7}b",
        "a\u{feff}b",
    ];
    let mut tried = 0;
    for text in hostile {
        let held = world.held(&How { quorum: 2, ..How::PLAIN }).await;
        // First the new text is hostile. Then the old text is hostile, and the edit is plain.
        for (who, text) in [(&alice, text), (&bob, "bye")] {
            let preview = who.send(&held, &who.form(&held).await, &[("v.0", text), ("action", "preview")]).await;
            assert!(preview.text().contains("id=\"word\""), "{text:?}: {}", preview.text());
            let before = world.written().await;
            for word in [None, Some(""), Some("yes"), Some("edit"), Some("APPROVE"), Some("approve!")] {
                let word = word.map(|word| ("word", word));
                let fields: Vec<_> = [("action", "send")].into_iter().chain(word).collect();
                let refused = who.send(&held, &preview, &fields).await;
                assert_eq!(refused.status, 400, "{text:?} {word:?}: {}", refused.text());
                assert!(refused.text().contains("type the word `approve` to confirm"), "{}", refused.text());
                tried += 1;
            }
            assert_eq!(world.written().await, before, "nothing was sent");
            let digest = world.ask(&get(&format!("/v1/approvals/{}", held.id))).await.json()["digest"].clone();
            assert_eq!(fields(&preview)["digest"], digest.as_str().unwrap());
            let sent = who.send(&held, &preview, &[("action", "send"), ("word", " approve ")]).await;
            assert_eq!(sent.status, 303, "{text:?}: {}", sent.text());
        }
    }
    let held = world.held(&How::PLAIN).await;
    let plain = alice.send(&held, &alice.form(&held).await, &[("v.0", "bye"), ("action", "preview")]).await;
    assert!(!plain.text().contains("id=\"word\""), "{}", plain.text());
    assert_eq!(alice.send(&held, &plain, &[("action", "send")]).await.status, 303, "what is plain takes a click");
    assert_eq!(tried, 120);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_sent() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let (alice, bob) = (Browser::of(&world, "alice").await, Browser::of(&world, "bob").await);
    let form = alice.form(&held).await;
    let preview = alice.send(&held, &form, &[("v.0", "bye"), ("action", "preview")]).await;
    let before = world.written().await;
    let seal = fields(&form)["seal"].clone();
    for others in [
        vec![("arguments", "{\"text\":\"bye!\"}")],
        vec![("arguments", "{\"text\": \"bye\"}")],
        vec![("seal", seal.as_str())],
        vec![("seal", "")],
    ] {
        let reply = alice.send(&held, &preview, &[others.as_slice(), &[("action", "send")]].concat()).await;
        assert_eq!(reply.status, 403, "{others:?}: {}", reply.text());
    }
    let other = world.held(&How::PLAIN).await;
    let stolen = alice.send(&other, &preview, &[("action", "send"), ("digest", &other.digest.to_string())]).await;
    assert_eq!(stolen.status, 403);
    let elsewhere = alice.send(&other, &preview, &[("action", "send")]).await;
    assert_eq!(elsewhere.status, 409, "another approval's digest: {}", elsewhere.text());
    let others = bob.send(&held, &preview, &[("action", "send")]).await;
    assert_eq!(others.status, 403, "a page of another session");
    let unsealed = alice.send(&held, &form, &[("seal", "AAAA"), ("v.0", "bye"), ("action", "preview")]).await;
    assert_eq!(unsealed.status, 403);
    let unprevied = alice.send(&held, &form, &[("v.0", "bye"), ("action", "send")]).await;
    assert_eq!((unprevied.status, fields(&unprevied)["v.0"].as_str()), (200, "bye"), "the form again");
    let now = world.written().await;
    assert_eq!(now.iter().filter(|(run, _)| *run == held.run).count(), before.len(), "nothing was written");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_keeps_what_was_typed() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let alice = Browser::of(&world, "alice").await;
    let form = alice.form(&held).await;
    let before = world.written().await;
    for (text, why) in [
        ("impossible", "there is no such address"),
        ("forbidden", "policy says no"),
        ("away", "the connector cannot look just now"),
        ("hello", "nothing is changed yet"),
    ] {
        let reply = alice.send(&held, &form, &[("v.0", text), ("action", "preview")]).await;
        assert_eq!((reply.status, fields(&reply)["v.0"].as_str()), (422, text), "{}", reply.text());
        assert!(reply.text().contains(why), "{why}: {}", reply.text());
    }
    assert_eq!(world.written().await, before);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_evidence_is_shown_and_counts_for_no_vote() {
    let world = World::new().await;
    let _ = world.journal.put_blob(b"what nobody has seen".to_vec()).await.unwrap();
    let held = world.held(&How::PLAIN).await;
    let alice = Browser::of(&world, "alice").await;
    let form = alice.form(&held).await;
    let evident = alice.send(&held, &form, &[("v.0", "evident"), ("action", "preview")]).await;
    assert!(evident.text().contains("what nobody has seen"), "{}", evident.text());
    assert!(evident.text().contains("1 more approval"), "{}", evident.text());
    let plain = alice.send(&held, &form, &[("v.0", "bye"), ("action", "preview")]).await;
    assert!(plain.text().contains("the call is approved in this form"), "{}", plain.text());
    let sent = alice.send(&held, &evident, &[("action", "send")]).await;
    let page = alice.get(sent.header("location").unwrap()).await.text();
    assert!(page.contains("waits for 1 approval") && page.contains("Your edit made this revision"), "{page}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_sees_no_form() {
    let world = World::new().await;
    let only_bob = How { who: Who::Named(vec!["bob".into()]), ..How::PLAIN };
    let held = world.held(&only_bob).await;
    let alice = Browser::of(&world, "alice").await;
    let refused = alice.form(&held).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(!refused.text().contains("<form id=\"edit\"") && refused.text().contains("/approvals/"));
    assert_eq!(Browser::of(&world, "bob").await.form(&held).await.status, 200);
    assert_eq!(alice.form(&world.call("succeeded").await).await.status, 409);
    assert_eq!(get(&format!("/approvals/{}/edit", held.id)).send(world.at).await.status, 303, "a token opens no page");
    world.stop().await;
}
