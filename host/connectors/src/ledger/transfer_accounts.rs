//! What the ledger says about a transfer: the evidence for reviewers, the preconditions, and whether the
//! balances permit it.

use holdshort_gate::condition::Condition;
use holdshort_gate::similar::{LISTED_MAX, effect_digest};
use holdshort_gate::{Action, Capability, EffectKey, EffectMark, Time};
use holdshort_words::look;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::books::{self, Account, AccountKind, PastPayment};
use super::facts::{PAYMENTS, TransferFacts};
use super::transfer::Transfer;
use crate::descriptor::{Fact, FactReaders, FactType};
use crate::history::History;
use crate::{Exhibit, Previewed, Sentence, Trusted, quote, say, sentence_error};
use holdshort_common::money::Currency;

/// A reviewer is shown at most this many earlier payments, and their total number.
const HISTORY_MAX: u32 = 20;
/// A reviewer is shown at most this many similar payee names.
const ALIKE_MAX: usize = 10;

/// The facts that the ledger has about a transfer.
pub(super) const FACTS: &[Fact] = &[
    Fact::new("amount", FactType::Amount, "the amount of the transfer"),
    Fact::new("currency", FactType::Text, "the ISO 4217 code of the currency"),
    Fact::new("balance-before", FactType::Amount, "the balance of the account that pays"),
    Fact::new("balance-after", FactType::Amount, "the balance of the account that pays, after the transfer"),
    Fact::new(
        "first-payment",
        FactType::Bool,
        "whether this would be the payee's first payment, from any account, in any currency",
    ),
    Fact::new("payments-before", FactType::Count, "the number of the payee's earlier payments"),
    Fact::new(
        "same-amount-and-reference-before",
        FactType::Bool,
        "whether an earlier payment had the same amount and reference",
    ),
    Fact::new("own-account", FactType::Bool, "whether the payee is an account of yours"),
    Fact::new(
        "transfers-before-in-run",
        FactType::List(&FactType::Record(&[
            ("currency", FactType::Text),
            ("count", FactType::Count),
            ("sum", FactType::Amount),
        ])),
        "earlier transfers of this run; a transfer that a reviewer closed with an unknown outcome counts as done",
    )
    .only_for(FactReaders::Programs),
];

/// The two accounts of a transfer, their balances, and the facts about them.
#[derive(Clone, Debug)]
pub(super) struct TransferAccounts {
    /// The paying account.
    pub(super) source: Account,
    /// The payee's account; `None` if the ledger has no account of this name.
    pub(super) payee: Option<Account>,
    /// The source's balance in minor units.
    pub(super) source_balance: i64,
    /// The payee's balance in minor units.
    pub(super) payee_balance: i64,
    /// The facts that a clearance rests on.
    pub(super) facts: TransferFacts,
}

/// The balances do not permit a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotCovered {
    /// The source would be overdrawn.
    Overdraft { account: String, has: Trusted, amount: Trusted },
    /// The payee's balance would be larger than the ledger can hold.
    TooMuch { payee: String, has: Trusted, amount: Trusted },
}

impl NotCovered {
    /// The reason as a sentence.
    pub(super) fn sentence(&self) -> Sentence {
        match self {
            Self::Overdraft { account, has, amount } => {
                let account = Trusted::configured(account);
                say!("the account `{}` has {}, which does not cover {}", account, has.clone(), amount.clone())
            }
            Self::TooMuch { payee, has, amount } => say!(
                "{} has {}; with {} more, the balance would be more than the ledger can hold",
                quote(payee),
                has.clone(),
                amount.clone()
            ),
        }
    }
}

sentence_error!(NotCovered);

impl TransferAccounts {
    /// The accounts of a transfer; `None` if the source does not exist.
    pub(super) fn of(books: &Connection, transfer: &Transfer) -> rusqlite::Result<Option<Self>> {
        let Some(source) = books::account(books, &transfer.source)? else { return Ok(None) };
        let payee = books::account(books, &transfer.payee)?;
        let currency = transfer.currency.code();
        let source_balance = books::balance(books, source, currency)?;
        let (payee_balance, payments) = match payee {
            Some(payee) => (books::balance(books, payee, currency)?, books::payments(books, payee)?),
            None => (0, 0),
        };
        let facts = TransferFacts {
            ledger: books::id(books)?,
            source_balance: transfer.currency.show(source_balance),
            payee: if payee.is_some_and(|payee| payee.kind == AccountKind::Own) { "own account" } else { "outside" }
                .into(),
            payments,
        };
        Ok(Some(Self { source, payee, source_balance, payee_balance, facts }))
    }

