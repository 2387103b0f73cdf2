//! A browser on a machine with other programs. A program that listens on another port, or that listened on the host's
//! port before, gets no secret and controls no page.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::person::{How, Person};
use crate::scene::shop;
use crate::support::until;

/// A program that answers every request, and keeps the heads of the requests.
struct Program {
    origin: String,
    heads: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts the program at this address; `answer` makes the type and the body from the path.
    fn at(address: &str, answer: impl Fn(&str) -> (&'static str, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (heads, ended) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (kept, over) = (heads.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => kept.lock().unwrap().extend(answered(stream, &answer)),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { origin, heads, ended, thread: Some(thread) }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Answers one request and returns its head. A connection without a request is closed.
fn answered(mut stream: TcpStream, answer: &impl Fn(&str) -> (&'static str, String)) -> Option<String> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    let (mut head, mut bytes) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
        head.extend(&bytes[..count]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (media, body) = answer(head.split(' ').nth(1)?);
    let length = body.len();
    let kept = "Cache-Control: public, max-age=31536000, immutable\r\nConnection: close";
    let text = format!("HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n{kept}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).ok()?;
    Some(head)
}

/// A document that leads the browser to the program by links, pictures, frames, forms and scripts, under every name of
/// this machine's loopback.
fn lures(port: &str) -> String {
    let of = |host: &str| {
        let at = format!("http://{host}:{port}");
        format!(
            "<img src='{at}/image'><iframe src='{at}/frame'></iframe><a href='{at}/link'>link</a>\
             <form method=post action='{at}/form'><button>form</button></form>\
             <script>fetch('{at}/fetch', {{mode: 'no-cors', credentials: 'include'}})</script>"
        )
    };
    format!(
        "<!doctype html><title>lure</title><h1>A page of another program</h1>{}{}",
        of("127.0.0.1"),
        of("localhost")
    )
}

/// Leads a signed-in browser to a program on another port in every way. Returns whether the browser sent the program
/// its session.
fn is_sent_the_session(more: &str) -> Option<bool> {
    let (_folder, host) = shop(&["release"], more).into_served();
    let person = Person::signed_in(&host, &host.token, How::default())?;
    let ours = person.where_they_are();
    let program = Program::at("127.0.0.1:0", |path| {
        ("text/html", path.strip_prefix("/?").map_or_else(|| "<h1>led</h1>".to_owned(), lures))
    });
    let port = program.origin.rsplit(':').next().unwrap().to_owned();
    for name in ["127.0.0.1", "localhost"] {
        person.may_go(&format!("http://{name}:{port}"));
    }
    let lure = format!("{}/?{port}", program.origin);
    for way in ["a:nth-of-type(1)", "a:nth-of-type(2)", "form:nth-of-type(1) button", "form:nth-of-type(2) button"] {
        person.goto(&lure);
        person.sees("A page of another program");
        person.click(way);
        until("another page", || (!person.where_they_are().ends_with(&port)).then_some(()));
    }
    let asked = |what: &str| program.heads().iter().filter(|head| head.contains(what)).count();
    for (what, least) in [(" /image ", 2), (" /frame ", 2), (" /link ", 2), ("POST /form ", 2), (" /fetch ", 2)] {
        until(what, || (asked(what) >= least).then_some(()));
    }
    person.goto(&ours);
    person.sees("Waiting for decisions");
    Some(program.heads().iter().any(|head| head.to_ascii_lowercase().contains("holdshort-")))
}

#[test]
fn a_program_on_another_port_gets_no_session() {
    let Some(sent) = is_sent_the_session("") else { return };
    assert!(!sent, "it was sent the cookie");
    // Without session names the browser does send the session. So the ways above reach the program.
    assert_eq!(is_sent_the_session("[server]\nsession-names = false\n"), Some(true));
}

/// Browsers try `[::1]` first for a name below `localhost`.
#[test]
fn no_other_program_listens_where_the_names_of_sessions_lead() {
    let (_folder, host) = shop(&["release"], "").into_served();
    let port = host.url.rsplit(':').next().unwrap();
    let taken = TcpListener::bind(format!("[::1]:{port}")).map_err(|error| error.kind());
    match taken {
        Err(std::io::ErrorKind::AddrInUse) => assert!(TcpStream::connect(format!("[::1]:{port}")).is_ok()),
        Err(std::io::ErrorKind::AddrNotAvailable) => {}
        other => panic!("{other:?}"),
    }
}

/// A service worker that answers for the host in the browser and claims every page.
const WORKER: &str = "addEventListener('install', () => skipWaiting());\
    addEventListener('activate', (event) => event.waitUntil(clients.claim()));\
    addEventListener('fetch', (event) => { if (event.request.mode === 'navigate') \
    event.respondWith(new Response('<h1>owned</h1>', { headers: { 'Content-Type': 'text/html' } })); });";

#[test]
fn a_program_that_listened_here_before_owns_no_page() {
    let folder = shop(&["release"], "");
    // The addresses of the files that pages load are the same for everyone who has this program, so the other program
    // knows them.
    let (at, script) = {
        let host = folder.serve();
        let shown = ureq::get(format!("{}/sign-in", host.url)).call().unwrap().body_mut().read_to_string().unwrap();
        let script = shown.split("<script src=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        (host.url.trim_start_matches("http://").to_owned(), script)
    };
    let Some(person) = Person::of(&format!("http://{at}"), How::default()) else { return };
    until("the port again", || TcpListener::bind(&at).ok());
    let program = Program::at(&at, move |path| match path {
        "/worker.js" => ("text/javascript", WORKER.to_owned()),
        path if path == script => ("text/javascript", "document.title = 'owned by a script';".to_owned()),
        _ => (
            "text/html",
            format!(
                "<h1>before</h1><script src='{script}'></script><script>navigator.serviceWorker.register('/worker.js')</script>"
            ),
        ),
    });
    // The browser still has the file in its cache, and the file's digest differs from the digest in the page.
    person.hears("'integrity' attribute");
    person.goto("/");
    person.sees("before");
    assert_eq!(person.script("return document.title"), "owned by a script");
    until("a script that answers for the host", || {
        person.goto("/anything");
        person.body().contains("owned").then_some(())
    });
    drop(program);
    let host = folder.serve_at(&at, &[]);
    person.goto("/sign-in");
    person.sees("prints a link that signs you in");
    person.goto("/sign-in");
    person.sees("prints a link that signs you in");
    let left = person.script_later(
        "const done = arguments[0]; navigator.serviceWorker.getRegistrations().then((all) => done(all.length))",
    );
    assert_eq!(left, 0, "the script has left");
    assert_eq!(person.script("return document.title"), "Sign in – Holdshort");
    drop(host);
}
