//! Tests that event objects behave as plain objects, and keep the text of what scripts leave alone.

use std::fmt::Write;
use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::select;
use rquickjs::{CatchResultExt, Ctx};
use serde_json::{Value as Json, json};

use super::*;
use crate::engine::ScriptEngine;
use crate::printer::Printer;

/// Applies operations to an object. What each one returns, or the name of its error, is part of the
/// result, so that two objects can be compared in all that a script sees of them.
const APPLY: &str = r#"
'use strict';
(object, operations) => {
    const values = {
        one: () => 1, fraction: () => 2.50, text: () => 'ü"\n', nothing: () => null,
        missing: () => undefined, nan: () => NaN, object: () => ({z: 1, '3': 2, a: [1]}),
        array: () => [3, [4], {five: 5}], date: () => new Date(0), function: () => () => 1,
        boxed: () => new Number(7), root: () => object, same: (target, key) => target[key],
        copy: target => ({...target}), sibling: target => Object.values(target)[0],
    };
    const targetOf = path => {
        let target = object;
        for (const step of path) {
            const keys = Object.keys(target);
            const next = target[keys[step % (keys.length || 1)]];
            if (typeof next !== 'object' || next === null) break;
            target = next;
        }
        return target;
    };
    const kinds = {
        read: (t, key) => t[key],
        has: (t, key) => [key in t, Object.hasOwn(t, key), Reflect.has(t, key)],
        set: (t, key, value) => { t[key] = value; },
        reflectSet: (t, key, value) => Reflect.set(t, key, value),
        delete: (t, key) => delete t[key],
        define: (t, key, value) => { Object.defineProperty(t, key, {value}); },
        hide: (t, key) => { Object.defineProperty(t, key, {enumerable: false}); },
        lock: (t, key) => { Object.defineProperty(t, key, {writable: false, configurable: false}); },
        getter: (t, key) => { Object.defineProperty(t, key, {get() { return 8; }, enumerable: true, configurable: true}); },
        setter: (t, key) => { Object.defineProperty(t, key, {set(value) { this.wasSet = value; }}); },
        describe: (t, key) => {
            const d = Object.getOwnPropertyDescriptor(t, key);
            return d && [d.writable, d.enumerable, d.configurable, 'value' in d, typeof d.get, typeof d.set];
        },
        keys: t => Object.keys(t),
        names: t => Reflect.ownKeys(t).filter(name => name !== 'length'),
        entries: t => Object.entries(t).length,
        each: t => { const names = []; for (const name in t) names.push(name); return names; },
        stringify: t => JSON.stringify(t),
        spread: (t, key) => { const {[key]: taken, ...rest} = t; return [taken, rest]; },
        replaceByCopy: (t, key) => { object[key] = {...t}; },
        assign: (t, key, value) => { Object.assign(t, {[key]: value, added: true}); },
        freeze: t => { Object.freeze(t); },
        seal: t => { Object.seal(t); },
        close: t => { Object.preventExtensions(t); },
        child: (t, key, value) => { const c = Object.create(t); c[key] = value; return [c[key], Object.keys(c)]; },
        push: (t, key, value) => Array.prototype.push.call(t, value),
        pop: t => Array.prototype.pop.call(t),
        shift: t => Array.prototype.shift.call(t),
        splice: (t, key, value) => Array.isArray(t) && t.splice(0, 1, value, value),
        sort: t => { if (Array.isArray(t)) t.sort(); },
        reverse: t => { if (Array.isArray(t)) t.reverse(); },
        truncate: t => { if (Array.isArray(t)) t.length = 1; },
        hole: t => { if (Array.isArray(t)) delete t[0]; },
        swap: t => { if (Array.isArray(t) && t.length > 1) [t[0], t[1]] = [t[1], t[0]]; },
        map: t => Array.isArray(t) && t.map(element => typeof element),
    };
    const log = [];
    for (const {kind, path, key: anyKey, value} of operations) {
        try {
            const target = targetOf(path);
            // Such an index would make an array of billions of elements.
            const key = Array.isArray(target) && anyKey.length > 9 ? '1' : anyKey;
            // Only `JSON.stringify` calls a `toJSON` that an unchanged object inherits.
            if (key === '__proto__' && value === 'date') continue;
            // `Object.prototype` as a value would let operations change it, and this code with it.
            if (key === '__proto__' && value === 'same') continue;
            const result = kinds[kind](target, key, values[value](target, key));
            log.push(JSON.stringify([kind, result]));
        } catch (error) {
            log.push(kind + error.name);
        }
    }
    let text;
    try { text = JSON.stringify(object); } catch (error) { text = error.name; }
    return JSON.stringify([log, text]);
}
"#;

