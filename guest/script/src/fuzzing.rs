//! Invariants for fuzz targets, which hold for every input. The plugin does not use this module.

use std::cell::OnceCell;
use std::rc::Rc;

use rquickjs::{CatchResultExt, Ctx, Function};
use serde_json::{Value, json};

use crate::engine::ScriptEngine;
use crate::event_object::ScriptEventText;
use crate::printer::Printer;

/// Applies operations to an event. Returns what the script has read, as JSON text.
const APPLY: &str = r"
((event, operations) => {
    const seen = [];
    for (const {path, key, kind, value} of operations) {
        let target = event;
        for (const step of path) target = target[step];
        if (kind === 'set') target[key] = value;
        else if (kind === 'delete') delete target[key];
        else seen.push(JSON.stringify(target[key] ?? null));
    }
    return seen;
})
";

/// The maximum number of operations on one event.
const OPERATIONS_MAX: usize = 32;

/// The maximum number of levels below the event that an operation goes down.
const STEPS_MAX: usize = 4;

/// Names that operations add. No object inherits them.
const NEW_NAMES: [&str; 5] = ["a", "b", "10", "", "ü"];

/// The largest relative difference of numbers that are the same: `serde_json` does not read every
/// number to the last bit.
const DIFFERENCE_MAX: f64 = 1e-14;

thread_local! {
    /// The runtime of all inputs.
    static ENGINE: OnceCell<ScriptEngine> = const { OnceCell::new() };
}

/// Checks that a script sees and changes an event as a parsed object, and that an event that is only
/// read keeps its text. The bytes choose the operations. Text that is not a JSON object is ignored.
///
/// # Panics
///
/// Panics if an invariant is violated.
pub fn check_event(text: &str, bytes: &[u8]) {
    let Ok(mut model @ Value::Object(_)) = serde_json::from_str(text) else { return };
    let (operations, expected) = apply_to_model(&mut model, bytes);
    let (seen, printed) = apply_to_event(text, &operations);
    let described = || format!("{text}\n{}", Value::from(operations.clone()));
    assert_eq!(seen.len(), expected.len(), "{}", described());
    for (seen, expected) in seen.iter().zip(&expected) {
        let seen = serde_json::from_str(seen).expect("JSON.stringify writes JSON");
        assert!(is_equal(&seen, expected), "{seen} {expected}\n{}", described());
    }
    if operations.iter().all(|operation| operation["kind"] == "read") {
        assert_eq!(printed, text.trim(), "{}", described());
    }
    let after = serde_json::from_str(&printed).expect("a printed event is JSON");
    assert!(is_equal(&after, &model), "{printed} {model}\n{}", described());
}

/// Applies operations to the model. Returns them, and the values that they read.
fn apply_to_model(model: &mut Value, bytes: &[u8]) -> (Vec<Value>, Vec<Value>) {
    let (mut operations, mut read) = (Vec::new(), Vec::new());
    let mut bytes = bytes.iter().copied();
    while operations.len() < OPERATIONS_MAX
        && let Some(choice) = bytes.next()
    {
        let mut next = || usize::from(bytes.next().unwrap_or_default());
        let (path, target) = choose_target(model, &mut next);
        let key = choose_key(target, next());
        let value = choose_value(next());
        let kind = ["read", "set", "delete"][usize::from(choice % 3)];
        operations.push(json!({"path": path, "key": key, "kind": kind, "value": value}));
        match kind {
            "set" => set_member(target, &key, value),
            "delete" => delete_member(target, &key),
            _ => read.push(member(target, &key).cloned().unwrap_or_default()),
        }
    }
    (operations, read)
}

/// Goes down to an object or array, and returns the way to it.
fn choose_target<'a>(
    event: &'a mut Value,
    next: &mut impl FnMut() -> usize,
) -> (Vec<Value>, &'a mut Value) {
    let (mut path, mut target) = (Vec::new(), event);
    for _ in 0..next() % (STEPS_MAX + 1) {
        let is_nested = |key: &Value| {
            member(target, key).is_some_and(|value| value.is_object() || value.is_array())
        };
        let keys: Vec<_> = keys_of(target).into_iter().filter(is_nested).collect();
        if keys.is_empty() {
            break;
        }
        let key = keys[next() % keys.len()].clone();
        target = match (target, &key) {
            (Value::Object(members), Value::String(name)) => &mut members[name],
            (target, index) => &mut target[index.as_u64().unwrap_or_default() as usize],
        };
        path.push(key);
    }
    (path, target)
}

