//! Tests the subcommands, the summary and the exit codes.

use std::fs;

use serde_json::{Value, json};
use standpipe_tests::{Program, signature, workspace_directory};

const EVENT: &str = "{\"type\":\"track\",\"event\":\"A\"}\n";

#[test]
fn the_exported_plugin_is_the_built_in_one() {
    let inspected = run_inspect(Program::new().args(["plugin", "inspect"]));
    let exported = Program::new().args(["plugin", "export", "mapping.wasm"]).run().expect_exit(0);
    let component = fs::read(exported.path("mapping.wasm")).unwrap();
    assert!(inspected.contains(&signature::sha256_hex(&component)), "{inspected}");
    assert!(inspected.contains(&format!("{} bytes", component.len())), "{inspected}");
    let program = Program::new().file("plugin.wasm", &component);
    assert_eq!(run_inspect(program.args(["plugin", "inspect", "plugin.wasm"])), inspected);

    let ran = Program::host_run_locally().file("plugin.wasm", &component);
    let ran = ran
        .args(["--plugin", "plugin.wasm"])
        .mapping(&[("a", "s")])
        .stdin(EVENT)
        .run()
        .expect_exit(0);
    assert_eq!(ran.streams()["s"], EVENT.as_bytes());
}

#[test]
fn inspect_prints_the_world_and_the_imports() {
    let text = run_inspect(Program::new().args(["plugin", "inspect"]));
    for words in ["standpipe:mapping/plugin@0.1.0", "standpipe:mapping/mapper@0.1.0", "wasi:"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for forbidden in ["wasi:http", "wasi:sockets", "wasi:filesystem"] {
        assert!(!text.contains(forbidden), "the built-in plugin imports {forbidden}");
    }
    let other = Program::new().file("c.wasm", b"\0asm\x0d\0\x01\0");
    let text = run_inspect(other.args(["plugin", "inspect", "c.wasm"]));
    assert!(text.contains("not a mapping plugin") && text.contains("exports  none"), "{text}");
    let module = Program::new().file("m.wasm", b"\0asm\x01\0\0\0");
    module
        .args(["plugin", "inspect", "m.wasm"])
        .run()
        .expect_exit(2)
        .expect_stderr(&["core WebAssembly"]);
}

#[test]
fn exporting_where_nothing_can_be_written_is_a_fault() {
    let ran =
        Program::new().args(["plugin", "export", "/proc/version/x.wasm"]).run().expect_exit(1);
    ran.expect_stderr(&["/proc/version/x.wasm"]);
}

#[test]
fn checking_settings_includes_the_plugin_settings() {
    let settings = |event: &str, stream: &str| {
        format!("[[plugin.settings.mappings]]\nevent = {event:?}\nstream = {stream:?}\n")
    };
    let check = |text: String| {
        Program::new().file("s.toml", text.as_bytes()).args(["config", "check", "s.toml"]).run()
    };
    let ran = check(settings("a", "orders") + &settings("*", "rest")).expect_exit(0);
    assert_eq!(
        String::from_utf8_lossy(&ran.stdout),
        "s.toml: good; delivery streams: orders, rest\n"
    );
    check(settings("a", "no spaces")).expect_exit(2).expect_stderr(&["mapping 1"]);
    check("workers = 0".to_owned()).expect_exit(2).expect_stderr(&["workers is 0"]);
}

#[test]
fn the_schema_is_json_and_knows_every_section() {
    let ran = Program::new().args(["config", "schema"]).run().expect_exit(0);
    let schema: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let known = schema["properties"].as_object().expect("properties");
    let known: Vec<_> = known.keys().map(String::as_str).collect();
    for section in ["aws", "data_dir", "delivery", "plugin", "streams", "workers"] {
        assert!(known.contains(&section), "{known:?}");
    }
}

/// Other programs and editors rely on the schema of the settings file.
#[test]
fn the_schema_matches_its_copy() {
    let golden = workspace_directory().join("tests/data/settings-schema.json");
    let now = Program::new().args(["config", "schema"]).run().expect_exit(0).stdout;
    let now = String::from_utf8(now).expect("text");
    let before = fs::read_to_string(&golden).unwrap_or_default();
    if std::env::var_os("ACCEPT").is_some() {
        fs::write(&golden, &now).unwrap();
    }
    let differs = before.lines().zip(now.lines()).find(|(before, now)| before != now);
    assert!(
        before == now,
        "the schema has changed, first at {differs:?}: if that is meant, run this test with ACCEPT=1"
    );
}

#[test]
fn the_summary_goes_to_standard_output_or_a_file() {
    let program =
        || Program::new().args(["run", "--local", "out"]).mapping(&[("a", "s")]).stdin(EVENT);
    let ran = program().args(["--summary", "-"]).run().expect_exit(0);
    let summary: Value = serde_json::from_slice(&ran.stdout).expect("one line of JSON");
    assert_eq!((&summary["read"], &summary["delivered"]), (&json!(1), &json!(1)));
    assert_eq!(summary["streams"]["s"]["events"], 1);
    assert_eq!(summary["streams"]["s"]["bytes"], EVENT.len());

    let ran = program().args(["--summary", "s.json"]).run().expect_exit(0);
    assert!(ran.stdout.is_empty());
    assert!(serde_json::from_slice::<Value>(&fs::read(ran.path("s.json")).unwrap()).is_ok());

    let ran = program().args(["--summary", "/proc/version/s.json"]).run().expect_exit(2);
    let ran =
        ran.expect_stderr(&["write the summary to /proc/version/s.json", "correct --summary"]);
    assert!(ran.streams().is_empty(), "events were delivered");
}

#[test]
fn exit_codes_follow_what_became_of_the_events() {
    let run = |input: &str| Program::host_run_locally().mapping(&[("a", "s")]).stdin(input).run();
    let delivered = run(EVENT).expect_exit(0);
    assert_eq!(delivered.count("delivered"), 1);
    let filtered = run("{\"event\":\"b\"}\n").expect_exit(0);
    assert_eq!(filtered.count("filtered"), 1);
    let dead = run("x\n")
        .expect_exit(3)
        .expect_stderr(&["dead letters, not_json: 1", "dead letters are in"]);
    assert_eq!(dead.count("dead"), 1);
    assert_eq!(dead.dead_letters().len(), 1);
    let nothing = run("").expect_exit(0);
    assert_eq!((nothing.count("read"), nothing.streams().len()), (0, 0));
}

#[test]
fn inputs_are_read_in_their_order_and_can_be_standard_input() {
    let event = |name: &str| format!("{{\"event\":\"{name}\"}}\n");
    let program = Program::host_run_locally().settings("workers = 1").mapping(&[("*", "all")]);
    let program =
        program.file("1.ndjson", event("one").as_bytes()).file("3.ndjson", event("x").as_bytes());
    let ran = program
        .stdin(event("two") + "bad")
        .args(["1.ndjson", "-", "3.ndjson"])
        .run()
        .expect_exit(3);
    let all = [event("one"), event("two"), event("x")].concat();
    assert_eq!(ran.streams()["all"], all.as_bytes());
    let dead_letters = ran.dead_letters();
    assert_eq!((dead_letters[0].source.as_str(), dead_letters[0].line), ("stdin", 2));
}

#[test]
fn rows_of_the_command_line_go_before_those_of_the_file() {
    let settings = "[[plugin.settings.mappings]]\nevent = 'A'\nstream = 'file'\n";
    let ran =
        Program::host_run_locally().settings(settings).mapping(&[("a", "line"), ("x=y", "s")]);
    let ran = ran.stdin(EVENT.to_owned() + "{\"event\":\"X=Y\"}\n").run().expect_exit(0);
    assert_eq!(ran.streams().keys().collect::<Vec<_>>(), ["line", "s"]);
}

#[test]
fn a_second_run_appends() {
    let first =
        Program::host_run_locally().mapping(&[("*", "s")]).stdin(EVENT).run().expect_exit(0);
    let out = first.path("out");
    let second = Program::new().args(["run", "--local"]).args([&out]).mapping(&[("*", "s")]);
    second.stdin(EVENT).run().expect_exit(0);
    assert_eq!(first.streams()["s"], EVENT.repeat(2).as_bytes());
}

#[test]
fn help_and_version_are_printed() {
    let help = Program::new().args(["run", "--help"]).run().expect_exit(0);
    let help = String::from_utf8(help.stdout).unwrap();
    for option in [
        "--config",
        "--plugin",
        "--map",
        "--local",
        "--data-dir",
        "--region",
        "--endpoint-url",
        "--summary",
    ] {
        assert!(help.contains(option), "{option}");
    }
    let version = Program::new().args(["--version"]).run().expect_exit(0);
    assert!(version.stdout.starts_with(b"host 0."));
}

fn run_inspect(program: Program) -> String {
    String::from_utf8(program.run().expect_exit(0).stdout).unwrap()
}
