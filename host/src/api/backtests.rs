//! `/v1/backtests`: tries other policies on recorded calls. It writes nothing.
//!
//! Calls are judged in chunks, in child processes with a CPU limit, and only one backtest runs at a
//! time. A backtest needs much CPU time, and any reviewer can submit any policies.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::{Digest, Time};
use holdshort_journal::{Journal, Position, ReadError};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::json::{Json, Object};
use super::limits::Input;
use super::problem::{Details, Kind, Problem};
use super::refusals::{Posted, Refusals};
use super::shapes::{ApprovalIdShape, InstantShape, Moment};
use super::{Api, ApiResult};
use crate::analysis::backtest::{
    Backtest, BacktestReport, BacktestedCall, CallSample, GroupLoad, NotJudged, OutcomeRow,
};
use crate::policy::batch::judge_all;
use crate::policy::candidate::Candidate;
use crate::policy::cases::{CaseResult, Cases};
use crate::policy::load::{Problems, Source};
use crate::policy::{CedarPolicy, Policy, PolicySetup};
use crate::review::sentences;

/// The number of events that one child process judges. The host reads the next events meanwhile.
const CHUNK: usize = 4_096;
/// The time limit for a backtest: ten times what a backtest of 100,000 calls takes.
const TRIAL_TIME_MAX: Duration = Duration::from_secs(180);
/// The maximum length of the errors in a candidate that an answer contains.
const DETAIL_BYTES_MAX: usize = 8 << 10;
/// The maximum number of files of a candidate, far more than a reviewer reads.
const FILES_MAX: usize = 64;
/// The maximum bytes of a candidate's files in total, far more than a reviewer reads.
const BYTES_MAX: usize = 128 * 1024;

/// The permission to run a backtest. There is one, so only one backtest runs at a time.
pub type Turn = Arc<OwnedSemaphorePermit>;

/// The policies to try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BacktestRequest {
    /// The files: at most 64, with a total of 128 KiB.
    #[schema(min_items = 1, max_items = 64, value_type = Vec<PolicyFile>)]
    policies: Vec<Object<PolicyFile>>,
    /// True: the files are tried together with the policies in force. False: they are tried instead of them.
    #[serde(default)]
    add: bool,
    /// Only calls proposed at this time (RFC 3339) or later.
    #[schema(value_type = Option<InstantShape>)]
    since: Option<String>,
}

/// A file of Cedar policies.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    /// The name of the file in error messages.
    name: String,
    #[schema(max_length = 131_072)]
    text: String,
}

/// The verdicts of the tried policies, compared with the recorded decisions.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct BacktestResult {
    /// The digest of the candidate's files.
    pub(crate) digest: Digest,
    /// Probable mistakes in the candidate's files.
    pub(crate) warnings: Vec<String>,
    /// When the first judged call was proposed; null if there is none.
    #[schema(required = true)]
    pub(crate) first: Option<Moment>,
    /// When the last judged call was proposed.
    #[schema(required = true)]
    pub(crate) last: Option<Moment>,
    /// Calls that the candidate would have cleared although a reviewer rejected them and they were
    /// not approved later.
    pub(crate) rejected_but_cleared: FoundCalls,
    /// Calls that the candidate would have refused although they were approved, by reviewers or by
    /// a grant.
    pub(crate) approved_but_refused: FoundCalls,
    /// Verdicts on calls as first proposed.
    pub(crate) calls: Vec<OutcomeRow>,
    /// Verdicts on later revisions that reviewers decided on: after an edit or a change of a
    /// material fact.
    pub(crate) revisions: Vec<OutcomeRow>,
    /// The reviewers' decisions, actual and under the candidate: for everybody, then for each
    /// group.
    pub(crate) burden: Vec<GroupLoad>,
    /// The number of calls for which a policy of the candidate failed to evaluate. Such calls are
    /// held.
    pub(crate) errors: u64,
    /// The texts of the first evaluation errors. Equal texts are listed once.
    pub(crate) first_errors: Vec<String>,
    /// Calls that policy refused and that the candidate cannot judge, because the facts of refused calls are not
    /// recorded.
    pub(crate) without_facts: u64,
    /// Calls that were not judged because this host does not offer their capability now.
    pub(crate) not_judged: Vec<NotJudged>,
    /// Calls that were refused without asking policy, for example at the run's limit.
    pub(crate) without_policy: u64,
}

