//! The calendar and the clock of a time zone, as policies read them (T40 in the table of `tests/README.md`).

use std::process::Command;

use holdshort::policy::load::Source;
use holdshort::policy::{CallQuestion, CedarPolicy, Defaults, JudgedCall, Policy, Verdict, Zone};
use holdshort_gate::clearance::JudgedAt;
use holdshort_gate::{Consequence, EffectClass, Proposal, Requirement, Reviewers, RunId, Time};
use serde_json::Value;

use super::{DECIDE, TRANSFER, cases, evidence, inline, people, types};

/// Zones with and without daylight saving, in both hemispheres, with offsets of half and quarter hours, and on both
/// sides of the date line.
const ZONES: [&str; 16] = [
    "UTC",
    "Europe/Zagreb",
    "Europe/London",
    "Europe/Lisbon",
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
];
/// A script that computes local times with Python's reader of the time-zone database.
const PYTHON: &str = "
import sys, zoneinfo
from datetime import datetime, timezone
for line in sys.stdin:
    zone, at = line.split()
    at = datetime.fromtimestamp(int(at), timezone.utc).astimezone(zoneinfo.ZoneInfo(zone))
    print(at.strftime('%A %Y-%m-%d %H:%M:%S'))
";
const SECOND: u64 = 1_000_000;

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn in_zone(name: &str, text: &str) -> CedarPolicy {
    let base = Defaults::new(|_| Requirement::plain(Reviewers::Any, 1, 600_000)).in_zone(zone(name));
    let source = Source { text: format!("{text}\n{DECIDE}"), ..inline("") };
    CedarPolicy::load(&[source], &types(), people(), base).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Judges a payment by a policy at a given time.
fn judged() -> impl Fn(&CedarPolicy, Time) -> Verdict {
    let types = types();
    let case = cases(TRANSFER).remove(0);
    let (action, ty) = case.action(&types).map(|(action, ty)| (action, ty.clone())).unwrap();
    move |policy, now| {
        let judgement = policy.judge(&CallQuestion {
            started_by: &"olga".into(),
            agent: &"agent".into(),
            run: &RunId("run".into()),
            action: &action,
            ty: &ty,
            facts: &Value::Null,
            consequence: Consequence::High,
            totals: &[],
            now,
        });
        assert!(judgement.record.errors.is_empty(), "{judgement:?}");
        judgement.verdict
    }
}

/// The verdict on a payment at a time, in the words of a case.
fn at(policy: &CedarPolicy, now: &str) -> &'static str {
    let case = TRANSFER.replace("expect", &format!("now = \"{now}\"\nexpect"));
    let judgement = cases(&case)[0].judge(policy, &types()).unwrap();
    assert!(judgement.record.errors.is_empty(), "{judgement:?}");
    judgement.verdict.word().as_str()
}

fn call(effect: &str, when: &str) -> String {
    format!("{effect} (principal, action == Action::\"call\", resource) when {{ {when} }};\n")
}

/// Moments over many years, and every quarter of an hour of the days on which clocks change in Zagreb, New York and
/// Auckland, in seconds.
fn moments() -> Vec<u64> {
    let over_the_years = (0..200).map(|step| 631_152_000 + step * 5_650_007);
    // The noons of 28 March, 24 October, 7 March, 31 October and 4 April 2026.
    let changes = [1_774_699_200, 1_792_843_200, 1_772_884_800, 1_793_448_000, 1_775_304_000];
    over_the_years.chain(changes.into_iter().flat_map(|noon| (0..144).map(move |step| noon + step * 900))).collect()
}

