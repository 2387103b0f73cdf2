//! An open call as the figures need it: its life without the agent's texts, its reading time, and its reviewers' work.

use holdshort_gate::call::CallContent;
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{
    Action, AgentName, Call, CallNumber, Digest, Event, FunctionType, PolicyVerdict, Proposal, RecordedChoice, Time,
};
use serde_json::{Value, json};

use super::Directory;
use super::suggestion::SharedProperties;
use crate::life::{Life, ReviewerDecision, Step};

/// The speed of silent reading: 238 words a minute for English non-fiction (M. Brysbaert, "How many
/// words do we read per minute? A review and meta-analysis of reading rate", Journal of Memory and
/// Language 109, 2019). Diffs and amounts take longer, so a faster reviewer has not read them.
const WORDS_PER_MINUTE: u64 = 238;
/// The bytes of an English word with its space. The number of words is estimated from the length of
/// the texts, so the texts need not be loaded.
const BYTES_PER_WORD: u64 = 6;
/// A decision counts as at most this much work, because nobody works on a call overnight.
const WORK_US_MAX: u64 = 15 * 60 * 1_000_000;

/// The name under which all grants are counted together.
const GRANTS: &str = "grants";

/// The reading time for a number of bytes, in microseconds.
pub(super) fn reading_us(bytes: u64) -> u64 {
    bytes.saturating_mul(60_000_000) / (WORDS_PER_MINUTE * BYTES_PER_WORD)
}

/// A call that has not ended.
#[derive(Debug)]
pub(super) struct OpenCall {
    life: Life,
    agent: AgentName,
    policies: Vec<String>,
    /// The reading time of the content that is new in this revision.
    reading_us: u64,
    /// The digests of the arguments and exhibits that reviewers have read or are asked to read. They
    /// are not new if the next revision has them too.
    read: Vec<Digest>,
    /// The call's properties for a suggestion, if a policy can express them.
    shared: Option<SharedProperties>,
    split: bool,
    /// The number of decisions so far, and the work for them in microseconds.
    pub(super) prompts: u64,
    pub(super) work_us: u64,
    /// The number of approvals that came faster than the new content can be read.
    pub(super) hasty: u64,
}

impl OpenCall {
    /// Starts a call with its first event.
    pub(super) fn new(event: &Event, at: Time, agent: AgentName, directory: &Directory) -> Option<Self> {
        let life = Life::open(event, at)?;
        let policies = life.record().map(determining).unwrap_or_default();
        let (reading_us, read, shared, split) = (0, Vec::new(), None, false);
        let mut open =
            Self { life, agent, policies, reading_us, read, shared, split, prompts: 0, work_us: 0, hasty: 0 };
        if open.life.verdict == PolicyVerdict::Hold {
            open.begin(directory);
        }
        open.lighten();
        Some(open)
    }

    /// Starts a revision that reviewers decide on.
    fn begin(&mut self, directory: &Directory) {
        let Some(proposal) = self.life.call.proposal() else { return };
        let arguments = proposal.action.canonical_arguments();
        let summary = length(&proposal.summary) + length(&arguments);
        let texts = proposal.exhibits.iter().map(|exhibit| (exhibit.digest, exhibit.bytes));
        let texts: Vec<_> = texts.chain([(Digest::of(arguments.as_bytes()), summary)]).collect();
        let new = texts.iter().filter(|(digest, _)| !self.read.contains(digest)).map(|(_, bytes)| *bytes);
        self.reading_us = reading_us(new.fold(0, u64::saturating_add));
        self.read = texts.into_iter().map(|(digest, _)| digest).collect();
        self.policies = determining(&proposal.policy);
        self.shared = SharedProperties::of(proposal, &directory.types);
        self.split = false;
    }

    /// Drops the content of the present revision, which may be large and is not needed after its first event.
    fn lighten(&mut self) {
        if let CallContent::Proposed(proposal) = &mut self.life.call.content {
            *proposal = light(proposal);
        }
    }

