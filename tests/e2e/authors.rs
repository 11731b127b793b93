//! Tests the tools for authors of plugins: templates, cases, a comparison of two plugins, and a
//! bench.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use standpipe_tests::{FinishedRun, Program, Template, misbehaving_plugin};

const ROWS: &str =
    r#"{"mappings":[{"event":"Order Completed","stream":"orders"},{"event":"*","stream":"rest"}]}"#;

#[test]
fn the_template_in_rust_passes_its_own_cases() {
    assert_template_passes_cases(Template::Rust);
}

#[test]
fn the_template_in_javascript_passes_its_own_cases() {
    assert_template_passes_cases(Template::JavaScript);
}

#[test]
fn the_template_in_python_passes_its_own_cases() {
    assert_template_passes_cases(Template::Python);
}

fn assert_template_passes_cases(template: Template) {
    let program = Program::new().args(["plugin", "test"]);
    let ran = program.args([template.component(), template.cases()]).run().expect_exit(0);
    assert_eq!(stdout_text(&ran), "8 cases, 0 failed\n");
}

#[test]
fn a_template_is_written_only_into_an_empty_directory() {
    let program = Program::new().file("file", b"");
    fs::create_dir(program.path("empty")).unwrap();
    let ran = program.args(["plugin", "new", "--lang", "python", "empty"]).run().expect_exit(0);
    assert!(stdout_text(&ran).contains("empty/README.md for the next steps"));
    assert!(ran.path("empty/wit/mapping.wit").exists());
    let new = |directory: &str| {
        let program = Program::new().args(["plugin", "new", "--lang", "javascript"]);
        program.args([ran.path(directory)]).run()
    };
    new("empty").expect_exit(2).expect_stderr(&["is not empty", "choose an empty directory"]);
    new("file").expect_exit(2).expect_stderr(&["look into"]);
    new("a/new/one").expect_exit(0);
}

#[test]
fn a_plugin_is_named_after_its_directory() {
    for (language, manifest, line, component) in [
        ("rust", "Cargo.toml", "name = \"my-orders\"", "release/my_orders.wasm"),
        ("javascript", "package.json", "\"name\": \"my-orders\"", "my-orders.wasm"),
        ("python", "README.md", "-o my-orders.wasm", "my-orders.wasm"),
    ] {
        let program = Program::new().args(["plugin", "new", "--lang", language, "My Orders"]);
        let ran = program.run().expect_exit(0);
        let read = |file: &str| fs::read_to_string(ran.path("My Orders").join(file)).unwrap();
        assert!(read(manifest).contains(line), "{language}: {}", read(manifest));
        assert!(read("README.md").contains(component), "{language}: {}", read("README.md"));
        if language == "rust" {
            let manifest = ran.path("My Orders/Cargo.toml");
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
            let metadata = cargo.arg("--manifest-path").arg(manifest).output().unwrap();
            let metadata: Value =
                serde_json::from_slice(&metadata.stdout).expect("cargo takes the manifest");
            assert_eq!(metadata["packages"][0]["name"], "my-orders");
        }
    }
}

/// Runs these cases with the built-in plugin, which is written to `p.wasm`.
fn run_plugin_test(cases: &str, arguments: &[&str]) -> FinishedRun {
    let program = with_default_plugin().file("c.json", cases.as_bytes());
    program.args(["plugin", "test", "p.wasm", "c.json"]).args(arguments).run()
}

fn with_default_plugin() -> Program {
    let exported = Program::new().args(["plugin", "export", "p.wasm"]).run().expect_exit(0);
    Program::new().file("p.wasm", &fs::read(exported.path("p.wasm")).unwrap())
}

#[test]
fn failed_cases_are_reported_with_the_difference() {
    let cases = format!(
        r#"{{"settings":{ROWS},"cases":[
            {{"name":"right","event":{{"event":"order completed"}},"expect":[{{"stream":"orders"}}]}},
            {{"name":"wrong","event":{{"event":"x"}},"expect":[{{"stream":"orders"}}]}},
            {{"name":"no settings","settings":{{}},"event":{{}},"expect":[]}}]}}"#
    );
    let ran = run_plugin_test(&cases, &[]).expect_exit(1);
    let printed = stdout_text(&ran);
    for words in [
        "FAILED \"wrong\" (c.json, case 2)\n  - expected orders: the event's text as received\n  + got      rest",
        "FAILED \"no settings\" (c.json, case 3)\n  ! it refuses its settings",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    assert!(printed.ends_with("\n3 cases, 2 failed\n"), "{printed}");

    let report = json_of(&run_plugin_test(&cases, &["--json"]).expect_exit(1));
    assert_eq!((&report["cases"], &report["failed"]), (&json!(3), &json!(2)));
    assert_eq!(report["failures"][0]["differences"][0]["kind"], "missing");
}

