//! The settings with which connectors are opened, in the connectors' own types.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdshort_gate::AgentName;
use holdshort_journal::{Clock, Journal};

use super::failed;
use crate::agent::Reader;
use crate::cli::exit::{Exit, Failure};
use crate::cli::host::state::{self, CHILDREN_FOLDER};
use crate::cli::host::types::ComponentTypes;
use crate::cli::host::{CheckSandboxes, system_clock};
use crate::config::{
    self, ClientAuth, Config, ModelAddresses, ModelApi, ModelBudget, ModelCap, ModelUncertainty, SecretSource, Source,
    Tls,
};
use crate::connectors::child::Children;
use crate::connectors::command::{CommandContext, FunctionTypes};
use crate::connectors::http;
use crate::connectors::ledger::Funding;
use crate::connectors::model;
use crate::connectors::program::Program;
use crate::connectors::secret::{Mask, Secret};
use crate::connectors::smtp::{Encryption, Login, Relay};
use holdshort_common::outbound::{Addresses, address, anywhere, this_machine};

/// The parts of a host that its connectors share.
pub(in crate::cli::host) struct ConnectorContext<'a> {
    pub(super) config: &'a Config,
    pub(super) sandboxes: &'a CheckSandboxes,
    /// The clock for the dates of emails and ledger entries.
    pub(super) clock: Clock,
    pub(super) journal: Journal,
    /// Removes the secrets of all credentials from answers.
    pub(super) mask: Arc<Mask>,
    types: Arc<ComponentTypes>,
    command_context: OnceCell<CommandContext>,
}

impl<'a> ConnectorContext<'a> {
    pub(in crate::cli::host) fn new(
        config: &'a Config,
        journal: &Journal,
        reader: &Reader,
        sandboxes: &'a CheckSandboxes,
    ) -> Self {
        let types = Arc::new(ComponentTypes::of(journal.clone(), reader.clone()));
        let journal = journal.clone();
        Self {
            config,
            sandboxes,
            clock: system_clock(),
            journal,
            mask: Arc::default(),
            types,
            command_context: OnceCell::new(),
        }
    }

    /// The folder in which running programs leave data for lookups. It outlives the host. All connectors share the
    /// folder, and name the data of their programs differently: by effect key, by random number, or by counter.
    pub(super) fn children(&self) -> Result<Children, Failure> {
        let folder = self.config.state.join(CHILDREN_FOLDER);
        Children::open(&folder).map_err(|error| failed(&format!("cannot make `{}`: {error}", folder.display())))
    }

    /// The types of foreign functions.
    pub(super) fn types(&self) -> Arc<dyn FunctionTypes> {
        self.types.clone()
    }

    /// The parts that all programs for foreign functions share.
    pub(super) fn command_context(&self) -> Result<CommandContext, Failure> {
        if let Some(command_context) = self.command_context.get() {
            return Ok(command_context.clone());
        }
        let command_context = CommandContext::new(self.children()?, self.types());
        Ok(self.command_context.get_or_init(|| command_context).clone())
    }
}

/// An operator's program that runs in `folder`.
pub(super) fn program(command: &config::Command, folder: &Path) -> Program {
    Program {
        argv: command.argv.clone(),
        folder: folder.to_owned(),
        time_out: Duration::from_millis(command.timeout_ms),
        environment: command.environment.clone(),
        not_done: command.not_done_codes.clone(),
    }
}

/// The workspaces by agent: the files that an agent may read and attach to emails.
pub(super) fn workspaces(config: &Config) -> BTreeMap<AgentName, PathBuf> {
    let folder = |(name, agent): (&AgentName, &config::Agent)| Some((name.clone(), agent.workspace.clone()?));
    config.agents.iter().filter_map(folder).collect()
}

/// The opening balance and deposits of an account, under the names by which the ledger identifies them.
pub(super) fn fundings(account: &config::Account) -> Vec<Funding> {
    let funding = |label, amount: &config::Amount| Funding {
        label,
        minor_units: amount.minor_units,
        currency: amount.currency.clone(),
    };
    let opening = account.opening.iter().map(|amount| funding(format!("opening {}", amount.currency), amount));
    let deposits = account.deposits.iter().map(|(name, amount)| funding(format!("deposit {name}"), amount));
    opening.chain(deposits).collect()
}

/// A host that agents may send requests to.
pub(in crate::cli) fn http_host(host: &config::HttpHost) -> http::Host {
    let names = |methods: &[config::Method]| methods.iter().map(ToString::to_string).collect();
    http::Host {
        routine: names(&host.routine),
        routine_paths: host.routine_paths.clone(),
        routine_bytes_max: host.routine_bytes_max,
        consequential: names(&host.consequential),
        allow_http: host.allow_http,
        addresses: addresses(host.allow_private),
        time_out: Duration::from_millis(host.timeout_ms),
        answer_bytes_max: host.answer_bytes_max,
        idempotency: host.idempotency.as_ref().and_then(|key| {
            let header = key.idempotency_header.parse().ok()?;
            Some(http::Idempotency { header, is_idempotent: key.idempotent, lookup: key.lookup.clone() })
        }),
    }
}

