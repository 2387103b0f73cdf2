//! Converts the types of a decoded component to the gate's types.

use holdshort_gate::{FunctionType, WitType};
use wit_parser::{Function, FunctionKind, Resolve, Type, TypeDefKind, TypeId};

use super::problem::{ProblemKind, short};

/// The maximum number of types, fields and cases in one function's signature when all named types are written out. A
/// WIT file can use one named type in many places, so a small file can describe an enormous tree, and the host stores,
/// compares and shows the whole tree.
const PARTS_IN_SIGNATURE_MAX: usize = 4_096;
/// The maximum length of a name in a signature.
const NAME_BYTES_MAX: usize = 128;
/// The maximum nesting of types in a signature. The code that handles values is recursive, and people cannot read types
/// that are nested deeper.
const DEPTH_MAX: usize = 32;

/// The type of an imported function, or the reason why it cannot be offered.
pub(super) fn function_type(resolve: &Resolve, function: &Function) -> Result<FunctionType, ProblemKind> {
    match function.kind {
        FunctionKind::Freestanding => {}
        FunctionKind::AsyncFreestanding => return Err(ProblemKind::AsyncFunction),
        FunctionKind::Method(_)
        | FunctionKind::AsyncMethod(_)
        | FunctionKind::Static(_)
        | FunctionKind::AsyncStatic(_)
        | FunctionKind::Constructor(_) => return Err(ProblemKind::Resource),
    }
    let mut types = TypeReader { resolve, left: PARTS_IN_SIGNATURE_MAX, depth: 0 };
    let param = |param: &wit_parser::Param| Ok((named(&param.name)?, types.of(&param.ty)?));
    let params = function.params.iter().map(param).collect::<Result<_, ProblemKind>>()?;
    let result = function.result.as_ref().map(|ty| types.of(ty)).transpose()?;
    Ok(FunctionType { params, result })
}

/// The signature in WIT's spelling, for messages. A named type appears only by its name.
pub(super) fn signature(resolve: &Resolve, function: &Function) -> String {
    let of = |ty: &Type| spelling(resolve, ty, SPELLING_DEPTH_MAX);
    let shown = function.params.iter().take(SPELLING_PARTS_MAX);
    let params = shown.map(|param| format!("{}: {}", short(&param.name), of(&param.ty)));
    let params = with_rest(params.collect(), function.params.len());
    match &function.result {
        Some(result) => format!("func({params}) -> {}", of(result)),
        None => format!("func({params})"),
    }
}

/// The maximum depth of a type in a message. The next constant limits the parts of one type. An author needs to see
/// only the outermost parts.
const SPELLING_DEPTH_MAX: usize = 3;
const SPELLING_PARTS_MAX: usize = 8;

/// Joins the parts that are shown. If there are more parts, the text ends with their number.
fn with_rest(mut parts: Vec<String>, all: usize) -> String {
    if all > parts.len() {
        parts.push(format!("… {} more", all - parts.len()));
    }
    parts.join(", ")
}

/// Writes out the types of one signature and counts them.
struct TypeReader<'a> {
    resolve: &'a Resolve,
    /// How many more types, fields and cases are allowed.
    left: usize,
    /// The depth at which the current type is nested.
    depth: usize,
}

