//! Tests the handlers of Segment's functions, and what becomes of their results.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::event_object::ScriptEventText;
use crate::web::testing::{TestClient, response};
use crate::web::{WebRequest, WebResponse};
use standpipe_plugin::functions::{Failure, FailureKind, HttpRequest};

mod globals;
mod network;

const TRACK: &str =
    r#"{"type":"track","event":"Bought","userId":"u","n":1.0,"properties":{"price": 5.50}}"#;
const PAGE: &str = r#"{"type":"page","name":"Home","userId":"u"}"#;

/// A function with the engine that runs it.
struct TestFunction {
    // Dropped before the engine.
    stage: FunctionStage,
    engine: ScriptEngine,
}

impl TestFunction {
    fn new(code: &str, script: Value) -> Result<Self, String> {
        let mut script = script;
        script["files"] = json!([{"name": "function.js", "code": code}]);
        let settings = json!({"script": script}).to_string();
        let (settings, _) = ScriptSettings::parse(&settings)?;
        let engine = ScriptEngine::new(&[])?;
        let dialect = settings.dialect.unwrap_or_else(|| ScriptDialect::detect(code));
        let kind = dialect.function_kind().ok_or("it is not a function of Segment")?;
        let stage = FunctionStage::new(&engine, &settings.files[0], kind, &settings)?;
        Ok(TestFunction { stage, engine })
    }

    /// Answers the function's requests by `respond`. Returns the calls of the client.
    fn respond(
        &self,
        respond: impl FnMut(&WebRequest) -> Result<WebResponse, String> + 'static,
    ) -> Rc<RefCell<Vec<Vec<WebRequest>>>> {
        let calls = Rc::new(RefCell::new(Vec::new()));
        let client = TestClient { calls: Rc::clone(&calls), respond };
        self.engine.set_web_client(Box::new(client)).unwrap();
        calls
    }

    /// What becomes of events: `=` for one as received, its text, `!` and the reason, or nothing.
    fn run(&mut self, texts: &[&str]) -> Vec<String> {
        let events = (0..).zip(texts).map(|(position, text)| {
            let text = Rc::new(ScriptEventText { text: (*text).to_owned(), position });
            ScriptEvent { text, input: position, changed: None }
        });
        let events: Vec<_> = events.collect();
        let kinds = texts.iter().map(|text| {
            let event: Value = serde_json::from_str(text).unwrap();
            let member = |name: &str| event[name].as_str().map(str::to_owned);
            ScriptEventKind { message_type: member("type"), name: member("event") }
        });
        let kinds: Vec<_> = kinds.collect();
        let mut outputs = Vec::new();
        self.stage.run(&self.engine, &events, &kinds, &mut outputs);
        let mut shown = vec![String::new(); texts.len()];
        for output in outputs {
            let (input, text) = match output {
                ScriptOutput::Event(event) if event.changed.is_none() => (event.input, "=".into()),
                ScriptOutput::Event(event) => (event.input, event.text.text.clone()),
                ScriptOutput::Rejected(input, reason) => (input, format!("!{reason}")),
            };
            assert_eq!(shown[input as usize], "", "an event has two outputs");
            shown[input as usize] = text;
        }
        shown
    }

    fn request(&mut self, request: &HttpRequest) -> Result<Vec<String>, Failure> {
        self.stage.run_request(&self.engine, request)
    }
}

fn run(code: &str, texts: &[&str]) -> Vec<String> {
    TestFunction::new(code, json!({})).unwrap().run(texts)
}

/// The JSON of an expression that an insert function evaluates, or the reason of its rejection.
fn evaluate(expression: &str) -> String {
    let code = format!(
        "async function onTrack(event, settings) {{ if (!settings) return event;\n\
         return {{v: {expression}}}; }}"
    );
    let shown = run(&code, &[TRACK]).remove(0);
    let value = shown.strip_prefix("{\"v\":").and_then(|text| text.strip_suffix('}'));
    value.unwrap_or(&shown).to_owned()
}

