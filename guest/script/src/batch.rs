//! Events on their way through the scripts, and what becomes of them.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::{Ctx, Value};

use crate::event_object::{EventClass, ObjectNode, ScriptEventText};
use crate::exception::take_exception;
use crate::printer::{PrintException, Printer};

/// An event before or after a script.
#[derive(Debug, Clone)]
pub(crate) struct ScriptEvent {
    pub(crate) text: Rc<ScriptEventText>,
    /// The position of the event in the batch that the host passed.
    pub(crate) input: u32,
    /// `None` if the text and the kind are those that the host passed.
    pub(crate) changed: Option<ScriptEventKind>,
}

impl ScriptEvent {
    /// The event as one that failed.
    pub(crate) fn rejected(&self, reason: &str) -> ScriptOutput {
        ScriptOutput::Rejected(self.input, reason.to_owned())
    }
}

/// The message type and the name of an event.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScriptEventKind {
    pub(crate) message_type: Option<String>,
    pub(crate) name: Option<String>,
}

/// What a script has done with an event.
#[derive(Debug, Clone)]
pub(crate) enum ScriptOutput {
    Event(ScriptEvent),
    /// The event of the host's batch at this position failed, for this reason.
    Rejected(u32, String),
}

/// How an event that a script has returned leaves its context.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// As `JSON.stringify` prints it.
    Printed,
    /// As `JSON.stringify` prints a structured clone of it.
    Cloned,
}

/// Converts an object that a script has returned into an event, as `JSON.stringify` prints it.
/// `origin` is the event that the script got, with its object.
pub(crate) fn convert_result(
    ctx: &Ctx<'_>,
    class: EventClass,
    value: &Value<'_>,
    origin: &ScriptEvent,
    object: Option<&Value<'_>>,
) -> Result<ScriptEvent, String> {
    convert(ctx, class, value, origin, (object, Leaving::Printed))
}

/// Converts an object that a script has returned into an event, as `JSON.stringify` prints a
/// structured clone of it.
pub(crate) fn convert_clone(
    ctx: &Ctx<'_>,
    class: EventClass,
    value: &Value<'_>,
    origin: &ScriptEvent,
    object: Option<&Value<'_>>,
) -> Result<ScriptEvent, String> {
    convert(ctx, class, value, origin, (object, Leaving::Cloned))
}

fn convert(
    ctx: &Ctx<'_>,
    class: EventClass,
    value: &Value<'_>,
    origin: &ScriptEvent,
    (object, leaving): (Option<&Value<'_>>, Leaving),
) -> Result<ScriptEvent, String> {
    let raw = value.as_raw();
    if let Some(node) = class.node(&raw) {
        let is_origin = node.borrow().event() == (origin.text.position, true);
        if is_origin && class.unchanged_text(ctx.as_raw().as_ptr(), node).is_some() {
            return Ok(origin.clone());
        }
    }
    let mut text = String::with_capacity(origin.text.text.len() + 64);
    let raw_object = object.map(Value::as_raw);
    let original: Option<&RefCell<ObjectNode>> =
        raw_object.as_ref().and_then(|object| class.node(object));
    let printer = Printer::new(ctx, class, &mut text);
    let mut printer = match leaving {
        Leaving::Printed => printer,
        Leaving::Cloned => printer.of_clone(),
    };
    let printed = printer.print(raw, original);
    printed.map_err(|PrintException| take_exception(ctx, None))?;
    let changed = Some(ScriptEventKind::of(value));
    let position = origin.text.position;
    let text = Rc::new(ScriptEventText { text, position });
    Ok(ScriptEvent { text, input: origin.input, changed })
}

impl ScriptEventKind {
    /// The kind of an object. A member that is not a string, or an empty one, is none.
    fn of(value: &Value<'_>) -> Self {
        let string = |name: &str| {
            let member: Value<'_> = value.as_object()?.get(name).ok()?;
            let text = member.as_string()?.to_string().ok()?;
            Some(text).filter(|text| !text.is_empty())
        };
        ScriptEventKind { message_type: string("type"), name: string("event") }
    }
}