#[test]
fn cases_without_settings_use_the_given_ones() {
    let cases = r#"{"cases":[{"name":"n","event":{},"expect":[{"stream":"given"}]}]}"#;
    run_plugin_test(cases, &[]).expect_exit(1);
    let program = with_default_plugin().file("c.json", cases.as_bytes());
    let settings = "[[plugin.settings.mappings]]\nevent = '*'\nstream = 'given'\n";
    let program = program.settings(settings);
    program.args(["plugin", "test", "p.wasm", "c.json"]).run().expect_exit(2);
    let ran = with_default_plugin().file("c.json", cases.as_bytes());
    let ran = ran.file("s.toml", settings.as_bytes());
    ran.args(["plugin", "test", "p.wasm", "c.json", "--config", "s.toml"]).run().expect_exit(0);
    let ran = with_default_plugin().file("c.json", cases.as_bytes());
    let rows = br#"{"mappings":[{"event":"*","stream":"given"}]}"#;
    let ran = ran.file("s.json", rows);
    ran.args(["plugin", "test", "p.wasm", "c.json", "--settings", "s.json"]).run().expect_exit(0);
}

#[test]
fn invalid_cases_are_distinguished_from_failed_ones() {
    run_plugin_test("{\"cases\":[{\"nam\":1}]}", &[]).expect_exit(2).expect_stderr(&[
        "c.json: unknown field `nam`",
        "line 1 column",
        "--help",
    ]);
    let ran = Program::new().file("p.wasm", b"{}").file("c.json", b"{}");
    ran.args(["plugin", "test", "p.wasm", "c.json"])
        .run()
        .expect_exit(2)
        .expect_stderr(&["missing field `cases`"]);
    let case = br#"{"cases":[{"name":"n","event":{},"expect":[]}]}"#;
    let ran = Program::new().file("p.wasm", b"{}").file("c.json", case);
    ran.args(["plugin", "test", "p.wasm", "c.json"])
        .run()
        .expect_exit(2)
        .expect_stderr(&["neither WebAssembly nor a script"]);
    let help = Program::new().args(["plugin", "test", "--help"]).run().expect_exit(0);
    assert!(stdout_text(&help).contains("compared byte by byte"));
}

