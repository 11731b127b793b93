//! Tests the sources of credentials, and their renewal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::Signal;
use standpipe_tests::ministack::Ministack;
use standpipe_tests::oracle::split_records;
use standpipe_tests::{DEADLINE, Endpoint, Program, Stub, StubResponse, moto, wait_until};

const EVENT: &str = "{\"type\":\"track\"}\n";
const ROLE: &str = "arn:aws:iam::123456789012:role/firehose-writer";

/// Every source of credentials with its own key, in order of priority. A case removes the named
/// sources, and contains the expected key.
const ORDER: &[(&[&str], &str)] = &[
    (&[], "SESSION0"),
    (&["role"], "AKIDSETTINGS"),
    (&["role", "keys"], "AKIDPROFILE"),
    (&["role", "keys", "profile"], "AKIDENVIRONMENT"),
    (&["role", "keys", "profile", "environment"], "AKIDENVPROFILE"),
    (&["role", "keys", "profile", "environment", "AWS_PROFILE"], "AKIDDEFAULT"),
    (&["role", "keys", "profile", "environment", "AWS_PROFILE", "default profile"], "SESSION0"),
    (
        &[
            "role",
            "keys",
            "profile",
            "environment",
            "AWS_PROFILE",
            "default profile",
            "web identity",
        ],
        "AKIDCONTAINER",
    ),
];

#[test]
fn the_first_configured_credential_source_is_used() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let container = Endpoint::start(|_| (200, container_credentials()));
    for (without, expected) in ORDER {
        let has = |source: &str| !without.contains(&source);
        let sts = Endpoint::start(|asked| (200, web_or_role(asked.body.contains("WebIdentity"))));
        let mut settings =
            format!("[aws]\nregion = 'eu-central-1'\nendpoint_url = '{}'\n", stub.url());
        if has("keys") {
            settings += "access_key_id = 'AKIDSETTINGS'\nsecret_access_key = 'x'\n";
        }
        if has("profile") {
            settings += "profile = 'named'\n";
        }
        if has("role") {
            settings += &format!("role_arn = '{ROLE}'\nsts_endpoint_url = '{}'\n", sts.url());
        }
        let keys = |id: &str| format!("aws_access_key_id = {id}\naws_secret_access_key = x\n");
        let mut files =
            format!("[named]\n{}[other]\n{}", keys("AKIDPROFILE"), keys("AKIDENVPROFILE"));
        if has("default profile") {
            files += &format!("[default]\n{}", keys("AKIDDEFAULT"));
        }
        let mut program = Program::host_run().settings(&settings).mapping(&[("*", "s")]);
        program = program.file("shared", files.as_bytes()).file("token", b"a web token");
        let (shared, token) = (program.path("shared"), program.path("token"));
        program = program.env("AWS_SHARED_CREDENTIALS_FILE", shared);
        if has("environment") {
            program = program
                .env("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
                .env("AWS_SECRET_ACCESS_KEY", "x");
        }
        if has("AWS_PROFILE") {
            program = program.env("AWS_PROFILE", "other");
        }
        if has("web identity") {
            program = program
                .env("AWS_WEB_IDENTITY_TOKEN_FILE", token)
                .env("AWS_ROLE_ARN", ROLE)
                .env("AWS_ENDPOINT_URL_STS", sts.url());
        }
        program = program.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url() + "/keys");
        let before = stub.requests().len();
        program.stdin(EVENT).run().expect_exit(0);
        let signed = &stub.requests()[before].headers["authorization"];
        assert!(signed.contains(&format!("Credential={expected}/")), "{without:?}: {signed}");
    }
}

#[test]
fn a_web_identity_is_taken_by_moto() {
    let moto = moto::shared_server();
    moto.create_streams("web", &["web"]);
    let program =
        Program::host_run().args(["--region", moto::REGION, "--endpoint-url", moto.url()]);
    let program = program.file("token", b"a web token").mapping(&[("*", "web")]).stdin(EVENT);
    let token = program.path("token");
    let program = program.env("AWS_WEB_IDENTITY_TOKEN_FILE", token).env("AWS_ROLE_ARN", ROLE);
    program.env("AWS_ENDPOINT_URL_STS", moto.url()).run().expect_exit(0);
    assert_eq!(moto.read_objects("web", &["web"])["web"], [EVENT.as_bytes()]);
}

