//! The section `[models.NAME]`: a language model that agents may ask. This file has the section's keys, the types that
//! other packages use, and the code that resolves the section.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use ureq::http::Uri;

use super::budget::amount;
use super::credentials::Section as CredentialSection;
use super::{RuleViolation, defaults, plain_name};
use crate::value::{Between, Name, Named, Span, Text};

/// The form of a server's requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`openai` or `anthropic`")]
pub enum ModelApi {
    /// OpenAI's chat completions, which many servers have.
    Openai,
    /// Anthropic's messages.
    Anthropic,
}

/// `[models.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct Section {
    pub(crate) api: ModelApi,
    pub(crate) url: Spanned<Text>,
    pub(crate) model: Text,
    pub(crate) credential: Option<Spanned<Name>>,
    pub(crate) timeout: Option<Span>,
    pub(crate) answer_kib: Option<Between<1, { defaults::MODEL_ANSWER_KIB_MAX }>>,
    pub(crate) price: Option<Price>,
    pub(crate) uncertainty: Option<Spanned<Measure>>,
    pub(crate) samples: Option<Spanned<Between<2, { defaults::MODEL_SAMPLES_MAX }>>>,
    pub(crate) allow_http: Option<bool>,
    pub(crate) allow_private: Option<bool>,
}

/// The prices of a million tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `input` and `output`")]
pub(crate) struct Price {
    pub(crate) input: Spanned<String>,
    pub(crate) output: Spanned<String>,
}

/// How the host finds out how unsure a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`none`, `logprobs` or `sample`")]
pub(crate) enum Measure {
    None,
    Logprobs,
    Sample,
}

/// A language model that agents may ask.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Model {
    pub api: ModelApi,
    /// The address of the server, to which `chat/completions` or `messages` is added.
    pub url: String,
    /// The server's name for the model.
    pub model: String,
    /// The credential with the secret for the server.
    pub credential: Option<String>,
    /// The time limit for one attempt.
    pub timeout_ms: u64,
    /// The maximum size of an answer.
    pub answer_bytes_max: u64,
    /// The addresses that the server may have.
    pub addresses: ModelAddresses,
    /// The prices of its tokens; `None` if their cost is not counted.
    pub price: Option<ModelPrice>,
    pub uncertainty: ModelUncertainty,
}

impl Model {
    /// The currency of its prices.
    pub(super) fn currency(&self) -> Option<&str> {
        self.price.as_ref().map(|price| price.currency.as_str())
    }
}

/// The prices of a million tokens, in millionths of a currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModelPrice {
    pub input_millionths: u64,
    pub output_millionths: u64,
    pub currency: String,
}

/// How the host finds out how unsure a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelUncertainty {
    None,
    /// By the probabilities of tokens, which the server gives.
    Logprobs,
    /// By this number of answers to each question.
    Sample(u32),
}

/// The addresses that a model's server may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelAddresses {
    Public,
    /// The address names this machine, so no other machine may answer.
    ThisMachine,
    /// Addresses of private networks too.
    Any,
}

/// All models by name.
pub(super) fn models(
    authored: Option<Named<Section>>,
    credentials: Option<&Named<CredentialSection>>,
) -> Result<BTreeMap<String, Model>, RuleViolation> {
    let known: BTreeSet<&str> = credentials.into_iter().flatten().map(|(name, _)| name.get_ref().as_str()).collect();
    let mut models: BTreeMap<String, Model> = BTreeMap::new();
    for (name, section) in authored.into_iter().flatten() {
        let new = model(section, &known)?;
        let other =
            models.values().filter_map(Model::currency).find(|other| new.currency().is_some_and(|own| own != *other));
        if let Some(other) = other {
            let what = format!("its price is not in {other}, as that of another model");
            return Err(RuleViolation::at(&name, what, "write the prices of all models in one currency"));
        }
        models.insert(plain_name(&name)?, new);
    }
    Ok(models)
}

