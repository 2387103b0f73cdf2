//! What policy costs: judging a call by a hundred policies, and a trial of changed policies on the recorded calls.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use holdshort::agent;
use holdshort::policy::load::Source;
use holdshort::policy::schema::Types;
use holdshort::policy::{CallQuestion, People, Policy, Setting, Verdict};
use holdshort_gate::totals::counters;
use holdshort_gate::{Action, Consequence, Counted, Digest, Requirement, Reviewers, RunId, Time, Total};
use serde_json::{Value, json};

use crate::table::{Table, Times};

const PAY: &str = "holdshort:agent/payments@0.1.0#transfer-funds";

pub fn measure(table: &Table) {
    judging(table);
}

/// Every policy is about the very call that is judged, and speaks of its arguments, facts and totals; one of the call's forbids nothing, one clears it.
fn judging(table: &Table) {
    for (what, minor_units, expected, aim) in
        [("clears", "500", Verdict::Clear, "100 µs"), ("holds", "70000", Verdict::Hold, "100 µs")]
    {
        let policies = setting(&hundred()).present.unwrap();
        let asks = Asks::new(minor_units);
        assert_eq!(policies.judge(&asks.question()).verdict, expected, "{:?}", policies.judge(&asks.question()));
        let times: Times = (0..table.size.calls)
            .map(|_| {
                let begin = Instant::now();
                black_box(policies.judge(black_box(&asks.question())));
                begin.elapsed()
            })
            .collect();
        table.times(&format!("policy: 100 policies about the same call, 10 people; it {what}"), &times, aim);
    }
}

/// Sixty on `call`, thirty on `review`, ten on `decide`.
fn hundred() -> String {
    let mut text = String::new();
    for number in 0..60 {
        let (effect, low) = if number % 3 == 0 { ("forbid", 1_000_000) } else { ("permit", 0) };
        let _ = write!(
            text,
            "@id(\"call-{number}\") {effect} (principal, action == Action::\"call\", resource is payments::TransferFunds)\n\
             when {{ resource.arguments.transfer.amount.currency == \"EUR\" && !resource.facts.first_payment\n\
             && resource.arguments.transfer.amount.minor_units >= {low}\n\
             && context.totals.agent_today.sum + resource.arguments.transfer.amount.minor_units <= {} }};\n",
            if low > 0 { 9_000_000 } else { 10_000 + number }
        );
    }
    for number in 0..30 {
        let _ = write!(
            text,
            "@id(\"review-{number}\") @reviewers(\"finance\") @quorum(\"{}\") @within(\"4h\") @why(\"rule {number}\")\n\
             permit (principal, action == Action::\"review\", resource is payments::TransferFunds)\n\
             when {{ resource.arguments.transfer.amount.minor_units > {} || resource.facts.first_payment }};\n",
            1 + number % 2,
            50_000 + number * 1_000
        );
    }
    for number in 0..10 {
        let group = ["finance", "managers", "board"][number % 3];
        let _ = write!(
            text,
            "@id(\"decide-{number}\") permit (principal in Group::\"{group}\", action == Action::\"decide\", resource)\n\
             when {{ context.consequence != \"none-{number}\" }};\n"
        );
    }
    text
}

pub fn types() -> Types {
    let all = agent::functions().unwrap().into_iter().map(|import| (import.capability, import.ty));
    all.filter(|(capability, _)| capability.to_string() == PAY).collect()
}

/// Ten people in three groups, and these policies in force.
pub fn setting(text: &str) -> Setting {
    let people: Vec<String> = (0..10).map(|number| format!("person-{number}")).collect();
    let groups = [("finance", 0..4), ("managers", 4..7), ("board", 7..10)];
    let groups: BTreeMap<_, _> =
        groups.into_iter().map(|(name, members)| (name.to_owned(), people[members].to_vec())).collect();
    let base = Arc::new(|_| Requirement::plain(Reviewers::Any, 1, 600_000));
    let files = if text.is_empty() { Vec::new() } else { vec![source(text)] };
    Setting::new(files, types(), People::new(people, groups), base).unwrap()
}

fn source(text: &str) -> Source {
    Source { path: "bench.cedar".into(), text: text.into() }
}

/// The parts of a question.
struct Asks {
    types: Types,
    action: Action,
    facts: Value,
    run: RunId,
    totals: Vec<Counted>,
}

impl Asks {
    fn new(minor_units: &str) -> Self {
        let types = types();
        let action = transfer(&types, minor_units);
        let run = RunId("0k3v9m2e8q1c4z7d".into());
        let counters = counters(&run, "billing", action.capability(), Time(0));
        let total = Total { count: 3, sums: [("EUR".to_owned(), 700)].into() };
        let totals = counters.map(|counter| Counted { counter, total: total.clone() }).into();
        Self { types, action, facts: facts(), run, totals }
    }

    fn question(&self) -> CallQuestion<'_> {
        CallQuestion {
            started_by: "person-9",
            agent: "billing",
            run: &self.run,
            action: &self.action,
            ty: &self.types[self.action.capability()],
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
    let ty = &types[&capability];
    Action::new(Digest::of(b"bench"), capability, ty, &arguments).unwrap()
}

pub fn facts() -> Value {
    json!({
        "amount": "500", "currency": "EUR", "balance-before": "100000000", "balance-after": "99999500",
        "first-payment": false, "payments-before": "4", "same-amount-and-reference-before": false, "own-account": false,
    })
}
