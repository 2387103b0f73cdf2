//! Similar payments that wait at the same time: how many decisions they need, and which payments are booked.

use super::*;

/// A waiting payment as in the journal: the shown content, and the calls that waited when the payment was shown.
struct Held {
    action: Action,
    shown: Value,
    beside: Vec<usize>,
}

/// The number of decisions until every payment is made. `pick` selects the waiting payment that is decided next.
fn decisions(payments: &[Action], mut pick: impl FnMut(usize) -> usize) -> usize {
    let shop = Shop::new();
    let key = |number: usize| format!("key-{number}");
    let payee = |action: &Action| action.arguments()["transfer"]["payee"].clone();
    let mut held: std::collections::BTreeMap<usize, Held> = std::collections::BTreeMap::new();
    let hold = |number: usize, held: &std::collections::BTreeMap<usize, Held>| {
        let action = payments[number].clone();
        let waits = held.iter().filter(|(other, one)| **other != number && payee(&one.action) == payee(&action));
        let beside = waits.map(|(other, _)| *other).collect();
        Held { shown: shop.preview(&action).preconditions, action, beside }
    };
    for number in 0..payments.len() {
        held.insert(number, hold(number, &held));
    }
    let mut decisions = 0;
    while !held.is_empty() {
        let waiting: Vec<usize> = held.keys().copied().collect();
        let number = waiting[pick(waiting.len())];
        decisions += 1;
        let one = &held[&number];
        let mark = |other: &usize| {
            let action = &payments[*other];
            let effect_digest = holdshort_gate::similar::effect_digest(action.capability(), action.arguments());
            holdshort_gate::EffectMark { key: EffectKey(key(*other)), effect_digest }
        };
        let beside: Vec<_> = one.beside.iter().map(mark).collect();
        let shown = ShownFacts { preconditions: &one.shown, similar_effects: &beside };
        match shop.ledger.0.attempt(&one.action, shown, &EffectKey(key(number)), LATER) {
            Attempt::Done(_) | Attempt::DoneDespite(..) => drop(held.remove(&number)),
            Attempt::FactsChanged(why) => {
                assert!(!why.contains("operating"), "the account covers all of them: {why}");
                let again = hold(number, &held);
                held.insert(number, again);
            }
            other => panic!("{other:?}"),
        }
        assert!(decisions <= 2 * payments.len(), "it takes no end");
    }
    assert_eq!(shop.transfers(), i64::try_from(payments.len()).unwrap());
    decisions
}

/// One payment for each letter of `whom`. Equal letters are the same payee.
fn to(whom: &str) -> Vec<Action> {
    let pay = |(number, whom): (usize, char)| {
        let money = json!({ "minor-units": "100", "currency": "EUR" });
        transfer(json!({ "payee": format!("payee {whom}"), "reference": format!("RE {number}"), "amount": money }))
    };
    whom.chars().enumerate().map(pay).collect()
}

#[test]
fn as_many_decisions_as_payments_from_the_top_of_the_inbox() {
    for count in [1, 2, 6, 12] {
        for whom in ["a".repeat(count), ('a'..='z').take(count).collect(), "ab".repeat(count)[..count].to_owned()] {
            assert_eq!(decisions(&to(&whom), |_| 0), count, "from the top: {whom}");
            let upwards = decisions(&to(&whom), |waiting| waiting - 1);
            assert!(upwards < 2 * count, "from the bottom: {upwards} for {whom}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the payments are ordered, they need fewer than two decisions each on average.
    #[test]
    fn never_twice_as_many_decisions_as_payments(whom in "[a-c]{1,8}", order in prop::collection::vec(any::<prop::sample::Index>(), 20)) {
        let mut order = order.into_iter();
        let payments = to(&whom);
        let found = decisions(&payments, |waiting| order.next().map_or(0, |next| next.index(waiting)));
        prop_assert!(found < 2 * payments.len().max(1), "{} decisions for {}", found, whom);
    }

    /// Whatever happens between preview and booking, a transfer is booked in exactly one case: the balance covers it,
    /// and each new payment to the payee was shown as a similar call and booked as it was shown.
    #[test]
    fn a_transfer_is_booked_only_on_what_was_shown(
        between in prop::collection::vec((0..5_u8, 1_u64..600_000), 0..5),
        cents in 1_u64..900_000,
    ) {
        let shop = Shop::new();
        let money = |cents: u64| json!({ "minor-units": cents.to_string(), "currency": "EUR" });
        let action = transfer(json!({ "amount": money(cents) }));
        let listed = transfer(json!({ "amount": money(100), "reference": "listed" }));
        let edited = transfer(json!({ "amount": money(101), "reference": "listed" }));
        shop.pay(&transfer(json!({ "payee": "reserve", "amount": money(50_000) })), "fill");
        let shown = shop.preview(&action).preconditions;
        let (mut surprise, mut done) = (false, std::collections::BTreeSet::new());
        for (number, (what, cents)) in between.into_iter().enumerate() {
            let money = money(cents);
            let (other, key, surprises) = match what {
                0 => (transfer(json!({ "payee": "Initech", "amount": money })), format!("other-{number}"), false),
                1 => (transfer(json!({ "source": "reserve", "amount": money })), format!("stranger-{number}"), true),
                2 => (listed.clone(), "beside".into(), false),
                3 => (edited.clone(), "beside".into(), true),
                _ => (listed.clone(), format!("another-{number}"), true),
            };
            if done.contains(&key) {
                continue;
            }
            let Ok(now) = shop.ledger.0.preview_now(&other) else { continue };
            if receipt(&shop.attempt(&other, &now.preconditions, &key)).is_some() {
                surprise |= surprises;
                done.insert(key);
            }
        }
        let before = (shop.transfers(), shop.balance("operating", "EUR"));
        let covered = before.1 >= i64::try_from(cents).unwrap();
        let effect_digest = holdshort_gate::similar::effect_digest(listed.capability(), listed.arguments());
        let beside = [holdshort_gate::EffectMark { key: EffectKey("beside".into()), effect_digest }];
        let attempt =
            shop.ledger.0.attempt(&action, ShownFacts { preconditions: &shown, similar_effects: &beside }, &EffectKey("k".into()), LATER);
        prop_assert_eq!(receipt(&attempt).is_some(), covered && !surprise, "{:?} after {:?}", attempt, done);
        if receipt(&attempt).is_none() {
            prop_assert_eq!((shop.transfers(), shop.balance("operating", "EUR")), before);
            let why = format!("{attempt:?}");
            prop_assert_eq!(why.contains("does not cover"), !covered, "{}", why);
            prop_assert_eq!(why.contains("not all of them"), surprise, "{}", why);
        }
    }
}
