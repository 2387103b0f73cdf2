//! Tests the one classifier: each published function has the same class everywhere, and an unclassified function is
//! refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use holdshort_gate::{FunctionType, WitType};

use super::*;
use crate::agent::Import;
use crate::config::ConfigContext;
use crate::connectors::descriptor::{DeclaredFacts, Effect, FactReaders};
use crate::connectors::{DESCRIPTORS, deploy_command};
use crate::runs::{BindError, BoundOffer};

fn config(text: &str, is_repository: bool) -> Config {
    let context = ConfigContext { folder: "/srv/shop".into(), is_repository, operator: "olga".into() };
    Config::parse(text, Some(Path::new("holdshort.toml")), &context).unwrap()
}

/// The class and connector name by which `inspect` and a host classify each import. Nothing is opened.
fn classified(config: &Config) -> Catalogue<(), &'static str> {
    let by = |served: ConfiguredConnector<'_>| match served.descriptor.class {
        Class::Log => Offer::Log,
        Class::Routine => Offer::Routine(()),
        Class::Consequential(effect) => Offer::Consequential { connector: effect.connector, refusal: served.refusal },
    };
    catalogue(config, |_, served| Ok(by(served))).unwrap()
}

fn class(offer: &BoundOffer<(), &'static str>) -> &'static str {
    match offer {
        BoundOffer::Log => "log",
        BoundOffer::Routine(()) => "routine",
        BoundOffer::Consequential(connector, _) | BoundOffer::ByCall((), connector, _) => connector,
    }
}

#[test]
fn each_published_function_is_classified_as_its_descriptor_says() {
    let with_relay = "[email]\nconnector = \"smtp\"\nhost = \"localhost\"\ntls = \"none\"\n\
                      [deployment]\nconnector = \"command\"\ncommand = [\"deploy\"]\n\
                      [http.\"api.example.org\"]\nroutine = [\"GET\"]\n\
                      [models.m]\napi = \"openai\"\nurl = \"https://api.example.org\"\nmodel = \"m\"\n";
    let mut seen = BTreeSet::new();
    for text in ["", with_relay] {
        let catalogue = classified(&config(text, true));
        // Without a section for a host or a model, requests and questions to models are withheld.
        let requests = agent::http_import().filter(|_| text == with_relay);
        let ours = agent::functions().unwrap().into_iter();
        let ours = ours.filter(|import| text == with_relay || !import.capability.interface().contains("/model@"));
        for import in ours.chain(requests) {
            let found = catalogue.classify(&import).unwrap_or_else(|error| panic!("{error}"));
            let mut declared = DESCRIPTORS.iter().filter(|one| one.capabilities().any(|of| of == import.capability));
            let fits = |one: &&Descriptor| match (one.class, &found) {
                (Class::Log, BoundOffer::Log) | (Class::Routine, BoundOffer::Routine(())) => true,
                (Class::Consequential(effect), BoundOffer::Consequential(connector, _)) => {
                    effect.connector == *connector
                }
                _ => false,
            };
            assert!(declared.any(|one| fits(&one)), "{} is {}", import.capability, class(&found));
            seen.insert((import.capability.to_string(), class(&found)));
        }
    }
    // Each of our descriptors is used in at least one of these configurations, and names only published functions.
    let offered = agent::functions().unwrap().into_iter().chain(agent::http_import());
    let published: BTreeSet<_> = offered.map(|import| import.capability).collect();
    for descriptor in DESCRIPTORS {
        assert_eq!(descriptor.interface.map_or(0, |_| descriptor.functions.len()), descriptor.capabilities().count());
        for of in descriptor.capabilities() {
            assert!(published.contains(&of), "{of} is not published");
            let name = match descriptor.class {
                Class::Log => "log",
                Class::Routine => "routine",
                Class::Consequential(effect) => effect.connector,
            };
            assert!(seen.contains(&(of.to_string(), name)), "{of} by {name} is in no configuration");
        }
    }
}

#[test]
fn what_nobody_classified_is_refused() {
    let none = FunctionType { params: Vec::new(), result: None };
    let rules = "[capabilities.\"acme:crm/contacts@1.0.0#find-contact\"]\nclass = \"routine\"\ncommand = [\"find\"]\n\
                 [models.m]\napi = \"openai\"\nurl = \"https://api.example.org\"\nmodel = \"m\"\n";
    let catalogue = classified(&config(rules, true));
    for name in [
        "holdshort:agent/payments@0.1.0#refund",
        "holdshort:agent/email@0.1.0#send",
        "holdshort:agent/email@0.2.0#send-email",
        "holdshort:agent/deployment@0.1.0#rollback",
        "holdshort:agent/guidance@0.1.0#answer",
        "holdshort:agent/log@0.1.0#read",
        "holdshort:agent/secrets@0.1.0#read",
        "holdshort:agent/workspace@0.1.0#write-file",
        "holdshort:agent/workspace@0.1.1#write-file",
        "holdshort:agent/repositories@0.1.0#log",
        "holdshort:agents/email@0.1.0#send-email",
        "acme:agent/email@0.1.0#send-email",
        "acme:crm/contacts@1.0.0#delete-contact",
        "acme:crm/contacts@2.0.0#find-contact",
    ] {
        let import = Import { capability: name.parse().unwrap(), ty: none.clone() };
        let refused = catalogue.classify(&import).err();
        assert_eq!(refused, Some(BindError::Unclassified(import.capability)), "{name}");
    }
    // The host refuses our functions with another type, and our functions that it is not configured for.
    let without = classified(&config("", false));
    for import in agent::functions().unwrap() {
        let other = Import { ty: none.clone(), ..import.clone() };
        assert_eq!(catalogue.classify(&other).err(), Some(BindError::OtherType(import.capability.clone())));
        let needs = ["/deployment@", "/repository@", "/checks@", "/model@"];
        let needs = needs.iter().any(|name| import.capability.interface().contains(name));
        let withheld = matches!(without.classify(&import), Err(BindError::Withheld(..)));
        assert_eq!(withheld, needs, "{}", import.capability);
    }
}

/// Policies see one type for each fact of a capability, whichever connector serves it.
#[test]
fn a_fact_has_one_type_and_one_meaning_for_all_connectors_of_a_capability() {
    let mut all = BTreeMap::<_, _>::new();
    for descriptor in DESCRIPTORS {
        let Class::Consequential(Effect { facts: DeclaredFacts::Fixed(facts), .. }) = descriptor.class else {
            continue;
        };
        for fact in facts {
            assert!(fact.readers != FactReaders::All || !matches!(fact.ty.wit(), WitType::Record(_)), "{fact:?}");
            let key = (descriptor.interface, fact.name);
            assert_eq!(all.entry(key).or_insert(fact), &fact, "{key:?}");
        }
    }
    assert!(all.len() >= 31, "{}", all.len());
    assert_eq!(deploy_command::DESCRIPTOR.functions, deploy_git::DESCRIPTOR.functions);
}