/// Writes a JSON text with the members of each object in the order of their names.
const NORMALIZE: &str = r#"
'use strict';
text => {
    const print = value => {
        if (Array.isArray(value)) return '[' + value.map(print).join() + ']';
        if (typeof value !== 'object' || value === null) return JSON.stringify(value);
        const names = Object.keys(value).sort();
        return '{' + names.map(name => JSON.stringify(name) + ':' + print(value[name])).join() + '}';
    };
    return print(JSON.parse(text));
}
"#;

const KINDS: &[&str] = &[
    "read",
    "has",
    "set",
    "reflectSet",
    "delete",
    "define",
    "hide",
    "lock",
    "getter",
    "setter",
    "describe",
    "keys",
    "names",
    "entries",
    "each",
    "stringify",
    "spread",
    "replaceByCopy",
    "assign",
    "freeze",
    "seal",
    "close",
    "child",
    "push",
    "pop",
    "shift",
    "splice",
    "sort",
    "reverse",
    "truncate",
    "hole",
    "swap",
    "map",
];

const VALUES: &[&str] = &[
    "one", "fraction", "text", "nothing", "missing", "nan", "object", "array", "date", "function",
    "boxed", "root", "same", "copy", "sibling",
];

const KEYS: &[&str] = &[
    "a",
    "b",
    "type",
    "10",
    "2",
    "0",
    "01",
    "4155550100",
    "4294967295",
    "-1",
    "",
    "ü",
    "__proto__",
    "constructor",
    "wasSet",
];

const SCALARS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.0",
    "1e2",
    "12345678901234567890",
    "-1.50",
    "2147483648",
    "\"\"",
    "\"x\"",
    r#""\u00e9\/""#,
    r#""\ud83d\ude00 \ud800""#,
    "\"ü\"",
    "[ ]",
    "{}",
];

const SPACES: &[&str] = &["", "", "", " ", "\n\t"];

/// The text of a value: with spaces, escapes and repeated names.
fn value_text() -> impl Strategy<Value = String> {
    let scalar = select(SCALARS).prop_map(str::to_owned);
    scalar.prop_recursive(4, 48, 6, |inner| {
        let space = || select(SPACES);
        let element = (space(), inner.clone(), space());
        let array = prop::collection::vec(element, 0..5).prop_map(|elements| {
            let elements: Vec<_> = elements.iter().map(|(a, b, c)| format!("{a}{b}{c}")).collect();
            format!("[{}]", elements.join(","))
        });
        prop_oneof![array, object_text(inner)]
    })
}