    /// The transfers to the payee since the preconditions were written. The list is empty if the preconditions permit
    /// no new transfer.
    pub(super) fn since(
        &self,
        books: &Connection,
        capability: &Capability,
        preconditions: &Value,
    ) -> rusqlite::Result<Vec<EffectMark>> {
        let stated = preconditions.get(PAYMENTS).map(Condition::read);
        let (Some(Condition::NothingNew { shown, .. }), Some(payee)) = (stated, self.payee) else {
            return Ok(Vec::new());
        };
        // The approval listed at most `LISTED_MAX` similar calls. With one transfer more, at least one of the new
        // transfers was not listed.
        let received = books::received_after(books, payee, shown, LISTED_MAX + 1)?;
        let mark = |(key, transfer): (String, Value)| EffectMark {
            key: EffectKey(key),
            effect_digest: effect_digest(capability, &json!({ "transfer": transfer })),
        };
        Ok(received.into_iter().map(mark).collect())
    }

    /// The balances of source and payee after the transfer.
    pub(super) fn after(&self, transfer: &Transfer) -> Result<(i64, i64), NotCovered> {
        let Transfer { currency, amount, .. } = transfer;
        let left = self.source_balance.checked_sub(*amount).filter(|left| *left >= 0);
        let left = left.ok_or_else(|| NotCovered::Overdraft {
            account: transfer.source.clone(),
            has: Trusted::amount(currency, self.source_balance),
            amount: Trusted::amount(currency, *amount),
        })?;
        let got = self.payee_balance.checked_add(*amount).ok_or_else(|| NotCovered::TooMuch {
            payee: transfer.payee.clone(),
            has: Trusted::amount(currency, self.payee_balance),
            amount: Trusted::amount(currency, *amount),
        })?;
        Ok((left, got))
    }

    /// The facts for policies and for a comparison with the agent's rationale. Amounts are in minor units.
    fn established(&self, transfer: &Transfer, (left, _): (i64, i64), same: bool) -> Value {
        json!({
            "amount": transfer.amount.to_string(),
            "currency": transfer.currency.code(),
            "balance-before": self.source_balance.to_string(),
            "balance-after": left.to_string(),
            "own-account": self.is_own(),
            "payments-before": self.facts.payments,
            "first-payment": self.facts.payments == 0,
            "same-amount-and-reference-before": same,
        })
    }

    /// Whether the payee is an account of the operator's.
    pub(super) fn is_own(&self) -> bool {
        self.payee.is_some_and(|payee| payee.kind == AccountKind::Own)
    }

    /// The summary, the facts and the evidence of the transfer, the most important first. The
    /// agent's words are quoted.
    pub(super) fn describe(
        &self,
        books: &Connection,
        transfer: &Transfer,
        after: (i64, i64),
    ) -> rusqlite::Result<(Sentence, Value, Vec<Exhibit>)> {
        let Transfer { source, payee, currency, amount, reference, .. } = transfer;
        let mut exhibits = Vec::new();
        let own = self.is_own();
        let count = self.facts.payments;
        let mut known = match (count, own) {
            (_, true) => say!("an account of the operator"),
            (0, false) => say!("first payment to this payee"),
            (1, false) => say!("paid once before"),
            (more, false) => say!("paid {} times before", more),
        };
        let past = match self.payee {
            Some(payee) => books::history(books, payee, None, HISTORY_MAX)?,
            None => Vec::new(),
        };
        let like = Some((currency.code(), *amount, reference.as_str()));
        let same = match self.payee {
            Some(payee) => books::history(books, payee, like, HISTORY_MAX)?,
            None => Vec::new(),
        };
        if let Some(last) = same.first() {
            known += say!(", LAST WITH THE SAME AMOUNT AND REFERENCE on {}", day(last.at));
            exhibits.push(Exhibit::text(say!("paid before with the same amount and reference"), listed(&same)));
        }
        exhibits.push(Exhibit::text(say!("balances before and after"), self.balances(transfer, after, own)));
        if count == 0 {
            exhibits.push(Exhibit::text(say!("first payment to this payee"), self.never(books, transfer, own)?));
        } else {
            let shown = if count > HISTORY_MAX.into() {
                say!("the last {} of {}", HISTORY_MAX, count)
            } else {
                say!("{}", count)
            };
            exhibits.push(Exhibit::text(say!("payments to this payee ({})", shown), listed(&past)));
        }
        let summary = say!(
            "pay {} to {}, {}, from {}, which then has {}; reference {}",
            Trusted::amount(currency, *amount),
            quote(payee),
            known,
            Trusted::configured(source),
            Trusted::amount(currency, after.0),
            quote(reference),
        );
        Ok((summary, self.established(transfer, after, !same.is_empty()), exhibits))
    }

