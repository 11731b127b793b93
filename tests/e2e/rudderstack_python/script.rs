//! Tests that a component in `path` runs the script in `script`.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use standpipe_tests::client::{Client, HttpResponse};
use standpipe_tests::minisign::KeyPair;
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{Collector, DEADLINE, Program, Running, Template, wait_until};

const TOKEN: &str = "0123456789abcdef-PLANTED";
const ALL_EVENTS: &str = "[[plugin.settings.mappings]]\nevent = '*'\nstream = 'all'\n";

/// A transformation with this body.
fn transform(body: &str) -> String {
    format!("def transformEvent(event, metadata):\n    {body}\n")
}

fn runner() -> String {
    Template::PythonRudderStack.component().display().to_string()
}

/// Settings with the runner, a script and these other keys of `[plugin]`.
fn settings_with(keys: &str) -> String {
    format!("[plugin]\npath = '{}'\nscript = 'transform.py'\n{keys}\n{ALL_EVENTS}", runner())
}

fn program(code: &str) -> Program {
    Program::host_run_locally().file("transform.py", code.as_bytes())
}

/// The records of the only stream.
fn delivered(running: &Running) -> String {
    fs::read_to_string(running.path("out/all.ndjson")).unwrap_or_default()
}

fn sha256_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bundle of a script with its runner.
fn bundle_of(code: &str) -> Vec<u8> {
    let bundling = Program::new().file("transform.py", code.as_bytes());
    let bundling = bundling.args(["plugin", "bundle", "transform.py", "--output", "-"]);
    bundling.args(["--runner", &runner()]).run().expect_exit(0).stdout
}

fn request(admin_url: &str, method: &str, path: &str, body: &[u8]) -> HttpResponse {
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("Authorization", &*authorization)];
    Client::connect(admin_url).request(method, path, &headers, body).expect("an answer")
}

fn admin_settings() -> CollectorSettings {
    CollectorSettings::new([SourceEntry::segment("web")])
        .with_line("admin", &format!("token = '{TOKEN}'"))
}

#[test]
fn a_script_has_libraries_and_credentials() {
    let code = "from my_rules import mark\nfrom myRules import mark as same\n".to_owned()
        + &transform("return {'mark': mark, 'same': same, 'key': getCredential('key')}");
    let keys = "libraries = ['libs/*.py']\ncredentials = { key = 'k' }";
    let program = program(&code).settings(&settings_with(keys));
    fs::create_dir(program.path("libs")).unwrap();
    let program = program.file("libs/my_rules.py", b"mark = 'm'\n");
    let ran = program.stdin("{\"event\":\"x\"}\n").run().expect_exit(0);
    assert_eq!(ran.streams()["all"], b"{\"mark\":\"m\",\"same\":\"m\",\"key\":\"k\"}\n");
}

#[test]
fn scripts_of_a_directory_run_in_order() {
    let settings = settings_with("").replace("'transform.py'", "'steps'");
    let program = Program::host_run_locally().settings(&settings);
    fs::create_dir(program.path("steps")).unwrap();
    let (first, second) = ("event['n'] = [1]; return event", "event['n'].append(2); return event");
    let program = program.file("steps/1.py", transform(first).as_bytes());
    let program = program.file("steps/2.py", transform(second).as_bytes());
    let ran = program.stdin("{\"event\":\"x\"}\n").run().expect_exit(0);
    assert_eq!(ran.streams()["all"], b"{\"event\":\"x\",\"n\":[1,2]}\n");
}

#[test]
fn changed_code_is_live_without_a_build() {
    let program = program(&transform("return {'code': 1}")).settings(&settings_with(""));
    let mut running = program.start();
    running.write_stdin(b"{\"event\":\"a\"}\n");
    wait_until("the old code runs", || delivered(&running) == "{\"code\":1}\n");

    fs::write(running.path("transform.py"), transform("return event[")).unwrap();
    running.wait_for("it cannot be run: SyntaxError: '[' was never closed (transform.py, line 2)");
    fs::write(running.path("transform.py"), transform("return {'code': 2}")).unwrap();
    running.wait_for("plugin swapped generation=2");
    running.write_stdin(b"{\"event\":\"b\"}\n");
    wait_until("the new code runs", || delivered(&running) == "{\"code\":1}\n{\"code\":2}\n");
    let _ = running.finish(DEADLINE).expect_exit(0);
}