/// A number of calls, and the first of them.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct FoundCalls {
    pub(crate) count: u64,
    /// The first of these calls, at most 50.
    pub(crate) first: Vec<FoundCall>,
}

/// A call that a backtest lists.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct FoundCall {
    #[schema(value_type = ApprovalIdShape)]
    pub(crate) id: String,
    pub(crate) revision: u32,
    pub(crate) summary: String,
    pub(crate) agent: String,
    /// The time of the decision.
    pub(crate) at: Moment,
    /// The reviewers who decided.
    pub(crate) by: Vec<String>,
    /// The message of these reviewers.
    #[schema(required = true)]
    pub(crate) message: Option<String>,
    /// The policies of the candidate that determined the candidate's verdict.
    pub(crate) determining: Vec<String>,
    /// The candidate's reason for refusing the call.
    #[schema(required = true)]
    pub(crate) why: Option<String>,
}

/// Backtests policies on the recorded calls.
#[utoipa::path(post, path = "/v1/backtests", operation_id = "backtest-policies", tag = "policy", request_body = BacktestRequest, responses(Refusals, Posted,
    (status = 200, body = BacktestResult),
    (status = 400, body = Details, content_type = "application/problem+json"),
    (status = 409, body = Details, content_type = "application/problem+json", description = "Another backtest is running."),
    (status = 422, body = Details, content_type = "application/problem+json", description = "The policies are invalid; the detail says where and how to correct them.")))]
pub(super) async fn create(State(api): State<Api>, Input(request): Input<BacktestRequest>) -> ApiResult {
    let BacktestRequest { policies, add, since } = request;
    let since = since.as_deref().map(super::decision_history::time).transpose()?.unwrap_or(Time(0));
    let files =
        policies.into_iter().map(|Object(PolicyFile { name, text })| Source { path: name.into(), text }).collect();
    let report = run(&api, files, add, since).await?;
    Ok(Json(BacktestResult::from(report)).into_response())
}

/// Backtests the policies in these files: with `add` together with the policies in force, otherwise
/// alone.
pub(crate) async fn run(api: &Api, files: Vec<Source>, add: bool, since: Time) -> Result<BacktestReport, Problem> {
    small(&files)?;
    if files.is_empty() {
        return Err(Problem::new(Kind::BadRequest, "there are no policies to try"));
    }
    let (turn, policy_setup) = (turn(api)?, api.policy_setup().clone());
    let held = turn.clone();
    let read = move || {
        let _turn = held;
        policy_setup.candidate(files, add)
    };
    let candidate = blocking(read).await?.map_err(unsound)?;
    let trial = backtest(api.journal(), api.policy_setup(), candidate, since, turn);
    tokio::time::timeout(TRIAL_TIME_MAX, trial).await.unwrap_or_else(|_| {
        let detail = format!(
            "the backtest took more than {} seconds; try simpler policies, or the calls of a shorter period",
            TRIAL_TIME_MAX.as_secs()
        );
        Err(Problem::new(Kind::UnsoundPolicies, detail))
    })
}

/// Evaluates the example calls in `cases` with policies chosen as in [`run`], or with the policies
/// in force if `files` is empty.
pub(crate) async fn try_cases(
    api: &Api,
    cases: Source,
    files: Vec<Source>,
    add: bool,
) -> Result<Vec<CaseResult>, Problem> {
    small(files.iter().chain([&cases]))?;
    let (turn, policy_setup) = (turn(api)?, api.policy_setup().clone());
    let work = move || {
        let _turn = turn;
        let bad = |what: String| Problem::new(Kind::BadRequest, format!("{}: {what}", cases.path.display()));
        let read: Cases = toml::from_str(&cases.text).map_err(|error| bad(error.to_string()))?;
        let questions = |policy: &CedarPolicy| read.questions(&policy.zone(), &policy_setup.types).map_err(bad);
        let judgements = match &policy_setup.present {
            Some(present) if files.is_empty() => judge_all(present, &policy_setup.types, &questions(present)?),
            None if files.is_empty() => {
                let detail =
                    "there are no policies in force, so every consequential call is held: write a policy first";
                return Err(Problem::new(Kind::BadRequest, detail));
            }
            _ => {
                let candidate = policy_setup.candidate(files, add).map_err(unsound)?;
                candidate.judge(&policy_setup.types, &questions(candidate.policy())?).map_err(unsound)?
            }
        };
        Ok(read.results(judgements, sentences::needs))
    };
    blocking(work).await?
}

