//! Tests how plugin files become scripts, and how code gets into settings.

use serde_json::{Value, json};

use super::*;
use crate::{Decision, Engine, LoadError, Mapper, Plugin, plugin_thread, sha256_hex};
use standpipe_core::event::{Event, scan};

fn file(name: &str, code: &str) -> ScriptFile {
    ScriptFile { name: name.to_owned(), code: code.to_owned() }
}

fn filled(bytes: &[u8], settings: &str) -> Value {
    let script = Script::parse(bytes).unwrap().expect("a script");
    serde_json::from_str(&script.fill(settings).unwrap()).unwrap()
}

#[test]
fn the_embedded_runner_is_the_one_of_the_sha_256() {
    assert_eq!(
        sha256_hex(&embedded_runner()),
        script_runner_sha256(),
        "run guest/script/build.sh and commit its results"
    );
}

#[test]
fn text_is_a_script_unless_it_looks_like_something_else() {
    for script in ["export function transformEvent(e) { return e }", "(function() {})()", "// x"] {
        assert!(is_script(script.as_bytes()), "{script}");
    }
    let others: [&[u8]; 9] = [
        b"",
        b" \n",
        b"\0asm\x0d\0\x01\0",
        b"<!doctype html>",
        b"(component)",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"{\"mappings\":[]}",
        b"\xff\xfe",
        b"a\0b",
    ];
    for other in others {
        assert!(!is_script(other), "{}", other.escape_ascii());
    }
}

