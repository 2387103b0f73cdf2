//! The section `[model-budget]`, and amounts with many decimals, as prices of tokens have.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::RuleViolation;
use super::models::Model;
use crate::authored::Count;

/// `[model-budget]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct Section {
    pub(crate) run: Option<Spanned<String>>,
    pub(crate) agent_day: Option<Spanned<String>>,
    pub(crate) day: Option<Spanned<String>>,
    pub(crate) run_tokens: Option<Count>,
    pub(crate) agent_day_tokens: Option<Count>,
    pub(crate) day_tokens: Option<Count>,
}

/// Limits on what language models cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModelBudget {
    pub run: ModelCap,
    pub agent_day: ModelCap,
    pub day: ModelCap,
}

/// Limits on one total; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModelCap {
    /// In millionths of the currency of the prices.
    pub cost_millionths: Option<u64>,
    pub tokens: Option<u64>,
}

/// Resolves the section. A limit in money needs the prices of all models, in its currency: a model without a price would
/// cost nothing.
pub(super) fn budget<'a>(
    authored: Option<Section>,
    models: impl Iterator<Item = (&'a String, &'a Model)> + Clone,
) -> Result<Option<ModelBudget>, RuleViolation> {
    let Some(Section { run, agent_day, day, run_tokens, agent_day_tokens, day_tokens }) = authored else {
        return Ok(None);
    };
    let cap = |cost: Option<Spanned<String>>, tokens: Option<Count>| {
        let cost = cost.map(|text| {
            let (millionths, currency) = amount(&text)?;
            let differs = |(_, model): &(&String, &Model)| model.currency() != Some(currency.as_str());
            if let Some((name, _)) = models.clone().find(differs) {
                let what = format!("the model `{name}` has no price in {currency}, so its cost would not count");
                let hint = "add `price = { input = \"2.50 USD\", output = \"10.00 USD\" }` to its section, with the prices of a million tokens";
                return Err(RuleViolation::at(&text, what, hint));
            }
            Ok(millionths)
        });
        Ok(ModelCap { cost_millionths: cost.transpose()?, tokens: tokens.map(|count| count.0) })
    };
    Ok(Some(ModelBudget {
        run: cap(run, run_tokens)?,
        agent_day: cap(agent_day, agent_day_tokens)?,
        day: cap(day, day_tokens)?,
    }))
}

/// The decimals of an amount.
const DECIMALS: usize = 6;

/// An amount in millionths, and its currency.
pub(super) fn amount(text: &Spanned<String>) -> Result<(u64, String), RuleViolation> {
    let wrong = || {
        let what = format!("`{}` is not an amount", text.get_ref().escape_debug());
        let hint = "write a number with up to six decimals and a currency, such as `2.50 USD`";
        RuleViolation::at(text, what, hint)
    };
    let (number, currency) = text.get_ref().split_once(' ').ok_or_else(wrong)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let is_currency = currency.len() == 3 && currency.chars().all(|c| c.is_ascii_uppercase());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS || !is_currency {
        return Err(wrong());
    }
    let millionths = format!("{whole}{fraction:0<DECIMALS$}").parse().map_err(|_| wrong())?;
    Ok((millionths, currency.to_owned()))
}
