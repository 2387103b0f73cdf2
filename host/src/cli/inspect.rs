//! `holdshort inspect`: lists what an agent can and cannot do before it runs. It compiles and
//! changes nothing.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::InspectArgs;
use super::exit::{Exit, Failure};
use super::host::{CheckSandboxes, forgetful_reader, registry};
use super::output::Output;
use crate::agent::{self, Entry, LoadError, Manifest};
use crate::config::Config;
use crate::connectors::descriptor::{Class, Effect};
use crate::review::sentences;
use crate::runs::{AgentError, BoundOffer, Catalogue, Offer};

/// What no agent ever gets, whatever it imports. Files and the network are not in this list, because some agents may read
/// some files and send requests to some hosts: `Report::never` adds them.
const NEVER: [&str; 6] = [
    "environment variables",
    "the host's clock and randomness",
    "other processes",
    "approvals",
    "tokens",
    "the journal",
];

/// The WASI packages that exist only for standard libraries and give access to nothing.
const EMPTY: [&str; 2] = ["wasi:filesystem/", "wasi:sockets/"];

/// Prints a component's imports and how this host would serve them. A component that cannot run
/// here is printed too, with exit code 1.
pub(super) fn run(args: &InspectArgs, config: &Config, output: &Output) -> Result<Exit, Failure> {
    let report = examine(&args.component, config)?;
    if output.json {
        output.json(&report.json())?;
    } else {
        report.print(output)?;
    }
    Ok(if report.refused.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Reads a component's imports, or refuses a component that cannot run here, before anything is created or compiled. It
/// names all unusable imports at once, in the host's own words.
pub(super) fn check(component: &Path, config: &Config) -> Result<Arc<Manifest>, Failure> {
    let report = examine(component, config)?;
    if report.refused.is_empty() {
        return Ok(report.manifest);
    }
    let problems = report.refused.into_iter().map(|refused| refused.why).collect();
    let refused = AgentError::Imports { path: component.display().to_string(), problems };
    Err(Failure::new(Exit::Usage, refused.to_string()))
}

/// Reads the imports from the bytes. The classes come from the configuration alone, so nothing is
/// opened or started.
pub(super) fn examine(component: &Path, config: &Config) -> Result<Report, Failure> {
    let path = component.display();
    let wrong = |message: String| Failure::new(Exit::Usage, message);
    if component.is_dir() {
        return Err(wrong(format!("`{path}` is a folder")).hint("give the `.wasm` file that the agent's build wrote"));
    }
    let unread = |error: std::io::Error| {
        if error.kind() == ErrorKind::NotFound {
            return wrong(format!("there is no file `{path}`")).hint("give the path of a component (a `.wasm` file)");
        }
        wrong(format!("cannot read `{path}`: {error}"))
    };
    let refused = |error: LoadError| wrong(format!("`{path}`: {error}"));
    let reader = forgetful_reader(config)?;
    reader.check_size(std::fs::metadata(component).map_err(unread)?.len()).map_err(refused)?;
    let manifest = reader.manifest(&std::fs::read(component).map_err(unread)?).map_err(refused)?;
    let mut report = Report::new(manifest, &catalogue(config)?);
    if report.routine.iter().any(|name| name.contains("/checks@")) {
        report.note = Some(CheckSandboxes::of(config)?.note().unwrap_or_else(|| "no check is configured".into()));
    }
    Ok(report)
}

/// Who performs a consequential call, as a text for operators, and the effect of the call.
pub(super) type By = (String, Effect);

/// The capabilities of this host. No connector is opened.
pub(super) fn catalogue(config: &Config) -> Result<Catalogue<(), By>, Failure> {
    registry::catalogue(config, |_, served| {
        Ok(match served.descriptor.class {
            Class::Log => Offer::Log,
            Class::Routine => Offer::Routine(()),
            Class::Consequential(effect) => {
                Offer::Consequential { connector: (served.by, effect), refusal: served.refusal }
            }
        })
    })
}

/// An import that this host does not offer to the agent.
pub(super) struct RefusedImport {
    pub(super) import: String,
    /// The reason, and what the operator or the author can do.
    pub(super) why: String,
}

/// A component's imports by class.
pub(super) struct Report {
    manifest: Arc<Manifest>,
    /// Each capability with its performer and its effect.
    consequential: Vec<(String, By)>,
    routine: Vec<String>,
    log: bool,
    /// The reasons why the component cannot run here.
    pub(super) refused: Vec<RefusedImport>,
    /// Advice about the checks that the component may call.
    note: Option<String>,
}

impl Report {
    /// Classifies all imports by the configuration. As at load, an unclassified import is refused.
    fn new(manifest: Arc<Manifest>, catalogue: &Catalogue<(), By>) -> Self {
        let (mut consequential, mut routine, mut log) = (Vec::new(), Vec::new(), false);
        let refuse = |import: &str, why: &dyn Display| RefusedImport { import: import.into(), why: why.to_string() };
        let mut refused: Vec<_> = manifest.problems.iter().map(|problem| refuse(&problem.item, problem)).collect();
        for import in &manifest.imports {
            let name = import.capability.to_string();
            match catalogue.classify(import) {
                Ok(BoundOffer::Log) => log = true,
                Ok(BoundOffer::Routine(())) => routine.push(name),
                Ok(BoundOffer::Consequential(by, _) | BoundOffer::ByCall((), by, _)) => consequential.push((name, by)),
                Err(error) => refused.push(refuse(&name, &error)),
            }
        }
        Self { manifest, consequential, routine, log, refused, note: None }
    }

    /// The component's entry point, by its export.
    fn entry(&self) -> &'static str {
        match self.manifest.entry {
            Entry::Run => "run",
            Entry::WasiCli => "wasi:cli/run",
        }
    }

    /// The report for programs. Its members are part of the command line's compatibility promise.
    fn json(&self) -> Value {
        let consequential = self.consequential.iter().map(|(name, (by, Effect { class, evidence, .. }))| {
            json!({ "capability": name, "performed_by": by, "class": class, "if_lost": evidence })
        });
        json!({
            "component": self.manifest.digest,
            "entry": self.entry(),
            "consequential": consequential.collect::<Vec<_>>(),
            "routine": self.routine,
            "logs": self.log,
            "wasi": self.wasi(false),
            "wasi_empty": self.wasi(true),
            "never": self.never(),
            "notes": self.note.iter().collect::<Vec<_>>(),
            "refused": self.refused.iter().map(|refused| refused.why.as_str()).collect::<Vec<_>>(),
            "can_run": self.refused.is_empty(),
        })
    }

    /// Prints the report: refused imports first, then consequential ones, then the rest.
    fn print(&self, output: &Output) -> Result<(), Failure> {
        output.row("component ", &self.manifest.digest.to_string())?;
        output.row("starts at ", self.entry())?;
        if !self.refused.is_empty() {
            output.row("", "")?;
            output.row("", "This agent cannot run here:")?;
            for refused in &self.refused {
                output.row("  - ", &refused.why)?;
            }
        }
        output.row("", "")?;
        output.row("", "Consequential calls, which are held until they are cleared:")?;
        for (name, (by, Effect { class, evidence, .. })) in &self.consequential {
            output.row(&format!("  {name}  "), &format!("performed by {by}"))?;
            if let Some(text) = sentences::if_lost(*class, Some(evidence)) {
                output.row("    if its outcome is unknown: ", &text)?;
            }
        }
        self.nothing(self.consequential.is_empty(), output)?;
        output.row("", "Routine calls, which are answered at once and recorded:")?;
        for name in &self.routine {
            output.row("  ", name)?;
        }
        self.nothing(self.routine.is_empty(), output)?;
        if let Some(note) = &self.note {
            output.row("  note: ", note)?;
        }
        if self.log {
            output.row("", "This agent may write to its log.")?;
        }
        let gets = "WASI interfaces without effects, with the same answers in every replay:";
        let empty = "WASI interfaces that are empty (no files, no connections, no variables):";
        for (title, names) in [(gets, self.wasi(false)), (empty, self.wasi(true))] {
            if !names.is_empty() {
                output.row("", title)?;
            }
            for name in names {
                output.row("  ", name)?;
            }
        }
        output.row("This agent never gets: ", &self.never().join(", "))
    }

    /// The WASI interfaces that the component imports: the useful ones or the empty ones.
    fn wasi(&self, empty: bool) -> Vec<&str> {
        // A WASI program gets its task as an argument, which is part of its environment. Other
        // agents get an empty environment.
        let no_task = self.manifest.entry == Entry::Run;
        let is_empty = |name: &str| {
            EMPTY.iter().any(|package| name.starts_with(package))
                || no_task && name.starts_with("wasi:cli/environment@")
        };
        self.manifest.wasi.iter().map(String::as_str).filter(|name| is_empty(name) == empty).collect()
    }

    /// What the agent never gets. Files that it may read through the host's functions are named as
    /// an exception.
    fn never(&self) -> Vec<String> {
        let places = ["workspace", "repository"].into_iter().filter(|place| {
            let interface = agent::interface(place) + "#";
            self.routine.iter().any(|name| name.starts_with(&interface))
        });
        let files = match places.collect::<Vec<_>>().join(" and ") {
            none if none.is_empty() => "files".into(),
            places => format!("files, except those of its {places}"),
        };
        let sends = self.consequential.iter().any(|(name, _)| name.starts_with("wasi:http/"));
        let network = if sends { "the network but the hosts that `[http]` names" } else { "the network" };
        let mut never: Vec<String> = [network.into(), files].into();
        never.extend(NEVER.map(String::from));
        never
    }

    /// Prints that a list is empty, if `none`. If imports were refused, it prints only that the
    /// list has nothing that this host offers, because refused imports might belong to the list.
    fn nothing(&self, none: bool, output: &Output) -> Result<(), Failure> {
        let word = if self.refused.is_empty() { "nothing" } else { "nothing that this host offers" };
        if none { output.row("  ", word) } else { Ok(()) }
    }
}