fn python(asked: &str) -> Option<String> {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = Command::new("python3");
    let mut child = child.args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = child.stdin.take()?;
    let asked = asked.to_owned();
    let writer = std::thread::spawn(move || input.write_all(asked.as_bytes()));
    let output = child.wait_with_output().ok()?;
    drop(writer.join());
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// In every zone and at every moment, the calendar and the clock agree with another reader of the database. A policy
/// "not on a Friday from 15:00" uses them.
#[test]
fn a_friday_afternoon_is_one_by_the_zones_own_clock() {
    let pairs: Vec<(&str, u64)> =
        ZONES.into_iter().flat_map(|zone| moments().into_iter().map(move |at| (zone, at))).collect();
    let asked: String = pairs.iter().map(|(zone, at)| format!("{zone} {at}\n")).collect();
    let expected = python(&asked).expect("Python 3 with its time-zone data is needed");
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(expected.len(), pairs.len());
    let friday =
        call("permit", "true") + &call("forbid", "context.local.weekday == \"friday\" && context.local.hour >= 15");
    let judge = judged();
    let (mut policies, mut refused) = (Vec::<(&str, CedarPolicy)>::new(), 0);
    for (index, ((name, seconds), expected)) in pairs.iter().zip(&expected).enumerate() {
        let now = Time(seconds * SECOND);
        assert_eq!(zone(name).local_time_text(now), format!("{expected} in {name}"), "{seconds}");
        // A debug build needs long to judge, so only every fourth moment is judged.
        if index % 4 > 0 {
            continue;
        }
        if policies.last().is_none_or(|(last, _)| last != name) {
            policies.push((name, in_zone(name, &friday)));
        }
        let is_friday = expected.starts_with("Friday") && &expected[18..20] >= "15";
        let said = judge(&policies.last().unwrap().1, now);
        assert_eq!(said != Verdict::Clear, is_friday, "{name} {expected}: {said:?}");
        refused += u64::from(is_friday);
    }
    assert!(refused > 20, "{refused} Friday afternoons");
    evidence::figure("T40", "moments by the clocks of 16 zones", pairs.len() as u64);
}

/// Each attribute is tried at a moment at which it differs from its value in UTC. Daylight saving is tried too.
#[test]
fn every_attribute_of_the_local_time_is_the_zones() {
    for (now, holds, fails) in [
        ("2026-12-31T23:30:01.5Z", "context.local.year == 2027", "context.local.year == 2026"),
        ("2026-12-31T23:30:01.5Z", "context.local.month == 1", "context.local.month == 12"),
        ("2026-12-31T23:30:01.5Z", "context.local.day == 1", "context.local.day == 31"),
        ("2026-12-31T23:30:01.5Z", "context.local.date == \"2027-01-01\"", "context.local.date == \"2026-12-31\""),
        ("2026-12-31T23:30:01.5Z", "context.local.weekday == \"friday\"", "context.local.weekday == \"thursday\""),
        ("2026-12-31T23:30:01.5Z", "context.local.hour == 0", "context.local.hour == 23"),
        ("2026-12-31T23:30:01.5Z", "context.local.minute == 30", "context.local.minute == 29"),
        ("2026-12-31T23:30:01.5Z", "context.local.zone == \"Europe/Zagreb\"", "context.local.zone == \"UTC\""),
        (
            "2026-12-31T23:30:01.5Z",
            "context.local.time == duration(\"30m1s500ms\")",
            "context.local.time >= duration(\"30m1s501ms\")",
        ),
        ("2026-11-27T14:00:00Z", "context.local.time >= duration(\"15h\")", "context.local.time > duration(\"15h\")"),
        ("2026-11-27T13:59:59.999Z", "context.local.time < duration(\"15h\")", "context.local.hour >= 15"),
        // The hour that happens twice, both times, and the hour that does not happen.
        ("2026-10-25T00:30:00Z", "context.local.hour == 2", "context.local.hour == 1"),
        ("2026-10-25T01:30:00Z", "context.local.hour == 2", "context.local.hour == 3"),
        ("2026-03-29T00:59:59Z", "context.local.hour == 1", "context.local.hour == 2"),
        ("2026-03-29T01:00:00Z", "context.local.hour == 3", "context.local.hour == 2"),
        (
            "2026-11-28T12:00:00Z",
            "[\"saturday\", \"sunday\"].contains(context.local.weekday)",
            "[\"2026-11-27\", \"2026-12-25\"].contains(context.local.date)",
        ),
        (
            "2026-11-28T12:00:00Z",
            "context.now < datetime(\"2026-11-28T12:00:01Z\")",
            "context.now.toTime() >= duration(\"13h\")",
        ),
    ] {
        for (condition, expected) in [(holds, "clear"), (fails, "hold")] {
            let policy = in_zone("Europe/Zagreb", &call("permit", condition));
            assert_eq!(at(&policy, now), expected, "{now} {condition}");
        }
    }
}

/// The name of a zone must be a whole name of the database.
#[test]
fn what_is_no_name_of_a_zone_is_refused_with_what_to_write() {
    for name in ["UTC", "Europe/Zagreb", "America/Argentina/Buenos_Aires", "Etc/GMT-2", "Asia/Kolkata"] {
        assert_eq!(zone(name).name(), name);
    }
    for (text, hint) in [
        ("", "is not a time zone"),
        ("utc", "did you mean `UTC`?"),
        ("europe/zagreb", "did you mean `Europe/Zagreb`?"),
        ("Zagreb", "did you mean `Europe/Zagreb`?"),
        ("Europe/Zagrb", "did you mean `Europe/Zagreb`?"),
        ("new_york", "did you mean `America/New_York`?"),
        ("CEST", "is not a time zone"),
        ("UTC+1", "is not a time zone"),
        ("+01:00", "is not a time zone"),
        ("Europe", "is not a time zone"),
        ("Europe/Zagreb ", "did you mean `Europe/Zagreb`?"),
        ("../../etc/localtime", "is not a time zone"),
        ("/usr/share/zoneinfo/Europe/Zagreb", "is not a time zone"),
        ("Europe/Zagreb\0", "Europe/Zagreb\\0"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "is not a time zone"),
    ] {
        let why = text.parse::<Zone>().unwrap_err();
        assert!(why.contains(hint) && why.contains("`Europe/Zagreb`"), "{text}: {why}");
    }
}

/// A case may give its time by the zone's clock if that time happens exactly once.
#[test]
fn a_case_without_an_offset_is_by_the_zones_clock() {
    let policy = in_zone("Europe/Zagreb", &call("permit", "context.now == datetime(\"2026-11-27T14:00:00Z\")"));
    for now in ["2026-11-27T15:00:00", "2026-11-27T15:00", "2026-11-27T14:00:00Z", "2026-11-27T09:00:00-05:00"] {
        assert_eq!(at(&policy, now), "clear", "{now}");
    }
    for (now, why) in [
        ("2026-10-25T02:30:00", "twice or never"),
        ("2026-03-29T02:30:00", "twice or never"),
        ("Friday", "write a time like"),
        ("1969-12-31T23:00:00Z", "before 1970"),
    ] {
        let case = TRANSFER.replace("expect", &format!("now = \"{now}\"\nexpect"));
        let refused = cases(&case)[0].judge(&policy, &types()).unwrap_err().to_string();
        assert!(refused.contains(why), "{now}: {refused}");
    }
}

/// A call whose verdict has changed because of the time is not performed. Another change of the policies does not stop
/// a waiting call.
#[test]
fn only_the_time_overtakes_a_verdict() {
    let friday = |effect: &str| call(effect, "context.local.weekday == \"friday\" && context.local.hour >= 15");
    let by_day = call("permit", "context.local.hour >= 8 && context.local.hour < 18");
    let (thursday, friday_noon) = ("2026-11-26T12:00:00Z", "2026-11-27T12:00:00Z");
    let (friday_late, saturday) = ("2026-11-27T14:00:00Z", "2026-11-28T12:00:00Z");
    let forbids = "policy forbids the call: `p.cedar:1` (the time is Friday 2026-11-27 15:00:00 in Europe/Zagreb)";
    let no_longer = "policy no longer clears the call (the time is Saturday 2026-11-28 03:00:00 in Europe/Zagreb)";
    for (text, then, now, by_policy, expected) in [
        (friday("forbid"), thursday, friday_late, false, Some(forbids)),
        (friday("forbid"), thursday, friday_late, true, Some(forbids)),
        (friday("forbid"), friday_noon, friday_late, false, Some(forbids)),
        (friday("forbid"), thursday, friday_noon, false, None),
        (friday("forbid"), thursday, saturday, false, None),
        // The policy forbade the call at the earlier time already. So the policies were changed since, and a changed
        // policy does not affect calls that wait.
        (friday("forbid"), friday_late, "2026-11-27T15:00:00Z", false, None),
        (friday("forbid"), friday_late, saturday, false, None),
        (friday("forbid") + &call("forbid", "context.local.day > 1"), thursday, friday_late, false, None),
        (friday("forbid") + &call("permit", "context.local.day > 1"), thursday, friday_noon, true, None),
        (by_day.clone(), friday_noon, "2026-11-28T02:00:00Z", true, Some(no_longer)),
        (by_day.clone(), friday_noon, "2026-11-28T02:00:00Z", false, None),
        (by_day.clone(), friday_noon, saturday, true, None),
        (by_day, "2026-11-28T02:00:00Z", friday_noon, true, None),
        // A policy that does not use the time is not asked again.
        (call("forbid", "resource has arguments"), thursday, friday_late, false, None),
    ] {
        let policy = in_zone("Europe/Zagreb", &text);
        assert_eq!(policy.depends_on_time(), text.contains("local"), "{text}");
        let moment = |text: &str| Zone::UTC.moment(text).unwrap();
        let case = &cases(TRANSFER)[0];
        let (action, _) = case.action(&types()).unwrap();
        let mut record = case.judge(&policy, &types()).unwrap().record;
        assert_eq!(record.judged_at.is_some(), policy.depends_on_time());
        record.judged_at = Some(JudgedAt { at: moment(then), zone: "Europe/Zagreb".into() });
        let proposal = Proposal {
            action,
            summary: String::new(),
            exhibits: Vec::new(),
            preconditions: Value::Null,
            facts: Value::Null,
            consequence: None,
            connector: "ledger".into(),
            class: EffectClass::Reconcilable,
            requirement: Requirement::plain(Reviewers::Any, 1, 600_000),
            policy: record,
            similar_calls: Vec::new(),
        };
        let run = RunId("run".into());
        let (started_by, agent) = (&"olga".into(), &"agent".into());
        let judged = JudgedCall { started_by, agent, run: &run, proposal: &proposal, by_policy };
        assert_eq!(policy.forbidden_now(&judged, moment(now)).as_deref(), expected, "{text} {then} {now} {by_policy}");
    }
}

/// The shipped example passes its own cases, whatever the zone of the machine.
#[test]
fn the_shipped_hours_say_what_their_cases_expect() {
    let text = super::source("host/policies/hours.cedar").text;
    let text = text.replace("permit (principal, action == Action::\"decide\", resource);\n", "");
    let cases = cases(&super::source("host/policies/hours.toml").text);
    for name in ["Europe/Zagreb", "UTC", "America/New_York", "Asia/Kathmandu"] {
        let policy = in_zone(name, &text);
        for case in &cases {
            let judgement = case.judge(&policy, &types()).unwrap();
            assert_eq!(case.differs(&judgement, ""), None, "{name} {}: {judgement:?}", case.name);
        }
    }
}
