//! Tests secrets from secret managers.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use standpipe::{Builder, Plugin};
use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::mounted::rotate_secret;
use standpipe_tests::signature::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use standpipe_tests::{
    Collector, Program, Stub, StubResponse, misbehaving_plugin, moto, stamp_component, wait_until,
};

const EVENT: &str = "{\"type\":\"track\"}\n";
const BODY: &[u8] = b"{\"event\":\"a\",\"userId\":\"u\"}";

/// Tests static keys of [aws] from each manager. The stub checks the signature.
#[test]
fn every_manager_gives_keys_that_sign() {
    let json = format!("{{\"id\":\"{ACCESS_KEY_ID}\",\"key\":\"{SECRET_ACCESS_KEY}\",\"n\":1}}");
    moto::shared_server().put_secret("standpipe/aws", &json);
    moto::shared_server().put_parameter("/standpipe/id", ACCESS_KEY_ID);
    moto::shared_server().put_parameter("/standpipe/key", SECRET_ACCESS_KEY);
    let json_keys = ["aws#id", "aws#key"];
    for (manager, [id, key]) in [
        ("manager = 'aws-secretsmanager'\nprefix = 'standpipe/'", json_keys),
        ("manager = 'aws-ssm'\nprefix = '/standpipe/'", ["id", "key"]),
        ("manager = 'files'\ndirectory = 'mounted'", json_keys),
        ("manager = 'env'\nprefix = 'STANDPIPE_'", json_keys),
    ] {
        let stub = Stub::start(|_| StubResponse::Accept);
        let settings = format!(
            "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{0}'\naccess_key_id = 'secret:{id}'\n\
             secret_access_key = 'secret:{key}'\n[aws.endpoints]\nsecretsmanager = '{1}'\nssm = '{1}/'\n\
             [secrets]\n{manager}",
            stub.url(),
            moto::shared_server().url()
        );
        let program = Program::host_run().settings(&settings).mapping(&[("*", "s")]);
        fs::create_dir(program.path("mounted")).unwrap();
        let program = program.file("mounted/aws", json.as_bytes()).env("STANDPIPE_aws", &json);
        // Only for AWS's managers. moto accepts any credentials.
        let program =
            program.env("AWS_ACCESS_KEY_ID", "AKIDOTHER").env("AWS_SECRET_ACCESS_KEY", "x");
        program.stdin(EVENT).run().expect_exit(0);
        assert_eq!(stub.violations(), Vec::<String>::new(), "{manager}");
        let scope = stub.requests()[0].scope.clone().expect("a signature of the kept keys");
        assert_eq!(scope.access_key_id, ACCESS_KEY_ID, "{manager}");
    }
}

/// Secrets Manager stores up to 65,536 bytes, and other managers may do so too.
#[test]
fn a_secret_may_have_the_maximum_size_of_secrets_manager() {
    const BYTES_MAX: usize = 65_536;
    let of_bytes = |bytes: usize| {
        let json = |rest: &str| {
            format!(
                "{{\"id\":\"{ACCESS_KEY_ID}\",\"key\":\"{SECRET_ACCESS_KEY}\",\"rest\":\"{rest}\"}}"
            )
        };
        json(&"x".repeat(bytes - json("").len()))
    };
    moto::shared_server().put_secret("standpipe/large", &of_bytes(BYTES_MAX));
    for (manager, bytes) in [
        ("manager = 'aws-secretsmanager'\nprefix = 'standpipe/'", BYTES_MAX),
        ("manager = 'files'\ndirectory = 'mounted'", BYTES_MAX),
        ("manager = 'env'\nprefix = 'STANDPIPE_'", BYTES_MAX),
        ("manager = 'files'\ndirectory = 'mounted'", BYTES_MAX + 1),
        ("manager = 'env'\nprefix = 'STANDPIPE_'", BYTES_MAX + 1),
    ] {
        let stub = Stub::start(|_| StubResponse::Accept);
        // The largest secret is requested as a whole, the others as a field.
        let field = if bytes > BYTES_MAX { "" } else { "#key" };
        let settings = format!(
            "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{}'\naccess_key_id = '{ACCESS_KEY_ID}'\n\
             secret_access_key = 'secret:large{field}'\n[aws.endpoints]\nsecretsmanager = '{}'\n[secrets]\n{manager}",
            stub.url(),
            moto::shared_server().url()
        );
        let json = of_bytes(bytes);
        let program = Program::host_run().settings(&settings).mapping(&[("*", "s")]);
        fs::create_dir(program.path("mounted")).unwrap();
        let program = program.file("mounted/large", json.as_bytes()).env("STANDPIPE_large", &json);
        let program =
            program.env("AWS_ACCESS_KEY_ID", "AKIDOTHER").env("AWS_SECRET_ACCESS_KEY", "x");
        let ran = program.stdin(EVENT).run();
        if bytes > BYTES_MAX {
            ran.expect_exit(2).expect_stderr(&["secret:large", "more than 65536 bytes"]);
        } else {
            ran.expect_exit(0);
            assert_eq!(stub.violations(), Vec::<String>::new(), "{manager}");
        }
    }
}

