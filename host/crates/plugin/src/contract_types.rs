//! Checks whether a component's exports have the types of the contract, without running it.

use std::fmt::Write as _;

use thiserror::Error;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem, Type};

use super::request_function::FUNCTIONS;
use super::routes::ROUTES;

/// The interface that a plugin must export.
pub(super) const MAPPER: &str = "standpipe:mapping/mapper@0.1.0";

/// The functions of `wit/mapping.wit`, with their types in full.
const MAPPER_FUNCTIONS: [(&str, &str); 2] = [
    (
        "configure",
        "func(string) -> result<record { streams: list<string>, reads: enum { kind, envelope, text } }, string>",
    ),
    (
        "map-events",
        "func(list<record { message-type: option<string>, name: option<string>, source: string, text: string }>) -> \
         list<record { input: u32, decision: variant { deliver(record { target: variant { declared(u32), \
         named(string) }, payload: variant { original, replaced(list<u8>) } }), reject(string) } }>",
    ),
];
const ROUTES_FUNCTIONS: [(&str, &str); 1] = [(
    "routes",
    "func() -> list<record { message-type: option<string>, name: option<string>, condition: option<string>, \
     stream: string }>",
)];

const FUNCTIONS_FUNCTIONS: [(&str, &str); 1] = [(
    "handle-request",
    "func(record { method: string, url: string, headers: list<tuple<string, string>>, body: list<u8> }) -> \
     result<list<string>, record { kind: enum { rejected, retry }, message: string }>",
)];

/// Maximum bytes of a type in full. The types of the contract are shorter.
const TYPE_BYTES_MAX: usize = 1024;

/// Bytes of such a type that an error shows.
const TYPE_BYTES_SHOWN: usize = 300;

/// How a component's exports differ from this version of the contract.
#[derive(Debug, Error)]
pub enum OtherVersion {
    /// The component has the interface of another version.
    #[error("it exports {0}, and not {MAPPER}")]
    Exports(String),
    /// The export with the interface's name is not an interface.
    #[error("its {MAPPER} is not an interface")]
    NoInterface,
    /// A function is missing.
    #[error("it has no function {0}")]
    NoFunction(&'static str),
    /// A function has another type.
    #[error("invalid function {name}: expected {expected}, found {found}")]
    Function {
        /// The function.
        name: &'static str,
        /// The start of its type.
        found: String,
        /// The contract's type.
        expected: &'static str,
    },
}

/// Checks the types of a component's exports.
///
/// # Errors
///
/// Fails if they are not those of the contract.
pub(super) fn check_types(
    engine: &wasmtime::Engine,
    component: &Component,
) -> Result<(), OtherVersion> {
    let instance = |name| match component.component_type().get_export(engine, name)?.ty {
        ComponentItem::ComponentInstance(instance) => Some(instance),
        _ => None,
    };
    let Some(mapper) = instance(MAPPER) else {
        return Err(OtherVersion::NoInterface);
    };
    check_functions(engine, &mapper, &MAPPER_FUNCTIONS)?;
    // An optional interface must also fit if it exists.
    if let Some(routes) = instance(ROUTES) {
        check_functions(engine, &routes, &ROUTES_FUNCTIONS)?;
    }
    match instance(FUNCTIONS) {
        Some(functions) => check_functions(engine, &functions, &FUNCTIONS_FUNCTIONS),
        None => Ok(()),
    }
}

fn check_functions(
    engine: &wasmtime::Engine,
    interface: &ComponentInstance,
    functions: &[(&'static str, &'static str)],
) -> Result<(), OtherVersion> {
    for &(name, expected) in functions {
        let export = interface.get_export(engine, name).map(|export| export.ty);
        let Some(ComponentItem::ComponentFunc(function)) = export else {
            return Err(OtherVersion::NoFunction(name));
        };
        let found = function_type(&function);
        if found != expected {
            let found = found[..found.floor_char_boundary(TYPE_BYTES_SHOWN)].to_owned();
            return Err(OtherVersion::Function { name, found, expected });
        }
    }
    Ok(())
}

/// A function's type without the names of its parameters, which do not matter.
fn function_type(function: &ComponentFunc) -> String {
    let mut text = String::from("func(");
    for (at, (_, parameter)) in function.params().enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        write_type(&mut text, &parameter);
    }
    text.push(')');
    for result in function.results() {
        text.push_str(" -> ");
        write_type(&mut text, &result);
    }
    text
}

/// Writes a type in full. Types that share parts can be far longer than their component, so the
/// text ends at a limit.
fn write_type(text: &mut String, written: &Type) {
    if text.len() > TYPE_BYTES_MAX {
        return;
    }
    match written {
        Type::Bool => text.push_str("bool"),
        Type::S8 => text.push_str("s8"),
        Type::U8 => text.push_str("u8"),
        Type::S16 => text.push_str("s16"),
        Type::U16 => text.push_str("u16"),
        Type::S32 => text.push_str("s32"),
        Type::U32 => text.push_str("u32"),
        Type::S64 => text.push_str("s64"),
        Type::U64 => text.push_str("u64"),
        Type::Float32 => text.push_str("f32"),
        Type::Float64 => text.push_str("f64"),
        Type::Char => text.push_str("char"),
        Type::String => text.push_str("string"),
        Type::List(list) => write_generic(text, "list", [Some(list.ty())]),
        Type::Option(option) => write_generic(text, "option", [Some(option.ty())]),
        Type::Result(result) => write_generic(text, "result", [result.ok(), result.err()]),
        Type::Tuple(tuple) => write_generic(text, "tuple", tuple.types().map(Some)),
        Type::Record(record) => {
            let fields = record.fields().map(|field| (field.name, Some(field.ty)));
            write_members(text, "record", fields);
        }
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| (case.name, case.ty));
            write_members(text, "variant", cases);
        }
        Type::Enum(names) => write_members(text, "enum", names.names().map(|name| (name, None))),
        Type::Flags(names) => write_members(text, "flags", names.names().map(|name| (name, None))),
        // The contract uses none of these types.
        _ => text.push_str("another type"),
    }
}

fn write_generic(text: &mut String, word: &str, types: impl IntoIterator<Item = Option<Type>>) {
    let _ = write!(text, "{word}<");
    for (at, inner) in types.into_iter().enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        match inner {
            Some(inner) => write_type(text, &inner),
            None => text.push('_'),
        }
    }
    text.push('>');
}

fn write_members<'a>(
    text: &mut String,
    word: &str,
    members: impl Iterator<Item = (&'a str, Option<Type>)>,
) {
    let _ = write!(text, "{word} {{ ");
    for (at, (name, inner)) in members.enumerate() {
        if text.len() > TYPE_BYTES_MAX {
            return;
        }
        let _ = write!(text, "{}{name}", if at > 0 { ", " } else { "" });
        match inner {
            Some(inner) if word == "record" => {
                text.push_str(": ");
                write_type(text, &inner);
            }
            Some(inner) => {
                text.push('(');
                write_type(text, &inner);
                text.push(')');
            }
            None => {}
        }
    }
    text.push_str(" }");
}