#[test]
fn the_code_shows_its_kind() {
    use FunctionKind::{Destination, Insert, Source};
    for (code, expected) in [
        ("async function onRequest(request, settings) {}", Some(Source)),
        ("async function onTrack(event) { await fetch(''); }", Some(Destination)),
        ("async function onTrack(event) { return res.json(); }", Some(Destination)),
        ("async function onTrack(event) { return event; }", Some(Insert)),
        ("const onTrack = async event => { return event }", Some(Insert)),
        ("const onTrack = event => ({...event, a: 1})", Some(Insert)),
        ("exports.onPage = function (msg) { return  { ...msg } }", Some(Insert)),
        ("module.exports = { async onPage(msg, {key}) { return msg } }", Some(Insert)),
        ("export async function onBatch(events) {\n  return events.map(f)\n}", Some(Destination)),
        ("async function onBatch(events) { return events }", Some(Insert)),
        ("function onGroup(e) { throw new DropEvent('x') }", Some(Insert)),
        ("// function onTrack(event) { return event }", None),
        ("function transform(events) { return events }", None),
        ("element.onTrack(event)", None),
        ("if (onTrack == 1) {}", None),
        ("const names = { onTrack: 'Track', onPage: 2 }", None),
        ("exports.onTrack = handleTrack", Some(Destination)),
        ("function onTrack(event) { // return event\n post(event) }", Some(Destination)),
    ] {
        assert_eq!(detect_kind(code), expected, "{code}");
    }
}

#[test]
fn handlers_are_found_however_they_are_defined() {
    let expected = [format!("{},\"z\":1}}", &TRACK[..TRACK.len() - 1])];
    for code in [
        "async function onTrack(event) { event.z = 1; return event; }",
        "const onTrack = event => { event.z = 1; return event; }",
        "let onTrack = async (event) => ({...event, z: 1})",
        "exports.onTrack = function (event) { event.z = 1; return event; }",
        "module.exports = { onTrack(event) { event.z = 1; return event; } }",
        "export async function onTrack(event) { event.z = 1; return event; }",
        "export default { onTrack(event) { event.z = 1; return event; } }",
    ] {
        assert_eq!(run(code, &[TRACK]), expected, "{code}");
    }
}

#[test]
fn insert_functions_return_the_event_drop_it_or_fail() {
    let code = "
        async function onTrack(event, settings) { event.properties.key = settings.key; return event; }
        async function onPage(event) { throw new DropEvent('not wanted'); }
        async function onIdentify(event) {}
        async function onGroup(event) { return [event]; }
        function onScreen(event) { return 'event'; }
    ";
    let script = json!({"settings": {"key": "k"}});
    let mut function = TestFunction::new(code, script).unwrap();
    let texts = [
        TRACK,
        PAGE,
        r#"{"type":"identify"}"#,
        r#"{"type":"group"}"#,
        r#"{"type":"screen"}"#,
        r#"{"type":"alias"}"#,
        r#"{"type":"merge"}"#,
        "{}",
    ];
    assert_eq!(
        function.run(&texts),
        [
            r#"{"type":"track","event":"Bought","userId":"u","n":1.0,"properties":{"price": 5.50,"key":"k"}}"#,
            "",
            "!the insert function returned no event: return the event, or throw DropEvent to drop it",
            "!the insert function returned a value that is not an object: return the event",
            "!the insert function returned a value that is not an object: return the event",
            "!EventNotSupported: alias not supported: function.js has no onAlias",
            "!EventNotSupported: merge not supported",
            "!EventNotSupported: the event has no type",
        ]
    );
}

#[test]
fn destination_functions_let_events_go_on_as_received() {
    let code = "
        async function onTrack(event) { delete event.userId; return {status: 500}; }
        async function onPage(event) {
          throw new InvalidEventPayload('no title');
        }
    ";
    assert_eq!(
        run(code, &[TRACK, PAGE]),
        ["=", "!InvalidEventPayload: no title\n    at onPage (function.js:4:21)"]
    );
}

