//! Tests that checks and tools accept and reject the same settings as a run.

use std::fs;

use standpipe_tests::minisign::KeyPair;
use standpipe_tests::{FinishedRun, Program, misbehaving_plugin};

const ROWS: &str = "[[plugin.settings.mappings]]\nevent = '*'\nstream = 'all'\n";
const EVENT: &str = "{\"type\":\"track\",\"event\":\"A\"}\n";

/// Settings with which no run starts, the wrong line, and words of the error.
struct Wrong {
    settings: String,
    line: usize,
    words: &'static str,
}

fn wrong_settings(settings: &str, line: usize, words: &'static str) -> Wrong {
    Wrong { settings: settings.to_owned(), line, words }
}

/// A program with the files that the settings name.
fn with_files(settings: &str) -> Program {
    let cases = |expect: &str| {
        let case = format!("{{\"name\":\"n\",\"event\":{{\"event\":\"A\"}},\"expect\":{expect}}}");
        format!("{{\"cases\":[{case}]}}")
    };
    Program::new()
        .file("other.wasm", &fs::read(misbehaving_plugin()).unwrap())
        .file("good.json", cases("[{\"stream\":\"all\"}]").as_bytes())
        .file("failing.json", cases("[]").as_bytes())
        .file("settings.toml", settings.as_bytes())
        .stdin(EVENT)
}

fn new_program(settings: &str, arguments: &[&str]) -> Program {
    with_files(settings).args(arguments).args(["--config", "settings.toml"])
}

fn run_program(settings: &str) -> FinishedRun {
    new_program(settings, &["run", "--local", "out", "--admin", "off"]).run()
}

fn config_check(settings: &str) -> FinishedRun {
    with_files(settings).args(["config", "check", "settings.toml"]).run()
}

#[test]
fn checks_refuse_what_a_run_refuses() {
    let key = KeyPair::generate().public_key();
    let pin = "0".repeat(64);
    let collector = "listen = '127.0.0.1:0'\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['k']\n";
    for Wrong { settings, line, words } in [
        wrong_settings(
            &format!("[plugin]\npath = 'other.wasm'\nsha256 = '{pin}'\n"),
            3,
            "its SHA-256 is",
        ),
        wrong_settings(
            &format!("[plugin]\npath = 'other.wasm'\npublic_key = '{key}'\n"),
            3,
            "no signature",
        ),
        wrong_settings(&format!("[plugin]\ncases = 'none.json'\n{ROWS}"), 2, "none.json"),
        wrong_settings(&format!("[plugin]\ncases = 'failing.json'\n{ROWS}"), 2, "cases failed"),
        wrong_settings(&format!("{ROWS}[plugin.shadow]\npath = 'none.wasm'\n"), 5, "none.wasm"),
        wrong_settings(&format!("{ROWS}[plugin.canary]\npath = 'none.wasm'\n"), 5, "none.wasm"),
        wrong_settings(
            &format!(
                "{ROWS}[plugin.shadow]\npath = 'other.wasm'\n[plugin.shadow.settings]\nmap = 'trap'\n"
            ),
            5,
            "sample event",
        ),
        wrong_settings(
            &format!(
                "{ROWS}[plugin.canary]\npath = 'other.wasm'\n[plugin.canary.settings]\nconfigure = 'refuse'\n"
            ),
            6,
            "asks for a refusal",
        ),
        wrong_settings(
            &format!("{ROWS}[[plugin.canary.settings.mappings]]\nevent = 'a'\nstream = 'b c'\n"),
            4,
            "letters a-z",
        ),
        wrong_settings(
            &format!("{collector}[http]\ncertificate = 'none.pem'\nkey = 'none.key'\n{ROWS}"),
            7,
            "none.pem",
        ),
        wrong_settings(
            "[plugin]\npath = 'other.wasm'\n[plugin.limits]\nmemory_bytes = 1048576\n",
            2,
            "other.wasm",
        ),
    ] {
        run_program(&settings).expect_exit(2).expect_stderr(&[words]);
        let ran = config_check(&settings)
            .expect_exit(2)
            .expect_stderr(&[words, &format!("line {line}, ")]);
        assert!(ran.stdout.is_empty(), "{settings}");
        let checked =
            new_program(&settings, &["check", "--region", "eu-central-1"]).run().expect_exit(1);
        let report = String::from_utf8(checked.stdout).unwrap();
        assert!(report.contains("failed ") && report.contains(words), "{settings}\n{report}");
    }
}

