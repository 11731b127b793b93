//! What a script has thrown, as text for people: the texts of V8, as far as they can be derived.
//!
//! Users know the errors of V8, in which RudderStack and Segment run their code. QuickJS words some
//! errors otherwise. They are translated where a text is made, so `error.message` within a script
//! stays that of QuickJS. Errors for which V8's wording cannot be derived from that of QuickJS stay as they are.

mod callee;
mod v8;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use rquickjs::{Coerced, Ctx, JsLifetime, Object, Value, qjs};

use crate::settings::SourceFile;
use crate::value::HeldName;

const UNDESCRIBABLE: &str = "the script threw a value that cannot be described";

/// The code of a runtime's scripts by file name. Some errors of V8 quote it.
#[derive(Default)]
struct SourceTexts(RefCell<HashMap<String, Rc<str>>>);

// SAFETY: the type contains no lifetime of a context.
unsafe impl<'js> JsLifetime<'js> for SourceTexts {
    type Changed<'to> = SourceTexts;
}

/// What is known of a thrown value.
struct Thrown {
    /// The name and the message, as V8 writes them.
    head: String,
    message: String,
    /// The lines of the stack, as V8 writes them.
    frames: Vec<String>,
}

/// Which name of an error is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameOf {
    /// The one that the error has now.
    Error,
    /// The one that it had when it was created, which V8 puts into the stack.
    Class,
}

/// Prepares a runtime for errors that quote the code.
pub(crate) fn prepare_runtime(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    ctx.store_userdata(SourceTexts::default()).map_err(|_| rquickjs::Error::Unknown)?;
    Ok(())
}

/// Remembers the code of a file for errors that quote it.
pub(crate) fn remember_source(ctx: &Ctx<'_>, file: &SourceFile) {
    if let Some(sources) = ctx.userdata::<SourceTexts>() {
        let mut sources = sources.0.borrow_mut();
        if !sources.contains_key(&file.name) {
            sources.insert(file.name.clone(), file.code.as_str().into());
        }
    }
}

/// Takes the pending exception and describes it: name, message and the lines of the stack. If
/// `function` is set, the lines after the last one that names this function are left out, because
/// they are not the user's code.
pub(crate) fn take_exception(ctx: &Ctx<'_>, function: Option<&str>) -> String {
    describe_thrown(&ctx.catch(), function)
}

/// Describes a thrown value.
pub(crate) fn describe_thrown(thrown: &Value<'_>, function: Option<&str>) -> String {
    describe_with(thrown, function, NameOf::Error)
}

/// Takes the pending exception and describes it as V8's `error.stack` does.
pub(crate) fn take_stack(ctx: &Ctx<'_>, function: &str) -> String {
    stack_of(&ctx.catch(), function)
}

/// Describes a thrown value as V8's `error.stack` does: by the name that it had when it was created.
pub(crate) fn stack_of(thrown: &Value<'_>, function: &str) -> String {
    describe_with(thrown, Some(function), NameOf::Class)
}

