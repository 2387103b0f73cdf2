//! `/v1/approvals/{id}/explanation`: the policies that decided on a call, their reasons, and the smallest change of the
//! call that would alter the verdict.
//!
//! The recorded verdict comes from the journal. The changes are computed with the policies in force now. If these
//! policies differ from the recorded ones, the answer says so.

use std::path::Path as File;
use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use holdshort_gate::clearance::{JudgedAt, PolicyRecord};
use holdshort_gate::{AgentName, Digest, PolicyVerdict, RecordedTotal, ReviewerName, RunId, Scope, Seq, Total};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::Json;
use super::limits::Path;
use super::problem::{Details, Kind, Problem};
use super::refusals::Refusals;
use super::shapes::ApprovalIdShape;
use super::{Api, ApiResult, approvals, ids};
use crate::analysis::explain::{AttributeChange, DecisiveChange, explain};
use crate::analysis::life::{Life, RevisionOrigin};
use crate::policy::{CallQuestion, CedarPolicy, Policy, Verdict, Zone};
use crate::review::sentences::judged;

/// The explanation of policy's verdict on a call.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct PolicyExplanation {
    #[schema(value_type = ApprovalIdShape)]
    pub(crate) id: String,
    pub(crate) revision: u32,
    /// The recorded verdict; null if the call was refused without asking policy.
    #[schema(required = true)]
    pub(crate) recorded: Option<RecordedVerdict>,
    /// The verdict of the policies in force on the same call; null if there are none, or if they cannot judge the call.
    #[schema(required = true)]
    pub(crate) present: Option<PresentVerdict>,
    /// Remarks about the explanation, in sentences.
    pub(crate) notes: Vec<String>,
}

/// A recorded verdict.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct RecordedVerdict {
    pub(crate) verdict: PolicyVerdict,
    /// The digest of the policies.
    pub(crate) digest: Digest,
    /// The policies that determined the verdict.
    pub(crate) determining: Vec<DeterminingPolicy>,
    /// The evaluation errors, which cause a hold.
    pub(crate) errors: Vec<String>,
    /// Why the call is held, in the operator's words.
    pub(crate) reasons: Vec<String>,
    /// The running totals that the verdict used.
    pub(crate) totals: Vec<RestedOn>,
}

/// The verdict of the policies in force.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct PresentVerdict {
    pub(crate) verdict: PolicyVerdict,
    pub(crate) digest: Digest,
    /// Whether the policies in force are the recorded policies.
    pub(crate) same_policies: bool,
    pub(crate) determining: Vec<DeterminingPolicy>,
    pub(crate) errors: Vec<String>,
    /// The reason for a refusal.
    #[schema(required = true)]
    pub(crate) why: Option<String>,
    /// Changes that would alter the verdict, the smallest first; empty if none was found.
    pub(crate) changes: Vec<VerdictChange>,
    /// The number of different calls that were tried.
    pub(crate) tried: usize,
}

/// A policy by its id, with its present text.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct DeterminingPolicy {
    pub(crate) name: String,
    /// The name of the policy's file; null if no policy in force has this id.
    #[schema(required = true)]
    pub(crate) file: Option<String>,
    #[schema(required = true)]
    pub(crate) line: Option<usize>,
    #[schema(required = true)]
    pub(crate) text: Option<String>,
    /// The policy's `@why`.
    #[schema(required = true)]
    pub(crate) why: Option<String>,
}

/// A running total before the call.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct RestedOn {
    /// `run`, `agent`, `agent_today` or `today`.
    pub(crate) of: String,
    pub(crate) total: Total,
}

/// A change of the call that alters the verdict.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct VerdictChange {
    pub(crate) verdict: PolicyVerdict,
    /// The changed attribute, or two changed attributes if no change of a single attribute suffices.
    pub(crate) different: Vec<DifferentAttribute>,
    /// The change as a sentence.
    pub(crate) sentence: String,
}

/// An attribute of the call by its name in policies.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct DifferentAttribute {
    pub(crate) attribute: String,
    pub(crate) is: String,
    pub(crate) would_be: String,
}