#[test]
fn faults_fail_their_own_case_alone() {
    let case = |event: &str, expect: &str| {
        format!(r#"{{"name":"{event}","event":{{"event":"{event}"}},"expect":{expect}}}"#)
    };
    let good = case("good", r#"[{"stream":"good"}]"#);
    let cases = [case("trap", "[]"), good.clone(), case("loop", "[]"), case("memory", "[]"), good];
    let cases = format!("{{\"cases\":[{}]}}", cases.join(","));
    let program = Program::new().file("c.json", cases.as_bytes()).args(["plugin", "test"]);
    let ran = program.args([misbehaving_plugin()]).args(["c.json"]).run().expect_exit(1);
    let printed = stdout_text(&ran);
    for words in [
        "! the plugin trapped",
        "! the plugin did not answer",
        "! the plugin wanted more",
        "5 cases, 3 failed",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
}

const EVENTS: &str = "{\"type\":\"track\",\"event\":\"Order Completed\",\"secret\":\"s3cr3t\"}\nnot json\n\n\
                      {\"type\":\"page\"}\n{\"type\":\"track\",\"event\":\"B\"}\n{\"type\":\"track\",\"event\":\"B\"}\n";

#[test]
fn a_diff_lists_changed_decisions_and_their_events() {
    let new = r#"{"unmapped":"dead_letter","mappings":[{"event":"order completed","stream":"orders"},
                  {"event":"B","stream":"b"}]}"#;
    let diff = |arguments: &[&str]| {
        let program = with_default_plugin().file("old.json", ROWS.as_bytes());
        let program = program.file("new.json", new.as_bytes()).file("e.ndjson", EVENTS.as_bytes());
        let program = program.args(["plugin", "diff", "p.wasm", "p.wasm", "e.ndjson"]);
        program.args(["--old-settings", "old.json"]).args(arguments).run()
    };
    let printed = stdout_text(&diff(&["--new-settings", "new.json"]).expect_exit(0));
    for words in [
        "1  lines that are not events",
        "4  events compared",
        "1  same",
        "1  newly rejected",
        "2  to other streams",
        "to other streams: rest -> b: 2 events\n  e.ndjson:5  type \"track\"  event \"B\"\n  e.ndjson:6",
        "newly rejected: rest -> (rejected): 1 events\n  e.ndjson:4  type \"page\"  no mapping matches",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    assert!(!printed.contains("s3cr3t"), "{printed}");
    diff(&["--new-settings", "new.json", "--fail-on-change"]).expect_exit(1);
    diff(&["--new-settings", "old.json", "--fail-on-change"]).expect_exit(0);
    let report =
        json_of(&diff(&["--new-settings", "new.json", "--json", "--samples", "1"]).expect_exit(0));
    assert_eq!((&report["compared"], &report["not_events"]), (&json!(4), &json!(1)));
    assert_eq!(
        report["changes"][0]["samples"],
        json!([{"source": "e.ndjson", "line": 5, "type": "track", "name": "B"}])
    );
    diff(&["--new-settings", "none.json"]).expect_exit(2).expect_stderr(&["none.json"]);
    diff(&["none.ndjson", "--new-settings", "old.json"])
        .expect_exit(2)
        .expect_stderr(&["check the path"]);
}

#[test]
fn a_diff_lists_changed_payloads_and_faults() {
    let program = with_default_plugin().file("old.json", ROWS.as_bytes());
    let new = ROWS.replacen('{', r#"{"add":{"x":"y"},"#, 1);
    let program = program.file("new.json", new.as_bytes()).stdin(EVENTS);
    let program = program.args(["plugin", "diff", "p.wasm"]).args([Template::Rust.component()]);
    let program = program.args(["-", "--old-settings", "old.json", "--new-settings", "new.json"]);
    let printed = stdout_text(&program.run().expect_exit(0));
    let words = "payload to orders differs from byte 59 (60 -> 68 bytes)";
    assert!(printed.contains("4  payload changed") && printed.contains(words), "{printed}");

    let program = with_default_plugin().file("old.json", ROWS.as_bytes());
    let program =
        program.file("new.json", b"{}").stdin("{\"event\":\"trap\"}\n{\"event\":\"filter\"}\n");
    let program = program.args(["plugin", "diff", "p.wasm"]).args([misbehaving_plugin()]);
    let program = program.args(["-", "--old-settings", "old.json", "--new-settings", "new.json"]);
    let printed = stdout_text(&program.run().expect_exit(0));
    for words in [
        "rest -> (fails): 1 events\n  stdin:1  event \"trap\"  the plugin trapped",
        "rest -> (filtered): 1 events",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
}

#[test]
fn a_plugin_bench_prints_the_cost_of_each_plugin() {
    let events = EVENTS.repeat(50);
    let bench = |settings: &str, arguments: &[&str]| {
        let program = Program::new().file("e.ndjson", events.as_bytes());
        let program = program.file("s.json", settings.as_bytes()).args(["plugin", "bench"]);
        let program = program.args([Template::Rust.component()]).args(["e.ndjson"]);
        program.args(["--settings", "s.json", "--rounds", "1"]).args(arguments).run()
    };
    let report = json_of(&bench(ROWS, &["--json"]).expect_exit(0));
    assert_eq!(report["events"], 200);
    for (plugin, ratio_max) in report["plugins"].as_array().unwrap().iter().zip([100.0, 1.0]) {
        assert_eq!((&plugin["reads"], &plugin["faults"]), (&json!("kind"), &json!(0)));
        for figure in ["cpu_ns_per_event", "compile_cpu_ms", "start_cpu_us", "memory_bytes_at_end"]
        {
            assert!(plugin[figure].as_f64().unwrap() > 0.0, "{figure}: {plugin}");
        }
        assert!(plugin["ratio"].as_f64().unwrap() <= ratio_max, "{plugin}");
    }
    let printed =
        stdout_text(&bench(&ROWS.replacen('{', r#"{"add":{"x":"y"},"#, 1), &[]).expect_exit(0));
    assert!(printed.contains(" text ") && printed.contains("built-in plugin"), "{printed}");
    bench("{}", &[])
        .expect_exit(2)
        .expect_stderr(&["refuses its settings", "--settings or --config"]);
}

fn stdout_text(ran: &FinishedRun) -> String {
    String::from_utf8(ran.stdout.clone()).expect("text")
}

fn json_of(ran: &FinishedRun) -> Value {
    serde_json::from_slice(&ran.stdout).expect("JSON")
}
