//! The HTTP endpoint: what people and programs ask of a host, as JSON under `/v1`.
//!
//! A request passes the [`door`] (host, origin, token), is read within [`limits`], and is answered by the file of its resource; whatever goes wrong
//! becomes a [`problem`]. Routes and schema are one thing ([`openapi`]): a route that is not described cannot be served.
//!
//! What changes something is answered only with a `Flushed` value in hand, so that whatever was acknowledged is on disk.

pub mod agents;
pub mod approvals;
pub mod auth;
pub mod backtests;
pub mod decisions;
mod door;
pub mod driver;
pub mod events;
pub mod exhibits;
pub mod explanations;
mod forms;
pub(crate) mod grants;
pub mod health;
pub mod history;
pub(crate) mod ids;
mod inbox;
mod journaled;
pub(crate) mod json;
pub mod limits;
pub(crate) mod message;
mod metrics;
mod names;
pub mod openapi;
mod past;
mod patience;
pub mod problem;
mod repeat;
pub mod resolutions;
pub mod runs;
pub(crate) mod secrets;
pub(crate) mod server;
pub mod sessions;
pub mod shapes;
mod shares;
pub mod sign_in;
mod starting;
mod stats;
mod views;
mod wit_schema;

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Router, middleware};
use holdshort_journal::{Journal, Position};
use tokio::sync::{Semaphore, watch};

pub use auth::{Reviewers, TokenError, ensure_local_name, ensure_local_token};
pub use driver::Driver;
pub use limits::{Limits, Rate};
pub use server::{Listeners, serve};
pub use sessions::SessionCookie;
pub use starting::starting;

use crate::burden::Known;
use auth::Reviewer;
use limits::Throttle;
use metrics::Metrics;
use problem::{Kind, Problem};
use secrets::Secrets;
use shares::Shares;
use stats::Standing;

use crate::policy::Setting;

/// What an endpoint is made of.
pub struct ApiParts {
    /// Where everything is written and read.
    pub journal: Journal,
    /// What starts and ends runs.
    pub driver: Arc<dyn Driver>,
    /// What policies are read in, and those in force.
    pub setting: Setting,
    /// Who is known.
    pub reviewers: Reviewers,
    /// The values of `Host` that are answered, with their ports.
    pub allowed_hosts: Vec<String>,
    /// The values of `Origin` that are answered; a request without one is no web page's.
    pub allowed_origins: Vec<String>,
    /// The pages for people beside the endpoint.
    pub pages: Pages,
    /// The cookie of who has signed in.
    pub cookie: SessionCookie,
    /// How much is taken.
    pub limits: Limits,
    /// What the figures of how much people are asked are told by.
    pub known: Known,
    /// Whether some check runs the repository's code as the host's user.
    pub unconfined: bool,
    /// Whom the host tells nothing more, because they have answered that they are gone.
    pub targets_gone: Arc<Mutex<BTreeSet<String>>>,
}

/// The pages for people, behind the endpoint's door: only for who has signed in, but for those that the door names.
#[derive(Clone)]
pub struct Pages {
    /// Their routes.
    pub routes: Router<Api>,
    /// What went wrong, as a page.
    pub trouble: fn(Problem) -> Response,
}

/// The endpoint. A cheap handle.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    journal: Journal,
    driver: Arc<dyn Driver>,
    setting: Arc<Setting>,
    /// Trials of changed policies: one at a time.
    trial: Arc<Semaphore>,
    /// Explanations: one at a time, and the others wait.
    explaining: Arc<Semaphore>,
    secrets: Secrets,
    hosts: HashSet<String>,
    origins: HashSet<String>,
    pages: Pages,
    limits: Limits,
    metrics: Metrics,
    burden: Standing,
    unconfined: bool,
    targets_gone: Arc<Mutex<BTreeSet<String>>>,
    requests: Throttle<Reviewer>,
    streams: Arc<Semaphore>,
    /// The streams and the requests that each reviewer has at the moment.
    listening: Arc<Shares>,
    busy: Arc<Shares>,
    connections: AtomicUsize,
    /// Turns true when the host shuts down, so that event streams end.
    closing: watch::Sender<bool>,
}

impl Api {
    /// An endpoint; [`serve`] listens for it.
    pub fn new(parts: ApiParts) -> Self {
        let ApiParts {
            journal,
            driver,
            setting,
            reviewers,
            allowed_hosts,
            allowed_origins,
            pages,
            cookie,
            limits,
            known,
            unconfined,
            targets_gone,
        } = parts;
        let lower = |all: Vec<String>| all.into_iter().map(|one| one.to_ascii_lowercase()).collect();
        Self(Arc::new(Inner {
            journal,
            driver,
            setting: Arc::new(setting),
            trial: Arc::new(Semaphore::new(1)),
            explaining: Arc::new(Semaphore::new(1)),
            secrets: Secrets::new(reviewers, cookie, limits.failures),
            hosts: lower(allowed_hosts),
            origins: lower(allowed_origins),
            pages,
            limits,
            metrics: Metrics::default(),
            burden: Standing::new(known),
            unconfined,
            targets_gone,
            requests: Throttle::new(limits.requests),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            listening: Arc::default(),
            busy: Arc::default(),
            connections: AtomicUsize::new(0),
            closing: watch::Sender::new(false),
        }))
    }

    /// Every route, behind the door.
    fn router(&self) -> Router {
        let (routes, _) = openapi::routes().split_for_parts();
        routes
            .merge(self.0.pages.routes.clone())
            .method_not_allowed_fallback(wrong_method)
            .fallback(unknown)
            .layer(middleware::from_fn_with_state(self.clone(), door::pass))
            .with_state(self.clone())
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub(crate) fn driver(&self) -> &dyn Driver {
        &*self.0.driver
    }

    pub(crate) fn setting(&self) -> &Arc<Setting> {
        &self.0.setting
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }
}

/// An answer, or what went wrong.
type Answer = Result<Response, Problem>;

async fn unknown(State(api): State<Api>, request: Request) -> Response {
    let path = request.uri().path();
    let problem = Problem::not_found(format_args!("`{}` here; `/openapi.json` lists what there is", shortened(path)));
    door::Side::of(path).trouble(&api, problem)
}

async fn wrong_method(State(api): State<Api>, request: Request) -> Response {
    let path = request.uri().path();
    let detail = format!("`{}` does not take {}", shortened(path), request.method());
    door::Side::of(path).trouble(&api, Problem::new(Kind::MethodNotAllowed, detail))
}

/// A page was asked for from a place that no page gave.
fn no_cursor(text: &str) -> Problem {
    Problem::new(Kind::BadRequest, format!("`{}` is no cursor; use `next` of the page before", shortened(text)))
}

/// A number in its one spelling: neither `+1` nor `01`, which would be other names of one thing, and no larger than a journal counts.
fn number(text: &str) -> Option<u64> {
    let number = text.parse().ok().filter(|number: &u64| i64::try_from(*number).is_ok());
    number.filter(|number| number.to_string() == text)
}

/// A cursor that is a place.
fn place(text: &str) -> Result<Position, Problem> {
    number(text).map(Position).ok_or_else(|| no_cursor(text))
}

/// As much of a client's own words as is worth repeating to it.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
