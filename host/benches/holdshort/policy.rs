//! Measures what policy costs: the verdict on a call with a hundred policies, and a backtest of changed policies on the
//! recorded calls.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use holdshort::agent;
use holdshort::api::backtests;
use holdshort::policy::load::Source;
use holdshort::policy::schema::Types;
use holdshort::policy::{CallQuestion, Defaults, People, Policy, PolicySetup, Verdict};
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::command::{AttemptOutcome, Choice, CreateRun, Decide, Finish, FirstVerdict, Propose, Start};
use holdshort_gate::totals::counters;
use holdshort_gate::{
    Action, AgentName, Consequence, Digest, EffectClass, Proposal, RecordedTotal, Requirement, ReviewerName, Reviewers,
    RunId, Time, Total,
};
use holdshort_journal::{Fence, Journal};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::table::{Table, millis};
use crate::world::{client, clock, limits};

const PAY: &str = "holdshort:agent/payments@0.1.0#transfer-funds";

pub fn measure(table: &Table) {
    judging(table);
    backtest(table);
}

/// Measures a hundred policies for ten capabilities, as on a usual host. Then measures the worst case: a hundred
/// policies that all apply to the function of this call, and read its arguments, facts and totals.
fn judging(table: &Table) {
    for (minor_units, expected) in [("500", Verdict::Clear), ("70000", Verdict::Hold)] {
        let word = if expected == Verdict::Clear { "clears" } else { "holds" };
        for (what, text, aim) in [
            (format!("policy {word} a call: 100 policies for ten capabilities, 10 people"), hundred(10), "100 µs"),
            (
                format!("policy {word} a call: 100 policies, all for the capability of this call, 10 people"),
                hundred(1),
                "",
            ),
        ] {
            let policies = policy_setup(&text).present.unwrap();
            let asks = Asks::new(minor_units);
            assert_eq!(policies.judge(&asks.question()).verdict, expected, "{:?}", policies.judge(&asks.question()));
            let judged = |_| {
                let begin = Instant::now();
                black_box(policies.judge(black_box(&asks.question())));
                begin.elapsed()
            };
            table.times(&what, &(0..table.size.calls).map(judged).collect(), aim);
        }
    }
}

/// The text of a hundred policies: sixty for `call`, thirty for `review` and ten for `decide`. They are divided equally
/// among `capabilities` capabilities.
fn hundred(capabilities: usize) -> String {
    let mut text = String::new();
    let ty = |number: usize| match number % capabilities {
        0 => "payments::TransferFunds".to_owned(),
        other => format!("acme::pay{other}::api::TransferFunds"),
    };
    for number in 0..60 {
        let (effect, low) = if number % 3 == 0 { ("forbid", 1_000_000) } else { ("permit", 0) };
        let high = if low > 0 { 9_000_000 } else { 10_000 + number };
        let _ = write!(
            text,
            "@id(\"call-{number}\") {effect} (principal, action == Action::\"call\", resource is {})\n\
             when {{ resource.arguments.transfer.amount.currency == \"EUR\"\n\
             && resource.arguments.transfer.amount.minor_units >= {low}\n\
             && context.totals.agent_today.sum + resource.arguments.transfer.amount.minor_units <= {high} }};\n",
            ty(number)
        );
    }
    // The group that a `review` policy asks about a type may also decide on it.
    let group = |number: usize| ["finance", "managers", "board"][number % 10 % 3];
    for number in 0..30 {
        let _ = write!(
            text,
            "@id(\"review-{number}\") @reviewers(\"{}\") @quorum(\"{}\") @within(\"4h\") @why(\"rule {number}\")\n\
             permit (principal, action == Action::\"review\", resource is {})\n\
             when {{ resource.arguments.transfer.amount.minor_units > {} }};\n",
            group(number),
            1 + number % 2,
            ty(number),
            50_000 + number * 1_000
        );
    }
    for number in 0..10 {
        let _ = writeln!(
            text,
            "@id(\"decide-{number}\") permit (principal in Group::\"{}\", action == Action::\"decide\", resource is {});",
            group(number),
            ty(number)
        );
    }
    text
}

