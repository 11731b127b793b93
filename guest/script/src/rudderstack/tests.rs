//! Behaviours of RudderStack's transformations that a user can see.

use serde_json::{Value as Json, json};
use standpipe_plugin::testing::{Decision, Harness, event};

use crate::ScriptPlugin;

fn configure(code: &str, more: &Json) -> Result<Harness<ScriptPlugin>, String> {
    let mut script = json!({
        "files": [{"name": "base transformation", "code": code}],
        "credentials": {"key1": "value1", "1": "one", "true": "yes"},
    });
    for (name, value) in more.as_object().unwrap() {
        script[name] = value.clone();
    }
    let settings = json!({"mappings": [{"event": "*", "stream": "s"}], "script": script});
    Harness::configure(&settings.to_string())
}

/// The outputs of events that pass the code in one batch. `=` is an event as received, `!` a
/// rejection.
fn batch(code: &str, texts: &[&str]) -> Vec<Vec<String>> {
    batch_with(code, &json!({}), texts)
}

fn batch_with(code: &str, more: &Json, texts: &[&str]) -> Vec<Vec<String>> {
    let mut harness = configure(code, more).unwrap_or_else(|error| panic!("{error}"));
    let decisions = harness.map_batch(texts.iter().map(|text| event(text)).collect());
    let mut outputs = vec![Vec::new(); texts.len()];
    for (position, decision) in decisions {
        outputs[position].push(match decision {
            Decision::Deliver(_, None) => "=".to_owned(),
            Decision::Deliver(_, Some(payload)) => String::from_utf8(payload).unwrap(),
            Decision::Reject(reason) => format!("!{reason}"),
        });
    }
    outputs
}

/// The outputs of one event.
fn one(code: &str, text: &str) -> Vec<String> {
    batch(code, &[text]).remove(0)
}