/// Reads the secret of a credential now, so that a missing file is found at the start and not at the first request.
pub(super) fn http_credential(name: &str, credential: &config::Credential) -> Result<http::Credential, Failure> {
    let wrong = |why: String| Failure::new(Exit::Usage, format!("[credentials.{name}]: {why}"));
    let (source, oauth) = match &credential.source {
        Source::Secret(source) => (source, None),
        Source::Oauth(oauth) => (&oauth.client_secret, Some(oauth)),
    };
    let secret = match source {
        SecretSource::File(file) => String::from_utf8(state::secret(file)?)
            .map_err(|_| wrong(format!("`{}` is not text in UTF-8", file.display())))?,
        SecretSource::Environment(variable) => std::env::var(variable)
            .map_err(|_| wrong(format!("the variable `{variable}` of the environment is not set, or is not UTF-8")))?,
    };
    let secret = secret.trim_end_matches(['\r', '\n']);
    let methods = credential.methods.iter().map(ToString::to_string).collect();
    let bounds = (credential.hosts.clone(), methods, credential.paths.clone());
    let made =
        http::Credential::new(name.into(), bounds, (credential.header.as_str(), credential.prefix.as_str()), secret);
    let made = made.map_err(|error| wrong(error.to_string()))?;
    let Some(oauth) = oauth else { return Ok(made) };
    Ok(made.with_tokens(http::Client {
        token_url: oauth.token_url.parse().map_err(|error| wrong(format!("`{}`: {error}", oauth.token_url)))?,
        id: oauth.client_id.clone(),
        secret: Secret::new(secret.into()),
        secret_in_form: oauth.client_auth == ClientAuth::Form,
        scope: oauth.scope.clone(),
        audience: oauth.audience.clone(),
        addresses: addresses(oauth.allow_private),
    }))
}

/// The addresses that a host of the operator's may have.
fn addresses(allow_private: bool) -> Addresses {
    Addresses { rule: if allow_private { anywhere } else { address::refused }, lookup: None }
}

/// A model that agents may ask. Anthropic's own header for the secret is `x-api-key`.
pub(super) fn model(model: &config::Model, config: &Config) -> Result<model::Model, Failure> {
    let credential = model.credential.as_ref().and_then(|name| config.credentials.get_key_value(name));
    let credential = credential.map(|(name, credential)| {
        let mut credential = credential.clone();
        let is_key = matches!(credential.source, Source::Secret(_));
        if is_key && model.api == ModelApi::Anthropic && credential.header == "authorization" {
            (credential.header, credential.prefix) = ("x-api-key".into(), String::new());
        }
        http_credential(name, &credential)
    });
    let rule = match model.addresses {
        ModelAddresses::Public => address::refused,
        ModelAddresses::ThisMachine => this_machine,
        ModelAddresses::Any => anywhere,
    };
    Ok(model::Model {
        api: match model.api {
            ModelApi::Openai => model::Api::OpenAi,
            ModelApi::Anthropic => model::Api::Anthropic,
        },
        url: model.url.clone(),
        model: model.model.clone(),
        credential: credential.transpose()?,
        addresses: Addresses { rule, lookup: None },
        time_out: Duration::from_millis(model.timeout_ms),
        answer_bytes_max: model.answer_bytes_max,
        price: model
            .price
            .as_ref()
            .map(|price| model::Price { input: price.input_millionths, output: price.output_millionths }),
        uncertainty: match model.uncertainty {
            ModelUncertainty::None => model::Uncertainty::Off,
            ModelUncertainty::Logprobs => model::Uncertainty::Logprobs,
            ModelUncertainty::Sample(count) => model::Uncertainty::Samples(count),
        },
    })
}

/// The limits on what models cost.
pub(super) fn budget(budget: &ModelBudget, config: &Config) -> model::Budget {
    let cap = |cap: ModelCap| model::Cap { cost: cap.cost_millionths, tokens: cap.tokens };
    let price = config.models.values().find_map(|model| model.price.as_ref());
    let currency = price.map(|price| price.currency.clone()).unwrap_or_default();
    model::Budget { run: cap(budget.run), agent_day: cap(budget.agent_day), day: cap(budget.day), currency }
}

/// Reads passwords and certificates now, so that a missing file is found at the start and not at the first email.
pub(in crate::cli::host) fn relay(smtp: &config::Smtp) -> Result<Relay, Failure> {
    let read = |path: &Path| {
        let why = |error| failed(&format!("cannot read `{}`: {error}", path.display()));
        std::fs::read(path).map_err(why)
    };
    let login = smtp.login.as_ref().map(|(user, file)| {
        let password = String::from_utf8_lossy(&state::secret(file)?).trim_end_matches(['\r', '\n']).to_owned();
        Ok::<_, Failure>(Login { user: user.clone(), password: Secret::new(password) })
    });
    Ok(Relay {
        host: smtp.host.clone(),
        port: smtp.port,
        encryption: match smtp.tls {
            Tls::Required => Encryption::Implicit,
            Tls::Starttls => Encryption::StartTls,
            Tls::None => Encryption::None,
        },
        authority: smtp.ca_file.as_deref().map(read).transpose()?,
        login: login.transpose()?,
        hello: "localhost".into(),
        time_out: Duration::from_millis(smtp.timeout_ms),
        retry_after: Duration::from_millis(smtp.retry_after_ms),
    })
}
