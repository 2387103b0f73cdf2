//! Without TLS each session has its own host name. Under any other name the session does not exist.

use serde_json::json;

use crate::client::{Reply, Request, get, post};
use crate::evidence;
use crate::world::World;

fn page(path: &str) -> Request {
    get(path).without("Authorization")
}

/// A form, sent from a page of the host that receives it.
fn form(path: &str, host: &str, body: &str) -> Request {
    let form = page(path).method("POST").with("Host", host).with("Origin", &format!("http://{host}"));
    form.with("Content-Type", "application/x-www-form-urlencoded").body(body)
}

/// A new sign-in link of Alice's: its host name and its code.
async fn link(world: &World, host: &str) -> (String, String) {
    let made = post("/v1/sign-in-links", &json!({"next": "/runs"})).with("Host", host).send(world.at).await.json();
    apart(made["url"].as_str().unwrap())
}

fn apart(url: &str) -> (String, String) {
    let (host, query) = url.strip_prefix("http://").unwrap().split_once("/sign-in?code=").unwrap();
    (host.to_owned(), query.strip_suffix("&next=%2Fruns").unwrap().to_owned())
}

fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").unwrap_or_else(|| panic!("{reply:?}")).split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_one_under_its_own_name_alone() {
    let world = World::with_names().await;
    let at = world.at.to_string();
    let (name, code) = link(&world, &at).await;
    let (other, other_code) = link(&world, &at).await;
    assert_ne!(name, other, "each session has its own");
    let port = format!(":{}", world.at.port());
    assert!(name.ends_with(&format!(".localhost{port}")), "{name}");
    let unknown = format!("{}.localhost{port}", "0".repeat(32));
    let mut tried = 0;

    // Under any other name the link does not sign in, and is not used up.
    for host in [at.as_str(), "holdshort.test", &other, &unknown] {
        assert_eq!(form("/sign-in", host, &format!("code={code}")).send(world.at).await.status, 401, "{host}");
        let shown = page(&format!("/sign-in?code={code}")).with("Host", host).send(world.at).await;
        assert!(shown.text().contains("used already or has expired"), "{host}");
        tried += 2;
    }
    let signed = form("/sign-in", &name, &format!("code={code}&next=/runs")).send(world.at).await;
    assert_eq!((signed.status, signed.header("location")), (303, Some("/runs")));
    assert!(!signed.header("set-cookie").unwrap().contains("Domain"), "for that host alone");
    let (ours, theirs) =
        (cookie(&signed), cookie(&form("/sign-in", &other, &format!("code={other_code}")).send(world.at).await));

    // The cookie opens pages under its own name only.
    let open = async |host: &str, cookie: &str| {
        let reply = page("/runs").with("Host", host).with("Cookie", cookie).send(world.at).await;
        let is_open = reply.status == 200;
        assert!(is_open || reply.header("location") == Some("/sign-in?next=%2Fruns"), "{host}: {reply:?}");
        is_open
    };
    assert!(open(&name, &ours).await && open(&other, &theirs).await);
    for (host, cookie) in
        [(at.as_str(), &ours), ("holdshort.test", &ours), (&other, &ours), (&name, &theirs), (&unknown, &ours)]
    {
        assert!(!open(host, cookie).await, "{host}");
        tried += 1;
    }
    // Session names serve only pages, only of this host and port, and accept no form from another origin.
    for (request, status) in [
        (get("/v1/approvals").with("Host", &name), 421),
        (page("/runs").with("Host", &name.replace(&port, ":1")).with("Cookie", &ours), 421),
        (page("/runs").with("Host", &format!("x.{name}")).with("Cookie", &ours), 421),
        (page("/runs").with("Host", &name.replace("localhost", "example")).with("Cookie", &ours), 421),
        (form("/sign-out", &name, "seal=x").with("Cookie", &ours).with("Origin", &format!("http://{at}")), 403),
        (form("/sign-out", &name, "seal=x").with("Cookie", &ours).with("Origin", &format!("http://{other}")), 403),
        (form("/sign-out", &name, "seal=x").with("Cookie", &ours).with("Origin", &format!("https://{name}")), 403),
    ] {
        assert_eq!(request.send(world.at).await.status, status, "{request:?}");
        tried += 1;
    }
    assert!(open(&name, &ours).await, "and it is still open");

    // A token leads to a new name, wherever it is typed. No session starts under the name where it was typed.
    let mut names = vec![name.clone(), other.clone()];
    for host in [at.as_str(), "holdshort.test", &name, &unknown] {
        let led = form("/sign-in", host, "token=token-of-alice&next=/runs").send(world.at).await;
        assert_eq!((led.status, led.header("set-cookie")), (200, None), "{host}");
        let url = led.header("refresh").unwrap().strip_prefix("0; url=").unwrap().to_owned();
        assert!(led.text().contains(&url.replace('&', "&#38;")), "{led:?}");
        let (name, code) = apart(&url);
        assert!(!names.contains(&name), "{name}");
        let signed = form("/sign-in", &name, &format!("code={code}")).send(world.at).await;
        assert!(open(&name, &cookie(&signed)).await);
        names.push(name);
        tried += 1;
    }
    evidence::figure("T33", "ways into a session under another name", tried);
    world.stop().await;
}

/// A program that listened here before may have left a service worker in the browser that answers for this host. When
/// the browser asks for its script again, the host sends a script that removes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_answers_for_the_host_is_told_to_go() {
    let world = World::new().await;
    for path in ["/", "/sw.js", "/approvals/x/worker.js", "/v1/approvals", "/assets/script.js", "/live", "/healthz"] {
        let asked = page(path).with("Service-Worker", "script").send(world.at).await;
        let media = asked.header("content-type").unwrap_or_default().to_owned();
        if path != "/healthz" {
            assert!(asked.status == 200 && media.starts_with("text/javascript"), "{path}: {asked:?}");
            assert!(asked.text().contains("registration.unregister()"), "{path}");
        }
        let plain = page(path).send(world.at).await;
        assert!(!plain.text().contains("unregister"), "{path}");
    }
    let posted = page("/sign-in").method("POST").with("Service-Worker", "script").send(world.at).await;
    assert_ne!(posted.status, 200, "and no form is answered by it");
    world.stop().await;
}