/// The types of the payment function, and of nine third-party functions with the same type.
pub fn types() -> Types {
    let mut all = agent::functions().unwrap().into_iter().map(|import| (import.capability, import.ty));
    let pay = all.find(|(capability, _)| capability.to_string() == PAY).unwrap();
    let other = |number: usize| format!("acme:pay{number}/api@1.0.0#transfer-funds").parse().unwrap();
    let ty = pay.1.clone();
    let all = (1..10).map(|number| (other(number), ty.clone())).chain([pay]);
    all.collect::<Types>().with_facts(holdshort::connectors::facts())
}

/// A setup with ten reviewers in three groups, and with these policies in force.
pub fn policy_setup(text: &str) -> PolicySetup {
    let people: Vec<ReviewerName> = (0..10).map(|number| ReviewerName::new(format!("person-{number}"))).collect();
    let groups = [("finance", 0..4), ("managers", 4..7), ("board", 7..10)];
    let groups: BTreeMap<_, _> =
        groups.into_iter().map(|(name, members)| (name.to_owned(), people[members].to_vec())).collect();
    let base = Defaults::new(|_| Requirement::plain(Reviewers::Any, 1, 600_000));
    let files = if text.is_empty() { Vec::new() } else { vec![source(text)] };
    PolicySetup::new(
        files,
        types(),
        People::new(people, groups),
        base,
        holdshort::policy::isolated::Reader::in_process(),
    )
    .unwrap()
}

fn source(text: &str) -> Source {
    Source { path: "bench.cedar".into(), text: text.into() }
}

/// The values that a question to policy borrows.
struct Asks {
    types: Types,
    action: Action,
    facts: Value,
    run: RunId,
    totals: Vec<RecordedTotal>,
    agent: AgentName,
    started_by: ReviewerName,
}

impl Asks {
    fn new(minor_units: &str) -> Self {
        let types = types();
        let action = transfer(&types, minor_units);
        let run = RunId("0k3v9m2e8q1c4z7d".into());
        let (agent, started_by) = ("billing".into(), "person-9".into());
        let counters = counters(&run, &agent, action.capability(), Time(0));
        let total = Total { count: 3, sums: [("EUR".to_owned(), 700)].into() };
        let totals = counters.map(|counter| RecordedTotal { counter, total: total.clone() }).into();
        Self { types, action, facts: facts(), run, totals, agent, started_by }
    }

    fn question(&self) -> CallQuestion<'_> {
        CallQuestion {
            started_by: &self.started_by,
            agent: &self.agent,
            run: &self.run,
            action: &self.action,
            ty: self.types.get(self.action.capability()).unwrap(),
            facts: &self.facts,
            consequence: Consequence::High,
            totals: &self.totals,
            now: Time(1_767_268_800_000_000),
        }
    }
}

pub fn transfer(types: &Types, minor_units: &str) -> Action {
    let capability = PAY.parse().unwrap();
    let arguments = json!({
        "transfer": {
            "source": "operating", "payee": "landlord", "reference": "rent",
            "amount": {"minor-units": minor_units, "currency": "EUR"},
        },
        "rationale": {"summary": "the rent is due", "exhibits": [], "confidence": 0.5},
    });
    let ty = types.get(&capability).unwrap();
    Action::new(Digest::of(b"bench"), capability, ty, &arguments).unwrap()
}

pub fn facts() -> Value {
    json!({
        "amount": "500", "currency": "EUR", "balance-before": "100000000", "balance-after": "99999500",
        "first-payment": false, "payments-before": "4", "same-amount-and-reference-before": false, "own-account": false,
    })
}

/// The number of calls in each run.
const CALLS: u32 = 100;
/// The number of runs that are written at the same time.
const WRITERS: u32 = 128;