#[test]
fn checks_include_the_aws_settings() {
    let settings = format!("[aws]\nregion = 'eu-central-1'\nca_bundle = 'none.pem'\n{ROWS}");
    let aws = |arguments: &[&str]| new_program(&settings, arguments).with_keys().run();
    aws(&["run", "--endpoint-url", "http://127.0.0.1:1"])
        .expect_exit(2)
        .expect_stderr(&["none.pem"]);
    config_check(&settings)
        .expect_exit(2)
        .expect_stderr(&["line 3, column 1: [aws] ca_bundle", "none.pem"]);
    assert_eq!(aws(&["check"]).exit, 1);
    let secrets = format!(
        "listen = '127.0.0.1:0'\n[admin]\ntoken = 'secret:nope'\n[secrets]\nmanager = 'env'\n[[sources]]\nname = 'web'\n\
         dialect = 'segment'\nwrite_keys = ['secret:nope']\n{ROWS}"
    );
    run_program(&secrets).expect_exit(2).expect_stderr(&["secret:nope"]);
    config_check(&secrets).expect_exit(0);
    let checked =
        new_program(&secrets, &["check", "--region", "eu-central-1"]).run().expect_exit(1);
    let report = String::from_utf8(checked.stdout).unwrap();
    assert!(report.contains("failed   secrets") && report.contains("nope"), "{report}");
    let embedded = format!(
        "listen = 'off'\n[[sources]]\nname = 'a'\ndialect = 'segment'\nwrite_keys = ['k']\n{ROWS}"
    );
    run_program(&embedded).expect_exit(2).expect_stderr(&["listen = \"off\""]);
    config_check(&embedded)
        .expect_exit(0)
        .expect_stderr(&["warning: line 1, column 1: listen is \"off\""]);
}

#[test]
fn a_deprecated_key_is_read_with_a_warning() {
    let settings =
        "[plugin]\non_failure = 'pass_through'\npass_through = 'raw'\n".to_owned() + ROWS;
    let warning =
        "line 3, column 1: [plugin] pass_through is deprecated: rename it to pass_through_stream";
    config_check(&settings)
        .expect_exit(0)
        .expect_stderr(&[&format!("settings.toml: warning: {warning}")]);
    run_program(&settings).expect_exit(0).expect_stderr(&[&format!("settings: {warning}")]);
}

#[test]
fn max_connections_is_compared_with_the_open_file_limit() {
    let settings = format!(
        "listen = '127.0.0.1:0'\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['k']\n[http]\n\
         max_connections = 900\n{ROWS}"
    );
    let limited = ["sh", "-c", "ulimit -n 800 && exec \"$@\"", "sh"];
    let words = ["invalid [http] max_connections: expected at most"];
    for arguments in
        [&["run", "--local", "out", "--admin", "off", "--config"][..], &["config", "check"]]
    {
        let program = || with_files(&settings).args(arguments).args(["settings.toml"]);
        program().started_by(&limited).run().expect_exit(2).expect_stderr(&words);
    }
    config_check(&settings).expect_exit(0);
}

#[test]
fn all_errors_are_reported_at_once() {
    let settings = format!(
        "[plugin]\ncases = 'none.json'\n{ROWS}[plugin.canary]\npath = 'none.wasm'\n[plugin.shadow]\npath = 'nil.wasm'\n"
    );
    let ran = config_check(&settings).expect_exit(2);
    let _ = ran.expect_stderr(&[
        "none.json",
        "none.wasm",
        "nil.wasm",
        "line 2, ",
        "line 7, ",
        "line 9, ",
    ]);
}

#[test]
fn checks_accept_what_a_run_accepts() {
    let settings = format!(
        "[plugin]\ncases = 'good.json'\n{ROWS}[plugin.shadow]\npath = 'other.wasm'\n[plugin.shadow.settings]\nstream = 'all'\n"
    );
    run_program(&settings).expect_exit(0);
    let ran = config_check(&settings).expect_exit(0);
    assert_eq!(ran.stdout, b"settings.toml: good; delivery streams: all\n");
    assert_eq!(ran.stderr, "");
}

#[test]
fn every_tool_honours_the_limits() {
    let settings = "[plugin.limits]\nmemory_bytes = 1048576\n";
    let loose = "[plugin.settings]\nstream = 'all'\n";
    let tools: [&[&str]; 4] = [
        &["plugin", "test", "other.wasm", "good.json"],
        &["plugin", "diff", "other.wasm", "other.wasm", "events.ndjson"],
        &["plugin", "bench", "other.wasm", "events.ndjson", "--rounds", "1"],
        &["bench", "events.ndjson", "--plugin", "other.wasm", "--repeat", "1"],
    ];
    for tool in tools {
        let program =
            |settings| new_program(settings, tool).file("events.ndjson", EVENT.as_bytes());
        program(settings).run().expect_exit(2).expect_stderr(&["other.wasm"]);
        program(loose).run().expect_exit(0);
    }
}