#[test]
fn a_signal_loads_changed_code() {
    let settings = settings_with("watch = false");
    let program = program(&transform("return {'code': 1}")).settings(&settings);
    let mut running = program.start();
    running.write_stdin(b"{\"event\":\"a\"}\n");
    wait_until("the old code runs", || delivered(&running) == "{\"code\":1}\n");
    fs::write(running.path("transform.py"), transform("return {'code': 2}")).unwrap();
    running.send_signal(Signal::HUP);
    running.wait_for("plugin swapped generation=2");
    let _ = running.finish(DEADLINE).expect_exit(0);
}

#[test]
fn the_hash_covers_runner_and_code() {
    let code = transform("return {'code': 1}");
    let bundle = bundle_of(&code);
    let parsed: Value = serde_json::from_slice(&bundle).unwrap();
    assert_eq!(parsed["runner"], json!(sha256_of(&fs::read(runner()).unwrap())));
    let settings = settings_with(&format!("sha256 = '{}'", sha256_of(&bundle)));
    let run = |code: &str| program(code).settings(&settings).stdin("{\"event\":\"x\"}\n").run();
    let _ = run(&code).expect_exit(0);
    let other = transform("return {'code': 2}");
    let _ = run(&other).expect_exit(2).expect_stderr(&["its SHA-256 is"]);
}

#[test]
fn the_signature_covers_runner_and_code() {
    let code = transform("return {'code': 1}");
    let (bundle, signer) = (bundle_of(&code), KeyPair::generate());
    let key = format!("public_key = '{}'", signer.public_key());
    let unsigned = program(&code).settings(&settings_with(&key)).stdin("").run().expect_exit(2);
    let _ = unsigned.expect_stderr(&["has no signature", "plugin bundle"]);

    let settings = settings_with(&key).replace("'transform.py'", "'bundle.json'");
    let run = |bundle: &[u8], settings: &str| {
        let program = Program::host_run_locally().settings(settings).file("bundle.json", bundle);
        let signature = signer.sign(bundle);
        let program = program.file("bundle.json.minisig", signature.as_bytes());
        program.stdin("{\"event\":\"x\"}\n").run()
    };
    let ran = run(&bundle, &settings).expect_exit(0);
    assert_eq!(ran.streams()["all"], b"{\"code\":1}\n");
    // Another component may not run the signed code.
    let runner_sha256 = sha256_of(&fs::read(runner()).unwrap());
    let text = String::from_utf8(bundle.clone()).unwrap();
    let other = text.replace(&runner_sha256, &"0".repeat(64));
    let ran = run(other.as_bytes(), &settings).expect_exit(2);
    let _ = ran.expect_stderr(&["it is a bundle for the runner with the SHA-256 0000"]);
    let of_javascript = br#"{"standpipe_script":1,"files":[{"name":"t.js","code":""}]}"#;
    let ran = run(of_javascript, &settings).expect_exit(2);
    let _ = ran.expect_stderr(&["it is a bundle for the built-in runner of JavaScript"]);
    let without_runner = settings.replace(&format!("path = '{}'", runner()), "");
    let ran = run(&bundle, &without_runner).expect_exit(2);
    let _ = ran.expect_stderr(&[&runner_sha256, "name the component with path under [plugin]"]);
}

/// A plugin command with two scripts, events, cases and settings.
fn plugin_command(arguments: &[&str]) -> Program {
    let cases = json!({"cases": [{
        "name": "n", "event": {}, "expect": [{"stream": "all", "payload": {"code": 1}}],
    }]});
    Program::new()
        .args(["plugin"])
        .args(arguments)
        .file("transform.py", transform("return {'code': 1}").as_bytes())
        .file("new.py", transform("return {'code': 2}").as_bytes())
        .file("events.ndjson", b"{\"event\":\"x\"}\n")
        .file("cases.json", cases.to_string().as_bytes())
        .file("settings.json", br#"{"mappings":[{"event":"*","stream":"all"}]}"#)
}

#[test]
fn commands_take_a_runner() {
    let runner = runner();
    let test = ["test", "transform.py", "cases.json", "--settings", "settings.json"];
    let ran = plugin_command(&test).args(["--runner", &runner]).run().expect_exit(0);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "1 cases, 0 failed\n");
    let refused = plugin_command(&test).run().expect_exit(2);
    let _ = refused.expect_stderr(&["it is a transformation in Python", "--runner"]);

    let diff = ["diff", "transform.py", "new.py", "events.ndjson", "--json"];
    let settings = ["--old-settings", "settings.json", "--new-settings", "settings.json"];
    let ran = plugin_command(&diff).args(settings).args(["--runner", &runner]).run().expect_exit(0);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&report["compared"], &report["same"]), (&json!(1), &json!(0)), "{report}");

    let bench = ["bench", "transform.py", "events.ndjson", "--settings", "settings.json", "--json"];
    let ran = plugin_command(&bench).args(["--rounds", "1", "--runner", &runner]).run();
    let report: Value = serde_json::from_slice(&ran.expect_exit(0).stdout).unwrap();
    assert_eq!(report["plugins"][0]["faults"], 0, "{report}");

    let inspect = ["inspect", "transform.py", "--runner", &runner];
    let printed = plugin_command(&inspect).run().expect_exit(0).stdout;
    let printed = String::from_utf8_lossy(&printed);
    assert!(printed.contains("scripts \"transform.py\""), "{printed}");
    let sha256 = sha256_of(&fs::read(&runner).unwrap());
    assert!(printed.contains(&format!("runner   {sha256}")), "{printed}");
}