impl TypeReader<'_> {
    /// Counts parts before they are written out. It fails beyond the limit.
    fn count(&mut self, parts: usize) -> Result<(), ProblemKind> {
        self.left = self.left.checked_sub(parts).ok_or(ProblemKind::TypeTooLarge)?;
        Ok(())
    }

    // INVARIANT: every type passes this function and is counted before it is written out. So a type that is used in
    // many places cannot exceed the limit.
    fn of(&mut self, ty: &Type) -> Result<WitType, ProblemKind> {
        self.count(1)?;
        Ok(match ty {
            Type::Bool => WitType::Bool,
            Type::U8 => WitType::U8,
            Type::U16 => WitType::U16,
            Type::U32 => WitType::U32,
            Type::U64 => WitType::U64,
            Type::S8 => WitType::S8,
            Type::S16 => WitType::S16,
            Type::S32 => WitType::S32,
            Type::S64 => WitType::S64,
            Type::F32 => WitType::F32,
            Type::F64 => WitType::F64,
            Type::Char => WitType::Char,
            Type::String => WitType::String,
            Type::ErrorContext => return Err(ProblemKind::UnsupportedType("error-context".into())),
            Type::Id(id) => {
                self.depth += 1;
                let defined = if self.depth > DEPTH_MAX { Err(ProblemKind::TypeTooLarge) } else { self.defined(*id) };
                self.depth -= 1;
                return defined;
            }
        })
    }

    fn boxed(&mut self, ty: &Type) -> Result<Box<WitType>, ProblemKind> {
        self.of(ty).map(Box::new)
    }

    /// The type of a definition, without its name. The gate needs only the possible values, so two definitions with the
    /// same values are the same type. A type without a JSON form in `wit/README.md` is refused, because its values
    /// could not be shown to a reviewer.
    fn defined(&mut self, id: TypeId) -> Result<WitType, ProblemKind> {
        let resolve = self.resolve;
        let definition = resolve.types.get(id).ok_or(ProblemKind::UnsupportedType("unknown".into()))?;
        self.count(names(&definition.kind))?;
        Ok(match &definition.kind {
            TypeDefKind::Type(alias) => self.of(alias)?,
            TypeDefKind::Record(record) => WitType::Record(
                record
                    .fields
                    .iter()
                    .map(|field| Ok((named(&field.name)?, self.of(&field.ty)?)))
                    .collect::<Result<_, _>>()?,
            ),
            TypeDefKind::Variant(variant) => WitType::Variant(
                variant
                    .cases
                    .iter()
                    .map(|case| Ok((named(&case.name)?, case.ty.as_ref().map(|ty| self.of(ty)).transpose()?)))
                    .collect::<Result<_, _>>()?,
            ),
            TypeDefKind::Enum(cases) => {
                WitType::Enum(cases.cases.iter().map(|case| named(&case.name)).collect::<Result<_, _>>()?)
            }
            TypeDefKind::Flags(flags) => {
                WitType::Flags(flags.flags.iter().map(|flag| named(&flag.name)).collect::<Result<_, _>>()?)
            }
            TypeDefKind::Tuple(tuple) => {
                WitType::Tuple(tuple.types.iter().map(|ty| self.of(ty)).collect::<Result<_, _>>()?)
            }
            TypeDefKind::Option(inner) => WitType::Option(self.boxed(inner)?),
            TypeDefKind::List(inner) => WitType::List(self.boxed(inner)?),
            TypeDefKind::Result(result) => WitType::Result {
                ok: result.ok.as_ref().map(|ty| self.boxed(ty)).transpose()?,
                err: result.err.as_ref().map(|ty| self.boxed(ty)).transpose()?,
            },
            TypeDefKind::Resource | TypeDefKind::Handle(_) => return Err(ProblemKind::Resource),
            TypeDefKind::Future(_) => return Err(ProblemKind::Future),
            TypeDefKind::Stream(_) => return Err(ProblemKind::Stream),
            TypeDefKind::Map(..) => return Err(ProblemKind::UnsupportedType("map".into())),
            TypeDefKind::FixedLengthList(..) => return Err(ProblemKind::UnsupportedType("fixed-length list".into())),
            TypeDefKind::Unknown => return Err(ProblemKind::UnsupportedType("unknown".into())),
        })
    }
}

/// The name, or an error if it is too long to be shown.
fn named(name: &str) -> Result<String, ProblemKind> {
    if name.len() > NAME_BYTES_MAX { Err(ProblemKind::TypeTooLarge) } else { Ok(name.to_owned()) }
}

/// The number of names of fields or cases in a type. Names are counted besides types, because a case without a payload
/// has no type.
fn names(kind: &TypeDefKind) -> usize {
    match kind {
        TypeDefKind::Record(record) => record.fields.len(),
        TypeDefKind::Variant(variant) => variant.cases.len(),
        TypeDefKind::Enum(cases) => cases.cases.len(),
        TypeDefKind::Flags(flags) => flags.flags.len(),
        TypeDefKind::Type(_)
        | TypeDefKind::Tuple(_)
        | TypeDefKind::Option(_)
        | TypeDefKind::List(_)
        | TypeDefKind::Result(_)
        | TypeDefKind::Resource
        | TypeDefKind::Handle(_)
        | TypeDefKind::Future(_)
        | TypeDefKind::Stream(_)
        | TypeDefKind::Map(..)
        | TypeDefKind::FixedLengthList(..)
        | TypeDefKind::Unknown => 0,
    }
}

/// The spelling of a type in a message. A named type is spelled by its name, because a message with all fields of a
/// record would be hard to read.
fn spelling(resolve: &Resolve, ty: &Type, depth: usize) -> String {
    let word = match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(id) => {
            return resolve.types.get(*id).map_or_else(String::new, |definition| defined(resolve, definition, depth));
        }
    };
    word.into()
}

/// The spelling of a defined type: its name or, if it has none, its WIT syntax. Aliases and declared types have names.
fn defined(resolve: &Resolve, definition: &wit_parser::TypeDef, depth: usize) -> String {
    if let Some(name) = &definition.name {
        return short(name);
    }
    let Some(deeper) = depth.checked_sub(1) else { return "…".into() };
    let of = |ty: &Type| spelling(resolve, ty, deeper);
    let or_none = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".into(), of);
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "only these have no name; anything else is named above or shown by its word"
    )]
    match &definition.kind {
        TypeDefKind::List(inner) => format!("list<{}>", of(inner)),
        TypeDefKind::Option(inner) => format!("option<{}>", of(inner)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", or_none(&result.ok), or_none(&result.err)),
        TypeDefKind::Tuple(tuple) => {
            let parts = tuple.types.iter().take(SPELLING_PARTS_MAX).map(of).collect();
            format!("tuple<{}>", with_rest(parts, tuple.types.len()))
        }
        kind => kind.as_str().into(),
    }
}