/// Explains policy's verdict.
#[utoipa::path(get, path = "/v1/approvals/{id}/explanation", operation_id = "explain-approval", tag = "policy",
    params(("id" = ApprovalIdShape, Path)), responses(Refusals,
    (status = 200, body = PolicyExplanation),
    (status = 404, body = Details, content_type = "application/problem+json")))]
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> ApiResult {
    Ok(Json(explanation(&api, &id).await?).into_response())
}

/// The complete explanation.
pub(crate) async fn explanation(api: &Api, id: &str) -> Result<PolicyExplanation, Problem> {
    let (run, number) = ids::approval(id)?;
    let (subject, call) = approvals::load(api, &run, number).await?;
    let events = api.journal().call_events(&run, number, Seq::MAX).await?;
    let life = Life::of(&events).ok_or_else(|| Problem::not_found(format_args!("approval `{id}`")))?;
    let asker = subject.run.map(|run| (run.agent, run.started_by)).unwrap_or_default();
    let policies = api.policy_setup().present.clone();
    let mut notes = Vec::new();
    let recorded = life.record().map(|record| recorded(life.verdict, record, policies.as_deref()));
    let present = match (policies, api.policy_setup().types.get(life.call.action().capability()).cloned()) {
        (None, _) => {
            notes.push("no policies are in force: every consequential call is held".into());
            None
        }
        (Some(_), None) => {
            notes.push(
                "this host does not offer the capability now, so policies cannot be evaluated for the call".into(),
            );
            None
        }
        (Some(policies), Some(ty)) => {
            say(&life, &policies, &mut notes);
            let digest = life.record().map(|record| record.digest);
            if digest.is_some_and(|digest| digest != policies.digest()) {
                notes.push(
                    "the policies have changed since the verdict was recorded: the recorded verdict comes from earlier policies".into(),
                );
            }
            // The work keeps the permission, because the work continues after the client has gone.
            let turn = api.0.explaining.clone().try_acquire_owned().map_err(|_| {
                Problem::new(Kind::NotNow, "the host is busy with another explanation; try again in a moment")
                    .retry_after_s(1)
            })?;
            let work = move || {
                let present = present(&policies, &life, &run, asker, &ty);
                drop(turn);
                present
            };
            Some(super::backtests::blocking(work).await?)
        }
    };
    Ok(PolicyExplanation { id: id.to_owned(), revision: call.revision, recorded, present, notes })
}

/// Adds notes on how far the recorded call and this evaluation differ.
fn say(life: &Life, policies: &CedarPolicy, notes: &mut Vec<String>) {
    if life.verdict == PolicyVerdict::Refuse {
        notes.push("the facts and the consequence of a refused call are not recorded: policies that read facts fail here, and the consequence counts as high".into());
    } else {
        notes.push("the facts stay as recorded, even where this explanation changes an argument".into());
    }
    if policies.uses_totals() && life.record().is_none_or(|record| record.totals.is_empty()) {
        notes.push("the running totals were not recorded: this evaluation begins with totals of zero".into());
    }
    if let Some(JudgedAt { at, zone }) = life.record().and_then(|record| record.judged_at.as_ref()) {
        let now = zone.parse::<Zone>().unwrap_or(Zone::UTC).local_time_text(*at);
        notes.push(format!("some policies depend on the time; the time of the recorded verdict was {now}"));
    }
    if let Some(grant) = life.record().and_then(|record| record.grant.as_ref()) {
        notes.push(format!("the grant {grant} cleared the call; policies alone would hold it"));
    }
    if life.call.is_question() {
        notes.push("the call is a question, and questions are always held".into());
    }
    match life.origin {
        RevisionOrigin::Proposed => {}
        RevisionOrigin::Edited { .. } => {
            notes.push("the call was edited, and an edited call is always held, even if a policy clears it".into())
        }
        RevisionOrigin::Reheld => notes.push(
            "facts changed after the call was cleared; policy was not evaluated again, so this is the earlier verdict"
                .into(),
        ),
    }
}

