//! Tests the runner for RudderStack's transformations in Python: `guest/examples/python-rudderstack`
//! describes its behaviours once, for plain Python and for the component.

mod network;
mod script;

use std::process::Command;

use serde_json::{Value, json};
use standpipe_tests::{Program, Template, tools, workspace_directory};

#[test]
fn the_template_passes_its_own_cases() {
    let template = Template::PythonRudderStack;
    let program = Program::new().args(["plugin", "test"]);
    let program = program.args([template.script(), template.cases()]);
    let ran = program.args(["--config".into(), template.settings()]).run().expect_exit(0);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "4 cases, 0 failed\n");
}

#[test]
fn the_template_is_for_python_only() {
    let program = Program::new().args(["plugin", "new", "--lang", "rust", "new"]);
    let ran = program.args(["--dialect", "rudderstack"]).run();
    ran.expect_exit(2).expect_stderr(&["--dialect and --lang name different languages"]);
}

#[test]
fn the_runner_passes_its_tests_in_plain_python() {
    let ran = python_command("test_runner.py").output().expect("Python starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn the_component_has_the_behaviours_for_one_event() {
    let cases = read_behaviours("cases");
    let count = cases["cases"].as_array().expect("cases").len();
    assert!(count >= 50, "cases are missing: {count}");
    let program = Program::new().file("cases.json", cases.to_string().as_bytes());
    let program = program.args(["plugin", "test"]).args([Template::PythonRudderStack.component()]);
    let ran = program.args(["cases.json"]).run().expect_exit(0);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), format!("{count} cases, 0 failed\n"));
}

/// Runs the events of each batch through `host run`.
#[test]
fn the_component_has_the_behaviours_for_batches() {
    let runs = read_behaviours("runs");
    let runs = runs.as_array().expect("runs");
    assert!(runs.len() >= 10, "runs are missing: {}", runs.len());
    for run in runs {
        let name = &run["name"];
        let rejected = run["rejected"].as_array().expect("rejected events");
        let program = Program::host_run_locally().settings(string_of(&run["settings"]));
        let program = program.args(["--plugin"]).args([Template::PythonRudderStack.component()]);
        let ran = program.stdin(string_of(&run["events"])).run();
        let ran = ran.expect_exit(if rejected.is_empty() { 0 } else { 3 });
        let delivered: Vec<u8> = ran.streams().into_values().flatten().collect();
        let delivered = String::from_utf8(delivered).expect("text");
        let expected = run["delivered"].as_array().expect("payloads").iter().map(string_of);
        assert_eq!(sorted(delivered.lines()), sorted(expected), "{name}");
        let mut dead_letters = ran.dead_letters();
        dead_letters.sort_by_key(|dead_letter| dead_letter.line);
        assert_eq!(dead_letters.len(), rejected.len(), "{name}: {dead_letters:?}");
        for (dead_letter, expected) in dead_letters.iter().zip(rejected) {
            assert_eq!(json!(dead_letter.line), expected[0], "{name}");
            let reason = string_of(&expected[1]);
            assert!(dead_letter.detail.contains(reason), "{name}: {dead_letter:?}");
        }
    }
}

fn string_of(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn sorted<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_component_refuses_code_with_errors() {
    let refused = read_behaviours("refused");
    let refused = refused.as_array().expect("refused settings");
    let case =
        |refused: &Value| json!({"name": "n", "settings": refused[0], "event": {}, "expect": []});
    let cases: Vec<_> = refused.iter().map(case).collect();
    let cases = json!({"cases": cases}).to_string();
    let program = Program::new().file("cases.json", cases.as_bytes()).args(["plugin", "test"]);
    let program = program.args([Template::PythonRudderStack.component()]);
    let ran = program.args(["cases.json"]).run().expect_exit(1);
    let printed = String::from_utf8_lossy(&ran.stdout);
    let count = refused.len();
    assert!(printed.ends_with(&format!("\n{count} cases, {count} failed\n")), "{printed}");
    assert_eq!(printed.matches("it refuses its settings").count(), count, "{printed}");
    for refused in refused {
        let reason = string_of(&refused[1]);
        assert!(printed.contains(reason), "{reason}: {printed}");
    }
}

fn python_command(file: &str) -> Command {
    let mut command = Command::new(tools::find_rudderstack_python());
    // Python would write compiled files beside the sources.
    command.arg("-B").arg(file);
    command.current_dir(workspace_directory().join("guest/examples/python-rudderstack"));
    command
}

/// Reads a part of `behaviours.py`.
fn read_behaviours(part: &str) -> Value {
    let printed = python_command("behaviours.py").arg(part).output().expect("Python starts");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    serde_json::from_slice(&printed.stdout).expect("JSON")
}
