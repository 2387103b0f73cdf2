//! A person with a browser of their own: a headless Chromium with an empty profile, driven by chromedriver.
//!
//! The browser must send requests to the tested host only, and must print nothing on its console. `leaves` checks both
//! when the person leaves.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::support::skipped::skipped;
use crate::support::{Folder, Host, PATIENCE, until};

/// Flags of Chromium: it may run as root in a container, and sends no request of its own to the internet.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A person at a browser.
pub struct Person {
    runtime: Runtime,
    client: Client,
    driver: Child,
    /// The address at which chromedriver takes the commands of this session.
    commands: String,
    profile: TempDir,
    /// The host's address.
    url: String,
    /// The last origin of the host that this person visited: the host's address, or the name of their session.
    at: RefCell<String>,
    /// Other origins that this person may be led to.
    elsewhere: RefCell<Vec<String>>,
    /// The network events of the developer tools, as far as the test has read them.
    network: RefCell<Vec<Value>>,
    /// Statuses at or above 400 that the test expects. A status that is expected twice stands here twice.
    expected: RefCell<Vec<u16>>,
    /// Texts that the browser may print on its console, any number of times.
    heard: RefCell<Vec<String>>,
}

/// Settings of a browser that must be known before it starts.
#[derive(Clone, Copy, Default)]
pub struct How {
    /// Whether scripts are switched off.
    pub without_script: bool,
}

/// The path of a program that stands in a folder of `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A running chromedriver and its port. If another program takes the port that chromedriver has chosen, chromedriver
/// ends at once and is started again.
fn chromedriver_on_a_port(chromedriver: &Path) -> (Child, String) {
    for _ in 0..5 {
        let mut driver =
            Command::new(chromedriver).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port =
            lines.find_map(|line| Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned()));
        match port {
            Some(port) => return (driver, port),
            None => drop(driver.wait()),
        }
    }
    panic!("chromedriver ended five times before it said its port")
}

impl Person {
    /// Opens a browser. Without Chromium or chromedriver it returns `None` and notes that the test was skipped.
    pub fn at(host: &Host) -> Option<Self> {
        Self::with(host, How::default())
    }

    pub fn with(host: &Host, how: How) -> Option<Self> {
        Self::of(&host.url, how)
    }

