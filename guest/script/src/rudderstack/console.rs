//! The global `console` of transformations.
//!
//! RudderStack's sandbox has the `console` of V8, whose methods do nothing there. Here they print
//! what `log` prints.

use rquickjs::function::Rest;
use rquickjs::{Coerced, Ctx, Function, Object, Value};

/// The methods that print.
const PRINTING: &[&str] = &["debug", "error", "info", "log", "warn", "trace", "dir"];

/// The other methods of V8's console. They do nothing.
const SILENT: &[&str] = &[
    "assert",
    "clear",
    "context",
    "count",
    "countReset",
    "dirxml",
    "group",
    "groupCollapsed",
    "groupEnd",
    "profile",
    "profileEnd",
    "table",
    "time",
    "timeEnd",
    "timeLog",
    "timeStamp",
];

/// Creates the console.
pub(super) fn create_object<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
    let console = Object::new(ctx.clone())?;
    let print = Function::new(ctx.clone(), print)?;
    for name in PRINTING {
        console.set(*name, print.clone())?;
    }
    let ignore = Function::new(ctx.clone(), |_: Rest<Value<'js>>| {})?;
    for name in SILENT {
        console.set(*name, ignore.clone())?;
    }
    Ok(console)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is that of functions of scripts")]
fn print<'js>(ctx: Ctx<'js>, values: Rest<Value<'js>>) -> rquickjs::Result<()> {
    let mut line = String::new();
    for (position, value) in values.0.into_iter().enumerate() {
        if position > 0 {
            line.push(' ');
        }
        line.push_str(&text_of(&ctx, value)?);
    }
    print_line(&line);
    Ok(())
}

/// The text of a value in a log line: the JSON of an object, and the text of another value.
pub(super) fn text_of<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<String> {
    if value.is_object() && !value.is_function() || value.is_null() {
        let json = ctx.json_stringify(value)?;
        return json.map_or(Ok("undefined".to_owned()), |json| json.to_string());
    }
    Ok(value.get::<Coerced<String>>()?.0)
}

#[expect(clippy::print_stdout, reason = "printed lines become log lines of the host")]
pub(super) fn print_line(line: &str) {
    println!("{line}");
}
