//! From the types of a decoded component to the gate's description of them.

use holdshort_gate::{FunctionType, WitType};
use wit_parser::{Function, FunctionKind, Resolve, Type, TypeDefKind, TypeId};

use super::problem::ProblemKind;

/// How many types, fields and cases one function's signature may hold, written out.
/// WIT shares types by name, so a small file can describe an enormous tree; and all of it is stored, compared and shown.
const PARTS_IN_SIGNATURE_MAX: usize = 4_096;

/// The type of a function that is to be gated, or why it cannot be.
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
    let mut types = Types { resolve, left: PARTS_IN_SIGNATURE_MAX };
    let param = |param: &wit_parser::Param| Ok((param.name.clone(), types.of(&param.ty)?));
    let params = function.params.iter().map(param).collect::<Result<_, ProblemKind>>()?;
    let result = function.result.as_ref().map(|ty| types.of(ty)).transpose()?;
    Ok(FunctionType { params, result })
}

/// The WIT spelling of a signature, for messages; named types by their names.
pub(super) fn signature(resolve: &Resolve, function: &Function) -> String {
    let params = function.params.iter().map(|param| format!("{}: {}", param.name, spelling(resolve, &param.ty)));
    let params = params.collect::<Vec<_>>().join(", ");
    match &function.result {
        Some(result) => format!("func({params}) -> {}", spelling(resolve, result)),
        None => format!("func({params})"),
    }
}

/// Writes the types of one signature out, and counts them.
struct Types<'a> {
    resolve: &'a Resolve,
    /// How many more types, fields and cases may be written out.
    left: usize,
}

impl Types<'_> {
    /// Counts what is about to be written out.
    fn count(&mut self, parts: usize) -> Result<(), ProblemKind> {
        self.left = self.left.checked_sub(parts).ok_or(ProblemKind::TypeTooLarge)?;
        Ok(())
    }

    // INVARIANT: every type passes here and is counted before it is written out, so that what shares types by name cannot grow beyond the limit.
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
            Type::ErrorContext => return Err(ProblemKind::UnsupportedType("error-context")),
            Type::Id(id) => return self.defined(*id),
        })
    }

    /// The same, for a type within another.
    fn boxed(&mut self, ty: &Type) -> Result<Box<WitType>, ProblemKind> {
        self.of(ty).map(Box::new)
    }

    /// The type's own name is left behind: what matters to the gate is which values it has, and two names for the same values are the same type.
    /// What has no JSON form in `wit/README.md` is refused; a reviewer could not be shown it.
    fn defined(&mut self, id: TypeId) -> Result<WitType, ProblemKind> {
        let resolve = self.resolve;
        let definition = resolve.types.get(id).ok_or(ProblemKind::UnsupportedType("unknown"))?;
        self.count(names(&definition.kind))?;
        Ok(match &definition.kind {
            TypeDefKind::Type(alias) => self.of(alias)?,
            TypeDefKind::Record(record) => WitType::Record(
                record
                    .fields
                    .iter()
                    .map(|field| Ok((field.name.clone(), self.of(&field.ty)?)))
                    .collect::<Result<_, _>>()?,
            ),
            TypeDefKind::Variant(variant) => WitType::Variant(
                variant
                    .cases
                    .iter()
                    .map(|case| Ok((case.name.clone(), case.ty.as_ref().map(|ty| self.of(ty)).transpose()?)))
                    .collect::<Result<_, _>>()?,
            ),
            TypeDefKind::Enum(cases) => WitType::Enum(cases.cases.iter().map(|case| case.name.clone()).collect()),
            TypeDefKind::Flags(flags) => WitType::Flags(flags.flags.iter().map(|flag| flag.name.clone()).collect()),
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
            TypeDefKind::Map(..) => return Err(ProblemKind::UnsupportedType("map")),
            TypeDefKind::FixedLengthList(..) => return Err(ProblemKind::UnsupportedType("fixed-length list")),
            TypeDefKind::Unknown => return Err(ProblemKind::UnsupportedType("unknown")),
        })
    }
}

/// How many fields or cases a type names. Each has a name to be written out, and a case need not have a type that would be counted.
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

/// By name where there is one, as the interface's author wrote it: a record spelled out in a message would hide what the message is about.
fn spelling(resolve: &Resolve, ty: &Type) -> String {
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
            return resolve.types.get(*id).map_or_else(String::new, |definition| defined(resolve, definition));
        }
    };
    word.into()
}

/// The shape of a type without a name; aliases and everything declared have one.
fn defined(resolve: &Resolve, definition: &wit_parser::TypeDef) -> String {
    let of = |ty: &Type| spelling(resolve, ty);
    let or_none = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".into(), of);
    if let Some(name) = &definition.name {
        return name.clone();
    }
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "only these have no name; anything else is named above or shown by its word"
    )]
    match &definition.kind {
        TypeDefKind::List(inner) => format!("list<{}>", of(inner)),
        TypeDefKind::Option(inner) => format!("option<{}>", of(inner)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", or_none(&result.ok), or_none(&result.err)),
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", tuple.types.iter().map(of).collect::<Vec<_>>().join(", ")),
        kind => kind.as_str().into(),
    }
}
