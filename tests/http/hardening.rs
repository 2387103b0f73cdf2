//! T14: a table of requests (`tests/data/http/hardening.toml`) with the answer to each. A request that is refused must
//! change nothing.

use std::collections::BTreeMap;

use holdshort_gate::Digest;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{Reply, Request, get, post};
use crate::evidence;
use crate::schema::is_page;
use crate::world::{Held, How, World};

const TABLE: &str = include_str!("../data/http/hardening.toml");

/// The least number of rows, so that rows are not removed unnoticed.
const ROWS_MIN: usize = 320;

/// A row of the table. The file explains its fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    ask: Option<String>,
    #[serde(default)]
    with: Vec<String>,
    #[serde(default)]
    and: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    body: Option<String>,
    raw: Option<String>,
    status: Statuses,
    #[serde(default)]
    problem: String,
    #[serde(default)]
    header: Vec<String>,
    #[serde(default)]
    page: bool,
    says: Option<String>,
    #[serde(default = "yes")]
    ours: bool,
    #[serde(default)]
    writes: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Statuses {
    One(u16),
    Many(Vec<u16>),
}

fn yes() -> bool {
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table() {
    let areas: BTreeMap<String, Vec<Row>> = toml::from_str(TABLE).unwrap();
    let count: usize = areas.values().map(Vec::len).sum();
    assert!(count >= ROWS_MIN, "{count} rows");
    let mut wrong = Vec::new();
    for (area, rows) in &areas {
        // Each row has its own world, because the number of requests of a stranger is limited.
        let world = World::new().await;
        let held = world.held(&How::PLAIN).await;
        let words = words(&world, &held, rows.iter().any(|row| row.page)).await;
        for row in rows {
            let before = world.written().await;
            let checked = check(row, &world, &words).await;
            let wrote = world.written().await != before;
            let checked = checked.and((wrote == row.writes).then_some(()).ok_or(format!("written: {wrote}")));
            wrong.extend(checked.err().map(|why| format!("{area}, {}: {why}", row.what)));
        }
        world.stop().await;
    }
    assert!(wrong.is_empty(), "{} of {count} rows:\n{}", wrong.len(), wrong.join("\n"));
    evidence::figure("T14", "requests in the table", u64::try_from(count).unwrap());
}

async fn check(row: &Row, world: &World, words: &Words) -> Result<(), String> {
    let (bytes, request) = request(row, words);
    let mut stream = TcpStream::connect(world.at).await.unwrap();
    // The host may close before it has read everything, when it has read enough to answer.
    let _ = stream.write_all(&bytes).await;
    let replies = Reply::read_all(&mut stream, bytes.starts_with(b"HEAD ")).await;
    let found: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    let expected = match &row.status {
        Statuses::One(status) => std::slice::from_ref(status),
        Statuses::Many(statuses) => statuses,
    };
    if found != expected {
        return Err(format!(
            "{found:?} instead of {expected:?}: {}",
            replies.last().map_or_else(String::new, Reply::text)
        ));
    }
    let Some(last) = replies.last() else { return Ok(()) };
    if !row.ours {
        let alone = last.body.is_empty() && last.header("content-security-policy").is_none();
        assert_no_more(last, &row.what);
        return alone.then_some(()).ok_or(format!("it is ours after all: {last:?}"));
    }
    let page = request.as_ref().is_some_and(|request| is_page(&request.target));
    if !page {
        for reply in replies.iter().filter(|reply| reply.status >= 200) {
            world.schema.check_headers(reply, &row.what);
        }
    }
    request.iter().for_each(|request| world.schema.check(request, last));
    let says = row.says.as_ref().map(|says| fill(says, words));
    if let Some(says) = says.filter(|says| !last.text().contains(says.as_str())) {
        return Err(format!("no `{says}` in {}", last.text()));
    }
    let problem = if last.status < 400 || last.body.is_empty() || page { String::new() } else { problem(last) };
    if problem != row.problem {
        return Err(format!("`{problem}` instead of `{}`", row.problem));
    }
    for header in &row.header {
        let header = fill(header, words);
        let (name, value) = header.split_once(": ").unwrap();
        if last.header(name) != Some(value) {
            return Err(format!("{name}: {:?} instead of {value}", last.header(name)));
        }
    }
    Ok(())
}

/// A text that contains JSON stays a text, at any depth. A library that parsed such a text as JSON would have no limit
/// on depth, and the stack would overflow.
#[tokio::test(flavor = "multi_thread")]
async fn no_text_is_read_as_json() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let paths = [
        format!("/v1/approvals/{}/decisions", held.id),
        format!("/v1/approvals/{}/grant", held.id),
        format!("/v1/approvals/{}/resolution", held.id),
        "/v1/runs".to_owned(),
        "/v1/backtests".to_owned(),
        "/v1/sign-in-links".to_owned(),
    ];
    for depth in 1..=9 {
        let nest = (0..depth).fold("0".to_owned(), |inner, _| {
            let member = json!({ "$serde_json::private::RawValue": inner }).to_string();
            format!("{}{member}{}", "[".repeat(119), "]".repeat(119))
        });
        for path in &paths {
            let body = format!(r#"{{"type":"approve","x":{nest}}}"#).into_bytes();
            let request = Request { body, ..post(path, &json!({})) };
            let reply = world.ask(&request).await;
            assert!((400..500).contains(&reply.status), "{depth} deep, {path}: {}", reply.status);
        }
    }
    assert_eq!(world.ask(&get("/v1/approvals")).await.status, 200, "it goes on");
    world.stop().await;
}

/// Checks that an answer of the HTTP library itself contains only its status.
fn assert_no_more(reply: &Reply, what: &str) {
    let more: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| !["connection", "content-length", "date"].contains(&name.as_str()))
        .collect();
    assert!(more.is_empty(), "{what}: {more:?}");
}

