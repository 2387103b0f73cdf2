//! The review page: no text can add a tag or an attribute to the document, and all of the text can be read.

use std::collections::BTreeSet;

use holdshort_gate::command::FirstVerdict;
use holdshort_gate::{Digest, ExhibitRef, Proposal};
use serde_json::json;

use crate::client::{Request, get, post};
use crate::corpus::{CORPUS, assert_harmless, assert_visible};
use crate::evidence;
use crate::world::{Held, How, World, proposal};

/// A proposal with the text in every place where an agent or a connector may write.
async fn held(world: &World, text: &str) -> Held {
    let plain = proposal(text, &How::PLAIN);
    let bytes = text.as_bytes().to_vec();
    let exhibit = ExhibitRef {
        whose: None,
        title: text.into(),
        media: text.into(),
        digest: Digest::of(&bytes),
        bytes: bytes.len().try_into().unwrap(),
    };
    let diff = ExhibitRef { media: "text/x-diff".into(), ..exhibit.clone() };
    let _ = world.journal.put_blob(bytes).await.unwrap();
    let preconditions = json!({ text: [text] });
    let proposal = Proposal { summary: text.into(), exhibits: vec![exhibit, diff], preconditions, ..plain };
    world.proposed(FirstVerdict::Hold(Box::new(proposal))).await
}

/// Signs Alice in, and returns her cookie.
async fn sign_in(world: &World) -> String {
    let form = post("/sign-in", &json!(null)).without("Authorization").with("Origin", "http://holdshort.test");
    let form = form.with("Content-Type", "application/x-www-form-urlencoded").body("token=token-of-alice");
    let reply = form.send(world.at).await;
    reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn browse(path: &str, cookie: &str) -> Request {
    get(path).without("Authorization").with("Cookie", cookie)
}

/// The tags of a document with their attributes, with ids, seals and times replaced by `#`; and the text between the
/// tags.
fn taken_apart(html: &str) -> (BTreeSet<String>, String) {
    let (mut tags, mut text, mut rest) = (BTreeSet::new(), String::new(), html);
    while let Some((before, after)) = rest.split_once('<') {
        text += before;
        let (tag, after) = after.split_once('>').expect("a tag that ends");
        let word = |word: &str| {
            if word.len() > 20 || word.contains(|c: char| c.is_ascii_digit()) { "#".into() } else { word.to_owned() }
        };
        tags.insert(
            tag.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c))
                .map(word)
                .collect::<Vec<_>>()
                .join(" ")
                + &tag.replace(|c: char| c.is_ascii_alphanumeric() || "-_".contains(c), ""),
        );
        rest = after;
    }
    text += rest;
    for (code, sign) in [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")] {
        text = text.replace(code, sign);
    }
    (tags, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_is_text_on_the_page() {
    let world = World::new().await;
    let cookie = sign_in(&world).await;
    // The allowed tags: those for a harmless text, and those for a text that has a warning and several lines.
    let mut known = BTreeSet::new();
    for text in ["plain", "a\u{202e}b\nc\nd", "a\u{200f}b", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"] {
        let held = held(&world, text).await;
        for path in ["/".to_owned(), format!("/approvals/{}", held.id)] {
            known.extend(taken_apart(&browse(&path, &cookie).send(world.at).await.text()).0);
        }
    }
    let mut pages = 0;
    for bait in CORPUS.iter() {
        let held = held(&world, &bait.text).await;
        let digest = Digest::of(bait.text.as_bytes());
        for path in [format!("/approvals/{}", held.id), format!("/approvals/{}/evidence/{digest}", held.id), "/".into()]
        {
            let reply = browse(&path, &cookie).send(world.at).await;
            let what = format!("{path}: {}", bait.attack);
            assert_eq!(reply.status, 200, "{what}: {}", reply.text());
            let (tags, text) = taken_apart(&reply.text());
            if !path.contains("/evidence/") {
                let new: Vec<&String> = tags.difference(&known).collect();
                assert!(new.is_empty(), "{what}: {new:?}");
            }
            // The host's own text has these characters too.
            let text = text.replace(|c| "·–−".contains(c) && !bait.shown.contains(c), "");
            if path != "/" {
                assert_harmless(&text, [bait], &what);
                assert_visible(&text, bait, &what);
                pages += 1;
            }
        }
        // The run is cancelled, so that the list stays short and the next call is on its first page.
        let cancel = holdshort_gate::command::CancelRun { by: "olga".into(), reason: None };
        let _ = world.submit(&held.run, None, cancel).await.unwrap();
    }
    evidence::figure("T9", "texts on pages of the browser", pages);
    world.stop().await;
}

#[test]
fn a_tag_would_be_found() {
    let (tags, text) = taken_apart("<p class=\"x1\">a &#60;b&#62;</p><img src=x>");
    assert_eq!((tags.len(), text.as_str()), (3, "a <b>"));
}