#[test]
fn unresolved_secrets_stop_the_start() {
    moto::shared_server().put_secret("json", "{\"other\":\"planted\"}");
    let aws = format!(
        "region = 'eu-central-1'\nendpoints = {{ secretsmanager = '{0}', ssm = '{0}' }}",
        moto::shared_server().url()
    );
    for (manager, reference, words) in [
        (
            "manager = 'aws-secretsmanager'",
            "secret:nope",
            &["ResourceNotFoundException", "secret:nope"][..],
        ),
        (
            "manager = 'aws-secretsmanager'",
            "secret:json#field",
            &["secret:json#field", "no text field"],
        ),
        ("manager = 'aws-ssm'", "secret:/nope", &["ParameterNotFound", "secret:/nope"]),
        (
            "manager = 'files'\ndirectory = 'mounted'",
            "secret:nope",
            &["secret:nope", "`directory`"],
        ),
        (
            "manager = 'files'\ndirectory = 'mounted'",
            "secret:../x",
            &["secret:../x", "leads out of"],
        ),
        ("manager = 'env'\nprefix = 'P_'", "secret:NOPE", &["secret:NOPE", "P_NOPE is not set"]),
        ("manager = 'env'", "secret:EMPTY", &["secret:EMPTY", "empty"]),
        ("", "secret:nope", &["secret:nope", "`manager` under [secrets]"]),
        ("manager = 'env'", "secret:", &["write secret:NAME"]),
    ] {
        for place in ["keys", "token", "external id", "write key", "proxy"] {
            let role = "role_arn = 'arn:aws:iam::123456789012:role/a'\nsts_endpoint_url = 'http://127.0.0.1:1'";
            let setting = match place {
                "keys" => format!("access_key_id = 'a'\nsecret_access_key = '{reference}'"),
                "token" => format!(
                    "access_key_id = 'a'\nsecret_access_key = 'b'\nsession_token = '{reference}'"
                ),
                "external id" => format!("{role}\nexternal_id = '{reference}'"),
                "proxy" => format!("proxy = '{reference}'"),
                _ => String::new(),
            };
            let key = if place == "write key" { reference } else { "a key" };
            let settings = format!(
                "listen = '127.0.0.1:0'\n[aws]\nendpoint_url = 'http://127.0.0.1:1'\n{setting}\n{aws}\n[secrets]\n{manager}\n\
                 [[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['{key}']"
            );
            let program =
                Program::host_run().settings(&settings).mapping(&[("*", "s")]).with_keys();
            let ran = program.env("EMPTY", "").run().expect_exit(2);
            // A proxy is a different error if AWS's manager would be reached through it.
            let is_circular = place == "proxy" && manager.contains("aws-");
            let words =
                if is_circular { &["[aws] proxy", "`manager` under [secrets]"] } else { words };
            let ran = ran.expect_stderr(words);
            assert!(!ran.stderr.contains("planted"), "{place}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_secret_manager_without_credentials_names_the_ones_it_needs() {
    let settings = "[aws]\nregion = 'eu-central-1'\naccess_key_id = 'secret:a'\nsecret_access_key = 'secret:b'\n\
                    [secrets]\nmanager = 'aws-ssm'";
    let run = |settings: &str| {
        Program::host_run()
            .settings(settings)
            .mapping(&[("*", "s")])
            .stdin(EVENT)
            .run()
            .expect_exit(2)
    };
    run(settings).expect_stderr(&[
        "\"aws-ssm\"",
        "`profile` under [secrets]",
        "never with the keys under [aws]",
    ]);
    run(&format!("{settings}\nprofile = 'nope'")).expect_stderr(&[
        "\"nope\"",
        "\"aws-ssm\"",
        "`profile` under [secrets]",
    ]);
}

#[test]
fn write_keys_are_rotated_while_the_collector_runs() {
    let settings = "[secrets]\nmanager = 'files'\ndirectory = 'mounted'\nrefresh = '1s'\n\
                    [[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['fixed', 'secret:key']\n\
                    [[sources]]\nname = 'app'\ndialect = 'segment'\nwrite_keys = ['secret:app']";
    let program = Program::host_run_locally().mapping(&[("*", "s")]);
    let mounted = program.path("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join("key"), "one\n").unwrap();
    fs::write(mounted.join("app"), "app-one").unwrap();
    let collector = Collector::start(program.settings(settings));
    let status = |key: &str| send_event(&collector, key);
    assert_eq!(
        ["fixed", "one", "app-one", "two", "secret:key"].map(status),
        [200, 200, 200, 401, 401]
    );

    rotate_secret(&mounted, "key", "two");
    wait_until("the new key is taken", || status("two") == 200);
    assert_eq!(["fixed", "one", "app-one"].map(status), [200, 401, 200]);

    // Unusable secrets change nothing: a missing file, a key of another source, an empty key.
    fs::remove_file(mounted.join("app")).unwrap();
    collector.running().wait_for("could not resolve secret:app");
    rotate_secret(&mounted, "app", "two");
    collector.running().wait_for("duplicate write key");
    rotate_secret(&mounted, "app", "a\u{7}b");
    collector.running().wait_for("is not a valid write key");
    assert_eq!(["fixed", "two", "app-one"].map(status), [200, 200, 200]);

    rotate_secret(&mounted, "app", "app-two");
    wait_until("it is taken in the end", || status("app-two") == 200);
    let ran = collector.stop().expect_exit(0);
    for planted in ["app-one", "app-two"] {
        assert!(!ran.stderr.contains(planted), "{}", ran.stderr);
    }
}

/// A refresh passes a changed secret to the active plugin and to the previous one. It does not
/// change their roles.
#[test]
fn a_refresh_of_secrets_changes_no_plugin() {
    const TOKEN: &str = "0123456789abcdef-admin";
    let component = fs::read(misbehaving_plugin()).unwrap();
    let version = |number: u8| stamp_component(&component, &[number]);
    let settings = |more: &str| {
        format!(
            "[secrets]\nmanager = 'files'\ndirectory = 'mounted'\nrefresh = '1s'\n[admin]\ntoken = '{TOKEN}'\n\
             [delivery]\nmax_delay = '10ms'\n{more}[plugin]\npath = 'plugin.wasm'\n[plugin.settings.secrets]\n\
             key = 'secret:key'\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['k']\n"
        )
    };
    let program = Program::host_run_locally().file("plugin.wasm", &version(1));
    let mounted = program.path("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join("key"), "one").unwrap();
    let collector = Collector::start(program.settings(&settings("")));
    let ask = |method: &str, path: &str, body: &[u8]| -> Value {
        let authorization = format!("Bearer {TOKEN}");
        let headers = [("Authorization", &*authorization)];
        let mut client = Client::connect(collector.admin_url());
        let reply = client.request(method, path, &headers, body).expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.text());
        serde_json::from_slice(&reply.body).expect("JSON")
    };
    let active = || {
        let report = ask("GET", "/plugin", b"");
        let active = &report["active"];
        (active["generation"].as_u64().unwrap(), active["sha256"].as_str().unwrap().to_owned())
    };
    let digest = |number: u8| standpipe_plugin_host::sha256_hex(&version(number));
    let refreshes = || std::thread::sleep(Duration::from_millis(2500));
    // The current secret of the active plugin.
    let secret = || {
        let good = collector.running().path("out/good.ndjson");
        let before = fs::read_to_string(&good).unwrap_or_default();
        let event = b"{\"event\":\"secret\",\"userId\":\"u\"}";
        let (name, value) = basic_auth("k");
        let headers = [(name, &*value), ("Content-Type", "application/json")];
        Client::connect(collector.url()).post("/v1/track", &headers, event).expect("an answer");
        let mut new = String::new();
        wait_until("the event is delivered", || {
            let now = fs::read_to_string(&good).unwrap_or_default();
            new = now[before.len()..].trim_end().to_owned();
            now.len() > before.len() && now.ends_with('\n')
        });
        new
    };
    assert_eq!((secret(), active()), ("one".to_owned(), (1, digest(1))));
    refreshes();
    assert_eq!(active(), (1, digest(1)), "nothing has changed");

    ask("PUT", "/plugin", &version(2));
    refreshes();
    assert_eq!(active(), (2, digest(2)));
    rotate_secret(&mounted, "key", "two");
    wait_until("the plugin that was put has the new secret", || active() == (3, digest(2)));
    assert_eq!(secret(), "two");

    ask("POST", "/plugin/rollback", b"");
    assert_eq!((secret(), active()), ("two".to_owned(), (4, digest(1))));
    ask("PUT", "/plugin", &version(2));
    ask("POST", "/plugin/rollback", b"");
    rotate_secret(&mounted, "key", "three");
    wait_until("the plugin that was gone back to has it", || active() == (7, digest(1)));
    assert_eq!(secret(), "three");

    ask("PUT", "/plugin/canary?percent=100", &version(3));
    ask("POST", "/plugin/canary/promote", b"");
    rotate_secret(&mounted, "key", "four");
    wait_until("the canary that was promoted has it", || active().0 > 9);
    assert_eq!((secret(), active().1), ("four".to_owned(), digest(3)));

    // Other changes of the settings do not reload the plugin.
    let (generation, path) = (active().0, collector.running().path("settings.toml"));
    fs::write(&path, settings("drain_timeout = '20s'\n")).unwrap();
    refreshes();
    assert_eq!(active(), (generation, digest(3)));
    // Changes of the plugin's own settings reload it.
    let other = settings("").replace(
        "[plugin.settings.secrets]",
        "[plugin.settings]\nstream = 'good'\n[plugin.settings.secrets]",
    );
    fs::write(&path, other).unwrap();
    wait_until("the plugin of the settings is taken", || active().1 == digest(1));
    let ran = collector.stop().expect_exit(0);
    assert!(!ran.stderr.contains("three"), "a secret in the log: {}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_of_secrets_changes_no_plugin_of_an_embedded_host() {
    let directory = tempfile::TempDir::new().unwrap();
    standpipe_tests::make_data_directory(&directory.path().join("standpipe-data"));
    let mounted = directory.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join("key"), "one").unwrap();
    let component = fs::read(misbehaving_plugin()).unwrap();
    fs::write(directory.path().join("plugin.wasm"), &component).unwrap();
    let settings = "[secrets]\nmanager = 'files'\ndirectory = 'mounted'\nrefresh = '1s'\n[plugin]\n\
                    path = 'plugin.wasm'\n[plugin.settings]\nstream = 'first'\nsecrets = { key = 'secret:key' }";
    let port = Arc::new(FaultyClient::new(|_, _, _| InjectedFault::None));
    let builder =
        Builder::from_toml(settings, directory.path()).unwrap().firehose_client(port.clone());
    let host = builder.start(&tokio::runtime::Handle::current()).await.unwrap();
    // Settings that are loaded with a plugin also have secrets.
    let own = r#"{"stream":"second","secrets":{"key":"secret:key"}}"#;
    let swapped = Plugin::new(stamp_component(&component, b"2")).with_settings(own);
    host.swap(swapped.clone()).await.unwrap();
    let unknown = own.replace("secret:key", "secret:nope");
    let refused = host.swap(swapped.with_settings(unknown)).await.unwrap_err();
    assert!(refused.reason.contains("secret:nope"), "{refused}");
    let secret = async || {
        host.submit("{\"event\":\"secret\"}").await.unwrap();
        port.accepted().into_iter().map(|(name, records)| (name.to_string(), records)).collect()
    };
    let records = |secrets: &[&str]| {
        let records = secrets.iter().map(|secret| format!("{secret}\n").into_bytes());
        BTreeMap::from([("second".to_owned(), records.collect::<Vec<_>>())])
    };
    let found: BTreeMap<_, _> = secret().await;
    assert_eq!(found, records(&["one"]));
    rotate_secret(&mounted, "key", "two");
    // Several refreshes happen meanwhile. Each reads the new secret.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let found: BTreeMap<_, _> = secret().await;
    assert_eq!(found, records(&["one", "two"]));
    host.stop().await;
}

#[test]
fn rotated_aws_keys_are_resolved_again() {
    let stub = Stub::start(|put| match put.headers["authorization"].contains("AKIDNEW") {
        true => StubResponse::Accept,
        false => StubResponse::Fail { status: 400, code: "InvalidClientTokenId", accepted: false },
    });
    let settings = format!(
        "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{}'\naccess_key_id = 'secret:id'\nsecret_access_key = 'x'\n\
         [secrets]\nmanager = 'files'\ndirectory = 'mounted'\n[delivery]\nmax_delay = '10ms'",
        stub.url()
    );
    let program = Program::host_run().settings(&settings).mapping(&[("*", "s")]);
    let mounted = program.path("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join("id"), "AKIDOLD").unwrap();
    let mut running = program.start();
    running.write_stdin(EVENT.as_bytes());
    wait_until("the old keys are refused", || stub.requests().len() > 1);
    rotate_secret(&mounted, "id", "AKIDNEW");
    let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(0);
    assert_eq!(ran.count("delivered"), 1);
}

#[test]
fn checking_settings_makes_no_request() {
    let settings = b"[aws]\naccess_key_id = 'secret:a'\nsecret_access_key = 'secret:b'\n[secrets]\nmanager = 'env'\n\
                    [[plugin.settings.mappings]]\nevent = '*'\nstream = 's'";
    let program = Program::new().file("s.toml", settings).args(["config", "check", "s.toml"]);
    program.run().expect_exit(0);
}

fn send_event(collector: &Collector, key: &str) -> u16 {
    let (name, value) = basic_auth(key);
    let headers = [(name, &*value), ("Content-Type", "application/json")];
    let mut client = Client::connect(collector.url());
    client.post("/v1/track", &headers, BODY).expect("an answer").status
}