fn problem(reply: &Reply) -> String {
    let uri = reply.json()["type"].as_str().unwrap().to_owned();
    uri.strip_prefix("urn:holdshort:problem:").unwrap().to_owned()
}

/// The bytes of a row, and the request that they form, if the row is written as a request.
fn request(row: &Row, words: &Words) -> (Vec<u8>, Option<Request>) {
    let fill = |text: &str| fill(text, words);
    if let Some(raw) = &row.raw {
        assert!(row.ask.is_none() && row.body.is_none(), "{}: all or `raw`", row.what);
        return (bytes(&fill(raw)), None);
    }
    let (method, target) = row.ask.as_ref().and_then(|ask| ask.split_once(' ')).expect("METHOD TARGET");
    let (method, target) = (fill(method), fill(target));
    let plain = if method == "POST" { post(&target, &serde_json::json!({})) } else { get(&target).method(&method) };
    let plain = if row.page { of_page(plain, words) } else { plain };
    let mut request = row.without.iter().fold(plain, |request, name| request.without(name));
    if let Some(body) = &row.body {
        request = request.body(bytes(&fill(body)));
    }
    let header = |header: &String| {
        let header = fill(header);
        let (name, value) = header.split_once(": ").unwrap_or_else(|| panic!("`NAME: VALUE`, not `{header}`"));
        (name.to_owned(), value.to_owned())
    };
    let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let replaced = row.with.iter().map(header);
    request = replaced.fold(request, |request, (name, value)| request.with(&name, &value));
    for text in &row.and {
        // `{COUNT*}` makes this many headers instead of one.
        let many = text.strip_prefix('{').and_then(|text| text.strip_suffix("*}")).map(|count| count.parse().unwrap());
        let headers: Vec<_> = match many {
            Some(count) => (0..count).map(|number: u32| named("X-Many", &number.to_string())).collect(),
            None => vec![header(text)],
        };
        request = headers.iter().fold(request, |request, (name, value)| request.and(name, value));
    }
    (request.latin1(), Some(request))
}

/// Encodes each character of the table as one byte, so that the table can write any byte.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// The request as a browser sends it from a page of Alice's.
fn of_page(request: Request, words: &Words) -> Request {
    let request = request.without("Authorization").with("Cookie", &fill("{COOKIE}", words));
    if request.method != "POST" {
        return request;
    }
    request.with("Origin", "http://holdshort.test").with("Content-Type", "application/x-www-form-urlencoded").body("")
}