fn object_text(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let space = || select(SPACES);
    let member = (space(), select(KEYS), space(), space(), value, space());
    prop::collection::vec(member, 0..7).prop_map(|members| {
        let members = members
            .iter()
            .map(|(a, key, b, c, value, d)| format!("{a}{}{b}:{c}{value}{d}", Json::from(*key)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

fn operation() -> impl Strategy<Value = Json> {
    let path = prop::collection::vec(0..6_u8, 0..4);
    (select(KINDS), path, select(KEYS), select(VALUES)).prop_map(
        |(kind, path, key, value)| json!({"kind": kind, "path": path, "key": key, "value": value}),
    )
}

fn with_context<T>(test: impl FnOnce(&Ctx<'_>, EventClass) -> T) -> T {
    let engine = ScriptEngine::new(&[]).unwrap();
    let context = engine.create_context().unwrap();
    context.with(|ctx| test(&ctx, engine.class))
}

fn call(ctx: &Ctx<'_>, function: &str, arguments: &str) -> String {
    let code = format!("({})({arguments})", function.trim().trim_start_matches("'use strict';"));
    let code = format!("'use strict';\n{code}");
    ctx.eval::<String, _>(code).catch(ctx).unwrap_or_else(|error| panic!("{error}"))
}

fn event_text(text: &str) -> Rc<ScriptEventText> {
    Rc::new(ScriptEventText { text: text.to_owned(), position: 0 })
}

fn apply<'js>(ctx: &Ctx<'js>, object: rquickjs::Value<'js>, operations: &str) -> String {
    ctx.globals().set("object", object).unwrap();
    call(ctx, APPLY, &format!("object, {operations}"))
}

/// Compares the object of a text with the object that `JSON.parse` creates from it. Each one has a
/// context of its own, because operations can reach and change `Object.prototype`.
fn compare(text: &str, operations: &[Json]) {
    let operations = Json::from(operations).to_string();
    let (expected, stringified) = with_context(|ctx, _| {
        let plain: rquickjs::Value<'_> = ctx.json_parse(text).unwrap();
        let seen = apply(ctx, plain.clone(), &operations);
        (seen, ctx.json_stringify(plain).ok().flatten().map(|text| text.to_string().unwrap()))
    });
    let (seen, printed) = with_context(|ctx, class| {
        let event = class.create(ctx, &event_text(text)).unwrap();
        let seen = apply(ctx, event.clone(), &operations);
        let mut printed = String::new();
        let result = Printer::new(ctx, class, &mut printed).print(event.as_raw(), None);
        ctx.catch();
        (seen, result.ok().map(|()| printed))
    });
    assert_eq!(seen, expected, "{text} {operations}");
    let normalize = |text: &String| {
        with_context(|ctx, _| call(ctx, NORMALIZE, &Json::from(text.as_str()).to_string()))
    };
    assert_eq!(
        printed.as_ref().map(normalize),
        stringified.as_ref().map(normalize),
        "{text} {operations} {printed:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_behaves_as_a_parsed_object(
        text in object_text(value_text()),
        operations in prop::collection::vec(operation(), 0..24),
    ) {
        compare(&text, &operations);
    }

    #[test]
    fn reading_leaves_every_byte(
        text in object_text(value_text()),
        operations in prop::collection::vec(operation(), 0..24),
    ) {
        const READING: &[&str] = &["read", "has", "describe", "keys", "names", "entries", "each", "stringify", "spread", "map"];
        let operations: Vec<_> = operations
            .into_iter()
            .filter(|operation| READING.contains(&operation["kind"].as_str().unwrap()))
            .collect();
        with_context(|ctx, class| {
            let source = event_text(&text);
            let event = class.create(ctx, &source).unwrap();
            ctx.globals().set("event", event.clone()).unwrap();
            call(ctx, APPLY, &format!("event, {}", Json::from(operations.clone())));
            let node = event.as_raw();
            let node = class.node(&node).unwrap();
            let unchanged = class.unchanged_text(ctx.as_raw().as_ptr(), node);
            let unchanged = unchanged.map(|(source, range)| source.slice(range).to_owned());
            prop_assert_eq!(unchanged.as_deref(), Some(text.trim()));
            Ok(())
        })?;
    }
}

/// Evaluates an expression with `event`, and prints `event` afterwards.
fn evaluate(text: &str, code: &str) -> (String, String) {
    with_context(|ctx, class| {
        let event = class.create(ctx, &event_text(text)).unwrap();
        ctx.globals().set("event", event.clone()).unwrap();
        let result = call(ctx, &format!("() => String({code})"), "");
        let mut printed = String::new();
        if Printer::new(ctx, class, &mut printed).print(event.as_raw(), None).is_err() {
            let error = crate::exception::take_exception(ctx, None);
            return (result, format!("!{error}"));
        }
        (result, printed)
    })
}

#[test]
fn integers_are_listed_first_and_ascending() {
    let text = r#"{"b":1,"10":2,"4155550100":3,"2":4,"4294967295":5,"a":6,"01":7,"-1":8}"#;
    let code = "(event['3'] = 0, Object.keys(event).join(' '))";
    let (keys, printed) = evaluate(text, code);
    assert_eq!(keys, "2 3 10 4155550100 b 4294967295 a 01 -1");
    // The text keeps its order.
    assert_eq!(printed, format!("{},\"3\":0}}", text.trim_end_matches('}')));
}

#[test]
fn a_getter_that_changes_the_event_while_it_is_compared_is_harmless() {
    for code in [
        "Object.defineProperty(event.a, 0, {get() { event.added = 1; delete event.b; return 1; }})",
        "Object.defineProperty(event.a, 0, {get() { throw new Error('no'); }})",
        "Object.defineProperty(event.a, 0, {get() { delete event.a; return 1; }})",
        "Object.defineProperty(event, 'g', {get() { delete event.g; delete event.a; return {}; }, enumerable: true})",
    ] {
        evaluate(r#"{"a":[1,2],"b":{"c":[3]}}"#, &format!("({code}, 1)"));
    }
}

#[test]
fn many_members_take_linear_time() {
    const MEMBERS: usize = 40_000;
    let mut text = "{".to_owned();
    for number in 0..MEMBERS {
        let _ = write!(text, "\"member{number}\":{number},");
    }
    text.push_str("\"last\":{}}");
    let time = |object: &str| {
        let code = format!(
            "(() => {{
                const object = {object};
                let sum = 0;
                for (const key of Object.keys(object)) if (key !== 'last') sum += object[key];
                for (const key of Object.keys(object)) object[key + 'x'] = 1;
                for (const key of Object.keys(object)) if (!key.endsWith('x')) delete object[key];
                return sum + ' ' + Object.keys(object).length;
            }})()"
        );
        let start = Instant::now();
        let (result, _) = evaluate(&text, &code);
        assert_eq!(result, format!("{} {}", MEMBERS * (MEMBERS - 1) / 2, MEMBERS + 1));
        start.elapsed()
    };
    // The least of several is what the work takes, because other programs use the machine too.
    let least = |object| (0..3).map(|_| time(object)).min().unwrap();
    let (own, plain) = (least("event"), least("JSON.parse(JSON.stringify(event))"));
    // With a search through all members, it takes more than a hundred times as long.
    assert!(own < plain * 8, "{own:?} {plain:?}");
}

#[test]
fn deep_events_are_refused_or_read_but_never_overflow_the_stack() {
    for depth in [100, 500, 2_000, 50_000] {
        let arrays = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let code = "(() => { try { return typeof event.a; } catch (e) { return e.message; } })()";
        let expected = if depth > ARRAY_DEPTH_MAX {
            "the event has arrays nested more than 512 levels deep"
        } else {
            "object"
        };
        assert_eq!(evaluate(&arrays, code).0, expected, "{depth}");
        assert_eq!(evaluate(&objects, code), ("object".to_owned(), objects), "{depth}");
        // A change at the bottom is found, or refused when it is printed.
        let code = "(() => { let o = event; while (typeof o.a === 'object') o = o.a; o.z = 1; return 1; })()";
        let objects =
            format!("{}1{}", "{\"a\":".repeat(depth.min(2_000)), "}".repeat(depth.min(2_000)));
        let (_, printed) = evaluate(&objects, code);
        let is_printed = printed.contains("\"z\":1");
        let is_refused = printed.contains("nested more than 512 levels deep");
        assert!(is_printed != is_refused, "{depth} {printed}");
    }
}

#[test]
fn values_are_printed_as_json_or_as_a_structured_clone() {
    let print = |code: &str, is_clone: bool| {
        with_context(|ctx, class| {
            let value: rquickjs::Value<'_> = ctx.eval(format!("({code})")).catch(ctx).unwrap();
            let mut printed = String::new();
            let printer = Printer::new(ctx, class, &mut printed);
            let mut printer = if is_clone { printer.of_clone() } else { printer };
            match printer.print(value.as_raw(), None) {
                Ok(()) => printed,
                Err(_) => format!("!{}", crate::exception::take_exception(ctx, None)),
            }
        })
    };
    for (code, json, clone) in [
        ("{a: () => 1}", "{}", "!Error: () => 1 could not be cloned."),
        ("[() => 1]", "[null]", "!Error: () => 1 could not be cloned."),
        ("{a: Promise.resolve(1)}", r#"{"a":{}}"#, "!Error: #<Promise> could not be cloned."),
        ("{a: Symbol('x')}", "{}", "!Error: Symbol(x) could not be cloned."),
        ("{a: new Proxy({}, {})}", r#"{"a":{}}"#, "!Error: #<Object> could not be cloned."),
        (
            "{a: new Date(0)}",
            r#"{"a":"1970-01-01T00:00:00.000Z"}"#,
            r#"{"a":"1970-01-01T00:00:00.000Z"}"#,
        ),
        ("{a: new Date(NaN)}", r#"{"a":null}"#, r#"{"a":null}"#),
        (
            "{a: new Map([[1, 2]]), b: /x/, c: new Set()}",
            r#"{"a":{},"b":{},"c":{}}"#,
            r#"{"a":{},"b":{},"c":{}}"#,
        ),
        (
            "{a: new Number(1), b: new String('x'), c: new Boolean(false)}",
            r#"{"a":1,"b":"x","c":false}"#,
            r#"{"a":1,"b":"x","c":false}"#,
        ),
        (
            "{a: new (class { constructor() { this.x = 1; } toJSON() { return 5; } })()}",
            r#"{"a":5}"#,
            r#"{"a":{"x":1}}"#,
        ),
        (
            "{a: undefined, b: NaN, c: -Infinity, d: -0}",
            r#"{"b":null,"c":null,"d":0}"#,
            r#"{"b":null,"c":null,"d":0}"#,
        ),
        (
            "{a: 1n}",
            "!TypeError: Do not know how to serialize a BigInt",
            "!TypeError: Do not know how to serialize a BigInt",
        ),
        (
            "(() => { const a = {}; a.a = a; return a; })()",
            "!TypeError: Converting circular structure to JSON",
            "!TypeError: Converting circular structure to JSON",
        ),
        ("{a: new Uint8Array([1, 2])}", r#"{"a":{"0":1,"1":2}}"#, r#"{"a":{"0":1,"1":2}}"#),
        (
            "{a: 1e21, b: 1e-7, c: 0.1, d: 123456789012345680000}",
            r#"{"a":1e+21,"b":1e-7,"c":0.1,"d":123456789012345680000}"#,
            r#"{"a":1e+21,"b":1e-7,"c":0.1,"d":123456789012345680000}"#,
        ),
    ] {
        assert_eq!(print(code, false), json, "{code}");
        assert_eq!(print(code, true), clone, "{code}");
    }
}
