//! The host is killed before and after each reply to what a browser sends.
//!
//! A signed-in person must sign in again after the restart, because sessions are kept in memory only. A decision that
//! the host has confirmed to a browser is on disk.

use std::io::Read;

use holdshort::kill::{REPLY, VARIABLE};
use serde_json::{Value, json};

use crate::evidence::figure;
use crate::operator::AFTER_REPLY;
use crate::outside::{Maildir, Outside, folder};
use crate::support::{Folder, Host, PATIENCE, host_and_code, top};

/// The routes of this test: the endpoint's route for sign-in links, and the routes of the pages that take a `POST`.
pub const BROWSED: [&str; 4] = ["/v1/sign-in-links", "/approvals/{id}/decision", "/sign-in", "/sign-out"];

/// Further `POST` routes of the pages, each with the endpoint's route that writes with the same function. `points` has
/// a case for the reply of that route.
const LIKE_THE_ENDPOINT: [(&str, &str); 5] = [
    ("/approvals/{id}/edit", "/v1/approvals/{id}/decisions"),
    ("/approvals/{id}/grant", "/v1/approvals/{id}/decisions"),
    ("/grants/{id}/revocation", "/v1/grants/{id}/revocation"),
    ("/approvals/{id}/resolution", "/v1/runs/{id}/calls/{n}/resolution"),
    ("/runs/{id}/cancel", "/v1/runs/{id}/cancel"),
];

/// Backtests, at the endpoint and on the pages. They write nothing, so a host that dies during one loses nothing.
pub const WRITES_NOTHING: [&str; 3] = ["/v1/backtests", "/backtest", "/policy/cases"];

#[test]
fn the_pages_take_nothing_else() {
    let rooms = std::fs::read_to_string(top().join("host/src/page/mod.rs")).unwrap();
    let lines = rooms.lines().filter(|line| line.contains(".route(") && line.contains("post("));
    let mut routes: Vec<&str> = lines.map(|line| line.split('"').nth(1).unwrap()).collect();
    routes.sort_unstable();
    let mut known: Vec<&str> = BROWSED[1..].iter().copied().chain(LIKE_THE_ENDPOINT.map(|(route, _)| route)).collect();
    known.extend(&WRITES_NOTHING[1..]);
    known.sort_unstable();
    assert_eq!(routes, known, "each has its two cases below, or writes as the endpoint does");
}

/// A browser with one cookie, and the host name to which the cookie belongs.
#[derive(Default)]
struct Browser {
    cookie: String,
    at: String,
}

impl Browser {
    /// Requests a page, or sends a form. Returns `None` if the host died instead of answering.
    fn ask(&mut self, host: &Host, path: &str, form: Option<&str>) -> Option<(u16, String)> {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let url = format!("{}{path}", host.url);
        let answer = match form {
            Some(form) => agent
                .post(url)
                .header("Cookie", &self.cookie)
                .header("Host", &self.at)
                .header("Origin", format!("http://{}", self.at))
                .header("Content-Type", "application/x-www-form-urlencoded")
                .send(form),
            None => agent.get(url).header("Cookie", &self.cookie).header("Host", &self.at).call(),
        };
        let mut answer = answer.ok()?;
        if let Some(cookie) = answer.headers().get("set-cookie") {
            self.cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        let mut text = String::new();
        answer.body_mut().as_reader().read_to_string(&mut text).unwrap();
        Some((answer.status().as_u16(), text))
    }

    /// Goes the way of a person: gets a link, signs in with it, rejects the call, signs out. Stops when `last` was
    /// answered, or when the host died.
    fn goes(&mut self, host: &Host, id: &str, last: &str) -> Option<()> {
        let link = host.try_request(&host.token, "/v1/sign-in-links", Some(&json!({})));
        let (status, link) = link.ok()?;
        assert_eq!(status, 201, "{link}");
        let (at, code) = host_and_code(&link);
        self.at = at;
        let steps = [
            ("/sign-in", "/sign-in", "/", format!("code={code}")),
            (
                "/approvals/{id}/decision",
                &*format!("/approvals/{id}/decision"),
                &*format!("/approvals/{id}"),
                "decision=reject&message=no".into(),
            ),
            ("/sign-out", "/sign-out", "/", String::new()),
        ]
        .map(|(route, path, page, form)| (route, path.to_owned(), page.to_owned(), form));
        if last == "/v1/sign-in-links" {
            return Some(());
        }
        for (route, path, page, form) in steps {
            let shown = self.ask(host, &page, None)?.1;
            let field = |name: &str| {
                let all: Vec<&str> = shown
                    .split(&format!("name=\"{name}\" value=\""))
                    .skip(1)
                    .map(|rest| rest.split('"').next().unwrap())
                    .collect();
                all.get(usize::from(name == "seal" && route != "/sign-out"))
                    .or(all.first())
                    .map(|value| (*value).to_owned())
                    .unwrap_or_default()
            };
            let form = format!("{form}&seal={}&digest={}", field("seal"), field("digest"));
            let (status, said) = self.ask(host, &path, Some(&form))?;
            // A decision that a killed host had accepted is not accepted a second time.
            assert!(status == 303 || status == 409 || said.contains("Back"), "{path}: {status}: {said}");
            if route == last {
                return Some(());
            }
        }
        Some(())
    }
}

#[test]
fn whoever_decides_in_a_browser_signs_in_again() {
    let mut cases = 0;
    for route in BROWSED {
        for point in [format!("{REPLY}{route}"), format!("{AFTER_REPLY}{route}")] {
            println!("{point}");
            let home = tempfile::tempdir().unwrap();
            let mail = Maildir(home.path().join("mail"));
            let folder: Folder = folder(&mail, "");
            let host = folder.serve();
            let run = host.start("scripted", &mail.line());
            let id = host.held(&run)["id"].as_str().unwrap().to_owned();
            assert!(host.stop().success());

            let host = folder.serve_with(&[(VARIABLE, &*point)]);
            let mut browser = Browser::default();
            let answered = browser.goes(&host, &id, route).is_some();
            assert_eq!(answered, point.starts_with(AFTER_REPLY), "{point}");
            if answered {
                host.kill()
            } else {
                assert_eq!(host.ended().code(), None)
            }

            let host = folder.serve();
            // The browser keeps its cookie and host name, and uses the port of the new host.
            let name = browser.at.split(':').next().filter(|name| !name.is_empty()).unwrap_or("127.0.0.1");
            browser.at = format!("{name}:{}", host.url.rsplit(':').next().unwrap());
            let (status, page) = browser.ask(&host, "/", None).unwrap();
            assert_eq!(status, 303, "a session is gone with its host: {page}");
            let decisions =
                |host: &Host| host.events(&run).iter().filter(|event| event["type"] == "decision-made").count();
            let decided = ["/approvals/{id}/decision", "/sign-out"].contains(&route);
            assert_eq!(decisions(&host), usize::from(decided), "{point}: what was told is on disk, and nothing else");
            if !decided {
                Browser::default().goes(&host, &id, "/sign-out").unwrap();
            }
            assert_ne!(host.over(&run)["result"], Value::Null);
            assert_eq!((decisions(&host), mail.count()), (1, 0), "{point}: once");
            assert_eq!(host.approval(&id)["state"], "rejected");
            cases += 1;
        }
    }
    figure("T3", "kill cases of people in a browser", cases);
}