/// The placeholders of the table, each with its value.
type Words = Vec<(&'static str, String)>;

async fn words(world: &World, held: &Held, pages: bool) -> Words {
    let digest = held.digest.to_string();
    let mut words = vec![
        ("{ID}", held.id.clone()),
        ("{RUN}", held.run.to_string()),
        ("{PATH}", format!("/v1/approvals/{}/decisions", held.id)),
        ("{DIGEST}", digest.clone()),
        ("{DIGEST-IN-CAPITALS}", digest.to_uppercase()),
        ("{HASH}", Digest::of(b"token-of-alice").to_string()),
        ("{AT}", world.at.to_string()),
        ("{PORT}", world.at.port().to_string()),
    ];
    if pages {
        let (alice, bob) = (sign_in(world, "alice").await, sign_in(world, "bob").await);
        let other = world.held(&How::PLAIN).await;
        for (name, cookie, held) in
            [("{SEAL}", &alice, held), ("{BOBS-SEAL}", &bob, held), ("{OTHER-SEAL}", &alice, &other)]
        {
            let page = browse(&format!("/approvals/{}", held.id), cookie).send(world.at).await.text();
            let form = page.split_once("/decision\"").unwrap_or_else(|| panic!("{page}")).1;
            words.push((name, field(form, "seal")));
        }
        let inbox = browse("/", &alice).send(world.at).await.text();
        words.push(("{FRAME-SEAL}", field(&inbox, "seal")));
        let style = inbox.split_once("<link rel=\"stylesheet\" href=\"").unwrap().1.split('"').next().unwrap();
        words.push(("{STYLE}", style.to_owned()));
        words.extend([("{OTHER-ID}", other.id.clone()), ("{OTHER-DIGEST}", other.digest.to_string())]);
        for name in ["{CODE}", "{CODE-2}"] {
            let link = post("/v1/sign-in-links", &serde_json::json!({})).send(world.at).await.json()["url"].clone();
            let code = link.as_str().unwrap().split_once("code=").unwrap().1;
            words.push((name, code.split('&').next().unwrap().to_owned()));
        }
        words.extend([("{COOKIE}", alice), ("{BOBS-COOKIE}", bob)]);
    }
    words
}

fn browse(path: &str, cookie: &str) -> Request {
    get(path).without("Authorization").with("Cookie", cookie)
}

/// The value of the first hidden field with this name.
fn field(page: &str, name: &str) -> String {
    let rest = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name} in {page}")).1;
    rest.split('"').next().unwrap().to_owned()
}

/// Signs a reviewer in with their token, and returns the cookie.
pub async fn sign_in(world: &World, name: &str) -> String {
    let form =
        post("/sign-in", &serde_json::Value::Null).without("Authorization").with("Origin", "http://holdshort.test");
    let form = form.with("Content-Type", "application/x-www-form-urlencoded").body(format!("token=token-of-{name}"));
    let reply = form.send(world.at).await;
    let cookie = reply.header("set-cookie").unwrap_or_else(|| panic!("{reply:?}"));
    cookie.split(';').next().unwrap().to_owned()
}

/// The text with each placeholder replaced by its value.
fn fill(text: &str, words: &Words) -> String {
    let mut text = words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value));
    while let Some((start, count, repeated, end)) = repetition(&text) {
        text = format!("{}{}{}", &text[..start], repeated.repeat(count), &text[end..]);
    }
    text
}

/// The first `{COUNT*TEXT}` of a text: its start, its two parts, and its end.
fn repetition(text: &str) -> Option<(usize, usize, String, usize)> {
    text.match_indices('{').find_map(|(start, _)| {
        let (count, rest) = text[start + 1..].split_once('*')?;
        let count = count.parse().ok()?;
        let repeated = rest.split('}').next()?;
        Some((start, count, repeated.to_owned(), start + 1 + text[start + 1..].find('}')? + 1))
            .filter(|_| !repeated.is_empty())
    })
}
