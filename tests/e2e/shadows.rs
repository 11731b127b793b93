//! Tests that a shadow has no effect on delivery, and reports where its decisions differ.

use std::time::Instant;

use serde_json::Value;
use standpipe_tests::{DEADLINE, FinishedRun, Program, misbehaving_plugin};

const MAPPINGS: &str = r#"
workers = 1
[[plugin.settings.mappings]]
event = "track"
stream = "tracks"
[[plugin.settings.mappings]]
event = "page"
stream = "pages"
"#;

#[test]
fn a_shadow_reports_what_it_would_change() {
    let shadow = r#"
[[plugin.shadow.settings.mappings]]
event = "track"
stream = "tracks"
[[plugin.shadow.settings.mappings]]
event = "page"
stream = "web"
[[plugin.shadow.settings.mappings]]
event = "alias"
stream = "aliases"
"#;
    let types = ["track", "page", "page", "alias", "group"];
    let input =
        types.map(|name| format!("{{\"type\":\"{name}\",\"secret\":\"s3cr3t\"}}\n")).concat();
    let ran = run_with_shadow(shadow, input).expect_exit(0);
    assert_eq!((ran.count("delivered"), ran.count("filtered")), (3, 2));
    assert_eq!(ran.streams().keys().collect::<Vec<_>>(), ["pages", "tracks"]);
    let shadow = &ran.summary()["shadow"];
    assert_eq!(shadow["skipped"], 0);
    let count = |key: &str| shadow["comparison"][key].as_u64().expect(key);
    assert_eq!((count("compared"), count("same")), (5, 2));
    assert_eq!((count("moved"), count("delivered"), count("filtered")), (2, 1, 0));
    let samples = shadow["comparison"]["changes"].to_string();
    assert!(samples.contains("pages") && samples.contains("web"), "{samples}");
    assert!(!shadow.to_string().contains("s3cr3t"), "the report shows an event's text: {shadow}");
}

#[test]
fn a_shadow_that_misbehaves_delays_and_changes_nothing() {
    let input = "{\"type\":\"track\"}\n{\"type\":\"page\"}\n".repeat(100_000);
    for what in ["loop", "trap", "memory", "huge", "many"] {
        let shadow = format!(
            "[plugin.shadow]\npath = {:?}\n[plugin.shadow.settings]\nevery = {what:?}\n",
            misbehaving_plugin()
        );
        let start = Instant::now();
        let ran = run_with_shadow(&shadow, input.clone()).expect_exit(0);
        assert!(start.elapsed() < DEADLINE, "{what}: {:?}", start.elapsed());
        assert_eq!((ran.count("read"), ran.count("delivered")), (200_000, 200_000), "{what}");
        let shadow = &ran.summary()["shadow"];
        let seen = |count: &Value| count.as_u64().expect("a count");
        let all = seen(&shadow["skipped"]) + seen(&shadow["comparison"]["compared"]);
        assert!(all <= 200_000, "{what}: {all} events");
    }
}

#[test]
fn a_rejected_shadow_stops_the_start() {
    for (shadow, words) in [
        ("[plugin.shadow]\npath = \"missing.wasm\"\n", "missing.wasm"),
        ("[plugin.shadow.settings]\nmappings = []\n", "the shadow"),
        ("[plugin.shadow]\n", "[plugin.shadow] is the plugin itself"),
    ] {
        run_with_shadow(shadow, String::new()).expect_exit(2).expect_stderr(&[words]);
    }
}

fn run_with_shadow(shadow: &str, input: String) -> FinishedRun {
    Program::host_run_locally().settings(&format!("{MAPPINGS}{shadow}")).stdin(input).run()
}
