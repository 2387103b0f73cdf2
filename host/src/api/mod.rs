//! The HTTP endpoint: the JSON API under `/v1` for reviewers and programs.
//!
//! A request passes the admission check ([`admission`]: host, origin, token), is read within [`limits`],
//! and is answered by its resource's file. Every error becomes a [`problem`]. Routes and schema
//! come from one list ([`openapi`]), so an undocumented route cannot be served.
//!
//! **Invariant:** a request that changes something is answered only with a `Flushed` value, so
//! everything acknowledged is on disk.
//!
//! **Invariant:** the command line reads an answer into the type that wrote it, although the host may be newer. So the
//! type of an answer ignores unknown members. A word that may get further values later is [`Lenient`](shapes::Lenient).
//! A member that is added later is an `Option` or has a default.

mod admission;
pub mod agents;
pub mod approvals;
pub mod auth;
pub mod backtests;
mod decision_history;
pub mod decisions;
pub mod driver;
pub mod events;
pub mod exhibits;
pub mod explanations;
mod forms;
pub(crate) mod grants;
pub mod health;
pub mod history;
mod idempotency;
pub(crate) mod ids;
pub(crate) mod inbox;
mod journaled;
pub(crate) mod json;
pub mod limits;
pub(crate) mod message;
mod metrics;
pub mod openapi;
pub mod problem;
mod refusals;
pub mod resolutions;
pub mod runs;
pub(crate) mod secrets;
pub(crate) mod server;
mod session_names;
pub mod sessions;
pub mod shapes;
mod shares;
pub mod sign_in;
mod starting;
pub(crate) mod stats;
mod views;
mod wit_schema;
mod write_timeout;

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Router, middleware};
use holdshort_journal::{Desk, Journal, Position};
use tokio::sync::{Semaphore, watch};

pub use auth::{Reviewers, TokenError, ensure_local_name, ensure_local_token};
pub use driver::Driver;
pub use inbox::{CallStateFilter, CallStateGroup};
pub use limits::{Limits, Rate};
pub use server::{Listeners, serve};
pub use sessions::SessionCookie;
pub use starting::starting;

use crate::analysis::review_load::Directory;
use auth::Reviewer;
use limits::Throttle;
use metrics::Metrics;
use problem::{Kind, Problem};
use secrets::Secrets;
use shares::Shares;
use stats::LoadFigures;

use crate::policy::PolicySetup;

/// The parts of an endpoint.
pub struct ApiParts {
    pub desk: Desk,
    pub driver: Arc<dyn Driver>,
    /// The context for reading policies, and the policies in force.
    pub policy_setup: PolicySetup,
    /// The known reviewers.
    pub reviewers: Reviewers,
    /// The accepted values of `Host`, with their ports.
    pub allowed_hosts: Vec<String>,
    /// The accepted values of `Origin`. A request without `Origin` does not come from a web page.
    pub allowed_origins: Vec<String>,
    /// The review pages beside the endpoint.
    pub pages: Pages,
    /// The session cookie.
    pub cookie: SessionCookie,
    pub limits: Limits,
    /// The configuration that the review load refers to.
    pub known: Directory,
    /// Whether a check runs the repository's code as the host's user.
    pub unconfined: bool,
    /// Notification targets that refused all further notifications.
    pub targets_gone: Arc<Mutex<BTreeSet<String>>>,
}

/// The review pages behind the admission check. Pages need a session, except the pages that are open to everybody.
#[derive(Clone)]
pub struct Pages {
    pub routes: Router<Api>,
    /// Renders an error as a page.
    pub trouble: fn(Problem) -> Response,
}

/// The endpoint. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    desk: Desk,
    driver: Arc<dyn Driver>,
    policy_setup: Arc<PolicySetup>,
    /// One backtest at a time.
    trial: Arc<Semaphore>,
    /// One explanation at a time; further requests are refused meanwhile.
    explaining: Arc<Semaphore>,
    secrets: Secrets,
    hosts: HashSet<String>,
    origins: HashSet<String>,
    pages: Pages,
    limits: Limits,
    metrics: Metrics,
    load_figures: LoadFigures,
    unconfined: bool,
    targets_gone: Arc<Mutex<BTreeSet<String>>>,
    requests: Throttle<Reviewer>,
    streams: Arc<Semaphore>,
    /// The open event streams of each reviewer.
    listening: Arc<Shares>,
    /// The requests in progress of each reviewer.
    busy: Arc<Shares>,
    connections: AtomicUsize,
    /// Becomes true when the host shuts down, so that event streams end.
    closing: watch::Sender<bool>,
}

impl Api {
    /// Makes an endpoint. Its connections are accepted by [`serve`].
    pub fn new(parts: ApiParts) -> Self {
        let ApiParts {
            desk,
            driver,
            policy_setup,
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
            desk,
            driver,
            policy_setup: Arc::new(policy_setup),
            trial: Arc::new(Semaphore::new(1)),
            explaining: Arc::new(Semaphore::new(1)),
            secrets: Secrets::new(reviewers, cookie, limits.failures),
            hosts: lower(allowed_hosts),
            origins: lower(allowed_origins),
            pages,
            limits,
            metrics: Metrics::default(),
            load_figures: LoadFigures::new(known),
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

    /// All routes behind the admission check.
    fn router(&self) -> Router {
        let (routes, _) = openapi::routes().split_for_parts();
        routes
            .merge(self.0.pages.routes.clone())
            .method_not_allowed_fallback(wrong_method)
            .fallback(unknown)
            .layer(middleware::from_fn_with_state(self.clone(), admission::pass))
            .with_state(self.clone())
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.0.desk
    }

    /// The journal's handle for reviewers' decisions.
    pub(crate) fn desk(&self) -> &Desk {
        &self.0.desk
    }

    pub(crate) fn driver(&self) -> &dyn Driver {
        &*self.0.driver
    }

    pub(crate) fn policy_setup(&self) -> &Arc<PolicySetup> {
        &self.0.policy_setup
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }
}

/// An answer or an error.
type ApiResult = Result<Response, Problem>;

async fn unknown(State(api): State<Api>, request: Request) -> Response {
    let path = request.uri().path();
    let problem = Problem::not_found(format_args!("path `{}`; `/openapi.json` lists all paths", shortened(path)));
    admission::Side::of(path).trouble(&api, problem)
}

async fn wrong_method(State(api): State<Api>, request: Request) -> Response {
    let path = request.uri().path();
    let detail = format!("`{}` does not accept the method {}", shortened(path), request.method());
    admission::Side::of(path).trouble(&api, Problem::new(Kind::MethodNotAllowed, detail))
}

/// The error for a text that is not a cursor.
fn no_cursor(text: &str) -> Problem {
    Problem::new(Kind::BadRequest, format!("`{}` is not a cursor; use `next` of the previous page", shortened(text)))
}

/// Parses a number. Only its usual spelling is accepted: `+1` and `01` are refused. The maximum is `i64::MAX`, the
/// largest number in a journal.
fn number(text: &str) -> Option<u64> {
    let number = text.parse().ok().filter(|number: &u64| i64::try_from(*number).is_ok());
    number.filter(|number| number.to_string() == text)
}

/// Parses a cursor that is a position.
fn position(text: &str) -> Result<Position, Problem> {
    number(text).map(Position).ok_or_else(|| no_cursor(text))
}

/// The part of a client's text that an error repeats: its first 100 characters.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
