//! Tests errors before anything is read: exit code 2, a message with the mistake and the solution,
//! and no output.

use std::fmt::Write as _;
use std::fs;

use standpipe_tests::{FinishedRun, Program};

const EVENT: &[u8] = b"{\"type\":\"track\",\"event\":\"A\"}\n";
const SECRET: &str = "wJalrXUtnFEMI-PLANTED-SECRET";

/// Settings, and words that the message must contain.
const BAD_SETTINGS: &[(&str, &[&str])] = &[
    ("worker = 2", &["line 1", "`worker`", "did you mean `workers`?"]),
    ("[aws]\nregoin = 'x'", &["line 2", "`regoin` in [aws]", "did you mean `region`?"]),
    ("[stream.orders]\nnewline = false", &["did you mean `streams`?"]),
    ("[streams.orders]\nnewlin = false", &["[streams.orders]", "did you mean `newline`?"]),
    ("region = 'x'", &["unknown setting `region`", "known here", "`aws`"]),
    ("workers = 0", &["workers is 0", "from 1 to 256"]),
    ("workers = 'two'", &["line 1, column 11", "expected an integer, found a string"]),
    ("workers =", &["line 1"]),
    ("[aws]\nregion = 'a'\nregion = 'b'", &["line 3", "duplicate key"]),
    ("[delivery]\nconcurrency = 0", &["[delivery] concurrency is 0", "from 1 to 256"]),
    ("[delivery]\nconcurrency = 257", &["257", "from 1 to 256"]),
    ("[streams.a]\nconcurrency = 0", &["[streams.a]", "from 1 to 256"]),
    ("[delivery]\nnewline = 'yes'", &["line 2", "expected true or false"]),
    ("[delivery]\nmax_delay = '1x'", &["max_delay", "\"1x\"", "\"30s\""]),
    ("[delivery]\nmax_delay = '1h'", &["max_delay", "at most 15m"]),
    ("[delivery]\ndrain_timeout = '8d'", &["drain_timeout", "at most 7days"]),
    ("[delivery]\nmissing_stream_grace = ''", &["missing_stream_grace", "not a duration"]),
    ("[streams.'a b']\nnewline = false", &["\"a b\"", "1 to 64 of the characters"]),
    ("[aws]\naccess_key_id = 'a'", &["set secret_access_key too"]),
    ("[aws]\nsecret_access_key = 'a'", &["set access_key_id too"]),
    ("[aws]\nsession_token = 'a'", &["session_token is set without keys"]),
    ("[aws]\nrole_arn = 'writer'", &["not the ARN of a role", "arn:aws:iam::ACCOUNT:role/NAME"]),
    ("[aws]\nexternal_id = 'x'", &["external_id", "only used with role_arn"]),
    ("[aws]\nendpoint_url = 'localhost:1'", &["endpoint_url", "http://HOST:PORT"]),
    ("[aws]\nsts_endpoint_url = 'localhost:1'", &["sts_endpoint_url", "http://HOST:PORT"]),
    ("[plugin]\npath = 'nope.wasm'", &["nope.wasm", "--plugin", "`path` under [plugin]"]),
    ("[plugin]\nsettings = 'x'", &["line 2"]),
    ("[plugin.settings]\nmapping = 'x'", &["unknown key \"mapping\"", "`mappings`"]),
    ("[plugin.settings]\nunmapped = 'drop'", &["`unmapped`", "\"dead_letter\""]),
    ("[[plugin.settings.mappings]]\nevent = 'a'\nto = 'b'", &["mapping 1", "\"to\"", "`stream`"]),
    (
        "[[plugin.settings.mappings]]\nevent = 'a'\nstream = 'b c'",
        &["mapping 1", "' '", "letters a-z"],
    ),
];

#[test]
fn bad_settings_are_refused_and_nothing_is_written() {
    for (settings, words) in BAD_SETTINGS {
        // A row of the command line, so that only the fault under test is one.
        let row: &[_] = if settings.contains("mappings") { &[] } else { &[("*", "all")] };
        let ran = new_program().mapping(row).settings(settings).run();
        assert_refused(&ran, settings, words);
    }
}

#[test]
fn a_settings_file_that_cannot_be_read_is_named() {
    let ran = new_program().args(["--config", "nope.toml"]).run();
    assert_refused(&ran, "missing", &["read the settings file nope.toml"]);
    let ran = new_program().file("text.toml", b"a = '\xff'").args(["--config", "text.toml"]).run();
    assert_refused(&ran, "not UTF-8", &["text.toml", "UTF-8"]);
    let ran = Program::new().args(["config", "check", "nope.toml"]).run().expect_exit(2);
    ran.expect_stderr(&["nope.toml"]);
}

#[test]
fn bad_rows_of_the_command_line_are_refused() {
    for row in ["a", "a=", "=b", ""] {
        let ran = new_program().args([format!("--map={row}")]).run();
        assert_refused(&ran, row, &["--map", "write EVENT=STREAM"]);
    }
    assert_refused(&new_program().args(["--map=a=b c"]).run(), "a space", &["\"b c\""]);
    assert_refused(
        &new_program().run(),
        "no mapping at all",
        &["no mapping names", "--map EVENT=STREAM"],
    );
}

#[test]
fn inputs_that_cannot_be_read_are_refused_before_any_is() {
    let run =
        |input: &str| new_program().mapping(&[("*", "all")]).args(["events.ndjson", input]).run();
    assert_refused(
        &run("nope.ndjson"),
        "missing",
        &["failed to read nope.ndjson", "check the path"],
    );
    assert_refused(&run("."), "directory", &["read .: is a directory"]);
    assert_refused(&run("events.ndjson/x"), "below a file", &["events.ndjson/x"]);
}

