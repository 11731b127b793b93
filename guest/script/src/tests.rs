//! Tests what scripts do with events, and the bytes of what they return.

use serde_json::json;
use standpipe_plugin::testing::{Decision, Harness, event};

use super::*;

fn harness(code: &str) -> Harness<ScriptPlugin> {
    try_harness(code).unwrap()
}

fn try_harness(code: &str) -> Result<Harness<ScriptPlugin>, String> {
    let settings = json!({
        "mappings": [{"event": "*", "stream": "s"}],
        "script": {"files": [{"name": "transform.js", "code": code}], "credentials": {"key": "value"}},
    });
    Harness::configure(&settings.to_string())
}

/// The payloads of an event: its own text where nothing changed it.
fn run(code: &str, text: &str) -> Vec<String> {
    let decisions = harness(code).map(event(text));
    let payload = |decision| match decision {
        Decision::Deliver(_, None) => format!("={text}"),
        Decision::Deliver(_, Some(payload)) => String::from_utf8(payload).unwrap(),
        Decision::Reject(reason) => format!("!{reason}"),
    };
    decisions.into_iter().map(payload).collect()
}

fn transform(body: &str, text: &str) -> String {
    let code = format!("export function transformEvent(event, metadata) {{\n{body}\n}}");
    run(&code, text).join("|")
}

#[test]
fn untouched_events_keep_their_bytes() {
    let text = r#" {"type" : "track", "n": 1.0, "u": "\u00e9\/", "d": 1, "d": 2, "a": [1.50, {"x":[ ]}]} "#;
    for body in [
        "return event;",
        "event.n; return event;",
        "event.a[1].x; Object.keys(event); return event;",
        "JSON.stringify(event); return event;",
        "event.n = event.n; return event;",
        "const {a, ...rest} = event; return event;",
    ] {
        assert_eq!(transform(body, text), format!("={text}"), "{body}");
    }
}

#[test]
fn a_change_leaves_the_texts_of_other_members() {
    let text = r#"{"type":"track","n":1.0,"u":"\u00e9\/","p":{"big":12345678901234567890,"q": [1.50,{"x": 2e0}]}}"#;
    for (body, expected) in [
        (
            "event.z = 1; return event;",
            r#"{"type":"track","n":1.0,"u":"\u00e9\/","p":{"big":12345678901234567890,"q": [1.50,{"x": 2e0}]},"z":1}"#,
        ),
        (
            "event.p.q[1].y = 'ü\\n'; return event;",
            r#"{"type":"track","n":1.0,"u":"\u00e9\/","p":{"big":12345678901234567890,"q":[1.50,{"x": 2e0,"y":"ü\n"}]}}"#,
        ),
        (
            "delete event.n; return event;",
            r#"{"type":"track","u":"\u00e9\/","p":{"big":12345678901234567890,"q": [1.50,{"x": 2e0}]}}"#,
        ),
        (
            "event.p.q.push(null, undefined, NaN); return event;",
            r#"{"type":"track","n":1.0,"u":"\u00e9\/","p":{"big":12345678901234567890,"q":[1.50,{"x": 2e0},null,null,null]}}"#,
        ),
        (
            "return {...event, z: true};",
            r#"{"type":"track","n":1.0,"u":"\u00e9\/","p":{"big":12345678901234567890,"q": [1.50,{"x": 2e0}]},"z":true}"#,
        ),
        (
            "event.p = {...event.p, z: 1}; return event;",
            r#"{"type":"track","n":1.0,"u":"\u00e9\/","p":{"big":12345678901234567890,"q":[1.50,{"x": 2e0}],"z":1}}"#,
        ),
        (
            "return {p: event.p, f: undefined, d: new Date(0)};",
            r#"{"p":{"big":12345678901234567890,"q": [1.50,{"x": 2e0}]},"d":"1970-01-01T00:00:00.000Z"}"#,
        ),
        (
            "event.n = 2.5; event.n += 1; return event;",
            r#"{"type":"track","n":3.5,"u":"\u00e9\/","p":{"big":12345678901234567890,"q": [1.50,{"x": 2e0}]}}"#,
        ),
        (
            "event.u = '\\ud800x'; event.p = 1; return event;",
            r#"{"type":"track","n":1.0,"u":"\ud800x","p":1}"#,
        ),
    ] {
        assert_eq!(transform(body, text), expected, "{body}");
    }
}

