//! Tests commands that try plugins with scripts.

use serde_json::{Value, json};

use super::*;

const EVENTS: &str = "{\"event\":\"x\"}\n{\"event\":\"drop\"}\n{\"event\":\"change\"}\n";
const SETTINGS: &str = r#"{"mappings":[{"event":"*","stream":"events"}]}"#;

fn plugin_command(arguments: &[&str]) -> Program {
    let program = Program::new().args(["plugin"]).args(arguments);
    let program = program.file("transform.js", TRANSFORM.as_bytes());
    let program = program.file("events.ndjson", EVENTS.as_bytes());
    program.file("settings.json", SETTINGS.as_bytes())
}

#[test]
fn cases_test_a_script() {
    let cases = |added: bool| {
        let payload = json!({"event": "change", "added": added});
        json!({
            "settings": serde_json::from_str::<Value>(SETTINGS).unwrap(),
            "cases": [
                {"name": "kept", "event": {"event": "x"}, "expect": [{"stream": "events"}]},
                {"name": "dropped", "event": {"event": "drop"}, "expect": []},
                {"name": "thrown", "event": {"event": "throw"}, "expect": {"reject": "transform.js:4"}},
                {"name": "changed", "event": {"event": "change"}, "expect": [{"stream": "events", "payload": payload}]},
            ],
        })
        .to_string()
    };
    let test = |added: bool| {
        let program = plugin_command(&["test", "transform.js", "cases.json"]);
        program.file("cases.json", cases(added).as_bytes()).run()
    };
    let _ = test(true).expect_exit(0);
    let failed = test(false).expect_exit(1);
    assert!(String::from_utf8_lossy(&failed.stdout).contains("changed"));
}

#[test]
fn two_scripts_are_compared() {
    let program = plugin_command(&["diff", "transform.js", "new.js", "events.ndjson", "--json"]);
    let program =
        program.args(["--old-settings", "settings.json", "--new-settings", "settings.json"]);
    let new = TRANSFORM.replace("case 'drop': return;", "");
    let ran = program.file("new.js", new.as_bytes()).run().expect_exit(0);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&report["compared"], &report["same"]), (&json!(3), &json!(2)), "{report}");
}

#[test]
fn a_script_is_measured_and_inspected() {
    let bench = plugin_command(&["bench", "transform.js", "events.ndjson", "--json"]);
    let ran = bench.args(["--settings", "settings.json", "--rounds", "1"]).run().expect_exit(0);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(report["plugins"][0]["name"], "transform.js");
    assert_eq!(report["plugins"][0]["faults"], 0);

    let ran = plugin_command(&["inspect", "transform.js"]).run().expect_exit(0);
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(text.contains(&sha256_of(TRANSFORM.as_bytes())), "{text}");
    assert!(text.contains("scripts \"transform.js\" ("), "{text}");
    assert!(text.contains("standpipe:mapping/plugin@"), "{text}");
}

#[test]
fn the_tables_of_unresolved_secrets_are_named() {
    let cases =
        r#"{"cases":[{"name":"kept","event":{"event":"x"},"expect":[{"stream":"events"}]}]}"#;
    let config = format!(
        "[secrets]\nmanager = 'env'\n[plugin]\nscript = 'transform.js'\n[plugin.credentials]\na = 'secret:A'\n\
         [plugin.function_settings]\nb = 'secret:B'\n{ALL_EVENTS}"
    );
    let program = plugin_command(&["test", "transform.js", "cases.json", "--config", "c.toml"]);
    let program = program.file("cases.json", cases.as_bytes()).file("c.toml", config.as_bytes());
    let expected = "note: the secrets of [plugin.credentials], [plugin.function_settings] are not resolved here";
    let _ = program.run().expect_exit(0).expect_stderr(&[expected]);
}

#[test]
fn a_broken_script_fails_with_its_place() {
    for arguments in [
        &["bench", "broken.js", "events.ndjson", "--settings", "settings.json"][..],
        &[
            "diff",
            "transform.js",
            "broken.js",
            "events.ndjson",
            "--old-settings",
            "settings.json",
            "--new-settings",
            "settings.json",
        ],
    ] {
        let program = plugin_command(arguments);
        let ran =
            program.file("broken.js", b"export function transformEvent(e) {\n  return (;\n}").run();
        let _ = ran.expect_exit(2).expect_stderr(&["broken.js:2:"]);
    }
}