#[test]
fn the_role_is_assumed_once_with_all_settings() {
    let (stub, sts) =
        (Stub::start(|_| StubResponse::Accept), Endpoint::start_sts(Duration::from_secs(3600)));
    let settings = format!(
        "[aws]\nendpoint_url = '{}'\nrole_arn = '{ROLE}'\nexternal_id = 'my workspace/1'\nsession_name = 'me'\n\
         source_identity = 'alice@example'\nsession_duration = '2h'\nsts_region = 'eu-west-1'\n\
         session_tags = {{ team = 'data', env = 'test' }}\n[aws.endpoints]\nsts = '{}'",
        stub.url(),
        sts.url()
    );
    let program = Program::host_run().args(["--region", "eu-central-1"]).with_keys();
    let input = EVENT.repeat(3000);
    program.settings(&settings).mapping(&[("*", "s")]).stdin(input).run().expect_exit(0);
    let asked = sts.requests();
    assert_eq!(asked.len(), 1, "asked for the role more than once");
    let role = ROLE.replace(':', "%3A").replace('/', "%2F");
    for field in [
        "Action=AssumeRole",
        &format!("RoleArn={role}"),
        "ExternalId=my%20workspace%2F1",
        "RoleSessionName=me",
        "SourceIdentity=alice%40example",
        "DurationSeconds=7200",
        "Tags.member.1.Key=env",
        "Tags.member.1.Value=test",
        "Tags.member.2.Key=team",
        "Tags.member.2.Value=data",
    ] {
        let has = asked[0].body.split('&').any(|part| part == field);
        assert!(has, "no {field} in {}", asked[0].body);
    }
    assert!(asked[0].headers["authorization"].contains("/eu-west-1/sts/"), "{asked:?}");
    for put in stub.requests() {
        assert!(put.headers["authorization"].contains("Credential=SESSION0/"));
        assert_eq!(put.headers["x-amz-security-token"], "token 0");
    }
}

/// The stub behaves like AWS: it rejects a token as expired when its time is over.
#[test]
fn sessions_of_two_seconds_cost_no_request() {
    const LIFE: Duration = Duration::from_secs(2);
    let first_seen = Mutex::new(BTreeMap::<String, Instant>::new());
    let stub = Stub::start(move |put| {
        let token = put.headers["x-amz-security-token"].clone();
        let mut seen = first_seen.lock();
        match seen.entry(token).or_insert_with(Instant::now).elapsed() < LIFE {
            true => StubResponse::Accept,
            false => {
                StubResponse::Fail { status: 400, code: "ExpiredTokenException", accepted: false }
            }
        }
    });
    let sts = Endpoint::start_sts(LIFE);
    let settings = format!(
        "[aws]\nrole_arn = '{ROLE}'\nsts_endpoint_url = '{}'\n[delivery]\nmax_delay = '10ms'",
        sts.url()
    );
    let program = Program::host_run_against(&stub.url()).settings(&settings);
    let mut running = program.mapping(&[("*", "s")]).start();
    let mut sent = 0;
    while sts.requests().len() < 6 {
        running.write_stdin(EVENT.as_bytes());
        sent += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    let ran = running.finish(DEADLINE).expect_exit(0);
    assert_eq!((ran.count("delivered"), ran.count("ambiguous")), (sent, 0));
    assert_eq!(ran.summary()["streams"]["s"]["retries"], 0, "{}", ran.stderr);
    assert_eq!(stub.accepted_records()["s"].len() as u64, sent);
}

#[test]
fn a_failed_renewal_has_no_effect_while_the_session_lasts() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let mut good = Endpoint::start_sts(Duration::from_secs(4));
    let fails = good.url();
    let sts = Endpoint::start(move |asked| match asked.number {
        1..4 => (500, String::new()),
        _ => {
            let _ = &mut good;
            (200, get_body(&fails))
        }
    });
    let settings = format!(
        "[aws]\nrole_arn = '{ROLE}'\nsts_endpoint_url = '{}'\n[delivery]\nmax_delay = '10ms'",
        sts.url()
    );
    let program = Program::host_run_against(&stub.url()).settings(&settings);
    let mut running = program.mapping(&[("*", "s")]).start();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(7) {
        running.write_stdin(EVENT.as_bytes());
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = running.finish(DEADLINE).expect_exit(0);
    assert_eq!(ran.count("ambiguous"), 0);
    assert!(sts.requests().len() > 4, "it was not tried again: {}", ran.stderr);
}

#[test]
fn an_expired_token_is_retried_with_new_credentials() {
    let stub = Stub::start(|put| match put.headers["x-amz-security-token"].as_str() {
        "token 0" => {
            StubResponse::Fail { status: 400, code: "ExpiredTokenException", accepted: false }
        }
        _ => StubResponse::Accept,
    });
    let sts = Endpoint::start_sts(Duration::from_secs(3600));
    let settings = format!("[aws]\nrole_arn = '{ROLE}'\nsts_endpoint_url = '{}'", sts.url());
    let program = Program::host_run_against(&stub.url()).settings(&settings);
    let ran = program.mapping(&[("*", "s")]).stdin(EVENT.repeat(700)).run().expect_exit(0);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (700, 0));
    assert_eq!(stub.accepted_records()["s"].len(), 700);
    // A late error can look like an error of the new session.
    assert!((2..=3).contains(&sts.requests().len()), "{} sessions", sts.requests().len());
}