fn describe_with(thrown: &Value<'_>, function: Option<&str>, name: NameOf) -> String {
    // Describing calls the script's `toString`, which can throw in turn.
    let Some(Thrown { head, frames, .. }) = describe(thrown, name) else {
        thrown.ctx().catch();
        return UNDESCRIBABLE.to_owned();
    };
    let last = function.and_then(|name| frames.iter().rposition(|line| line.contains(name)));
    // V8 names a function that awaits as well, and QuickJS does not. So all lines are kept if none
    // names the function.
    let shown = last.map_or(&frames[..], |last| &frames[..=last]);
    let mut text = head;
    for line in shown {
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// Takes the pending exception and returns its message, without name and stack.
pub(crate) fn take_message(ctx: &Ctx<'_>) -> String {
    bare_message(&ctx.catch())
}

/// The message of a thrown value, without name and stack.
pub(crate) fn bare_message(thrown: &Value<'_>) -> String {
    let Some(Thrown { message, .. }) = describe(thrown, NameOf::Error) else {
        thrown.ctx().catch();
        return UNDESCRIBABLE.to_owned();
    };
    message
}

/// The name and the message of a thrown value, without its stack.
pub(crate) fn message_of(thrown: &Value<'_>) -> String {
    let Some(Thrown { head, .. }) = describe(thrown, NameOf::Error) else {
        thrown.ctx().catch();
        return UNDESCRIBABLE.to_owned();
    };
    head
}

fn describe(thrown: &Value<'_>, name: NameOf) -> Option<Thrown> {
    let Some(object) = thrown.as_object() else {
        let Coerced(text) = thrown.get::<Coerced<String>>().ok()?;
        return Some(Thrown { head: text.clone(), message: text, frames: Vec::new() });
    };
    let stack: Value<'_> = object.get("stack").ok()?;
    let stack = stack.as_string().map(rquickjs::String::to_string).transpose().ok()?;
    let stack = stack.unwrap_or_default();
    let frames: Vec<_> = stack.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let are_frames = frames.iter().all(|line| line.trim_start().starts_with("at "));
    if !stack.is_empty() && !are_frames {
        // The script has set the stack itself.
        let message = text_of(object, "message").unwrap_or_else(|| stack.clone());
        let (head, rest) = stack.split_once('\n').unwrap_or((&stack, ""));
        let frames = rest.lines().map(str::to_owned).collect();
        return Some(Thrown { head: head.to_owned(), message, frames });
    }
    if !thrown.is_error() {
        // An object that is not an error has no text of its own.
        let json = thrown.ctx().json_stringify(object.clone()).ok()??.to_string().ok()?;
        let message = text_of(object, "message").unwrap_or_else(|| json.clone());
        return Some(Thrown { head: json, message, frames: Vec::new() });
    }
    let name = match name {
        NameOf::Error => text_of(object, "name")?,
        NameOf::Class => class_name(object)?,
    };
    let message = text_of(object, "message").unwrap_or_default();
    let message = v8_message(thrown.ctx(), &name, &message, &frames).unwrap_or(message);
    let head = match (name.is_empty(), message.is_empty()) {
        (true, _) => message.clone(),
        (false, true) => name,
        (false, false) => format!("{name}: {message}"),
    };
    let frames = frames.iter().filter_map(|line| v8::frame(line)).collect();
    Some(Thrown { head, message, frames })
}

/// The name that an error has when it is created, which is that of its class. A script can give the
/// error a name of its own later.
fn class_name(error: &Object<'_>) -> Option<String> {
    // SAFETY: the context and the object are alive, and the name is released when it is dropped.
    let has_own_name = unsafe {
        let ctx = error.ctx().as_raw().as_ptr();
        let name = HeldName::new(ctx, qjs::JS_NewAtom(ctx, c"name".as_ptr()));
        qjs::JS_GetOwnProperty(ctx, std::ptr::null_mut(), error.as_raw(), name.get()) > 0
    };
    let named = if has_own_name { error.get_prototype()? } else { error.clone() };
    text_of(&named, "name")
}

/// The text of a member. `None` if it is undefined, or if it has none.
fn text_of(object: &Object<'_>, name: &str) -> Option<String> {
    let member: Value<'_> = object.get(name).ok()?;
    if member.is_undefined() {
        return None;
    }
    member.get::<Coerced<String>>().ok().map(|text| text.0)
}

/// V8's message for an error that QuickJS has thrown in the code of the first frame.
fn v8_message(ctx: &Ctx<'_>, name: &str, message: &str, frames: &[&str]) -> Option<String> {
    let place = frames.iter().find_map(|line| v8::place(line));
    let sources = ctx.userdata::<SourceTexts>();
    let code = place.and_then(|(file, line, column)| {
        let source = Rc::clone(sources.as_ref()?.0.borrow().get(file)?);
        Some((source, line, column))
    });
    let line = code.as_ref().and_then(|(source, line, column)| {
        Some((source.lines().nth(line.checked_sub(1)?)?, *column))
    });
    v8::message(name, message, frames, line)
}