/// The outputs of an event that passes a `transformEvent` with this body.
fn body(body: &str) -> Vec<String> {
    let code = format!("export async function transformEvent(event, metadata) {{\n{body}\n}}");
    one(&code, r#"{"messageId":"1","type":"track"}"#)
}

/// The value of an expression in `transformEvent`.
fn value(expression: &str) -> Json {
    let outputs = body(&format!("return {{value: {expression}}};"));
    let output: Json = serde_json::from_str(&outputs[0]).unwrap_or_else(|_| panic!("{outputs:?}"));
    output.get("value").cloned().unwrap_or_else(|| json!("(undefined)"))
}

const TWO: [&str; 2] = [r#"{"messageId":"1","n":1}"#, r#"{"messageId":"2","n":2}"#];

mod functions {
    use super::*;

    #[test]
    fn neither_function_is_an_error() {
        let error = configure("export const a = 1;", &json!({})).err();
        let expected = "Expected one of transformEvent,transformBatch. Found ";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn both_functions_are_an_error() {
        let code = "export function transformBatch() {}\nexport function transformEvent() {}";
        let expected =
            "Expected one of transformEvent,transformBatch. Found transformEvent,transformBatch";
        assert_eq!(configure(code, &json!({})).err().as_deref(), Some(expected));
    }

    #[test]
    fn a_function_that_is_not_exported_does_not_count() {
        let code = "function transformEvent(event) { return event; }\nexport const a = 1;";
        assert!(configure(code, &json!({})).is_err());
    }

    #[test]
    fn an_export_that_is_no_function_does_not_count() {
        let code =
            "export const transformBatch = 1;\nexport function transformEvent(e) { return e; }";
        assert_eq!(one(code, "{}"), ["="]);
    }

    #[test]
    fn an_arrow_function_and_an_export_list_count() {
        let code = "const transformEvent = async event => event;\nexport { transformEvent };";
        assert_eq!(one(code, "{}"), ["="]);
    }

    #[test]
    fn a_script_without_exports_is_code_version_0() {
        assert_eq!(one("function transform(events) { return events; }", "{}"), ["="]);
    }

    #[test]
    fn awaiting_at_the_top_level_is_possible() {
        let code = "const n = await Promise.resolve(7);\n\
                    export function transformEvent(event) { event.n = n; return event; }";
        assert_eq!(one(code, "{}"), [r#"{"n":7}"#]);
    }

    #[test]
    fn modules_are_strict_code() {
        let expected = "!ReferenceError: undeclared is not defined\n    at transformEvent (base transformation:2:1)";
        assert_eq!(body("undeclared = 1;"), [expected]);
    }
}

mod results {
    use super::*;

    #[test]
    fn null_and_undefined_drop_the_event() {
        for code in ["return null;", "return undefined;", "return;", ""] {
            assert!(body(code).is_empty(), "{code}");
        }
    }

    #[test]
    fn an_array_emits_all_its_events() {
        let outputs = body("return [event, {...event, duplicate: true}];");
        assert_eq!(outputs, ["=", r#"{"messageId":"1","type":"track","duplicate":true}"#]);
    }

    #[test]
    fn an_empty_array_drops_the_event() {
        assert!(body("return [];").is_empty());
    }

    #[test]
    fn an_array_with_another_value_is_one_error_and_emits_nothing() {
        let expected =
            "!returned event in events array from transformEvent(event) is not an object";
        for code in ["return [event, 1];", "return [null];", "return [event, [event]];"] {
            assert_eq!(body(code), [expected], "{code}");
        }
    }

    #[test]
    fn other_values_are_no_objects() {
        let expected = "!returned event from transformEvent(event) is not an object";
        for code in [
            "false",
            "0",
            "''",
            "'text'",
            "true",
            "1",
            "new Date(0)",
            "new Map()",
            "() => 1",
            "/x/",
            "new Error('returned')",
            "Symbol()",
            "1n",
            "JSON",
            "Math",
            "new Number(1)",
        ] {
            assert_eq!(body(&format!("return {code};")), [expected], "{code}");
        }
    }

    #[test]
    fn an_object_of_any_class_is_an_event() {
        let code = "class Event { constructor() { this.a = 1; } toJSON() { return 2; } }\n\
                    return new Event();";
        assert_eq!(body(code), [r#"{"a":1}"#]);
        assert_eq!(
            body("return Object.create(null, {a: {value: 1, enumerable: true}});"),
            [r#"{"a":1}"#]
        );
    }

    #[test]
    fn an_object_with_a_tag_of_its_own_is_none() {
        let expected = "!returned event from transformEvent(event) is not an object";
        assert_eq!(body("return {[Symbol.toStringTag]: 'Event'};"), [expected]);
    }

    #[test]
    fn a_returned_promise_is_awaited() {
        assert_eq!(body("return Promise.resolve(event);"), ["="]);
        assert_eq!(body("return {then(resolve) { resolve(event); }};"), ["="]);
    }

    #[test]
    fn a_function_or_promise_in_an_event_cannot_be_cloned() {
        assert_eq!(
            body("event.f = () => 1; return event;"),
            ["!Error: () => 1 could not be cloned."]
        );
        assert_eq!(
            body("event.p = Promise.resolve(1); return event;"),
            ["!Error: #<Promise> could not be cloned."]
        );
        assert_eq!(
            body("event.s = Symbol('s'); return event;"),
            ["!Error: Symbol(s) could not be cloned."]
        );
    }

    #[test]
    fn values_that_are_not_in_json_are_printed_as_by_json_stringify() {
        let code = "return {u: undefined, n: NaN, d: new Date(0), m: new Map([[1, 2]]), r: /x/, a: [undefined]};";
        assert_eq!(
            body(code),
            [r#"{"n":null,"d":"1970-01-01T00:00:00.000Z","m":{},"r":{},"a":[null]}"#]
        );
    }

    #[test]
    fn a_big_integer_cannot_be_printed() {
        let expected = "!TypeError: Do not know how to serialize a BigInt";
        assert_eq!(body("event.n = 1n; return event;"), [expected]);
    }

    #[test]
    fn a_circle_cannot_be_printed() {
        let expected = "!TypeError: Converting circular structure to JSON";
        assert_eq!(body("event.self = event; return event;"), [expected]);
    }

    #[test]
    fn numbers_and_escapes_that_are_not_touched_keep_their_texts() {
        let code =
            "export function transformEvent(event) { return {...event, p: {...event.p, z: 1}}; }";
        let text = r#"{"n":1.0,"big":12345678901234567890,"p":{"u":"\u00e9","a":[1.50]}}"#;
        let expected =
            r#"{"n":1.0,"big":12345678901234567890,"p":{"u":"\u00e9","a":[1.50],"z":1}}"#;
        assert_eq!(one(code, text), [expected]);
    }

    #[test]
    fn one_promise_that_nothing_settles_costs_its_own_event() {
        let code = "export function transformEvent(event) {\n\
                    return event.n === 1 ? new Promise(() => {}) : event;\n}";
        let expected = "!Timed out: nothing settles the promise that transformEvent returned";
        assert_eq!(batch(code, &TWO), [vec![expected.to_owned()], vec!["=".to_owned()]]);
    }
}

mod errors {
    use super::*;

    #[test]
    fn an_error_is_that_of_its_event_only() {
        let code = "export function transformEvent(event) {\n \
                    if (event.n === 1) throw new Error('Manual Error'); return event;\n}";
        let outputs = batch(code, &TWO);
        assert!(
            outputs[0][0]
                .starts_with("!Error: Manual Error\n    at transformEvent (base transformation:2:")
        );
        assert_eq!(outputs[1], ["="]);
    }

    #[test]
    fn an_undefined_variable_is_named_with_its_place() {
        let code = "export function transformEvent(event, metadata) {\n return events; \n}";
        let expected = "!ReferenceError: events is not defined\n    at transformEvent (base transformation:2:9)";
        assert_eq!(one(code, "{}"), [expected]);
    }

    #[test]
    fn an_error_in_a_library_names_the_library() {
        let libraries = json!({"libraries": [{"name": "js Lib1", "code": "\nexport function add(x, y) {\n  return x + z2;\n}"}]});
        let code = "import {add} from 'jsLib1';\nexport function transformEvent(event) {\n event.result = add(1, 2); return event;\n}";
        let expected = "!ReferenceError: z2 is not defined\n    at add (library jsLib1:3:14)\n    at transformEvent (base transformation:3:17)";
        assert_eq!(batch_with(code, &libraries, &["{}"]), [[expected]]);
    }

    #[test]
    fn frames_have_the_form_of_v8() {
        let code = "export function transformBatch(events) {\n return events.map(e => { e.id = x; return e; });\n}";
        let expected = "!ReferenceError: x is not defined\n    at base transformation:2:34\n    at Array.map (<anonymous>)\n    at transformBatch (base transformation:2:20)";
        assert_eq!(one(code, "{}"), [expected]);
    }

    #[test]
    fn a_rejected_promise_is_an_error() {
        let outputs = body("await Promise.reject(new Error('late'));");
        assert_eq!(outputs[0].lines().next(), Some("!Error: late"));
    }

    #[test]
    fn an_error_after_waiting_names_its_place() {
        let code = "async function help() {\n await null;\n throw new Error('late');\n}\n\
                    export async function transformEvent(event) { await help(); return event; }";
        assert_eq!(one(code, "{}"), ["!Error: late\n    at help (base transformation:3:12)"]);
    }

    #[test]
    fn thrown_values_that_are_no_errors_cost_their_own_event() {
        for (code, expected) in [
            ("throw 'text';", "!text"),
            ("throw 5;", "!5"),
            ("throw null;", "!null"),
            ("throw undefined;", "!undefined"),
            ("throw {code: 1};", r#"!{"code":1}"#),
            ("return Promise.reject('text');", "!text"),
        ] {
            assert_eq!(body(code), [expected], "{code}");
        }
    }

    #[test]
    fn a_stack_that_the_script_sets_is_the_text() {
        assert_eq!(body("const e = new Error('a'); e.stack = 'my stack'; throw e;"), ["!my stack"]);
        assert_eq!(body("throw {stack: 'my stack'};"), ["!my stack"]);
    }

    #[test]
    fn lines_after_the_function_are_left_out_of_a_stack() {
        let code = r"const e = new Error('a'); e.stack = 'E: a\n at b\n at transformEvent (x)\n at wrapper'; throw e;";
        assert_eq!(body(code), ["!E: a\n at b\n at transformEvent (x)"]);
    }

    #[test]
    fn a_name_that_is_set_after_the_error_is_created_is_not_in_the_text() {
        let code = "class Own extends Error { constructor(m) { super(m); this.name = 'Own'; } }\nthrow new Own('q');";
        assert_eq!(body(code)[0].lines().next(), Some("!Error: q"));
        let code = "class Own extends Error {}\nOwn.prototype.name = 'Own';\nthrow new Own('q');";
        assert_eq!(body(code)[0].lines().next(), Some("!Own: q"));
    }

    #[test]
    fn a_value_whose_text_throws_is_an_error_too() {
        let expected = "!the script threw a value that cannot be described";
        assert_eq!(body("throw {toJSON() { throw 1; }};"), [expected]);
    }

    #[test]
    fn a_recursion_without_end_costs_its_own_event() {
        let code = "export function transformEvent(event) {\n\
                    if (event.n === 1) { const f = () => f(); f(); }\n return event;\n}";
        let outputs = batch(code, &TWO);
        assert_eq!(
            outputs[0][0].lines().next(),
            Some("!RangeError: Maximum call stack size exceeded")
        );
        assert_eq!(outputs[1], ["="]);
    }

    #[test]
    fn a_syntax_error_names_file_line_and_column() {
        let error =
            configure("export function transformEvent(event) {\n  let a = ;\n}", &json!({})).err();
        let expected =
            "SyntaxError: unexpected token in expression: ';'\n    at base transformation:2:11";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn an_error_while_loading_names_its_place() {
        let error =
            configure("export function transformEvent(event) {}\nnull.x;", &json!({})).err();
        let expected = "TypeError: Cannot read properties of null (reading 'x')\n    at base transformation:2:1";
        assert_eq!(error.as_deref(), Some(expected));
    }
}

mod v8_texts {
    use super::*;

    #[test]
    fn common_errors_have_the_messages_of_v8() {
        for (code, expected) in [
            ("event.a.b", "TypeError: Cannot read properties of undefined (reading 'b')"),
            ("null.a", "TypeError: Cannot read properties of null (reading 'a')"),
            ("event.a.b()", "TypeError: Cannot read properties of undefined (reading 'b')"),
            ("event.a.b = 1", "TypeError: Cannot set properties of undefined (setting 'b')"),
            ("event.a()", "TypeError: event.a is not a function"),
            ("event.type.a()", "TypeError: event.type.a is not a function"),
            ("const f = 1; f()", "TypeError: f is not a function"),
            ("new event.type()", "TypeError: event.type is not a constructor"),
            ("const c = 1; c = 2", "TypeError: Assignment to constant variable."),
            (
                "const c = {c: 1}; Object.freeze(c); c.c = 2",
                "TypeError: Cannot assign to read only property 'c' of object '#<Object>'",
            ),
            (
                "Object.freeze(event); event.type = 2",
                "TypeError: Cannot assign to read only property 'type' of object '#<Object>'",
            ),
            (
                "Object.freeze(event); event.x = 2",
                "TypeError: Cannot add property x, object is not extensible",
            ),
            ("missing", "ReferenceError: missing is not defined"),
            ("x; let x = 1", "ReferenceError: Cannot access 'x' before initialization"),
            ("Object.keys(null)", "TypeError: Cannot convert undefined or null to object"),
            ("[].reduce((a, b) => a)", "TypeError: Reduce of empty array with no initial value"),
            ("new Array(-1)", "RangeError: Invalid array length"),
            ("new Date(NaN).toISOString()", "RangeError: Invalid time value"),
            ("`${Symbol()}`", "TypeError: Cannot convert a Symbol value to a string"),
            ("decodeURIComponent('%')", "URIError: URI malformed"),
            (
                "const a = {}; a.a = a; JSON.stringify(a)",
                "TypeError: Converting circular structure to JSON",
            ),
            ("JSON.parse('')", "SyntaxError: Unexpected end of JSON input"),
            (
                "JSON.parse('{a:1}')",
                "SyntaxError: Expected property name or '}' in JSON at position 1 (line 1 column 2)",
            ),
            ("JSON.parse(undefined)", "SyntaxError: \"undefined\" is not valid JSON"),
            (
                "JSON.parse('{\"a\":1}x')",
                "SyntaxError: Unexpected non-whitespace character after JSON at position 7 (line 1 column 8)",
            ),
        ] {
            let outputs = body(&format!("{code};"));
            assert_eq!(outputs[0].lines().next(), Some(format!("!{expected}").as_str()), "{code}");
        }
    }

    #[test]
    fn an_error_that_the_script_words_itself_stays() {
        assert_eq!(
            body("throw new Error('not a function');")[0].lines().next(),
            Some("!Error: not a function")
        );
        assert_eq!(body("event['a']();")[0].lines().next(), Some("!TypeError: not a function"));
    }
}

mod batches {
    use super::*;

    #[test]
    fn a_batch_gets_all_events_and_may_drop_some() {
        let code = "export function transformBatch(events) { return events.filter(event => event.n > 1); }";
        assert_eq!(batch(code, &TWO), [vec![], vec!["=".to_owned()]]);
    }

    #[test]
    fn an_error_is_that_of_the_whole_batch() {
        let code = "export function transformBatch(events) {\n throw new Error('Manual Error');\n}";
        let expected = "!Error: Manual Error\n    at transformBatch (base transformation:2:12)";
        assert_eq!(batch(code, &TWO), [[expected], [expected]]);
    }

    #[test]
    fn a_result_that_is_no_array_is_an_error() {
        let expected = "!returned events from transformBatch(event) is not an array";
        for result in ["undefined", "null", "{}", "'text'", "events[0]"] {
            let code = format!("export function transformBatch(events) {{ return {result}; }}");
            assert_eq!(batch(&code, &TWO), [[expected], [expected]], "{result}");
        }
    }

    #[test]
    fn an_element_that_is_no_object_is_an_error_and_the_others_pass() {
        let code = "export function transformBatch(events) { return [null, events[1]]; }";
        let expected =
            "!returned event in events array from transformBatch(events) is not an object";
        assert_eq!(batch(code, &TWO), [[expected], ["="]]);
    }

    #[test]
    fn an_asynchronous_batch_is_awaited() {
        let code = "export async function transformBatch(events) { await null; return events; }";
        assert_eq!(batch(code, &TWO), [["="], ["="]]);
    }

    #[test]
    fn a_new_object_belongs_to_the_event_with_its_message_id() {
        let code = "export function transformBatch(events) { return [{messageId: '2', x: 1}]; }";
        assert_eq!(batch(code, &TWO), [vec![], vec![r#"{"messageId":"2","x":1}"#.to_owned()]]);
    }

    #[test]
    fn an_event_that_is_returned_twice_is_delivered_twice() {
        let code = "export function transformBatch(events) { return [events[0], events[0]]; }";
        assert_eq!(batch(code, &TWO), [vec!["=".to_owned(), "=".to_owned()], vec![]]);
    }

    #[test]
    fn global_variables_live_as_long_as_a_batch() {
        let code =
            "let count = 0;\nexport function transformEvent(event) { return {count: ++count}; }";
        let mut harness = configure(code, &json!({})).unwrap();
        for _ in 0..2 {
            let decisions = harness.map_batch(TWO.iter().map(|text| event(text)).collect());
            let counts: Vec<_> = decisions.into_iter().map(|(_, decision)| decision).collect();
            let payload = |text: &str| Decision::Deliver("s".to_owned(), Some(text.into()));
            assert_eq!(counts, [payload(r#"{"count":1}"#), payload(r#"{"count":2}"#)]);
        }
    }

    #[test]
    fn all_events_start_before_the_first_one_is_awaited() {
        let code = "let started = 0;\nexport async function transformEvent(event) {\n\
                    started++; await null; return {started};\n}";
        assert_eq!(batch(code, &TWO), [[r#"{"started":2}"#], [r#"{"started":2}"#]]);
    }
}

mod metadata {
    use super::*;

    #[test]
    fn it_always_has_29_keys() {
        assert_eq!(value("Object.keys(metadata(event)).length"), json!(29));
        assert_eq!(value("Object.keys(metadata({})).length"), json!(29));
        assert_eq!(value("Object.keys(metadata()).length"), json!(29));
    }

    #[test]
    fn absent_values_are_undefined() {
        assert_eq!(
            value("Object.values(metadata({messageId: 'x'})).every(v => v === undefined)"),
            json!(true)
        );
        assert_eq!(
            value("metadata(event).jobId === undefined && 'jobId' in metadata(event)"),
            json!(true)
        );
    }

    #[test]
    fn present_values_come_from_the_event_and_its_source() {
        let code =
            "export function transformEvent(event, metadata) { return {m: metadata(event)}; }";
        let text = r#"{"messageId":"7","type":"track","event":"Bought","receivedAt":"2026-01-01T00:00:00Z","rudderId":"r"}"#;
        let output: Json = serde_json::from_str(&one(code, text)[0]).unwrap();
        let metadata = &output["m"];
        assert_eq!(metadata["messageId"], "7");
        assert_eq!(metadata["eventType"], "track");
        assert_eq!(metadata["eventName"], "Bought");
        assert_eq!(metadata["receivedAt"], "2026-01-01T00:00:00Z");
        assert_eq!(metadata["rudderId"], "r");
        assert_eq!(metadata["destinationType"], "FIREHOSE");
    }

    #[test]
    fn a_changed_message_id_has_none() {
        assert_eq!(
            value("(event.messageId = 'other', metadata(event).eventType)"),
            json!("(undefined)")
        );
    }

    #[test]
    fn a_copy_with_the_message_id_has_it() {
        assert_eq!(value("metadata({messageId: '1'}).eventType"), json!("track"));
        assert_eq!(value("metadata({messageId: 1}).eventType"), json!("track"));
    }

    #[test]
    fn events_with_one_message_id_share_that_of_the_last_one() {
        let code = "export function transformEvent(event, metadata) { return {n: metadata(event).eventName}; }";
        let texts = [r#"{"messageId":"1","event":"a"}"#, r#"{"messageId":"1","event":"b"}"#];
        assert_eq!(batch(code, &texts), [[r#"{"n":"b"}"#], [r#"{"n":"b"}"#]]);
    }

    #[test]
    fn events_without_a_message_id_share_that_of_the_last_one() {
        let code = "export function transformEvent(event, metadata) { return {n: metadata(event).eventName}; }";
        let texts = [r#"{"event":"a"}"#, r#"{"event":"b"}"#];
        assert_eq!(batch(code, &texts), [[r#"{"n":"b"}"#], [r#"{"n":"b"}"#]]);
    }

    #[test]
    fn it_survives_the_loss_of_the_event() {
        for event in ["undefined", "null", "0", "''", "false"] {
            let expression = format!("metadata({event}).eventType");
            assert_eq!(value(&expression), json!("(undefined)"), "{event}");
        }
    }
}

mod globals {
    use super::*;

    #[test]
    fn credentials_are_found_by_key() {
        assert_eq!(value("getCredential('key1')"), json!("value1"));
        assert_eq!(value("getCredential('key1', 'key2')"), json!("value1"));
    }

    #[test]
    fn unknown_credentials_are_undefined() {
        for key in ["'key9'", "[]", "{}", "'toString'"] {
            assert_eq!(value(&format!("getCredential({key})")), json!("(undefined)"), "{key}");
        }
    }

    #[test]
    fn a_key_of_another_type_is_its_text() {
        assert_eq!(value("getCredential(1)"), json!("one"));
        assert_eq!(value("getCredential(true)"), json!("yes"));
    }

    #[test]
    fn a_key_that_is_missing_is_an_error() {
        for key in ["", "null", "undefined"] {
            let outputs = body(&format!("getCredential({key}); return event;"));
            let first = outputs[0].lines().next();
            assert_eq!(first, Some("!TypeError: Key should be valid and defined"), "{key}");
        }
    }

    #[test]
    fn global_is_the_global_object() {
        assert_eq!(value("global === globalThis"), json!(true));
        assert_eq!(value("(global.shared = 5, shared)"), json!(5));
    }

    #[test]
    fn what_the_sandbox_of_rudderstack_lacks_is_absent() {
        for name in [
            "setTimeout",
            "clearTimeout",
            "setInterval",
            "setImmediate",
            "URL",
            "URLSearchParams",
            "Buffer",
            "crypto",
            "fs",
            "window",
            "document",
            "self",
            "process",
            "require",
            "module",
            "exports",
            "btoa",
            "atob",
            "TextEncoder",
            "structuredClone",
            "XMLHttpRequest",
        ] {
            assert_eq!(value(&format!("typeof {name}")), json!("undefined"), "{name}");
        }
    }

    #[test]
    fn what_the_sandbox_of_rudderstack_has_is_present() {
        for name in [
            "escape",
            "unescape",
            "encodeURIComponent",
            "WeakRef",
            "BigInt",
            "Proxy",
            "Reflect",
            "log",
            "metadata",
            "FinalizationRegistry",
            "Atomics",
            "eval",
            "isNaN",
        ] {
            let kind = value(&format!("typeof {name}"));
            assert!(kind == json!("function") || kind == json!("object"), "{name} {kind}");
        }
    }

    #[test]
    fn the_console_is_there_and_never_fails() {
        let code = "console.log('a', {b: 1}, undefined, null); console.error(1); console.table([]);\
                    console.time('x'); return event;";
        assert_eq!(body(code), ["="]);
    }

    #[test]
    fn log_takes_values_of_all_kinds() {
        assert_eq!(
            body("log(); log('a', 1, {b: [1]}, null, undefined, true, () => 1); return event;"),
            ["="]
        );
    }
}

mod imports {
    use super::*;

    #[test]
    fn an_unknown_library_is_an_error() {
        for name in ["somelib", "./lib.js", "@rs/unknown/v1", "fs"] {
            let code = format!(
                "import {{a}} from '{name}';\nexport function transformEvent(e) {{ return e; }}"
            );
            let expected = format!("Error: import from {name} failed. Module not found.");
            assert_eq!(configure(&code, &json!({})).err(), Some(expected));
        }
    }

    #[test]
    fn a_library_is_imported_by_the_camel_case_of_its_name() {
        let libraries = json!({"libraries": [{"name": "My first-lib_v2", "code": "export default 7; export const a = 1;"}]});
        let code = "import seven, {a} from 'myFirstLibV2';\nimport * as all from 'myFirstLibV2';\n\
                    export function transformEvent() { return {seven, a, all: all.a}; }";
        assert_eq!(batch_with(code, &libraries, &["{}"]), [[r#"{"seven":7,"a":1,"all":1}"#]]);
    }

    #[test]
    fn a_library_that_nothing_imports_may_be_wrong() {
        let libraries = json!({"libraries": [{"name": "wrong", "code": "export const = ;"}]});
        let code = "export function transformEvent(event) { return event; }";
        assert_eq!(batch_with(code, &libraries, &["{}"]), [["="]]);
    }

    #[test]
    fn an_export_that_a_library_lacks_is_an_error() {
        let libraries = json!({"libraries": [{"name": "lib", "code": "export const a = 1;"}]});
        let code = "import {b} from 'lib';\nexport function transformEvent(e) { return e; }";
        let error = configure(code, &libraries).err().unwrap();
        assert!(error.starts_with("SyntaxError: ") && error.contains("'b'"), "{error}");
    }
}

/// The libraries that RudderStack provides.
mod own_libraries {
    use super::*;

    #[test]
    fn hash() {
        let code = "import {md5, sha256, cyrb53} from '@rs/hash/v1';\n\
                    export function transformEvent() { return {m: md5('abc'), s: sha256('abc'), c: cyrb53('abc')}; }";
        let expected = r#"{"m":"900150983cd24fb0d6963f7d28e17f72","s":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","c":"#;
        let outputs = one(code, "{}");
        assert!(outputs[0].starts_with(expected), "{outputs:?}");
    }

    #[test]
    fn user_agent_parser() {
        let code = "import {UAParser} from '@rs/userAgentParser/v1';\n\
                    export function transformEvent(event) { return new UAParser().setUA(event.ua).getResult(); }";
        let text = r#"{"ua":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:98.0) Gecko/20100101 Firefox/98.0"}"#;
        let output: Json = serde_json::from_str(&one(code, text)[0]).unwrap();
        assert_eq!(output["browser"], json!({"name": "Firefox", "version": "98.0", "major": "98"}));
        assert_eq!(output["os"], json!({"name": "Mac OS", "version": "10.15"}));
        assert_eq!((&output["device"], &output["cpu"]), (&json!({}), &json!({})));
    }

    #[test]
    fn localize_apple_device_model() {
        let code = "import {getLocalizedDeviceModel} from '@rs/localizeAppleDeviceModel/v1';\n\
                    export function transformEvent(event) { return {model: getLocalizedDeviceModel(event)}; }";
        let text = r#"{"context":{"os":{"name":"iOS"},"device":{"model":"iPhone10,6"}}}"#;
        assert_eq!(one(code, text), [r#"{"model":"iPhone X"}"#]);
        assert_eq!(
            one(code, r#"{"context":{"os":{"name":"Android"},"device":{"model":"iPhone10,6"}}}"#),
            ["{}"]
        );
    }

    #[test]
    fn encrypt() {
        let code = "import {JSEncrypt} from '@rs/encrypt/v1';\n\
                    export function transformEvent() {\n\
                      const own = new JSEncrypt({default_key_size: 512});\n\
                      own.getKey();\n\
                      const other = new JSEncrypt();\n\
                      other.setPublicKey(own.getPublicKey());\n\
                      const secret = other.encrypt('alex@example.com');\n\
                      return {isHidden: !secret.includes('alex'), text: own.decrypt(secret)};\n\
                    }";
        assert_eq!(one(code, "{}"), [r#"{"isHidden":true,"text":"alex@example.com"}"#]);
    }
}

mod code_version_0 {
    use super::*;

    fn transform(body: &str) -> Vec<Vec<String>> {
        batch(&format!("function transform(events) {{\n{body}\n}}"), &TWO)
    }

    #[test]
    fn it_gets_all_events_and_may_change_and_drop_them() {
        let outputs =
            transform("return events.filter(e => e.n > 1).map(e => { e.x = 1; return e; });");
        assert_eq!(outputs, [vec![], vec![r#"{"messageId":"2","n":2,"x":1}"#.to_owned()]]);
    }

    #[test]
    fn it_may_be_asynchronous() {
        let code = "async function transform(events) { await null; return events; }";
        assert_eq!(batch(code, &TWO), [["="], ["="]]);
    }

    #[test]
    fn metadata_is_a_global_function() {
        let outputs = transform(
            "return events.map(e => ({messageId: e.messageId, m: metadata(e).messageId, third: Object.keys(metadata(e))[2]}));",
        );
        assert_eq!(outputs[0], [r#"{"messageId":"1","m":"1","third":"originalSourceId"}"#]);
        assert_eq!(outputs[1], [r#"{"messageId":"2","m":"2","third":"originalSourceId"}"#]);
    }

    #[test]
    fn metadata_of_nothing_is_an_error() {
        let expected = "!Cannot read properties of undefined (reading 'messageId')";
        assert_eq!(transform("metadata(); return events;"), [[expected], [expected]]);
    }

    #[test]
    fn it_has_no_credentials() {
        let expected = "!getCredential is not defined";
        assert_eq!(transform("getCredential('key1'); return events;"), [[expected], [expected]]);
    }

    #[test]
    fn an_error_is_its_message_alone() {
        assert_eq!(transform("throw new Error('why');"), [["!why"], ["!why"]]);
        let code = "async function transform(events) { await null; throw new Error('why'); }";
        assert_eq!(batch(code, &TWO), [["!why"], ["!why"]]);
    }

    #[test]
    fn an_element_that_is_no_object_is_shown() {
        let expected = "!returned event in events from user transformation is not an object. returned event: 1";
        assert_eq!(transform("return [1, events[1]];"), [[expected], ["="]]);
    }

    #[test]
    fn an_object_of_any_kind_is_an_event() {
        assert_eq!(transform("return [new Map()];")[0], ["{}"]);
    }

    #[test]
    fn a_result_that_is_no_array_is_an_error() {
        let expected = "!returned events from transform(events) is not an array";
        assert_eq!(transform("return {};"), [[expected], [expected]]);
    }

    #[test]
    fn it_has_the_functions_of_the_network() {
        let kinds = "[typeof fetch, typeof fetchV2, typeof geolocation, typeof log].join()";
        let outputs = transform(&format!("return [{{messageId: '1', kinds: {kinds}}}];"));
        let expected = r#"{"messageId":"1","kinds":"function,function,function,function"}"#;
        assert_eq!(outputs[0], [expected]);
    }

    #[test]
    fn it_is_sloppy_code() {
        assert_eq!(transform("undeclared = 1; return events;"), [["="], ["="]]);
    }
}