/// Rotated keys in a file are read after the old keys are rejected.
#[test]
fn rotated_keys_of_a_shared_file_are_noticed() {
    let stub = Stub::start(|put| match put.headers["authorization"].contains("AKIDNEW") {
        true => StubResponse::Accept,
        false => {
            StubResponse::Fail { status: 400, code: "UnrecognizedClientException", accepted: false }
        }
    });
    let file = |id: &str| format!("[a]\naws_access_key_id = {id}\naws_secret_access_key = x\n");
    let settings = format!(
        "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{}'\nprofile = 'a'\n[delivery]\nmax_delay = '10ms'",
        stub.url()
    );
    let program =
        Program::host_run().settings(&settings).file("shared", file("AKIDOLD").as_bytes());
    let shared = program.path("shared");
    let program = program.env("AWS_SHARED_CREDENTIALS_FILE", shared.clone());
    let mut running = program.mapping(&[("*", "s")]).start();
    running.write_stdin(EVENT.as_bytes());
    wait_until("the old keys are refused", || stub.requests().len() > 1);
    std::fs::write(shared, file("AKIDNEW")).unwrap();
    let ran = running.finish(DEADLINE).expect_exit(0);
    assert_eq!(ran.count("delivered"), 1);
}

#[test]
fn the_external_id_decides_at_a_server_that_checks_it() {
    let server = Ministack::start("right", "s");
    let [id, secret] = &server.keys;
    for (external_id, exit) in [("right", 0), ("wrong", 2), ("secret:external-id", 0)] {
        let settings = format!(
            "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{0}'\nsts_endpoint_url = '{0}'\nrole_arn = '{1}'\n\
             external_id = '{external_id}'\n[aws.endpoints]\nsecretsmanager = '{0}'\n[secrets]\n\
             manager = 'aws-secretsmanager'",
            server.url, server.role
        );
        let program = Program::host_run().settings(&settings).mapping(&[("*", "s")]);
        let program = program.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        let ran = program.stdin(EVENT).run().expect_exit(exit);
        if exit != 0 {
            ran.expect_stderr(&[&server.role, "AccessDenied", "`external_id` under [aws]"]);
        }
    }
}

/// A proxy records the requested host, and nothing leaves this machine.
#[test]
fn endpoints_are_chosen_and_reached_through_the_proxy() {
    for (settings, host) in [
        ("", "firehose.eu-central-1.amazonaws.com:443"),
        ("use_fips = true", "firehose-fips.eu-central-1.amazonaws.com:443"),
        ("use_dual_stack = true", "firehose.eu-central-1.api.aws:443"),
        ("use_fips = true\nuse_dual_stack = true", "firehose-fips.eu-central-1.api.aws:443"),
    ] {
        for is_set in [true, false] {
            let proxy = Endpoint::start(|_| (403, String::new()));
            let own = proxy.url().replace("//", "//user:p%40ss@");
            let setting = if is_set { format!("proxy = '{own}'\n") } else { String::new() };
            let settings = format!("[aws]\nregion = 'eu-central-1'\n{setting}{settings}");
            let mut program = Program::host_run().settings(&settings).with_keys();
            if !is_set {
                program = program.env("HTTPS_PROXY", &own);
            }
            let mut running = program.mapping(&[("*", "s")]).start();
            running.write_stdin(EVENT.repeat(500).as_bytes());
            wait_until("the proxy is asked", || !proxy.requests().is_empty());
            let asked = &proxy.requests()[0];
            assert!(asked.line.starts_with(&format!("CONNECT {host} ")), "{}", asked.line);
            assert_eq!(asked.headers["proxy-authorization"], "Basic dXNlcjpwQHNz");
            running.send_signal(Signal::KILL);
        }
    }
}

#[test]
fn hosts_in_no_proxy_are_reached_directly() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let proxy = Endpoint::start(|_| (403, String::new()));
    let settings = format!("[aws]\nproxy = '{}'", proxy.url());
    let program = Program::host_run_against(&stub.url()).settings(&settings).mapping(&[("*", "s")]);
    program.env("NO_PROXY", "example.com,127.0.0.1").stdin(EVENT).run().expect_exit(0);
    assert_eq!(split_records(&stub.accepted_records()["s"].concat()).len(), 1);
    assert!(proxy.requests().is_empty());
}

fn container_credentials() -> String {
    "{\"AccessKeyId\":\"AKIDCONTAINER\",\"SecretAccessKey\":\"x\",\"Token\":\"t\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"
        .to_owned()
}

fn web_or_role(is_web: bool) -> String {
    let role = get_body(&Endpoint::start_sts(Duration::from_secs(3600)).url());
    match is_web {
        true => role.replace("AssumeRole", "AssumeRoleWithWebIdentity"),
        false => role,
    }
}

/// Returns the body of a server's response.
fn get_body(url: &str) -> String {
    let reply = standpipe_tests::client::Client::connect(url).post("/", &[], b"");
    reply.expect("an answer").text()
}