/// Measures a whole backtest: a journal in SQLite is read from beginning to end, and a hundred policies give a verdict
/// on each of its calls, with running totals. A third of the calls was cleared, a third approved, a third rejected.
fn backtest(table: &Table) {
    let folder = table.folder.join("backtest");
    std::fs::create_dir(&folder).unwrap();
    let runtime = client();
    let journal = Journal::open(&folder.join("journal.db"), clock()).unwrap();
    let runs = table.size.recorded / CALLS;
    runtime.block_on(async {
        let turns = Arc::new(tokio::sync::Semaphore::new(WRITERS as usize));
        let mut written = tokio::task::JoinSet::new();
        for run in 0..runs {
            let turn = turns.clone().acquire_owned().await.unwrap();
            let run = RunId(format!("{run:016}"));
            written.spawn({
                let journal = journal.clone();
                async move {
                    record(&journal, &run).await;
                    drop(turn);
                }
            });
        }
        written.join_all().await;
    });
    let policy_setup = Arc::new(policy_setup(""));
    let source = source(&hundred(10));
    let begin = Instant::now();
    let turn = Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap());
    let candidate = policy_setup.candidate(vec![source], false).unwrap();
    let report = runtime.block_on(backtests::backtest(&journal, &policy_setup, candidate, Time(0), turn)).unwrap();
    let took = begin.elapsed();
    let all = report.calls.all();
    assert_eq!(all.clear + all.hold + all.refuse, u64::from(runs * CALLS), "{report:?}");
    assert!(all.clear > 0, "{report:?}");
    let what = format!("backtest of 100 policies over {} recorded calls", runs * CALLS);
    table.number(&what, &millis(took), None, if table.size.recorded >= 100_000 { "10 s" } else { "" });
}

/// Records a run and its calls, each call to its end.
async fn record(journal: &Journal, run: &RunId) {
    let types = types();
    let limits = limits();
    let create = CreateRun {
        agent: "billing".into(),
        component: Digest::of(b"bench"),
        task: "pay what is due".into(),
        started_by: "person-9".into(),
        limits,
        seed: Digest::of(b"seed"),
    };
    let _ = journal.submit(run, None, Fence::None, create).await.unwrap();
    for call in 1..=CALLS {
        let proposal = Box::new(proposal(transfer(&types, &(call * 700).to_string())));
        let proposed = if call % 3 == 0 { FirstVerdict::Clear(proposal) } else { FirstVerdict::Hold(proposal) };
        let _ = journal.submit(run, None, Fence::None, Propose { call, proposed }).await.unwrap();
        if call % 3 > 0 {
            let choice = if call % 3 == 1 { Choice::Approve } else { Choice::Reject };
            let clearance = journal.subject(run, Some(call)).await.unwrap().unwrap().call.unwrap().clearance.unwrap();
            let (reviewer, signed_in_at) = ("person-0".into(), Time(u64::MAX));
            let decide = Decide { reviewer, stands_for: None, signed_in_at, clearance, choice, message: None };
            let _ = journal.submit(run, Some(call), Fence::None, decide).await.unwrap();
        }
        if call % 3 < 2 {
            let _ = journal.submit(run, Some(call), Fence::None, Start { perform_within_ms: 60_000 }).await.unwrap();
            let outcome = AttemptOutcome::Happened(json!(null));
            let finish = Finish { attempt: 1, outcome, evidence: None };
            let _ = journal.submit(run, Some(call), Fence::None, finish).await.unwrap();
        }
    }
}

fn proposal(action: Action) -> Proposal {
    let record = PolicyRecord::new(Digest::of(b"policies"));
    Proposal {
        action,
        summary: "pay the landlord".into(),
        exhibits: Vec::new(),
        similar_calls: Vec::new(),
        preconditions: json!({"balance": "100000000"}),
        facts: facts(),
        consequence: Some(Consequence::High),
        connector: "ledger".into(),
        class: EffectClass::Idempotent,
        requirement: Requirement::plain(Reviewers::Any, 1, 600_000),
        policy: PolicyRecord { determining: vec!["call-1".into()], ..record },
    }
}
