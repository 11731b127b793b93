//! Tests that no output of the program contains a secret, whatever goes wrong.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use standpipe_tests::client::Client;
use standpipe_tests::{
    Collector, Endpoint, FinishedRun, Program, Stub, StubResponse, endpoint, wait_until,
};

/// A part of every secret in these tests.
const MARK: &str = "PLANTED";
const ROLE: &str = "arn:aws:iam::123456789012:role/a";

/// Every setting that is a secret.
const KEYS: &str = "access_key_id = 'AKIDPLANTED'\nsecret_access_key = 'key-PLANTED'\nsession_token = 'token-PLANTED'\n";
const KEPT_KEYS: &str = "access_key_id = 'AKIDPLANTED'\nsecret_access_key = 'secret:key'\nsession_token = 'secret:token'\n";
const SOURCES: &str = "[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['write-PLANTED', 'secret:write']\n";

/// Errors of the service, as the code of its response.
const FAULTS: &[&str] = &[
    "AccessDeniedException",
    "ExpiredTokenException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "ResourceNotFoundException",
    "ValidationException",
];

#[test]
fn faults_at_delivery_show_no_secret() {
    for (code, keys) in FAULTS.iter().flat_map(|code| [(code, KEYS), (code, KEPT_KEYS)]) {
        let code: &'static str = code;
        for log in ["human", "json"] {
            let stub =
                Stub::start(move |_| StubResponse::Fail { status: 400, code, accepted: false });
            let sts = Endpoint::start_sts(std::time::Duration::from_secs(3600));
            let role = format!(
                "role_arn = '{ROLE}'\nexternal_id = 'external-PLANTED'\nsts_endpoint_url = '{}'",
                sts.url()
            );
            let settings = format!(
                "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{}'\n{keys}{role}\n{SOURCES}{}\n\
                 [delivery]\nmax_delay = '10ms'\ndrain_timeout = '200ms'\nmissing_stream_grace = '0s'",
                stub.url(),
                secret_settings()
            );
            let collector = Collector::start(new_program(&settings).args(["--log-format", log]));
            for key in ["write-PLANTED", "kept-write-PLANTED", "wrong-PLANTED"] {
                send_event(&collector, key);
            }
            // A permanent error is not retried.
            let is_final = ["ResourceNotFoundException", "ValidationException"].contains(&code);
            let least = if is_final { 1 } else { 2 };
            wait_until("it is tried", || stub.requests().len() >= least);
            let metrics = Client::connect(collector.admin_url()).get("/metrics").unwrap().text();
            assert!(!metrics.contains(MARK), "{code}: the metrics");
            collector.running().send_signal(Signal::TERM);
            let ran = collector.stop();
            assert_silent(&ran, code);
        }
    }
}

#[test]
fn faults_at_the_start_show_no_secret() {
    let dead = "http://127.0.0.1:1";
    let denying = Endpoint::start(|_| (403, endpoint::sts_error("AccessDenied", "no")));
    let refusing_proxy = Endpoint::start(|_| (407, String::new()));
    let with_user = |url: &str| url.replace("//", "//user-PLANTED:pass-PLANTED@");
    let role = |url: &str| {
        format!(
            "role_arn = '{ROLE}'\nexternal_id = 'external-PLANTED'\nsts_endpoint_url = '{url}'\n"
        )
    };
    let proxy = |url: &str| format!("proxy = '{url}'\n");
    let secrets = secret_settings();
    for (what, aws) in [
        ("denied", role(&denying.url()) + KEYS),
        ("denied, kept", role(&denying.url()) + KEPT_KEYS),
        ("unreachable", role(dead) + KEYS),
        (
            "refusing proxy",
            role("http://sts.example") + KEYS + &proxy(&with_user(&refusing_proxy.url())),
        ),
        (
            "refusing proxy, tunnel",
            role("https://sts.example") + KEYS + &proxy(&with_user(&refusing_proxy.url())),
        ),
        ("dead proxy", role("http://sts.example") + KEYS + &proxy(&with_user(dead))),
        ("no proxy at all", KEYS.to_owned() + &proxy("ftp://user-PLANTED:pass-PLANTED@proxy")),
        ("kept proxy that is none", KEYS.to_owned() + &proxy("secret:key")),
        ("bad bundle", KEYS.to_owned() + "ca_bundle = 'mounted/key'\n"),
        ("unresolved", role(dead) + "access_key_id = 'a'\nsecret_access_key = 'secret:nope'\n"),
        (
            "unresolved external id",
            KEYS.to_owned() + &role(dead).replace("external-PLANTED", "secret:nope"),
        ),
        (
            "bad reference",
            KEYS.to_owned() + &role(dead).replace("external-PLANTED", "secret: PLANTED"),
        ),
    ] {
        let settings = format!("[aws]\nregion = 'eu-central-1'\n{aws}{secrets}");
        for log in ["human", "json"] {
            let program = new_program(&settings).args(["--fail-fast", "--log-format", log]);
            let ran = program.stdin("{}\n").run();
            assert!([1, 2].contains(&ran.exit), "{what}: {}", ran.stderr);
            assert_silent(&ran, what);
        }
        let check = Program::new().file("s.toml", settings.as_bytes());
        assert_silent(&check.args(["config", "check", "s.toml"]).run(), what);
    }
    assert_silent(&Program::new().args(["config", "schema"]).run(), "schema");
}