    /// Like `with`, but takes an address, because the host need not run yet.
    pub fn of(url: &str, how: How) -> Option<Self> {
        let (Some(chromium), Some(chromedriver)) = (program("chromium"), program("chromedriver")) else {
            skipped("no browser: chromium or chromedriver is not on the path; .ci/run installs both");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let (mut driver, port) = chromedriver_on_a_port(&chromedriver);
        let at = format!("http://127.0.0.1:{port}");
        let mut arguments: Vec<String> = FLAGS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let script = if how.without_script { 2 } else { 1 };
        let options = json!({
            "binary": chromium, "args": arguments,
            "prefs": { "profile.managed_default_content_settings.javascript": script },
        });
        let logs = json!({ "browser": "ALL", "performance": "ALL" });
        let capabilities = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": logs });
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities.as_object().unwrap().clone())
                .connect(&at),
        );
        let client = client.unwrap_or_else(|error| {
            drop(driver.kill());
            panic!("no session: {error}")
        });
        let session = runtime.block_on(client.session_id()).unwrap().unwrap();
        let person = Self {
            commands: format!("{at}/session/{session}"),
            url: url.to_owned(),
            at: RefCell::new(url.to_owned()),
            elsewhere: RefCell::default(),
            runtime,
            client,
            driver,
            profile,
            network: RefCell::default(),
            expected: RefCell::default(),
            heard: RefCell::default(),
        };
        person.size(1100, 900);
        Some(person)
    }

    /// Opens a browser and signs in by a link.
    pub fn signed_in(host: &Host, token: &str, how: How) -> Option<Self> {
        let person = Self::with(host, how)?;
        let (status, link) = host.request(token, "/v1/sign-in-links", Some(&json!({})));
        assert_eq!(status, 201, "{link}");
        person.goto(link["url"].as_str().unwrap());
        person.click("main button");
        person.sees("Waiting for decisions");
        Some(person)
    }

    fn wait<T>(&self, what: impl Future<Output = Result<T, CmdError>>) -> Result<T, CmdError> {
        self.runtime.block_on(what)
    }

    /// A command that only Chromium knows.
    pub fn command(&self, name: &str, body: &Value) -> Value {
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(30))).build();
        let mut answer = config.new_agent().post(format!("{}/{name}", self.commands)).send_json(body).unwrap();
        serde_json::from_str::<Value>(&answer.body_mut().read_to_string().unwrap()).unwrap()["value"].take()
    }

    /// Sends a command of the developer tools' protocol.
    pub fn tool(&self, name: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    /// Sets the page's size in CSS pixels.
    pub fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.tool("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Makes the browser prefer the colour scheme `light` or `dark`.
    pub fn prefers(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.tool("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// Opens a path of the host, or a whole address.
    pub fn goto(&self, to: &str) {
        self.goto_at_once(to);
        self.settled();
    }

    /// Like `goto`, but does not wait until the forms that decide are shown.
    pub fn goto_at_once(&self, to: &str) {
        self.where_they_are();
        let to = if to.starts_with('/') { format!("{}{to}", self.at.borrow()) } else { to.to_owned() };
        self.wait(self.client.goto(&to)).unwrap();
    }

    /// Opens another tab and switches to it.
    pub fn new_tab(&self) {
        self.where_they_are();
        let tab = self.wait(self.client.new_window(true)).unwrap();
        self.wait(self.client.switch_to_window(tab.handle)).unwrap();
    }

    /// Opens another window and switches to it.
    pub fn new_window(&self) -> WindowHandle {
        self.where_they_are();
        let window = self.wait(self.client.new_window(false)).unwrap().handle;
        self.switch(&window);
        window
    }

    /// The window that the person looks at.
    pub fn window(&self) -> WindowHandle {
        self.wait(self.client.window()).unwrap()
    }

    /// Switches to another window.
    pub fn switch(&self, window: &WindowHandle) {
        self.wait(self.client.switch_to_window(window.clone())).unwrap();
    }

    /// The path and the query of the open page.
    pub fn path(&self) -> String {
        let url = self.where_they_are();
        url.strip_prefix(self.at.borrow().as_str()).unwrap_or_else(|| panic!("led away to {url}")).to_owned()
    }

    /// The address of the open page. If the page is the host's, its origin is kept in `at`.
    pub fn where_they_are(&self) -> String {
        let url = self.wait(self.client.current_url()).unwrap().to_string();
        let origin = url.match_indices('/').nth(2).map_or(url.as_str(), |(end, _)| &url[..end]);
        if self.is_host(origin) {
            *self.at.borrow_mut() = origin.to_owned();
        }
        url
    }

    /// Whether an address is the host's, or a session's name at its port.
    fn is_host(&self, origin: &str) -> bool {
        let port = self.url.rsplit(':').next().unwrap();
        let name = origin.strip_prefix("http://").and_then(|host| host.strip_suffix(&format!(".localhost:{port}")));
        origin == self.url || name.is_some_and(|name| name.len() == 32)
    }

    /// Allows the browser to open pages of this origin too.
    pub fn may_go(&self, origin: &str) {
        self.elsewhere.borrow_mut().push(format!("{origin}/"));
    }

    /// Waits until the element is on the page, and returns it.
    pub fn find(&self, css: &str) -> Element {
        until(&format!("`{css}` in {}", self.body()), || self.wait(self.client.find(Locator::Css(css))).ok())
    }

    pub fn all(&self, css: &str) -> Vec<Element> {
        self.wait(self.client.find_all(Locator::Css(css))).unwrap()
    }

    pub fn has(&self, css: &str) -> bool {
        !self.all(css).is_empty()
    }

    /// The visible text of the element.
    pub fn text(&self, css: &str) -> String {
        until(&format!("text of `{css}`"), || {
            self.wait(self.client.find(Locator::Css(css))).and_then(|found| self.wait(found.text())).ok()
        })
    }

    /// The value of a form field.
    pub fn value(&self, css: &str) -> String {
        self.wait(self.find(css).prop("value")).unwrap().unwrap()
    }

    /// All the visible text of the page.
    pub fn body(&self) -> String {
        let read = || async { self.client.find(Locator::Css("body")).await?.text().await };
        self.wait(read()).unwrap_or_default()
    }

    /// Waits until `text` can be read on the page.
    pub fn sees(&self, text: &str) {
        let start = std::time::Instant::now();
        loop {
            let page = self.body();
            if page.contains(text) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "no `{text}` in:\n{page}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the forms that decide are shown. A person waits in the same way: they read before they act.
    pub fn settled(&self) {
        until("settled", || (self.script("return document.getAnimations().length") == 0).then_some(()));
    }

    /// Acts on an element. If the page has just replaced the element, the new one is looked up, as a person would do.
    fn on(&self, css: &str, act: impl Fn(Element) -> Result<(), CmdError>) {
        self.settled();
        let mut tries = 0;
        while let Err(error) = act(self.find(css)) {
            tries += 1;
            assert!(error.to_string().contains("stale element") && tries < 20, "`{css}`: {error}");
        }
    }

    /// Clicks the element as with a mouse: the element must be visible and not covered.
    pub fn click(&self, css: &str) {
        self.on(css, |element| self.wait(element.click()));
    }

    /// Types into a field.
    pub fn fill(&self, css: &str, text: &str) {
        self.on(css, |element| self.wait(element.send_keys(text)));
    }

    /// Presses keys at the element that has the focus, as on a keyboard. The page may replace that element meanwhile.
    pub fn press(&self, keys: &str) {
        self.settled();
        self.press_at_once(keys);
    }

    /// Presses keys at once, without waiting for the page.
    pub fn press_at_once(&self, keys: &str) {
        let both = |value| [KeyAction::Down { value }, KeyAction::Up { value }];
        let strokes = keys.chars().flat_map(both).fold(KeyActions::new("keyboard".to_owned()), KeyActions::then);
        self.wait(self.client.perform_actions(strokes)).unwrap();
    }

    /// Runs a script in the page and returns its result.
    pub fn script(&self, script: &str) -> Value {
        self.wait(self.client.execute(script, Vec::new())).unwrap()
    }

    /// Runs an asynchronous script and returns the value that the script hands to its callback.
    pub fn script_later(&self, script: &str) -> Value {
        self.wait(self.client.execute_async(script, Vec::new())).unwrap()
    }

    /// Saves a picture of the whole page under `target/screenshots`, and returns its path.
    pub fn picture(&self, name: &str) -> PathBuf {
        self.picture_of(name, &Value::Null)
    }

    /// Saves a picture of a part of the page.
    pub fn picture_of(&self, name: &str, part: &Value) -> PathBuf {
        let mut what = json!({ "format": "png", "captureBeyondViewport": true, "optimizeForSpeed": false });
        if !part.is_null() {
            what["clip"] = part.clone();
        }
        let taken = self.tool("Page.captureScreenshot", &what);
        let bytes = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        let folder = crate::support::top().join("target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Expects an answer with this status. The browser prints such an answer on its console.
    pub fn meets(&self, status: u16) {
        self.expected.borrow_mut().push(status);
    }

    /// Allows the browser to print this text on its console.
    pub fn hears(&self, text: &str) {
        self.heard.borrow_mut().push(text.to_owned());
    }

    /// All network events so far, as the developer tools report them.
    pub fn network(&self) -> Vec<Value> {
        let entries = self.command("se/log", &json!({ "type": "performance" }));
        let read = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            message["message"].clone()
        };
        self.network.borrow_mut().extend(entries.as_array().unwrap().iter().map(read));
        self.network.borrow().clone()
    }

    /// Checks the two rules at the top of this file.
    fn leaves(&self) {
        for event in self.network() {
            if event["method"] == "Network.requestWillBeSent" {
                let url = event["params"]["request"]["url"].as_str().unwrap();
                // Chromium's own empty page is inside Chromium and needs no request.
                let inside = url.starts_with("data:") || url.starts_with("chrome://");
                let origin = url.match_indices('/').nth(2).map_or(url, |(end, _)| &url[..end]);
                let known = self.elsewhere.borrow().iter().any(|other| url.starts_with(other));
                assert!(inside || known || self.is_host(origin), "asked {url}");
            }
        }
        let said = self.command("se/log", &json!({ "type": "browser" }));
        let mut expected = self.expected.borrow_mut();
        // A recommendation of Chromium is not an error.
        for line in said.as_array().unwrap().iter().filter(|line| line["source"] != "recommendation") {
            let message = line["message"].as_str().unwrap();
            if self.heard.borrow().iter().any(|text| message.contains(text)) {
                continue;
            }
            let known = expected.iter().position(|status| message.contains(&format!("with a status of {status} ")));
            let known = known.unwrap_or_else(|| panic!("on the console: {line}"));
            expected.remove(known);
        }
        assert!(expected.is_empty(), "never met: {expected:?}");
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let held = std::thread::panicking()
            || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.leaves())).is_ok();
        // The browser ends with its session. If the session is gone, the browser is found by the name of its profile.
        let closed = self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), self.client.clone().close()).await });
        drop(closed);
        drop(self.driver.kill());
        drop(self.driver.wait());
        kill_users_of(self.profile.path());
        assert!(held, "see above");
    }
}

/// Kills every browser that still uses this profile.
fn kill_users_of(profile: &Path) {
    let name = profile.to_string_lossy();
    for entry in fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok) {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let id = entry.file_name().to_string_lossy().parse().ok().and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id
            && String::from_utf8_lossy(&command).contains(&*name)
        {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
}

/// The link that `holdshort sign-in` prints.
pub fn link(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.run(&[&["sign-in"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