fn model(section: Section, credentials: &BTreeSet<&str>) -> Result<Model, RuleViolation> {
    let Section { api, url, model, credential, timeout, answer_kib, allow_http, allow_private, .. } = section;
    let wrong = |what: &str, hint: &str| Err(RuleViolation::at(&url, what, hint));
    let uri: Option<Uri> = url.get_ref().0.parse().ok();
    let host = uri.as_ref().filter(|uri| matches!(uri.scheme_str(), Some("https" | "http"))).and_then(Uri::host);
    let (Some(uri), Some(host)) = (&uri, host.filter(|host| !host.is_empty())) else {
        return wrong("this is not the address of a server", "write it like `https://api.openai.com/v1`");
    };
    if uri.query().is_some() || url.get_ref().0.contains(['@', '#']) {
        return wrong("the address has more than a host and a path", "write it like `https://api.openai.com/v1`");
    }
    let here = is_this_machine(host);
    if uri.scheme_str() == Some("http") && !here && !allow_http.unwrap_or(false) {
        let what = "without TLS others on the network could read the questions and the secret";
        return wrong(what, "use `https://`, or add `allow-http = true`");
    }
    if let Some(unknown) = credential.as_ref().filter(|name| !credentials.contains(name.get_ref().0.as_str())) {
        let what = format!("there is no section `[credentials.{}]`", unknown.get_ref().0);
        return Err(RuleViolation::at(unknown, what, "add the section with a `file`, or correct the name"));
    }
    let uncertainty = uncertainty(api, section.uncertainty, section.samples)?;
    Ok(Model {
        api,
        url: url.into_inner().0,
        model: model.0,
        credential: credential.map(|name| name.into_inner().0),
        timeout_ms: timeout.map_or(defaults::MODEL_TIMEOUT_MS, |span| span.0),
        answer_bytes_max: answer_kib.map_or(defaults::MODEL_ANSWER_KIB, |kib| kib.0) * 1024,
        addresses: match (allow_private.unwrap_or(false), here) {
            (true, _) => ModelAddresses::Any,
            (false, true) => ModelAddresses::ThisMachine,
            (false, false) => ModelAddresses::Public,
        },
        price: section.price.map(price).transpose()?,
        uncertainty,
    })
}

fn price(Price { input, output }: Price) -> Result<ModelPrice, RuleViolation> {
    let ((input_millionths, currency), (output_millionths, other)) = (amount(&input)?, amount(&output)?);
    if currency != other {
        let what = format!("this is not in {currency}, as the price of the input");
        return Err(RuleViolation::at(&output, what, "write both in one currency"));
    }
    Ok(ModelPrice { input_millionths, output_millionths, currency })
}

fn uncertainty(
    api: ModelApi,
    measure: Option<Spanned<Measure>>,
    samples: Option<Spanned<Between<2, { defaults::MODEL_SAMPLES_MAX }>>>,
) -> Result<ModelUncertainty, RuleViolation> {
    let found = measure.as_ref().map_or(Measure::None, |measure| *measure.get_ref());
    if let Some(unused) = samples.as_ref().filter(|_| found != Measure::Sample) {
        let hint = "add `uncertainty = \"sample\"`, or remove this key";
        return Err(RuleViolation::at(unused, "only `uncertainty = \"sample\"` takes samples", hint));
    }
    if let Some(measure) = measure.filter(|_| (api, found) == (ModelApi::Anthropic, Measure::Logprobs)) {
        let hint = "write `uncertainty = \"sample\"`";
        return Err(RuleViolation::at(&measure, "servers of this form give no probabilities", hint));
    }
    Ok(match found {
        Measure::None => ModelUncertainty::None,
        Measure::Logprobs => ModelUncertainty::Logprobs,
        Measure::Sample => {
            let count = samples.map_or(defaults::MODEL_SAMPLES, |samples| samples.get_ref().0);
            ModelUncertainty::Sample(u32::try_from(count).unwrap_or(u32::MAX))
        }
    })
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