/// Runs with every log line of the host and its libraries.
#[test]
fn the_trace_log_shows_no_secret() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let sts = Endpoint::start(|asked| {
        (200, endpoint::session_response_with_secret(asked.number, "session-PLANTED"))
    });
    let proxy = Endpoint::start(|_| (407, String::new()));
    for proxy in [None, Some(proxy.url().replace("//", "//user-PLANTED:pass-PLANTED@"))] {
        let proxy = proxy.map(|url| format!("proxy = '{url}'\n")).unwrap_or_default();
        let settings = format!(
            "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{}'\n{KEPT_KEYS}{proxy}role_arn = '{ROLE}'\n\
             external_id = 'secret:external'\nsts_endpoint_url = '{}'\n{}{SOURCES}",
            stub.url(),
            sts.url(),
            secret_settings()
        );
        let program = new_program(&settings).env("RUST_LOG", "trace").stdin("{\"type\":\"a\"}\n");
        let ran = program.run();
        assert!(ran.stderr.contains("TRACE"), "it is not talkative: {}", ran.stderr);
        assert_silent(&ran, "trace");
    }
    let manager = Endpoint::start(|_| {
        (
            200,
            "{\"SecretString\":\"kept-PLANTED\",\"Parameter\":{\"Value\":\"kept-PLANTED\"}}"
                .to_owned(),
        )
    });
    for word in ["aws-secretsmanager", "aws-ssm"] {
        let settings = format!(
            "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{}'\naccess_key_id = 'a'\nsecret_access_key = 'secret:x'\n\
             [aws.endpoints]\nsecretsmanager = '{1}'\nssm = '{1}'\n[secrets]\nmanager = '{word}'",
            stub.url(),
            manager.url()
        );
        let program =
            new_program(&settings).env("RUST_LOG", "trace").with_keys().stdin("{\"type\":\"a\"}\n");
        assert_silent(&program.run().expect_exit(0), word);
    }
}

fn secret_settings() -> String {
    "[secrets]\nmanager = 'files'\ndirectory = 'mounted'\n".to_owned()
}

fn new_program(settings: &str) -> Program {
    let program = Program::host_run().settings(settings).mapping(&[("*", "s")]);
    fs::create_dir(program.path("mounted")).unwrap();
    ["key", "token", "write", "external"].into_iter().fold(program, |program, name| {
        program.file(&format!("mounted/{name}"), format!("kept-{name}-PLANTED").as_bytes())
    })
}

fn send_event(collector: &Collector, key: &str) {
    let (name, value) = standpipe_tests::client::basic_auth(key);
    let headers = [(name, &*value), ("Content-Type", "application/json")];
    let body = b"{\"event\":\"a\",\"userId\":\"u\"}";
    Client::connect(collector.url()).post("/v1/track", &headers, body).expect("an answer");
}

/// Checks all output, except for the files that the test itself wrote.
fn assert_silent(ran: &FinishedRun, what: &str) {
    let stdout = String::from_utf8_lossy(&ran.stdout).into_owned();
    let line = |text: &str| text.lines().find(|line| line.contains(MARK)).map(str::to_owned);
    // The id of a key is in clear text in every request, and is not a secret.
    let stderr = ran.stderr.replace("AKIDPLANTED", "AKID");
    assert_eq!(line(&stderr), None, "{what}: standard error");
    assert_eq!(line(&stdout), None, "{what}: standard output");
    for file in ["summary.json", "standpipe-data"] {
        assert_no_mark(&ran.path(file), what);
    }
}

fn assert_no_mark(path: &Path, what: &str) {
    if path.is_dir() {
        let name = path.file_name().unwrap_or_default();
        // All tests share the compiled plugins in this directory.
        for entry in fs::read_dir(path).unwrap().filter(|_| name != "cache") {
            assert_no_mark(&entry.unwrap().path(), what);
        }
    } else if let Ok(bytes) = fs::read(path) {
        let has = bytes.windows(MARK.len()).any(|part| part == MARK.as_bytes());
        assert!(!has, "{what}: {}", path.display());
    }
}