/// The recorded verdict, with the present text of each policy that still exists.
fn recorded(verdict: PolicyVerdict, record: &PolicyRecord, policies: Option<&CedarPolicy>) -> RecordedVerdict {
    let PolicyRecord { digest, determining, errors, totals, reasons, grant: _, material: _, judged_at: _ } =
        record.clone();
    RecordedVerdict {
        verdict,
        digest,
        determining: determining.into_iter().map(|name| named(name, policies)).collect(),
        errors,
        reasons,
        totals: totals.into_iter().map(RestedOn::from).collect(),
    }
}

/// Computes the verdict of the policies in force, and the changes that would alter it. Recorded totals are used if
/// there are any.
fn present(
    policies: &Arc<CedarPolicy>,
    life: &Life,
    run: &RunId,
    (agent, started_by): (AgentName, ReviewerName),
    ty: &holdshort_gate::FunctionType,
) -> PresentVerdict {
    let explained = explain(
        policies,
        &CallQuestion {
            started_by: &started_by,
            agent: &agent,
            run,
            action: life.call.action(),
            ty,
            facts: life.facts(),
            consequence: life.consequence(),
            totals: life.record().map(|record| &record.totals[..]).unwrap_or_default(),
            now: life.asked_at(),
        },
        life.call.is_question() || matches!(life.origin, RevisionOrigin::Edited { .. }),
    );
    let why = match &explained.judgement.verdict {
        Verdict::Refuse(why) => Some(why.to_string()),
        Verdict::Clear | Verdict::Hold => None,
    };
    let record = &explained.judgement.record;
    PresentVerdict {
        verdict: explained.judgement.verdict.word(),
        digest: record.digest,
        same_policies: life.record().is_some_and(|recorded| recorded.digest == record.digest),
        determining: record.determining.iter().map(|name| named(name.clone(), Some(policies))).collect(),
        errors: record.errors.clone(),
        why,
        changes: explained.changes.into_iter().map(VerdictChange::from).collect(),
        tried: explained.tried,
    }
}

/// A policy by its id, with its file and text if a policy in force has this id.
fn named(name: String, policies: Option<&CedarPolicy>) -> DeterminingPolicy {
    let place = policies.and_then(|policies| policies.locations().iter().find(|(known, _)| *known == name));
    let place = place.map(|(_, place)| place);
    DeterminingPolicy {
        file: place.map(|place| file_name(&place.path)),
        line: place.map(|place| place.line),
        text: place.map(|place| place.text.clone()),
        why: place.and_then(|place| place.why.clone()),
        name,
    }
}

/// The policies in force in the order of their files, and their digest; nothing if there are no policies.
pub(crate) fn all_in_force(api: &Api) -> (Option<Digest>, Vec<DeterminingPolicy>) {
    let present = api.policy_setup().present.as_deref();
    let all = present.into_iter().flat_map(CedarPolicy::locations).map(|(name, _)| named(name.clone(), present));
    (present.map(CedarPolicy::digest), all.collect())
}

/// The file's name without its folder, because folders are internal to the operator.
fn file_name(path: &File) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl From<RecordedTotal> for RestedOn {
    fn from(RecordedTotal { counter, total }: RecordedTotal) -> Self {
        let of = match counter.scope {
            Scope::Run(_) => "run",
            Scope::Agent(_) => "agent",
            Scope::AgentDay(..) => "agent_today",
            Scope::Day(_) => "today",
            Scope::Grant(_) => "grant",
        };
        Self { of: of.to_owned(), total }
    }
}

impl From<DecisiveChange> for VerdictChange {
    fn from(change: DecisiveChange) -> Self {
        let would = judged(change.verdict);
        let one =
            |AttributeChange { place, from, to }: &AttributeChange| format!("{place} were {to} instead of {from}");
        let all: Vec<String> = change.different.iter().map(one).collect();
        let different =
            |AttributeChange { place, from, to }| DifferentAttribute { attribute: place, is: from, would_be: to };
        Self {
            verdict: change.verdict,
            sentence: format!("would be {would} if {}", all.join(" and ")),
            different: change.different.into_iter().map(different).collect(),
        }
    }
}
