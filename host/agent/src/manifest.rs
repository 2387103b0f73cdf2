//! What a component asks for and offers, read without compiling it.
//!
//! INVARIANT: all text in a manifest and in an error about one is bounded, whatever the component says: its author is not trusted.

use holdshort_gate::{Capability, Digest, FunctionType, WitType};
use serde::{Deserialize, Serialize};
use wit_component::DecodedWasm;
use wit_parser::{Function, InterfaceId, Resolve, World, WorldItem, WorldKey};

use super::load::{LoadError, check_header};
use super::problem::{Problem, ProblemKind, cause, short};
use super::{wasi, wit};

/// What a component asks for and offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Every function of every interface that it imports and that is not WASI, in the component's order.
    pub imports: Vec<Import>,
    /// The WASI interfaces that it imports, with their versions.
    pub wasi: Vec<String>,
    /// How it is started.
    pub entry: Entry,
    /// Why it cannot be run here; empty if it can.
    pub problems: Vec<Problem>,
}

/// A function that the host is asked to offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Its name, with its interface and version.
    pub capability: Capability,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: FunctionType,
}

/// How a component is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// It exports `run: func(task: string) -> result<string, string>`.
    Run,
    /// It exports `wasi:cli/run`: a program that gets the task as its only argument.
    WasiCli,
}

/// How many functions and how many interfaces of WASI a component may import. A composition of large ones has some hundred.
const IMPORTS_MAX: usize = 1_000;
/// How many characters all these functions' names and types may have, written out.
const IMPORTS_BYTES_MAX: usize = 2 << 20;
/// The bytes of a function's whole name: it stands in configurations, messages and lists.
const CAPABILITY_BYTES_MAX: usize = 300;
/// How many problems, and how many names of exports, are told; with these a build can be mended, and then there are others or none.
const PROBLEMS_MAX: usize = 50;
const EXPORTS_TOLD_MAX: usize = 10;

impl Manifest {
    /// Decodes a component. What it asks for beyond what can be offered is in `problems`; an error means that there is nothing to run.
    pub fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        check_header(bytes)?;
        check_lengths(bytes)?;
        let (resolve, world) = match wit_component::decode(bytes) {
            Ok(DecodedWasm::Component(resolve, world)) => (resolve, world),
            Ok(DecodedWasm::WitPackage(..)) => return Err(LoadError::WitPackage),
            Err(error) => return Err(not_decoded(&cause(&error), bytes.len())),
        };
        let world = resolve.worlds.get(world).ok_or_else(|| LoadError::Invalid { cause: "it has no world".into() })?;
        let entry = entry(&resolve, world)?;
        let mut manifest =
            Self { digest: Digest::of(bytes), imports: Vec::new(), wasi: Vec::new(), entry, problems: Vec::new() };
        for (key, item) in &world.imports {
            manifest.import(&resolve, key, item);
        }
        manifest.bound()
    }

    /// Refuses a component with more imports than anybody could classify, and cuts the list of problems.
    fn bound(mut self) -> Result<Self, LoadError> {
        let size = |import: &Import| serde_json::to_string(import).map_or(usize::MAX, |text| text.len());
        let all: usize = self.imports.iter().map(size).fold(0, usize::saturating_add);
        if self.imports.len().max(self.wasi.len()) > IMPORTS_MAX || all > IMPORTS_BYTES_MAX {
            return Err(LoadError::TooManyImports { imports: self.imports.len(), wasi: self.wasi.len(), bytes: all });
        }
        if let Some(more) = self.problems.len().checked_sub(PROBLEMS_MAX).filter(|more| *more > 0) {
            self.problems.truncate(PROBLEMS_MAX);
            self.problems
                .extend(self.problems.last().map(|last| Problem { what: ProblemKind::More(more), ..last.clone() }));
        }
        Ok(self)
    }

    fn import(&mut self, resolve: &Resolve, key: &WorldKey, item: &WorldItem) {
        let name = resolve.name_world_key(key);
        match item {
            WorldItem::Interface { id, .. } if name.starts_with("wasi:") => self.wasi_interface(resolve, name, *id),
            WorldItem::Interface { id, .. } => self.interface(resolve, &name, *id),
            WorldItem::Function(_) => self.problem(name, ProblemKind::WorldFunction),
            // A type by itself asks for nothing; where a function uses one, the function is judged.
            WorldItem::Type { .. } => {}
        }
    }

    /// An interface of types alone asks for nothing and so needs nothing of the host.
    fn wasi_interface(&mut self, resolve: &Resolve, name: String, id: InterfaceId) {
        let asks = resolve.interfaces.get(id).is_some_and(|interface| !interface.functions.is_empty());
        if asks && !wasi::offers(&name) {
            self.problem(name.clone(), ProblemKind::UnknownWasi);
        }
        self.wasi.push(short(&name));
    }

    fn interface(&mut self, resolve: &Resolve, name: &str, id: InterfaceId) {
        let Some(interface) = resolve.interfaces.get(id) else { return };
        for function in interface.functions.values() {
            let short = name.len() + function.name.len() <= CAPABILITY_BYTES_MAX;
            let capability = Capability::new(name, &function.name).ok().filter(|_| short).ok_or(());
            match (capability, wit::function_type(resolve, function)) {
                (Ok(capability), Ok(ty)) => self.imports.push(Import { capability, ty }),
                // A method's name is no capability's name either; that it is a method says more.
                (_, Err(what)) => self.problem(format!("{name}#{}", function.name), what),
                (Err(_), Ok(_)) => self.problem(format!("{name}#{}", function.name), ProblemKind::Name),
            }
        }
    }

    fn problem(&mut self, item: String, what: ProblemKind) {
        self.problems.push(Problem { item: short(&item), what });
    }
}