#[test]
fn files_that_are_not_a_plugin_are_distinguished() {
    let gzip = standpipe_tests::compressed::gzip(EVENT);
    let elf = fs::read("/proc/self/exe").expect("this program's own file");
    let components = "component built for wasm32-wasip2";
    for (what, bytes, words) in [
        ("JSON", EVENT, ["JSON that is not a bundle of scripts", components]),
        ("ELF", &elf[..elf.len().min(1 << 16)], ["a native program", components]),
        ("gzip", &gzip, ["a gzip file", components]),
        ("nothing", b"", ["the file is empty", components]),
        ("core module", b"\0asm\x01\0\0\0", ["core WebAssembly module", "wasm32-wasip2"]),
        ("other world", b"\0asm\x0d\0\x01\0", ["another world", "wit/mapping.wit"]),
        ("torn component", b"\0asm\x0d\0\x01\0\x07", ["cannot be compiled", "build it again"]),
    ] {
        let program = new_program().mapping(&[("*", "all")]).file("plugin.wasm", bytes);
        assert_refused(&program.args(["--plugin", "plugin.wasm"]).run(), what, &words);
    }
    let missing = new_program().mapping(&[("*", "all")]).args(["--plugin", "nope.wasm"]).run();
    assert_refused(&missing, "missing", &["nope.wasm", "--plugin"]);
}

#[test]
fn directories_that_cannot_be_used_are_refused() {
    let ran = Program::host_run().mapping(&[("*", "all")]).file("file", b"").stdin(EVENT);
    assert_refused(&ran.args(["--local", "file/x"]).run(), "local", &["file/x", "--local"]);
    let ran = new_program().mapping(&[("*", "all")]).args(["--data-dir", "/proc/version/x"]).run();
    assert_refused(&ran, "data", &["/proc/version/x", "--data-dir"]);
}

#[test]
fn aws_without_region_or_credentials_says_what_to_set() {
    let amazon = || Program::host_run().mapping(&[("*", "all")]).stdin(EVENT);
    let words = ["no AWS region", "`region` under [aws]", "--region", "AWS_REGION", "--local DIR"];
    assert_refused(&amazon().run(), "no region", &words);
    let words = ["no usable AWS credentials", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "--local DIR"];
    assert_refused(&amazon().args(["--region", "eu-central-1"]).run(), "no credentials", &words);
}

#[test]
fn wrong_usage_is_refused() {
    for arguments in [&["nope"][..], &["run", "--nope"], &["plugin"], &[]] {
        let ran = Program::new().args(arguments).run().expect_exit(2);
        assert!(ran.stderr.contains("Usage: host"), "{}", ran.stderr);
    }
}

#[test]
fn secrets_are_never_shown() {
    let keys = format!("access_key_id = 'AKID'\nsecret_access_key = '{SECRET}'\n");
    let token = format!("session_token = '{SECRET}'\n");
    let mut settings = vec![
        format!("[aws]\nsecret_access_key = '{SECRET}'"),
        format!("[aws]\n{token}"),
        format!("[aws]\nsecret_access_key = ['{SECRET}']"),
        format!("[aws]\nsecret_access_key = {SECRET}"),
        format!("[aws]\nsecret_access_key = '{SECRET}"),
        format!("[aws]\nsecret_acces_key = '{SECRET}'"),
        format!("[aws]\n{keys}{token}region = 7"),
    ];
    let mut whole = format!("[aws]\n{keys}{token}region = 'eu-central-1'\n");
    // Nothing listens on port 1, so delivery fails until it is given up.
    write!(whole, "endpoint_url = 'http://127.0.0.1:1'\nsts_endpoint_url = 'http://127.0.0.1:1'\n")
        .unwrap();
    whole += "role_arn = 'arn:aws:iam::111122223333:role/writer'";
    settings.push(whole);
    for text in settings {
        for log in ["info", "trace"] {
            let program = Program::host_run().mapping(&[("*", "all")]).env("RUST_LOG", log);
            let program = program.args(["--fail-fast"]);
            assert_silent(&program.settings(&text).run(), &text);
        }
        let check =
            Program::new().file("s.toml", text.as_bytes()).args(["config", "check", "s.toml"]);
        assert_silent(&check.run(), &text);
    }
}

fn new_program() -> Program {
    Program::host_run_locally().file("events.ndjson", EVENT).stdin(EVENT)
}

fn assert_refused(ran: &FinishedRun, what: &str, words: &[&str]) {
    assert_eq!(ran.exit, 2, "{what}: {}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{what}: no {word:?} in: {}", ran.stderr);
    }
    assert!(ran.stdout.is_empty(), "{what}: something on standard output");
    assert!(ran.streams().is_empty(), "{what}: a stream was written");
    assert!(ran.dead_letters().is_empty(), "{what}: a dead letter was written");
    assert!(!ran.path("summary.json").exists(), "{what}: a summary was written");
}

fn assert_silent(ran: &FinishedRun, settings: &str) {
    let shown =
        ran.stderr.contains(SECRET) || String::from_utf8_lossy(&ran.stdout).contains(SECRET);
    assert!(!shown, "the secret is shown for:\n{settings}\n{}", ran.stderr);
    assert_ne!(ran.exit, 0, "the settings would not work:\n{settings}");
}
