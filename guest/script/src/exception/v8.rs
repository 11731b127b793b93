//! The wording of V8 for errors of QuickJS, and its form of the stack.

use super::callee::{find_callee, is_variable_at};

/// The file name that QuickJS gives to the text of `JSON.parse`.
const JSON_TEXT: &str = "<input>";

/// Methods that only arrays have, of which V8 writes the class.
const ARRAY_METHODS: &[&str] = &[
    "map",
    "filter",
    "reduce",
    "reduceRight",
    "some",
    "every",
    "find",
    "findIndex",
    "flatMap",
    "sort",
    "push",
    "splice",
    "flat",
];

/// V8's message. `line` is the line of code of the first frame, and the column in it.
pub(super) fn message(
    name: &str,
    message: &str,
    frames: &[&str],
    line: Option<(&str, usize)>,
) -> Option<String> {
    match name {
        "TypeError" => type_error(message, line),
        "ReferenceError" => {
            let variable = message.strip_suffix(" is not initialized")?;
            Some(format!("Cannot access '{variable}' before initialization"))
        }
        "RangeError" => range_error(message),
        "SyntaxError" => json_error(message, frames),
        "URIError" if message == "expecting hex digit" => Some("URI malformed".to_owned()),
        _ => None,
    }
}

fn type_error(message: &str, line: Option<(&str, usize)>) -> Option<String> {
    if let Some((member, value)) = access(message, "cannot read property '") {
        return Some(format!("Cannot read properties of {value} (reading '{member}')"));
    }
    if let Some((member, value)) = access(message, "cannot set property '") {
        return Some(format!("Cannot set properties of {value} (setting '{member}')"));
    }
    if let Some(name) = message.strip_prefix('\'')
        && let Some(name) = name.strip_suffix("' is read-only")
    {
        let is_constant = line.is_some_and(|(line, column)| is_variable_at(line, column, name));
        return Some(if is_constant {
            "Assignment to constant variable.".to_owned()
        } else {
            format!("Cannot assign to read only property '{name}' of object '#<Object>'")
        });
    }
    match message {
        "not a function" => {
            let (line, column) = line?;
            let (callee, is_new) = find_callee(line, column)?;
            let kind = if is_new { "constructor" } else { "function" };
            Some(format!("{callee} is not a {kind}"))
        }
        "empty array" => Some("Reduce of empty array with no initial value".to_owned()),
        "circular reference" => Some("Converting circular structure to JSON".to_owned()),
        "cannot convert symbol to string" => {
            Some("Cannot convert a Symbol value to a string".to_owned())
        }
        "cannot convert symbol to number" => {
            Some("Cannot convert a Symbol value to a number".to_owned())
        }
        _ => None,
    }
}

/// The member and the value of an access such as `cannot read property 'a' of undefined`.
fn access<'a>(message: &'a str, prefix: &str) -> Option<(String, &'a str)> {
    let (member, value) = message.strip_prefix(prefix)?.rsplit_once("' of ")?;
    // V8 writes well-known symbols as `Symbol(Symbol.iterator)`.
    let is_symbol = member.starts_with("Symbol.");
    Some((if is_symbol { format!("Symbol({member})") } else { member.to_owned() }, value))
}

fn range_error(message: &str) -> Option<String> {
    let translated = match message {
        "invalid array length" => "Invalid array length",
        "Date value is NaN" => "Invalid time value",
        "invalid string length" => "Invalid string length",
        _ => return None,
    };
    Some(translated.to_owned())
}

/// The errors of `JSON.parse`. V8 quotes the text, which is not known here, in most of them.
fn json_error(message: &str, frames: &[&str]) -> Option<String> {
    let (file, line, column) = frames.first().and_then(|frame| place(frame))?;
    if file != JSON_TEXT {
        return None;
    }
    match message {
        "unexpected token: 'undefined'" if (line, column) == (1, 1) => {
            Some("\"undefined\" is not valid JSON".to_owned())
        }
        "unexpected data at the end" if line == 1 => Some(format!(
            "Unexpected non-whitespace character after JSON at position {} (line 1 column {column})",
            column.checked_sub(1)?
        )),
        _ => None,
    }
}

/// The file, line and column of a line of the stack.
pub(super) fn place(frame: &str) -> Option<(&str, usize, usize)> {
    let frame = frame.trim_start().strip_prefix("at ")?;
    let place = frame.rsplit_once(" (").map_or(frame, |(_, place)| place.trim_end_matches(')'));
    let (place, column) = place.rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

/// A line of the stack in V8's form. `None` for one that V8 does not have.
pub(super) fn frame(line: &str) -> Option<String> {
    let text = line.trim_start().strip_prefix("at ")?;
    if text.starts_with(JSON_TEXT) {
        return None;
    }
    let text = match text.rsplit_once(" (") {
        Some(("<anonymous>", place)) => place.trim_end_matches(')').to_owned(),
        Some((method, "native)")) => match method {
            "parse" | "stringify" => format!("JSON.{method} (<anonymous>)"),
            _ if ARRAY_METHODS.contains(&method) => format!("Array.{method} (<anonymous>)"),
            _ => format!("{method} (<anonymous>)"),
        },
        _ => text.to_owned(),
    };
    Some(format!("    at {text}"))
}