    /// The balances of both accounts before and after the transfer, aligned.
    fn balances(&self, transfer: &Transfer, (left, got): (i64, i64), own: bool) -> Sentence {
        let show = |minor_units| transfer.currency.show(minor_units);
        let amounts = [self.source_balance, left, self.payee_balance, got].map(show);
        let width = amounts.iter().map(String::len).max().unwrap_or(0);
        let [before, after, payee_before, payee_after] =
            amounts.map(|amount| Trusted::configured(format_args!("{amount:>width$}")));
        let whose = if own { "an account of the operator" } else { "outside" };
        say!(
            "From {}\n    before  {}\n    after   {}\nTo {} ({})\n    before  {}\n    after   {}\n",
            Trusted::configured(&transfer.source),
            before,
            after,
            quote(&transfer.payee),
            whose,
            payee_before,
            payee_after,
        )
    }

    /// Says that the payee is new, and lists similar names in the ledger, because the new name may be a typing error or
    /// may imitate a known name.
    fn never(&self, books: &Connection, transfer: &Transfer, own: bool) -> rusqlite::Result<Sentence> {
        let mut text = say!("The ledger has no transfer to {}, from any account.\n", quote(&transfer.payee));
        if own {
            return Ok(text);
        }
        let mut alike = books::names(books)?;
        alike.retain(|name| is_alike(name, &transfer.payee));
        if !alike.is_empty() {
            text += say!("Payees of the ledger with almost the same name:\n");
            for name in alike.iter().take(ALIKE_MAX) {
                let same = if is_lookalike(name, &transfer.payee) {
                    ", which looks the same but is another payee"
                } else {
                    ""
                };
                text += say!("    {}{}\n", quote(name), same);
            }
        }
        if let Some(more) = alike.len().checked_sub(ALIKE_MAX).filter(|more| *more > 0) {
            text += say!("    and {} more\n", more);
        }
        Ok(text)
    }
}

/// Whether two names are equal except for case, spaces, punctuation and one or two typing errors.
fn is_alike(one: &str, other: &str) -> bool {
    let plain =
        |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let (one, other) = (plain(one), plain(other));
    let slips = if one.chars().count().min(other.chars().count()) < 8 { 1 } else { 2 };
    strsim::damerau_levenshtein(&one, &other) <= slips || is_lookalike(&one, &other)
}

/// Whether two names look almost the same, perhaps with letters of different alphabets.
fn is_lookalike(one: &str, other: &str) -> bool {
    look(one) == look(other)
}

/// Adds the run's history. Its earlier transfers come first, because several safe amounts can add up to
/// an unsafe amount.
pub(super) fn recall(action: &Action, history: &History, previewed: &mut Previewed) {
    let sums: Vec<(&str, u64, u64)> = history.done(action.capability()).collect();
    let fact =
        |(code, count, sum): &(&str, u64, u64)| json!({ "currency": code, "count": count, "sum": sum.to_string() });
    previewed.fact("transfers-before-in-run", sums.iter().map(fact).collect());
    if !sums.is_empty() {
        let shown = |code: &str, sum: u64| match Currency::of(code).ok().zip(i64::try_from(sum).ok()) {
            Some((currency, sum)) => Trusted::amount(&currency, sum),
            None => Trusted::configured(format_args!("{sum} {code}")),
        };
        let line = |(code, count, sum): &(&str, u64, u64)| {
            let plural = if *count == 1 { "" } else { "s" };
            say!("{} transfer{}, together {}\n", *count, plural, shown(code, *sum))
        };
        let lines = sums.iter().map(line).sum::<Sentence>()
            + say!("Transfers that a reviewer closed with an unknown outcome are included.\n");
        let count: u64 = sums.iter().map(|(_, count, _)| count).sum();
        previewed
            .exhibits
            .insert(0, Exhibit::text(say!("other transfers of this run, made before ({})", count), lines));
    }
    history.add_to(previewed);
}

/// One line per payment.
fn listed(past: &[PastPayment]) -> Sentence {
    let line = |past: &PastPayment| {
        // This succeeds for every booked currency, because the currency was checked when it was booked.
        let amount = match Currency::of(&past.currency) {
            Ok(currency) => Trusted::amount(&currency, past.amount),
            Err(_) => Trusted::configured(format_args!("{} {}", past.amount, past.currency)),
        };
        let (source, reference) = (Trusted::configured(&past.source), quote(&past.reference));
        say!("{}  T{}  {} from {}: {}\n", day(past.at), past.number, amount, source, reference)
    };
    past.iter().map(line).sum()
}

/// The day in UTC.
fn day(micros: i64) -> Trusted {
    Trusted::day(
        jiff::Timestamp::from_microsecond(micros)
            .map_or_else(|_| "an unknown day".into(), |at| at.strftime("%Y-%m-%d").to_string()),
    )
}

/// A time in the ledger's unit: microseconds since 1970.
pub(super) fn micros(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}
