//! Tests that errors of access to AWS name the setting to change.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use standpipe_tests::{Endpoint, Program, Stub, StubResponse, endpoint};

const EVENT: &str = "{\"type\":\"track\"}\n";
const ROLE: &str = "arn:aws:iam::123456789012:role/a";

#[test]
fn refusals_of_firehose_name_the_setting() {
    for (code, words) in [
        ("AccessDeniedException", &["AccessDenied", "policy", "`role_arn`"][..]),
        ("ExpiredTokenException", &["ExpiredToken", "`session_token`"]),
        ("UnrecognizedClientException", &["UnrecognizedClient", "`access_key_id`", "`region`"]),
        // AWS's error for a request that is signed for another region.
        ("InvalidSignatureException", &["InvalidSignature", "`secret_access_key`", "`region`"]),
        ("ResourceNotFoundException", &["ResourceNotFound", "`region`"]),
    ] {
        let stub = Stub::start(move |_| StubResponse::Fail { status: 400, code, accepted: false });
        assert_message(&format!("endpoint_url = '{}'", stub.url()), words);
    }
}

#[test]
fn unreachable_services_are_reported_with_the_setting() {
    let proxy = Endpoint::start(|_| (407, String::new()));
    for (settings, words) in [
        ("endpoint_url = 'http://127.0.0.1:1'".to_owned(), &["`endpoint_url`", "`region`"][..]),
        // An invalid name.
        ("endpoint_url = 'https://firehose.invalid'".to_owned(), &["`endpoint_url`", "`region`"]),
        (format!("proxy = '{}'", proxy.url()), &["`proxy`"]),
        (format!("endpoint_url = 'http://a.invalid'\nproxy = '{}'", proxy.url()), &["`proxy`"]),
        ("proxy = 'http://127.0.0.1:1'".to_owned(), &["`proxy`"]),
    ] {
        assert_message(&settings, words);
    }
}

#[test]
fn a_certificate_of_an_unknown_authority_is_reported_and_can_be_trusted() {
    let server = TlsServer::start();
    let url = format!("endpoint_url = 'https://localhost:{}'", server.port);
    assert_message(&url, &["certificate", "`ca_bundle`"]);
    // After the server is trusted, its own message arrives.
    assert_message(&format!("{url}\nca_bundle = '{}'", server.certificate_path()), &["HTTP 418"]);
    let settings = format!("[aws]\nregion = 'eu-central-1'\n{url}");
    let program = Program::host_run().settings(&settings).with_keys().mapping(&[("*", "s")]);
    let mut running = program.env("AWS_CA_BUNDLE", server.certificate_path()).start();
    running.write_stdin(EVENT.repeat(500).as_bytes());
    running.wait_for("HTTP 418");
}

#[test]
fn startup_errors_name_the_setting() {
    let sts = |code: &'static str| Endpoint::start(move |_| (403, endpoint::sts_error(code, "no")));
    let (denied, expired) = (sts("AccessDenied"), sts("ExpiredToken"));
    let (unknown, signed) = (sts("InvalidClientTokenId"), sts("SignatureDoesNotMatch"));
    let role = |url: &str| format!("role_arn = '{ROLE}'\nsts_endpoint_url = '{url}'");
    for (settings, words) in [
        (role(&denied.url()), &[ROLE, "`external_id` under [aws]", "trust policy"][..]),
        (role(&expired.url()), &[ROLE, "ExpiredToken", "`session_token`"]),
        (role(&unknown.url()), &[ROLE, "InvalidClientTokenId", "`access_key_id`"]),
        (role(&signed.url()), &[ROLE, "SignatureDoesNotMatch", "`secret_access_key`"]),
        ("profile = 'nope'".to_owned(), &["\"nope\"", "`profile` under [aws]"]),
        ("ca_bundle = 'nope.pem'".to_owned(), &["nope.pem", "`ca_bundle` under [aws]"]),
        ("ca_bundle = 'settings.toml'".to_owned(), &["settings.toml", "no certificate"]),
        ("proxy = 'proxy:8080'".to_owned(), &["[aws] proxy", "http://HOST:PORT"]),
    ] {
        let settings = format!("[aws]\nregion = 'eu-central-1'\n{settings}");
        let program = Program::host_run().settings(&settings).with_keys().mapping(&[("*", "s")]);
        program.stdin(EVENT).run().expect_exit(2).expect_stderr(words);
    }
}

/// An unreachable service is not reported as wrong settings.
#[test]
fn an_unreachable_sts_is_reported_with_the_setting() {
    let settings = format!(
        "[aws]\nregion = 'eu-central-1'\nrole_arn = '{ROLE}'\nsts_endpoint_url = 'http://127.0.0.1:1'"
    );
    let program = Program::host_run().settings(&settings).with_keys().mapping(&[("*", "s")]);
    let ran = program.args(["--fail-fast"]).stdin(EVENT).run().expect_exit(1);
    ran.expect_stderr(&[ROLE, "`sts_endpoint_url`", "`proxy`"]);
}

/// The error asks for a login, and does not name a setting.
#[test]
fn a_missing_single_sign_on_login_is_reported_with_the_command() {
    let files = "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = eu-central-1\n\
                 sso_registration_scopes = sso:account:access\n\
                 [profile data]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = writer\n";
    for is_set in [true, false] {
        let profile = if is_set { "profile = 'data'" } else { "" };
        let settings = format!("[aws]\nregion = 'eu-central-1'\n{profile}");
        let program = Program::host_run().settings(&settings).mapping(&[("*", "s")]);
        let mut program = program.file("config", files.as_bytes());
        let config = program.path("config");
        program = program.env("AWS_CONFIG_FILE", config);
        if !is_set {
            program = program.env("AWS_PROFILE", "data");
        }
        let ran = program.stdin(EVENT).run().expect_exit(2);
        let ran = ran.expect_stderr(&["`aws sso login --profile data`", "IAM Identity Center"]);
        assert!(!ran.stderr.contains("check `profile`"), "{}", ran.stderr);
    }
}

/// Fails unless a run with these settings of [aws] reports these words about its stream.
fn assert_message(settings: &str, words: &[&str]) {
    let settings = format!("[aws]\nregion = 'eu-central-1'\n{settings}");
    let program = Program::host_run().settings(&settings).with_keys().mapping(&[("*", "s")]);
    let mut running = program.start();
    running.write_stdin(EVENT.repeat(500).as_bytes());
    let line = running.wait_for_line("records are kept and sent again later");
    for word in words {
        assert!(line.contains(word), "{settings}\nno {word:?} in {line}");
    }
}

/// A server with a self-signed certificate. It ends with this process.
struct TlsServer {
    directory: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl TlsServer {
    fn start() -> Self {
        let directory = tempfile::TempDir::new().unwrap();
        let made = Command::new(standpipe_tests::tools::find_program("openssl"))
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ])
            .args([
                "-addext",
                "subjectAltName=DNS:localhost",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .current_dir(directory.path())
            .stderr(Stdio::null())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "openssl makes a certificate");
        let mut process = Command::new(standpipe_tests::tools::find_program("python3"))
            .arg(standpipe_tests::workspace_directory().join("tests/tls/serve.py"))
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Python starts");
        let mut port = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut port).expect("the server prints its port");
        TlsServer { directory, port: port.trim().parse().expect("a port"), process }
    }

    fn certificate_path(&self) -> String {
        self.directory.path().join("cert.pem").to_str().unwrap().to_owned()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