#[test]
fn thrown_errors_have_names_messages_and_places() {
    for (thrown, expected) in [
        ("new ValidationError('a')", "!ValidationError: a\n"),
        ("new RetryError('HTTP Status 503')", "!RetryError: HTTP Status 503\n"),
        ("new EventNotSupported('b')", "!EventNotSupported: b\n"),
        ("new Error('c')", "!Error: c\n"),
        ("undefinedFunction()", "!ReferenceError: undefinedFunction is not defined\n"),
        ("'text'", "!text"),
    ] {
        let code = format!("async function onTrack(event) {{ await null; throw {thrown}; }}");
        let shown = run(&code, &[TRACK]).remove(0);
        assert!(shown.starts_with(expected), "{shown}");
        assert!(thrown == "'text'" || shown.contains("function.js:1:"), "{shown}");
    }
    let checks =
        "new RetryError('x') instanceof Error && new RetryError('x') instanceof RetryError";
    assert_eq!(evaluate(checks), "true");
}

#[test]
fn code_without_a_handler_or_with_an_error_is_refused() {
    let failed = |code: &str, script| match TestFunction::new(code, script) {
        Ok(_) => panic!("{code} was accepted"),
        Err(reason) => reason,
    };
    let insert = json!({"dialect": "segment-insert"});
    assert_eq!(
        failed("function other() {}", insert.clone()),
        "function.js: found none of onTrack, onIdentify, onPage, onScreen, onGroup, onAlias, \
         onDelete and onBatch: define one of them"
    );
    assert_eq!(
        failed("function onTrack() {}", json!({"dialect": "segment-source"})),
        "function.js: found no onRequest: define it"
    );
    let reason = failed("async function onTrack(event) {\n  retrun event;\n}", insert.clone());
    assert!(reason.starts_with("SyntaxError: "), "{reason}");
    assert!(reason.contains("function.js:2:"), "{reason}");
    let reason = failed("const a = b;\nfunction onTrack(event) { return event }", insert);
    assert!(reason.contains("b is not defined") && reason.contains("function.js:1:"), "{reason}");
}

