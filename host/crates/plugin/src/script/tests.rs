//! Tests how plugin files become scripts, and how code gets into settings.

use serde_json::{Value, json};

use super::*;
use crate::{Engine, LoadError, Plugin, sha256_hex};

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
        sha256_hex(&script_runner()),
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