fn keys_of(target: &Value) -> Vec<Value> {
    match target {
        Value::Object(members) => members.keys().map(|name| name.as_str().into()).collect(),
        Value::Array(elements) => (0..elements.len()).map(Value::from).collect(),
        _ => Vec::new(),
    }
}

/// A key of the object or array, or a new one.
fn choose_key(target: &Value, choice: usize) -> Value {
    let mut keys = keys_of(target);
    match target {
        Value::Array(elements) => keys.push(elements.len().into()),
        _ => keys.extend(NEW_NAMES.map(Value::from)),
    }
    keys.swap_remove(choice % keys.len())
}

fn choose_value(choice: usize) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(-2.5),
        json!("ü\"\n"),
        json!([]),
        json!({"z": [1, {"10": 2}]}),
    ];
    values[choice % values.len()].clone()
}

fn member<'a>(target: &'a Value, key: &Value) -> Option<&'a Value> {
    match (target, key) {
        (Value::Object(members), Value::String(name)) => members.get(name),
        (target, index) => target.get(index.as_u64()? as usize),
    }
}

fn set_member(target: &mut Value, key: &Value, value: Value) {
    match (target, key) {
        (Value::Object(members), Value::String(name)) => {
            members.insert(name.clone(), value);
        }
        (Value::Array(elements), index) => {
            let index = index.as_u64().unwrap_or_default() as usize;
            match elements.get_mut(index) {
                Some(element) => *element = value,
                None => elements.push(value),
            }
        }
        _ => {}
    }
}

/// A deleted element leaves a hole, which JSON shows as `null`.
fn delete_member(target: &mut Value, key: &Value) {
    match (target, key) {
        (Value::Object(members), Value::String(name)) => {
            members.remove(name);
        }
        (target, index) => {
            let index = index.as_u64().unwrap_or_default() as usize;
            if let Some(element) = target.get_mut(index) {
                *element = Value::Null;
            }
        }
    }
}

/// Applies operations to the event's object. Returns what the script has read, and the event as it
/// would be delivered.
fn apply_to_event(text: &str, operations: &[Value]) -> (Vec<String>, String) {
    ENGINE.with(|engine| {
        let engine =
            engine.get_or_init(|| ScriptEngine::new(&[]).expect("there is memory for a runtime"));
        let context = engine.create_context().expect("there is memory for a context");
        context.with(|ctx| {
            let applied = apply_in_context(&ctx, engine, text, operations).catch(&ctx);
            applied.unwrap_or_else(|error| panic!("{error}\n{text}\n{}", Value::from(operations)))
        })
    })
}

fn apply_in_context(
    ctx: &Ctx<'_>,
    engine: &ScriptEngine,
    text: &str,
    operations: &[Value],
) -> rquickjs::Result<(Vec<String>, String)> {
    let source = Rc::new(ScriptEventText { text: text.to_owned(), position: 0 });
    let event = engine.class.create(ctx, &source)?;
    let operations = ctx.json_parse(Value::from(operations).to_string())?;
    let apply: Function<'_> = ctx.eval(APPLY)?;
    let seen = apply.call((event.clone(), operations))?;
    let mut printed = String::new();
    let result = Printer::new(ctx, engine.class, &mut printed).print(event.as_raw(), None);
    result.map_err(|_| rquickjs::Error::Exception)?;
    Ok((seen, printed))
}

/// Whether two values are equal to JavaScript.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) =
                (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
            (one - other).abs() <= one.abs() * DIFFERENCE_MAX
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| {
                    other.get(name).is_some_and(|other| is_equal(value, other))
                })
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_on_nested_members_hold_the_invariants() {
        let text =
            r#" {"a":{"b":[1.0,{"c":"\u00e9"}],"b":[2,{"d":[]}]},"10":1e2,"__proto__":{"x":-0}} "#;
        for seed in 0..=u8::MAX {
            let bytes: Vec<_> =
                (0..96_u8).map(|n| n.wrapping_mul(31) ^ seed.wrapping_mul(n)).collect();
            check_event(text, &bytes);
        }
        check_event(text, &[0; 12]);
        check_event("[]", &[1]);
    }

    #[test]
    fn a_difference_is_found() {
        assert!(is_equal(&json!({"a": [1.0]}), &json!({"a": [1]})));
        assert!(!is_equal(&json!({"a": [1.0]}), &json!({"a": [1.1]})));
        assert!(!is_equal(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
        assert!(!is_equal(&json!([null]), &json!([])));
    }
}