    /// Follows the next event.
    pub(super) fn follow<'e>(&mut self, event: &'e Event, at: Time, directory: &Directory) -> Option<Step<'e>> {
        let step = self.life.follow(event, at)?;
        self.life.call.decisions.clear();
        if step.revised.is_some() {
            self.begin(directory);
            self.lighten();
        }
        if let Some(decided) = &step.decided {
            self.prompts += 1;
            self.work_us = self.work_us.saturating_add(decided.took_us.min(WORK_US_MAX));
            let Call { votes, rejections, .. } = &self.life.call;
            let edits = matches!(decided.verdict, RecordedChoice::Edit(_));
            self.split |= !votes.is_empty() && (edits || !rejections.is_empty());
            self.hasty += u64::from(self.is_hasty(decided, at));
        }
        // An edit that the editor's own vote approves at once does not count as a hold.
        Some(Step { end: step.end.filter(|_| !step.own_vote), ..step })
    }

    /// Whether an approval came faster than the new content can be read.
    pub(super) fn is_hasty(&self, decided: &ReviewerDecision<'_>, at: Time) -> bool {
        *decided.verdict == RecordedChoice::Approve
            && at.0.saturating_sub(self.life.call.revised_at.0) < self.reading_us
    }

    /// Whether no further event can happen to the call.
    pub(super) fn is_over(&self) -> bool {
        self.life.call.answer().is_some()
    }

    /// The call's number within its run.
    pub(super) fn number(&self) -> CallNumber {
        self.life.call.number
    }

    /// The capability's full name.
    pub(super) fn capability(&self) -> String {
        self.life.call.action().capability().to_string()
    }

    /// The agent's configured name.
    pub(super) fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// The policies that determined the verdict.
    pub(super) fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Whether the call needs several reviewers.
    pub(super) fn several(&self) -> bool {
        let stages = || self.life.call.requirement().map(|requirement| &requirement.stages);
        let most = stages().into_iter().flatten().flatten().map(|demand| demand.quorum).max();
        stages().is_some_and(|stages| stages.len() > 1) || most.is_some_and(|most| most > 1)
    }

    /// Whether one reviewer approved and another rejected or edited.
    pub(super) fn split(&self) -> bool {
        self.split
    }

    /// The properties of the current revision.
    pub(super) fn shared(&self) -> Option<&SharedProperties> {
        self.shared.as_ref()
    }

    /// Whether the call was neither edited nor held again.
    pub(super) fn is_first_revision(&self) -> bool {
        self.life.call.revision == 1
    }

    /// Whether the call is a question to a reviewer.
    pub(super) fn is_question(&self) -> bool {
        self.life.call.is_question()
    }
}

/// The determining policies without repetition.
fn determining(policy: &PolicyRecord) -> Vec<String> {
    // Each grant has a name of its own, and there may be many. They are counted under one name.
    let grant = policy.grant.as_ref().map(|grant| format!("grant {grant}"));
    let name = |name: &String| if Some(name) == grant.as_ref() { GRANTS.to_owned() } else { name.clone() };
    let mut each: Vec<String> = policy.determining.iter().map(name).collect();
    each.sort();
    each.dedup();
    each
}

/// The length in bytes, from which the reading time is computed.
fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// A proposal with the same capability and requirement, but without content.
fn light(proposal: &Proposal) -> Box<Proposal> {
    let Proposal { action, consequence, class, requirement, policy, .. } = proposal;
    let without = FunctionType { params: Vec::new(), result: None };
    let bare = Action::new(action.component(), action.capability().clone(), &without, &json!({}));
    Box::new(Proposal {
        action: bare.unwrap_or_else(|_| action.clone()),
        summary: String::new(),
        exhibits: Vec::new(),
        similar_calls: Vec::new(),
        preconditions: Value::Null,
        facts: Value::Null,
        consequence: *consequence,
        connector: String::new(),
        class: *class,
        requirement: requirement.clone(),
        policy: PolicyRecord::new(policy.digest),
    })
}