#[test]
fn plugin_test_refuses_what_a_run_refuses() {
    let pin =
        format!("[plugin]\nsha256 = '{}'\n[plugin.settings]\nstream = 'all'\n", "0".repeat(64));
    let test = ["plugin", "test", "other.wasm", "good.json"];
    new_program(&pin, &test).run().expect_exit(2).expect_stderr(&["sha256 under [plugin]"]);
    let trap = "[plugin.settings]\nstream = 'all'\nsamples = 'trap'\n";
    new_program(trap, &test).run().expect_exit(1);
    run_program(&format!("[plugin]\npath = 'other.wasm'\n{trap}")).expect_exit(2);
}

#[test]
fn doubtful_settings_are_reported_with_their_line() {
    let settings = "[plugin.settings]\nmappings = [\n  { event = 'Order', stream = 'a' },\n  { event = 'order', stream = 'b' },\n  \
                    { event = 'B ', stream = 'c' },\n  { event = '*', stream = 'd', when = 'type = track' },\n]\n[streams.e]\n\
                    newline = true\n[aws]\nprofile = 'mine '\n";
    let warnings = [
        "line 4, column 3: [plugin.settings] mapping 2 (\"order\"): mapping 1 has the event \"Order\"",
        "line 5, column 3: [plugin.settings] mapping 3 (\"B \")",
        "line 6, column 3: [plugin.settings] mapping 4: `when`: `track` without quotes",
        "[streams.e]: nothing is written to this stream",
        "line 11, column 1: [aws] profile begins or ends with a blank",
    ];
    config_check(settings).expect_exit(0).expect_stderr(&warnings);
    let strict = Program::new().file("settings.toml", settings.as_bytes());
    strict
        .args(["config", "check", "--strict", "settings.toml"])
        .run()
        .expect_exit(1)
        .expect_stderr(&warnings);
    let checked =
        new_program(settings, &["check", "--region", "eu-central-1"]).run().expect_exit(1);
    let report = String::from_utf8(checked.stdout).unwrap();
    assert!(report.contains("mapping 2") && report.contains("[streams.e]"), "{report}");
}

#[test]
fn every_mistake_in_a_file_is_reported() {
    let settings = "workers = 0\nlisten = 'nowhere'\n[delivery]\nmax_delay = 5\nconcurrency = 0\n[aws]\nregoin = 'x'\n\
                    role_arn = 'writer'\n[dead_letters]\nwhen_full = 'explode'\n[plugin.settings]\nratio = inf\n";
    let mistakes = [
        "line 1, column 1: workers is 0: write a number",
        "line 4, column 13: invalid [delivery] max_delay: expected a string, found an integer: write for example \
         `max_delay = \"1s\"`",
        "line 5, column 1: [delivery] concurrency is 0: write a number",
        "line 2, column 1: listen is \"nowhere\": write an IP address",
        "line 8, column 1: [aws] role_arn \"writer\" is not the ARN",
        "line 7, column 1: unknown setting `regoin` in [aws]: did you mean `region`?",
        "line 10, column 1: [dead_letters] when_full is \"explode\": write \"stop\"",
        "line 12, column 9: invalid [plugin.settings] ratio: cannot be a JSON number",
    ];
    for arguments in [&["run", "--config"][..], &["config", "check"], &["check", "--config"]] {
        let program = Program::new().file("s.toml", settings.as_bytes());
        program.args(arguments).args(["s.toml"]).run().expect_exit(2).expect_stderr(&mistakes);
    }
    let yaml = "delivery:\n  max_delay: 1s\n";
    let ran = Program::new().file("s.toml", yaml.as_bytes()).args(["config", "check", "s.toml"]);
    ran.run().expect_exit(2).expect_stderr(&["this is YAML", "`[delivery]`"]);
}

#[test]
fn dates_of_settings_reach_plugins_as_text() {
    let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all', set = { since = 2026-11-29, at = 08:30:00, \
                    on = 2026-11-29T08:30:00Z } }]\n";
    let ran = Program::host_run_locally().settings(settings).stdin("{\"event\":\"a\"}\n").run();
    let ran = ran.expect_exit(0);
    let record: serde_json::Value = serde_json::from_slice(&ran.streams()["all"]).unwrap();
    assert_eq!(
        record,
        serde_json::json!({"event": "a", "since": "2026-11-29", "at": "08:30:00", "on": "2026-11-29T08:30:00Z"})
    );
}