#[test]
fn events_are_ordinary_objects() {
    let text = r#"{"b":1,"a":{"c":[1,2]},"__proto__":3,"10":4}"#;
    for body in [
        "Object.prototype.toString.call(event) === '[object Object]'",
        "Object.getPrototypeOf(event) === Object.prototype",
        "event.constructor === Object",
        "event instanceof Object",
        "'b' in event && !('x' in event) && event.hasOwnProperty('a')",
        "event.a === event.a && event.a.c === event.a.c",
        "Array.isArray(event.a.c) && event.a.c.length === 2",
        "Object.entries(event.a.c).length === 2",
        "JSON.stringify(event.a) === '{\"c\":[1,2]}'",
        "event.toString() === '[object Object]'",
        "event.x === undefined",
        "(() => { let n = []; for (const k in event.a) n.push(k); return n.join() === 'c'; })()",
        "Object.getOwnPropertyDescriptor(event, 'b').writable",
        "(() => { delete event.b; return !('b' in event); })()",
        "(() => { Object.freeze(event); try { event.b = 2; } catch (e) { return e instanceof TypeError && event.b === 1; } })()",
        "(() => { Object.defineProperty(event, 'g', {get() { return 7; }, enumerable: true}); return event.g === 7; })()",
        "(() => { const child = Object.create(event); child.b = 5; return child.b === 5 && event.b === 1; })()",
        "(() => { event.self = event; return event.self.self.b === 1; })()",
        "structureOf(event)",
    ] {
        let code = format!(
            "function structureOf(o) {{ return Object.keys({{...o}}).length === Object.keys(o).length; }}\n\
             export function transformEvent(event) {{ return {{result: {body}}}; }}"
        );
        assert_eq!(run(&code, text), [r#"{"result":true}"#], "{body}");
    }
}

/// The bytes and objects that QuickJS has allocated.
fn usage(engine: &ScriptEngine) -> (i64, i64) {
    // SAFETY: the runtime is alive, and the structure is plain numbers.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<rquickjs::qjs::JSMemoryUsage>();
        let context = engine.create_context().unwrap();
        let runtime = context.get_runtime_ptr();
        rquickjs::qjs::JS_RunGC(runtime);
        rquickjs::qjs::JS_ComputeMemoryUsage(runtime, &raw mut usage);
        usage
    };
    (usage.memory_used_size, usage.obj_count)
}

#[test]
fn memory_is_the_same_after_many_batches() {
    let code = "const seen = [];
        import {md5} from '@rs/hash/v1';
        export async function transformEvent(event, metadata) {
            seen.push(event); globalThis.last = event; event.self = event; delete event.self;
            const self = () => self; event.a.push({x: 1, metadata: metadata(event)}); event.hash = md5('a');
            await null;
            if (event.n === 1) throw new Error('no');
            return [event, {...event}];
        }";
    let settings = json!({
        "mappings": [{"event": "*", "stream": "s"}],
        "script": {"files": [{"name": "transform.js", "code": code}]},
    });
    let (script, _) = ScriptSettings::parse(&settings.to_string()).unwrap();
    let engine = ScriptEngine::new(&script.libraries).unwrap();
    let mut stage = ScriptStage::new(&engine, &script.files[0], &script).unwrap();
    let mut run = |batches: usize| {
        for _ in 0..batches {
            let texts = [r#"{"a":[1,[2,{"b":3}]],"n":1}"#, r#"{"a":[{"c":{}}],"n":2}"#];
            let events = (0..).zip(texts).map(|(input, text)| {
                let text = Rc::new(ScriptEventText { text: text.to_owned(), position: input });
                ScriptEvent { text, input, changed: None }
            });
            let mut outputs = Vec::new();
            stage.run(&engine, &events.collect::<Vec<_>>(), &[], "source", &mut outputs);
            assert_eq!(outputs.len(), 3, "{outputs:?}");
        }
        usage(&engine)
    };
    // Until then, garbage has been collected several times, and QuickJS's own tables have their size.
    run(300);
    let (bytes, objects) = run(10);
    let (bytes_later, objects_later) = run(10_000);
    assert_eq!((bytes_later, objects_later), (bytes, objects));
}

#[test]
fn destination_functions_need_no_mapping() {
    let settings = |code: &str, mappings: serde_json::Value| {
        json!({"mappings": mappings, "script": {"files": [{"name": "f.js", "code": code}]}})
            .to_string()
    };
    let function = "async function onTrack(event) { if (event.fails) throw new RetryError('x'); }";
    let track = |text: &str| Event { message_type: Some("track".to_owned()), ..event(text) };
    let mut harness = Harness::<ScriptPlugin>::configure(&settings(function, json!([]))).unwrap();
    assert_eq!(harness.map(track(r#"{"type":"track"}"#)), []);
    let failed = harness.map(track(r#"{"type":"track","fails":1}"#));
    assert!(
        matches!(&failed[..], [Decision::Reject(reason)] if reason.starts_with("RetryError: x"))
    );
    let rows = json!([{"event": "*", "stream": "s"}]);
    let mut harness = Harness::<ScriptPlugin>::configure(&settings(function, rows)).unwrap();
    assert_eq!(
        harness.map(track(r#"{"type":"track"}"#)),
        [Decision::Deliver("s".to_owned(), None)]
    );
    let insert = "async function onTrack(event) { return event; }";
    let refused = Harness::<ScriptPlugin>::configure(&settings(insert, json!([]))).err().unwrap();
    assert!(refused.contains("no mapping names both"), "{refused}");
}