#[test]
fn code_is_filled_into_the_settings() {
    let settings = r#"{"mappings":[],"script":{"name":"t.js","dialect":"rudderstack"}}"#;
    let expected = json!({
        "mappings": [],
        "script": {
            "dialect": "rudderstack",
            "files": [{"name": "t.js", "code": "let x"}],
            "libraries": [],
        },
    });
    assert_eq!(filled(b"\xef\xbb\xbflet x", settings), expected);
    let unnamed = filled(b"let x", "");
    assert_eq!(unnamed["script"]["files"][0]["name"], "script.js");
    let script = Script::parse(b"let x").unwrap().unwrap();
    for wrong in [r#"{"script":1}"#, r#"{"script":{"files":[]}}"#, "[]"] {
        assert!(script.fill(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_component_gets_no_options_of_the_script_that_it_replaces() {
    let of_script = r#"{"stream":"s","script":{"name":"t.js","dialect":"rudderstack"}}"#;
    assert_eq!(without_script_options(of_script).unwrap(), r#"{"stream":"s"}"#);
    for own in ["{}", r#"{"script":1}"#, r#"{"script":{"files":[]}}"#, r#"{"a":"script"}"#] {
        assert_eq!(without_script_options(own), None, "{own}");
    }
}

#[test]
fn a_bundle_has_the_same_bytes_in_any_order_of_its_libraries() {
    let files = vec![file("b.js", "1"), file("a.js", "2")];
    let libraries = [file("y", "3"), file("x", "4")];
    let reversed = libraries.iter().rev().cloned().collect();
    let bundle = ScriptBundle::new(files.clone(), libraries.to_vec()).unwrap();
    let bytes = bundle.to_bytes();
    assert_eq!(bytes, ScriptBundle::new(files, reversed).unwrap().to_bytes());
    let script = filled(&bytes, "{}");
    assert_eq!(script["script"]["files"][0]["name"], "b.js");
    assert_eq!(script["script"]["libraries"][0], json!({"name": "x", "code": "4"}));
}

#[test]
fn damaged_bundles_are_errors() {
    let error = |text: &str| Script::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error(r#"{"standpipe_script":1,"files":[}"#).contains("host plugin bundle"));
    assert!(error(r#"{"standpipe_script":2,"files":[]}"#).contains("version 2"));
    assert!(error(r#"{"standpipe_script":1,"files":[]}"#).contains("no script"));
    let twice = ScriptBundle::new(vec![file("a", ""), file("a", "")], Vec::new());
    assert!(matches!(twice, Err(ScriptError::DuplicateName(name)) if name == "a"));
    let many = (0..=limits::SCRIPT_FILES_MAX).map(|number| file(&number.to_string(), ""));
    assert!(matches!(ScriptBundle::new(many.collect(), Vec::new()), Err(ScriptError::TooMany(_))));
    let large = "x".repeat(limits::SCRIPT_BYTES_MAX + 1);
    assert!(matches!(Script::parse(large.as_bytes()), Err(ScriptError::TooLarge(_))));
}

#[test]
fn a_bundle_names_its_runner() {
    let runner = ScriptRunner::new(b"a component".to_vec());
    let bundle =
        ScriptBundle::new(vec![file("t.py", "def transformEvent(e, m): pass")], Vec::new());
    let embedded = bundle.unwrap();
    assert!(is_script_of_embedded_runner(&embedded.to_bytes()));
    let bundle = embedded.clone().with_runner(&runner);
    assert_ne!(bundle.to_bytes(), embedded.to_bytes());
    assert_eq!(bundle.runner(), Some(&**runner.digest()));
    let bytes = bundle.to_bytes();
    assert_eq!(ScriptBundle::parse(&bytes).unwrap(), Some(bundle));
    assert_eq!(ScriptBundle::parse(b"let x").unwrap(), None);
    assert!(!is_script_of_embedded_runner(&bytes));
    // The runner's name for itself is no file of the script.
    assert_eq!(filled(&bytes, "{}")["script"].as_object().unwrap().len(), 2);
}

#[test]
fn a_script_without_its_runner_is_refused() {
    let runner = ScriptRunner::new(b"not WebAssembly".to_vec());
    let bundle = ScriptBundle::new(vec![file("t.py", "")], Vec::new()).unwrap();
    let bytes = bundle.with_runner(&runner).to_bytes();
    let engine = Engine::new(None).unwrap();
    let refused = |engine: &Engine| Plugin::load(engine, &bytes, "{}").unwrap_err();
    match refused(&engine) {
        LoadError::ScriptFile(ScriptError::UnknownRunner(sha256)) => {
            assert_eq!(sha256, **runner.digest());
        }
        other => panic!("{other}"),
    }
    engine.add_script_runner(&runner);
    assert!(matches!(refused(&engine), LoadError::NotWasm { .. }));
    // Later runners take its place.
    for number in 0..4 {
        engine.add_script_runner(&ScriptRunner::new(vec![number]));
    }
    assert!(matches!(refused(&engine), LoadError::ScriptFile(ScriptError::UnknownRunner(_))));
}

#[test]
fn python_is_recognized() {
    for code in ["def transformEvent(event, metadata):\n  pass", "import x\ndef transformBatch(e):"]
    {
        let error = Script::parse(code.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("--runner"), "{error}");
    }
    for code in ["// def transformEvent(event)", "const x = {\n  def: transformEvent(1) };"] {
        assert!(Script::parse(code.as_bytes()).unwrap().is_some(), "{code}");
    }
}

#[test]
fn code_for_a_runner_becomes_a_bundle() {
    let bundle = |settings: &str| -> Value {
        serde_json::from_slice(&for_runner(b"x = 1".to_vec(), "abc", settings)).unwrap()
    };
    let named = bundle(r#"{"script":{"name":"t.py"}}"#);
    let expected = json!({
        "standpipe_script": 1,
        "runner": "abc",
        "files": [{"name": "t.py", "code": "x = 1"}],
        "libraries": [],
    });
    assert_eq!(named, expected);
    assert_eq!(bundle("{}")["files"][0]["name"], "script");
    for other in [&b"\0asm\x0d\0\x01\0"[..], br#"{"standpipe_script":1,"files":[]}"#] {
        assert_eq!(for_runner(other.to_vec(), "abc", "{}"), other);
    }
}

#[test]
fn libraries_are_imported_by_the_camel_case_of_their_names() {
    let engine = Engine::new(None).unwrap();
    let code = "import { a } from 'myLib'; export function transformEvent(event) { return a; }";
    let load = |names: &[&str]| {
        let libraries = names.iter().map(|name| file(name, "export const a = {};")).collect();
        let bundle = ScriptBundle::new(vec![file("t.js", code)], libraries).unwrap();
        let settings = r#"{"mappings":[{"event":"*","stream":"events"}]}"#;
        Plugin::load(&engine, &bundle.to_bytes(), settings)
    };
    for name in ["my-lib", "my_lib", "myLib"] {
        load(&[name]).unwrap();
    }
    let both = load(&["my-lib", "my_lib"]).unwrap_err().to_string();
    assert!(
        both.contains("the libraries `my-lib` and `my_lib` are both imported as `myLib`"),
        "{both}"
    );
}

#[test]
fn a_script_is_loaded_by_the_runner_under_its_own_hash() {
    let engine = Engine::new(None).unwrap();
    let code = b"export function transformEvent(event) { return event; }";
    let settings = r#"{"mappings":[{"event":"*","stream":"events"}]}"#;
    let plugin = Plugin::load(&engine, code, settings).unwrap();
    assert_eq!(**plugin.digest(), sha256_hex(code));
    assert_eq!(plugin.settings().text(), settings);
    assert!(plugin.streams().eq(["events"]));
    assert_eq!(plugin.routes().unwrap().len(), 1);

    let named = with_script_name(settings, "broken.js");
    let broken =
        Plugin::load(&engine, b"export function transformEvent(e) {\n  return )\n}", named);
    match broken.unwrap_err() {
        LoadError::Script(message) => assert!(message.contains("broken.js:2:"), "{message}"),
        other => panic!("{other}"),
    }
    let rules = r#"{"mappings":1}"#;
    let unroutable = Plugin::load(&engine, code, rules).unwrap_err();
    assert!(matches!(unroutable, LoadError::Settings(_)), "{unroutable}");
}

/// Why a script rejects an event while it does this.
fn rejection_of(engine: &Engine, statements: &str) -> String {
    let code = format!("export function transformEvent(event) {{ {statements}; return event; }}");
    let settings = r#"{"mappings":[{"event":"*","stream":"events"}]}"#;
    let plugin = Plugin::load(engine, code.as_bytes(), settings).unwrap();
    let (text, envelope) = scan(br#"{"event":"x"}"#, 10).unwrap();
    let event = Event { index: 0, line: 1, text, envelope };
    let decisions = Mapper::new(plugin).map("web", &[event]);
    match decisions.of(0) {
        Ok([output]) => match &output.decision {
            Decision::Reject(reason) => reason.clone(),
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    }
}

/// QuickJS limits its own stack, in the memory of the instance. Each of these uses much more of the
/// thread's stack, and must reach the limit of QuickJS first.
#[test]
fn deep_recursion_is_an_error_that_the_script_can_catch() {
    let nested = |prefix: &str, suffix: &str| {
        format!("eval('{prefix}'.repeat(40000) + '1' + '{suffix}'.repeat(40000))")
    };
    let statements = [
        "(function call() { call() })()".to_owned(),
        "JSON.parse('['.repeat(40000))".to_owned(),
        "let a = []; for (let i = 0; i < 40000; i++) a = [a]; JSON.stringify(a)".to_owned(),
        "let a = []; for (let i = 0; i < 40000; i++) a = [a]; a.flat(Infinity)".to_owned(),
        "let f = function () {}; for (let i = 0; i < 8000; i++) f = f.bind(); new f()".to_owned(),
        "let p = {}; for (let i = 0; i < 8000; i++) p = new Proxy(p, {}); 'x' in p".to_owned(),
        nested("(", ")"),
        nested("[", "]"),
        nested("-+", ""),
        nested("import(", ")"),
        nested("1 ? ", " : 1"),
    ];
    let engine = Engine::new(None).unwrap();
    let check = || {
        for statements in &statements {
            let reason = rejection_of(&engine, statements);
            let expected = "RangeError: Maximum call stack size exceeded";
            assert!(reason.starts_with(expected), "{statements}: {reason}");
        }
    };
    // This thread has a small stack, and those of workers have a large one.
    check();
    std::thread::scope(|scope| {
        plugin_thread("worker").spawn_scoped(scope, check).unwrap().join().unwrap();
    });
}
