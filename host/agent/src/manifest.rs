//! Reads a component's imports and entry point without compiling it.
//!
//! **Invariant:** all text in a manifest and in its errors is limited in length, because the
//! component's author is not trusted.

use holdshort_gate::{Capability, Digest, FunctionType, WitType};
use serde::{Deserialize, Serialize};
use wit_component::DecodedWasm;
use wit_parser::{Function, InterfaceId, Resolve, World, WorldItem, WorldKey};

use super::http::exchange;
use super::load::{LoadError, check_header};
use super::problem::{ImportProblem, ProblemKind, cause, short};
use super::{wasi, wit};

/// The imports and the entry point of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub digest: Digest,
    /// All imported functions outside WASI, and `handle` of `wasi:http`, in the component's order.
    pub imports: Vec<Import>,
    /// The imported WASI interfaces with their versions.
    pub wasi: Vec<String>,
    pub entry: Entry,
    /// The imports that this host cannot offer. With any of them, the component cannot run here.
    pub problems: Vec<ImportProblem>,
}

/// An imported function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub capability: Capability,
    #[serde(rename = "type")]
    pub ty: FunctionType,
}

/// The entry points of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// The component exports `run: func(task: string) -> result<string, string>`.
    Run,
    /// The component exports `wasi:cli/run`. It is a program, and the task is its only argument.
    WasiCli,
}

/// The maximum number of imported functions, and of imported WASI interfaces. A composition of large components has
/// a few hundred.
const IMPORTS_MAX: usize = 1_000;
/// The maximum length of all imported functions' names and types together, as text.
const IMPORTS_BYTES_MAX: usize = 2 << 20;
/// The maximum length of a capability's name in bytes. Names appear in configurations, messages and
/// lists.
const CAPABILITY_BYTES_MAX: usize = 300;
/// A message lists at most this many problems. When an author has corrected them, the next message lists the others.
const PROBLEMS_MAX: usize = 50;
const EXPORTS_TOLD_MAX: usize = 10;

impl Manifest {
    /// Reads a component. If imports cannot be offered, they are in `problems`. An error means that the bytes are not a
    /// component with an entry point.
    pub fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        check_header(bytes)?;
        check_lengths(bytes)?;
        let (resolve, world) = match wit_component::decode(bytes) {
            Ok(DecodedWasm::Component(resolve, world)) => (resolve, world),
            Ok(DecodedWasm::WitPackage(..)) => return Err(LoadError::WitPackage),
            Err(error) => return Err(not_decoded(&cause(&error), bytes.len())),
        };
        let world = resolve
            .worlds
            .get(world)
            .ok_or_else(|| LoadError::Invalid { cause: "the component has no world".into() })?;
        let entry = entry(&resolve, world)?;
        let mut manifest =
            Self { digest: Digest::of(bytes), imports: Vec::new(), wasi: Vec::new(), entry, problems: Vec::new() };
        for (key, item) in &world.imports {
            manifest.import(&resolve, key, item);
        }
        manifest.bound()
    }

    /// Refuses a component that imports more than a person could classify, and shortens the list of problems.
    fn bound(mut self) -> Result<Self, LoadError> {
        let size = |import: &Import| serde_json::to_string(import).map_or(usize::MAX, |text| text.len());
        let all: usize = self.imports.iter().map(size).fold(0, usize::saturating_add);
        if self.imports.len().max(self.wasi.len()) > IMPORTS_MAX || all > IMPORTS_BYTES_MAX {
            return Err(LoadError::TooManyImports { imports: self.imports.len(), wasi: self.wasi.len(), bytes: all });
        }
        if let Some(more) = self.problems.len().checked_sub(PROBLEMS_MAX).filter(|more| *more > 0) {
            self.problems.truncate(PROBLEMS_MAX);
            self.problems.extend(
                self.problems.last().map(|last| ImportProblem { what: ProblemKind::More(more), ..last.clone() }),
            );
        }
        Ok(self)
    }

    fn import(&mut self, resolve: &Resolve, key: &WorldKey, item: &WorldItem) {
        let name = resolve.name_world_key(key);
        match item {
            WorldItem::Interface { id, .. } if name.starts_with("wasi:") => self.wasi_interface(resolve, name, *id),
            WorldItem::Interface { id, .. } => self.interface(resolve, &name, *id),
            WorldItem::Function(_) => self.problem(name, ProblemKind::WorldFunction),
            // A type by itself needs nothing from the host. If a function uses the type, it is checked there.
            WorldItem::Type { .. } => {}
        }
    }

    /// Adds a WASI interface. An interface with only types needs nothing from the host. The interface that makes HTTP
    /// requests becomes an import like those outside WASI, because each request is a call.
    fn wasi_interface(&mut self, resolve: &Resolve, name: String, id: InterfaceId) {
        let functions = || resolve.interfaces.get(id).into_iter().flat_map(|interface| interface.functions.keys());
        let handles = wasi::is_outgoing_handler(&name) && functions().eq([exchange::FUNCTION]);
        match http_import().filter(|_| handles) {
            Some(import) => return self.imports.push(import),
            None if functions().next().is_some() && !wasi::offers(&name) => {
                self.problem(name.clone(), ProblemKind::UnknownWasi);
            }
            None => {}
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
                // The problem with the type is reported even if the name is a problem too. This concerns methods: the
                // message about their type helps the author more.
                (_, Err(what)) => self.problem(format!("{name}#{}", function.name), what),
                (Err(_), Ok(_)) => self.problem(format!("{name}#{}", function.name), ProblemKind::Name),
            }
        }
    }

    fn problem(&mut self, item: String, what: ProblemKind) {
        self.problems.push(ImportProblem { item: short(&item), what });
    }
}

/// The import of an agent that makes HTTP requests: the function `handle`.
pub fn http_import() -> Option<Import> {
    exchange::handle().map(|(capability, ty)| Import { capability, ty })
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

/// The first names, and the number of the other names.
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

/// Checks that every section is as long as it declares, without allocating memory. The decoder trusts a declared length
/// and allocates memory for it, so a file of a few bytes could cost gigabytes.
fn check_lengths(bytes: &[u8]) -> Result<(), LoadError> {
    let mut parts = wasmparser::Parser::new(0).parse_all(bytes);
    parts.try_for_each(|part| part.map(drop)).map_err(|error| not_decoded(&cause(&error), bytes.len()))
}

/// The error for a component that the decoder refused. The decoder has only one type of error, so the error's text must
/// tell whether the file is cut off.
fn not_decoded(cause: &str, length: usize) -> LoadError {
    if cause.contains("unexpected end") {
        LoadError::Truncated { length }
    } else {
        LoadError::Invalid { cause: cause.into() }
    }
}