#[test]
fn a_run_needs_no_settings_file() {
    let program = program(&transform("return {'code': 1}"));
    let program = program.args(["--plugin", "transform.py", "--runner", &runner()]);
    let ran = program.mapping(&[("*", "all")]).stdin("{\"event\":\"x\"}\n").run().expect_exit(0);
    assert_eq!(ran.streams()["all"], b"{\"code\":1}\n");
}

#[test]
fn wrong_settings_are_refused() {
    let refuse = |settings: &str, reason: &str| {
        let program = program(&transform("return event")).settings(settings);
        let _ = program.stdin("").run().expect_exit(2).expect_stderr(&[reason]);
    };
    refuse(
        &settings_with("").replace(&runner(), "other.js"),
        "script and path name two plugins, because path \"other.js\" is not the component",
    );
    refuse(&settings_with("").replace(&runner(), "missing.wasm"), "missing.wasm");
    let python = format!("[plugin]\nscript = 'transform.py'\n{ALL_EVENTS}");
    refuse(&python, "it is a transformation in Python, which a component must run");
    refuse(&settings_with("dialect = 'segment-insert'"), "the dialect 'segment-insert'");
    let program = Program::host_run_locally().args(["--runner", &runner()]).stdin("");
    let ran = program.mapping(&[("*", "all")]).run().expect_exit(2);
    let _ = ran.expect_stderr(&["--runner names the component that runs a script"]);
}

#[test]
fn a_shadow_runs_other_code_in_the_same_runner() {
    let keys = "[plugin.shadow]\nscript = 'new.py'";
    let program = program(&transform("return event")).settings(&settings_with(keys));
    let program = program.file("new.py", transform("return {'code': 2}").as_bytes());
    let ran = program.stdin("{\"event\":\"x\"}\n").run().expect_exit(0);
    let comparison = &ran.summary()["shadow"]["comparison"];
    assert_eq!((&comparison["compared"], &comparison["same"]), (&json!(1), &json!(0)));
}

#[test]
fn the_admin_api_takes_code_for_the_runner() {
    let keys = format!("path = '{}'\nscript = 'transform.py'", runner());
    let program = program(&transform("return {'code': 1}"));
    let program = program.settings(&admin_settings().with_line("plugin", &keys));
    let collector = Collector::start(program.mapping(&[("*", "all")]));
    let send =
        |method: &str, path: &str, body: &[u8]| request(collector.admin_url(), method, path, body);
    let code = transform("return {'code': 2}");
    let reply = send("PUT", "/plugin", code.as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
    let status: Value = serde_json::from_slice(&send("GET", "/plugin", b"").body).unwrap();
    assert_eq!(status["active"]["sha256"], json!(sha256_of(&bundle_of(&code))));
    let canary = bundle_of(&transform("return {'code': 3}"));
    let reply = send("PUT", "/plugin/canary?percent=100", &canary);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let broken = send("PUT", "/plugin", transform("return event[").as_bytes());
    assert_eq!(broken.status, 422, "{}", broken.text());
    assert!(broken.text().contains("(transform.py, line 2)"), "{}", broken.text());
    collector.stop().expect_exit(0);
}

#[test]
fn without_a_runner_the_admin_api_says_what_is_missing() {
    let program = Program::host_run_locally().settings(&admin_settings());
    let collector = Collector::start(program.mapping(&[("*", "all")]));
    let code = transform("return event");
    let reply = request(collector.admin_url(), "PUT", "/plugin", code.as_bytes());
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("name the component with path"), "{}", reply.text());
    collector.stop().expect_exit(0);
}
