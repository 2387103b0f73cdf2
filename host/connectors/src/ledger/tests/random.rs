//! Random payments: money is conserved.

use super::*;

/// A random payment. If `stale`, it is attempted with facts that are out of date.
#[derive(Clone, Debug)]
struct Step {
    source: &'static str,
    payee: &'static str,
    currency: &'static str,
    minor_units: u64,
    key: u8,
    stale: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let names = || prop::sample::select(vec!["operating", "reserve", "ACME GmbH", "Initech"]);
    let amounts = prop_oneof![0..2_000_u64, Just(1_000_000), Just(u64::MAX), any::<u64>()];
    let rest = (prop::sample::select(vec!["EUR", "JPY", "XAU"]), amounts, 0..12_u8, prop::bool::weighted(0.2));
    (names(), names(), rest).prop_map(|(source, payee, (currency, minor_units, key, stale))| Step {
        source,
        payee,
        currency,
        minor_units,
        key,
        stale,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was attempted, the postings of each currency sum to zero, only equity is negative, no key is booked
    /// twice, and the balances match the receipts.
    #[test]
    fn money_is_conserved(steps in prop::collection::vec(step(), 1..24)) {
        let shop = Shop::new();
        let mut model = std::collections::BTreeMap::from([(("operating", "EUR"), 1_000_000_i64), (("operating", "JPY"), 1_000_000)]);
        let mut done: std::collections::BTreeMap<u8, (Action, Attempt)> = std::collections::BTreeMap::new();
        let mut shown = Value::Null;
        for Step { source, payee, currency, minor_units, key, stale } in steps {
            let money = json!({ "minor-units": minor_units.to_string(), "currency": currency });
            let action = transfer(json!({ "source": source, "payee": payee, "amount": money }));
            if let (false, Ok(previewed)) = (stale, shop.ledger.0.preview_now(&action)) {
                shown = previewed.preconditions;
            }
            let attempt = shop.attempt(&action, &shown, &key.to_string());
            let earlier = done.get(&key).filter(|(first, _)| *first == action).map(|(_, attempt)| attempt.clone());
            if let Some(earlier) = earlier {
                match (receipt(&attempt), receipt(&earlier)) {
                    (Some(now), Some(then)) => prop_assert_eq!(now, then, "the same key again"),
                    _ => prop_assert_eq!(&attempt, &earlier, "the same key again"),
                }
            } else if let Some(receipt) = receipt(&attempt) {
                prop_assert!(!done.contains_key(&key), "a key was booked for two transfers");
                let minor_units = i64::try_from(minor_units).unwrap();
                *model.entry((source, currency)).or_default() -= minor_units;
                *model.entry((payee, currency)).or_default() += minor_units;
                prop_assert_eq!(&receipt["source-balance"]["minor-units"], &json!(model[&(source, currency)].to_string()));
                done.insert(key, (action, attempt));
            }
        }
        let file = shop.file();
        let count = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        prop_assert_eq!(count("SELECT count(*) FROM (SELECT sum(amount) AS s FROM postings GROUP BY currency) WHERE s <> 0"), 0);
        prop_assert_eq!(count("SELECT count(*) FROM (SELECT sum(amount) AS s FROM postings GROUP BY entry, currency) WHERE s <> 0"), 0);
        let below = "SELECT count(*) FROM postings JOIN accounts ON accounts.number = account WHERE balance < 0 AND kind <> 'equity'";
        prop_assert_eq!(count(below), 0);
        prop_assert_eq!(shop.transfers(), i64::try_from(done.len()).unwrap());
        for ((name, currency), balance) in model {
            prop_assert_eq!(shop.balance(name, currency), balance, "{} {}", name, currency);
        }
    }
}