/// Refuses too many or too large files.
fn small<'a>(files: impl IntoIterator<Item = &'a Source>) -> Result<(), Problem> {
    let add = |(count, bytes): (usize, usize), file: &Source| (count + 1, bytes.saturating_add(file.text.len()));
    let (count, bytes) = files.into_iter().fold((0, 0), add);
    if count > FILES_MAX || bytes > BYTES_MAX {
        let detail =
            format!("candidate policies have at most {FILES_MAX} files, with {} KiB together", BYTES_MAX / 1_024);
        return Err(Problem::new(Kind::TooLarge, detail).max(BYTES_MAX));
    }
    Ok(())
}

/// Takes the permission to run a backtest. The work keeps the permission, because the work may
/// continue briefly after the client has gone.
fn turn(api: &Api) -> Result<Turn, Problem> {
    api.0.trial.clone().try_acquire_owned().map(Arc::new).map_err(|_| {
        Problem::new(Kind::NotNow, "another backtest is running; try again after its end").retry_after_s(5)
    })
}

/// The errors in a candidate, shortened. An error quotes the policy's text, which may be long, and
/// escaping a long answer takes time on a thread that serves other requests.
fn unsound(problems: Problems) -> Problem {
    let mut detail = problems.to_string();
    if detail.len() > DETAIL_BYTES_MAX {
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        detail.push('…');
    }
    Problem::new(Kind::UnsoundPolicies, detail)
}

/// Judges all recorded calls with the candidate. It reads the whole journal once. Events written
/// meanwhile are not included.
pub async fn backtest(
    journal: &Journal,
    policy_setup: &Arc<PolicySetup>,
    candidate: Candidate,
    since: Time,
    turn: Turn,
) -> Result<BacktestReport, Problem> {
    let mut backtest = Backtest::new(candidate, policy_setup.types.clone(), since);
    let (mut after, last) = (Position(0), journal.last_position().await?);
    let mut chunk = journal.feed(after, CHUNK).await?;
    while let Some(end) = chunk.last().map(|entry| entry.position) {
        after = end;
        let held = turn.clone();
        let work = blocking(move || {
            let _turn = held;
            backtest.add(chunk.into_iter().map(|entry| (entry.run, entry.recorded))).map(|()| backtest)
        });
        let next = async { if after < last { journal.feed(after, CHUNK).await } else { Ok(Vec::new()) } };
        let (done, next): (Result<_, Problem>, Result<_, ReadError>) = tokio::join!(work, next);
        (backtest, chunk) = (done?.map_err(unsound)?, next?);
    }
    Ok(backtest.report())
}

/// Runs work that needs much CPU time on a thread where it delays no request.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "work on policies stopped");
        Problem::new(Kind::Internal, "the host failed; the host's log has details")
    })
}

impl From<BacktestReport> for BacktestResult {
    fn from(report: BacktestReport) -> Self {
        Self {
            digest: report.digest,
            warnings: report.warnings,
            first: report.between.map(|(first, _)| Moment(first)),
            last: report.between.map(|(_, last)| Moment(last)),
            rejected_but_cleared: report.rejected_but_cleared.into(),
            approved_but_refused: report.approved_but_refused.into(),
            calls: report.calls.0,
            revisions: report.revisions.0,
            burden: report.burden,
            errors: report.errors,
            first_errors: report.first_errors,
            without_facts: report.without_facts,
            not_judged: report.not_judged,
            without_policy: report.without_policy,
        }
    }
}

impl From<CallSample> for FoundCalls {
    fn from(CallSample { count, first }: CallSample) -> Self {
        Self { count, first: first.into_iter().map(FoundCall::from).collect() }
    }
}

impl From<BacktestedCall> for FoundCall {
    fn from(BacktestedCall { id, revision, summary, agent, at, by, said, determining, why }: BacktestedCall) -> Self {
        Self { id, revision, summary, agent: agent.into(), at: Moment(at), by, message: said, determining, why }
    }
}