fn entry(resolve: &Resolve, world: &World) -> Result<Entry, LoadError> {
    let mut wrong = None;
    for (key, item) in &world.exports {
        match (key, item) {
            (WorldKey::Name(name), WorldItem::Function(function)) if name == "run" => {
                if is_run(resolve, function) {
                    return Ok(Entry::Run);
                }
                wrong = Some(wit::signature(resolve, function));
            }
            (
                WorldKey::Name(_) | WorldKey::Interface(_),
                WorldItem::Function(_) | WorldItem::Interface { .. } | WorldItem::Type { .. },
            ) => {}
        }
    }
    let names: Vec<String> = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
    if names.iter().any(|name| wasi::is_cli_run(name)) {
        return Ok(Entry::WasiCli);
    }
    match wrong {
        Some(found) => Err(LoadError::WrongRunExport { found }),
        None if names.is_empty() => Err(LoadError::NoRunExport { exports: "nothing".into() }),
        None => Err(LoadError::NoRunExport { exports: listed(&names) }),
    }
}

/// Some names, and how many more there are.
fn listed(names: &[String]) -> String {
    let mut told: Vec<String> = names.iter().take(EXPORTS_TOLD_MAX).map(|name| format!("`{}`", short(name))).collect();
    if names.len() > told.len() {
        told.push(format!("{} more", names.len() - told.len()));
    }
    told.join(", ")
}

fn is_run(resolve: &Resolve, function: &Function) -> bool {
    let string = || Some(Box::new(WitType::String));
    wit::function_type(resolve, function).is_ok_and(|ty| {
        let takes_task = matches!(ty.params.as_slice(), [(_, WitType::String)]);
        takes_task && ty.result == Some(WitType::Result { ok: string(), err: string() })
    })
}

/// Whether every part is as long as it says. The decoder believes a length and makes room for it, gigabytes if a few bytes say so; here nothing is read into memory.
fn check_lengths(bytes: &[u8]) -> Result<(), LoadError> {
    let mut parts = wasmparser::Parser::new(0).parse_all(bytes);
    parts.try_for_each(|part| part.map(drop)).map_err(|error| not_decoded(&cause(&error), bytes.len()))
}

/// The decoder has one error type; that a file is cut off can be told by its text alone.
fn not_decoded(cause: &str, length: usize) -> LoadError {
    if cause.contains("unexpected end") {
        LoadError::Truncated { length }
    } else {
        LoadError::Invalid { cause: cause.into() }
    }
}
