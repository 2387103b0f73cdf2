//! Evidence of any length is shown in pages of limited size.

use holdshort_gate::ExhibitRef;
use holdshort_gate::command::FirstVerdict;

use crate::client::{Reply, get};
use crate::evidence;
use crate::hardening::sign_in;
use crate::world::{How, World, proposal};

/// The size of the largest page of evidence: 64 KiB of bytes, each of which is written out.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_long_evidence_is_as_light_as_any() {
    let world = World::new().await;
    let cookie = sign_in(&world, "alice").await;
    let ask = async |path: String| -> Reply {
        get(&path).without("Authorization").with("Cookie", &cookie).send(world.at).await
    };
    let texts = [
        ("text/x-diff", b"\n".repeat(1_000_000), 1_000_000, 1_000),
        ("text/x-diff", b"+\n".repeat(30_000), 30_000, 30),
        ("text/plain", b"x".repeat(4 << 20), 1, 64),
        ("text/plain", b"\xff".repeat(4 << 20), 1, 64),
        ("text/plain", b"\x00\n".repeat(1 << 19), 1 << 19, 525),
        ("application/json", "\u{202e}".repeat(1 << 19).into_bytes(), 1, 25),
        ("text/plain", b"short".to_vec(), 1, 1),
    ];
    let mut shown = 0;
    for (media, bytes, lines, pages) in texts {
        let length = bytes.len() as u64;
        let digest = *world.journal.put_blob(bytes).await.unwrap();
        let mut long = proposal("hello", &How::PLAIN);
        let media = media.to_owned();
        long.exhibits.push(ExhibitRef { whose: None, title: "it".into(), media, digest, bytes: length });
        let id = world.proposed(FirstVerdict::Hold(Box::new(long))).await.id;
        for page in [1, 2, pages / 2, pages].into_iter().filter(|page| (1..=pages).contains(page)) {
            let reply = ask(format!("/approvals/{id}/evidence/{digest}?page={page}")).await;
            let (weighs, text) = (reply.body.len(), reply.text());
            assert!(text.contains(&format!("{lines} lines; page {page} of {pages}.")), "{length}: {}", &text[..2_000]);
            assert!(reply.status == 200 && weighs < PAGE_BYTES_MAX, "{length}, page {page} weighs {weighs}");
            shown += 1;
        }
        assert_eq!(ask(format!("/approvals/{id}/evidence/{digest}?page={}", pages + 1)).await.status, 404);
        assert_eq!(ask(format!("/approvals/{id}/evidence/{digest}?page=0")).await.status, 404);
        // Evidence that is too long for a page is on no page of the approval, not even on the page for printing.
        for query in ["", "?evidence=whole", "?diff=split", "?evidence=whole&diff=split"] {
            let reply = ask(format!("/approvals/{id}{query}")).await;
            let is_elsewhere = reply.text().contains(&format!("/approvals/{id}/evidence/{digest}"));
            let fits = length < if query.contains("whole") { 1 << 20 } else { 24 * 1024 };
            assert_eq!((reply.status, is_elsewhere), (200, !fits), "{length}{query}");
        }
    }
    evidence::figure("T9", "pages of long evidence", shown);
    world.stop().await;
}