#[test]
fn batch_handlers_get_events_of_all_types_and_pair_by_position() {
    let code = "
        async function onBatch(events, settings) {
          if (events[0].userId === 'all') throw new RetryError('later');
          return events.map((event, i) => i === 1 ? undefined : {...event, at: i});
        }
        async function onTrack(event) { return event; }
    ";
    let mut function = TestFunction::new(code, json!({"dialect": "segment-insert"})).unwrap();
    let small = [r#"{"type":"track"}"#, PAGE, r#"{"type":"group"}"#];
    assert_eq!(
        function.run(&small),
        [r#"{"type":"track","at":0}"#, "", r#"{"type":"group","at":2}"#]
    );
    let failing = [r#"{"type":"track","userId":"all"}"#, PAGE];
    let fresh = json!({"dialect": "segment-insert", "globals": "fresh"});
    let mut fresh = TestFunction::new(code, fresh).unwrap();
    for _ in 0..2 {
        assert_eq!(fresh.run(&small)[2], r#"{"type":"group","at":2}"#);
    }
    for shown in function.run(&failing) {
        assert!(shown.starts_with("!RetryError: later\n"), "{shown}");
    }
    // More events than one call gets.
    let many = vec![r#"{"type":"track"}"#; BATCH_EVENTS_MAX + 2];
    let shown = function.run(&many);
    assert_eq!(shown[BATCH_EVENTS_MAX - 1], format!("{{\"type\":\"track\",\"at\":{}}}", 19));
    assert_eq!(shown[BATCH_EVENTS_MAX], r#"{"type":"track","at":0}"#);
    assert_eq!(shown[BATCH_EVENTS_MAX + 1], "");
}

#[test]
fn a_shorter_batch_drops_the_events_whose_objects_are_missing() {
    let code = "async function onBatch(events) { return events.filter(e => e.type !== 'page'); }";
    let mut function = TestFunction::new(code, json!({"dialect": "segment-insert"})).unwrap();
    assert_eq!(function.run(&[PAGE, TRACK, PAGE]), ["", "=", ""]);
    let code = "async function onBatch(events) { return [5, events[0]]; }";
    let mut function = TestFunction::new(code, json!({"dialect": "segment-insert"})).unwrap();
    let shown = function.run(&[PAGE, TRACK]);
    assert_eq!(
        shown,
        ["=", "!the insert function returned a value that is not an object: return the event"]
    );
    for (returned, reason) in [
        ("5", "!onBatch returned a value that is not an array of events"),
        ("[1,2,3]", "!onBatch returned 3 events for 2: return at most one event for each"),
    ] {
        let code = format!("async function onBatch(events) {{ return {returned}; }}");
        let mut function = TestFunction::new(&code, json!({"dialect": "segment-insert"})).unwrap();
        assert_eq!(function.run(&[PAGE, TRACK]), [reason, reason]);
    }
}

#[test]
fn batch_handlers_of_destinations_report_the_events_that_failed() {
    let code = "async function onBatch(events) { return [
        {status: 200}, {status: 400, errormessage: 'bad'}, {status: 503, errormessage: 'busy'}]; }";
    assert_eq!(
        run(code, &[TRACK, PAGE, PAGE]),
        [
            "=",
            "!Bad Request: onBatch returned status 400: bad",
            "!RetryError: onBatch returned status 503: busy"
        ]
    );
    assert_eq!(run("async function onBatch(events) { return 'ok'; }", &[TRACK, PAGE]), ["=", "="]);
}

#[test]
fn a_promise_that_nothing_settles_fails_alone() {
    let code = "let n = 0; async function onTrack(event) {
        n += 1; if (event.hangs) await new Promise(() => {}); return {...event, n}; return event; }";
    let hanging = r#"{"type":"track","hangs":true}"#;
    let plain = r#"{"type":"track"}"#;
    let mut function = TestFunction::new(code, json!({})).unwrap();
    let shown = function.run(&[plain, hanging, plain]);
    let reason = "!Timed out: nothing settles the promise that the handler returned";
    assert_eq!(shown, [r#"{"type":"track","n":1}"#, reason, r#"{"type":"track","n":1}"#]);
}

#[test]
fn global_variables_live_as_long_as_the_settings_say() {
    let code = "let n = 0; function onTrack(event) { n += 1; return {n}; return event; }";
    let mut warm = TestFunction::new(code, json!({})).unwrap();
    assert_eq!(warm.run(&[TRACK, TRACK]), [r#"{"n":1}"#, r#"{"n":2}"#]);
    assert_eq!(warm.run(&[TRACK]), [r#"{"n":3}"#]);
    let mut fresh = TestFunction::new(code, json!({"globals": "fresh"})).unwrap();
    assert_eq!(fresh.run(&[TRACK, TRACK]), [r#"{"n":1}"#, r#"{"n":2}"#]);
    assert_eq!(fresh.run(&[TRACK]), [r#"{"n":1}"#]);
}

#[test]
fn source_functions_turn_requests_into_events_and_objects() {
    let code = "
        async function onRequest(request, settings) {
          const body = request.json();
          if (body.fail) { Segment.track({event: 'x', userId: 'u'}); throw new Error('failed'); }
          Segment.track({event: request.headers.get('x-kind'), userId: body.id, properties: {q: request.url.searchParams.get('q')}, extra: 1});
          Segment.identify({anonymousId: 'a', traits: {raw: request.text().length}, timestamp: '2026-01-01'});
          Segment.group({groupId: 'g', userId: 'u'});
          Segment.page({name: 'n', userId: 'u'});
          Segment.screen({userId: 'u'});
          Segment.alias({previousId: 'p', userId: 'u'});
          Segment.set({collection: 'c', id: 'i', properties: {k: settings.k}});
        }
    ";
    let mut function = TestFunction::new(code, json!({"settings": {"k": "v"}})).unwrap();
    let request = |body: &str| HttpRequest {
        method: "POST".to_owned(),
        url: "https://fn.test/x?q=1+2".to_owned(),
        headers: vec![("X-Kind".to_owned(), "Made".to_owned())],
        body: body.as_bytes().to_vec(),
    };
    let events = function.request(&request(r#"{"id":"u"}"#)).unwrap();
    assert_eq!(
        events,
        [
            r#"{"type":"track","event":"Made","properties":{"q":"1 2"},"userId":"u"}"#,
            r#"{"type":"identify","traits":{"raw":10},"anonymousId":"a","timestamp":"2026-01-01"}"#,
            r#"{"type":"group","groupId":"g","userId":"u"}"#,
            r#"{"type":"page","name":"n","userId":"u"}"#,
            r#"{"type":"screen","userId":"u"}"#,
            r#"{"type":"alias","previousId":"p","userId":"u"}"#,
            r#"{"type":"set","collection":"c","id":"i","properties":{"k":"v"}}"#,
        ]
    );
    let failed = function.request(&request(r#"{"fail":true}"#)).unwrap_err();
    assert_eq!(failed.kind, FailureKind::Rejected);
    let message = failed.message;
    assert!(message.starts_with("Error: failed\n    at onRequest (function.js:4:"), "{message}");
    // What the request that failed had sent is gone.
    assert_eq!(function.request(&request(r#"{"id":"u"}"#)).unwrap().len(), 7);
    let invalid = function.request(&request("{")).unwrap_err().message;
    assert!(invalid.starts_with("SyntaxError: "), "{invalid}");
    let missing = function.request(&request("{}")).unwrap_err().message;
    let expected = "ValidationError: One of userId,anonymousId is required but not defined";
    assert!(missing.starts_with(expected), "{missing}");
    let shown = function.run(&[TRACK]).remove(0);
    assert!(shown.starts_with("!function.js: onRequest turns requests into events"), "{shown}");
}

#[test]
fn source_functions_say_whether_a_request_should_be_sent_again() {
    let code = "let resolve; async function onRequest(request) {
        const { then, id } = request.json();
        if (resolve) resolve();
        if (then === 'hang') { await new Promise(done => { resolve = done; }); Segment.track({event: 'late', userId: id}); }
        if (then === 'retry') throw new RetryError('later');
        if (then === 'reject') throw new ValidationError('no');
        Segment.track({event: 'x', userId: id}); }";
    let mut function = TestFunction::new(code, json!({})).unwrap();
    let mut request = |body: &str| {
        function.request(&HttpRequest {
            method: "POST".to_owned(),
            url: "https://fn.test/".to_owned(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        })
    };
    for (then, kind, start) in [
        ("retry", FailureKind::Retry, "RetryError: later\n"),
        ("reject", FailureKind::Rejected, "ValidationError: no\n"),
        (
            "hang",
            FailureKind::Retry,
            "Timed out: nothing settles the promise that onRequest returned",
        ),
    ] {
        let failed = request(&json!({"then": then}).to_string()).unwrap_err();
        assert_eq!(failed.kind, kind, "{then}");
        assert!(failed.message.starts_with(start), "{}", failed.message);
    }
    // The request that hung is over: it cannot send an event during a later one.
    let events = request(r#"{"id":"\u00e9"}"#).unwrap();
    assert_eq!(events, [r#"{"type":"track","event":"x","userId":"é"}"#]);
    let invalid = request("\u{fffd}").unwrap_err();
    assert_eq!(invalid.kind, FailureKind::Rejected);
}
