//! Tests that `host check` finds problems before the first event.

use serde_json::{Value, json};
use standpipe_tests::{FinishedRun, Program, Stub, StubResponse, moto};

/// Runs `host check --json` against an endpoint.
fn run_check(url: &str, settings: &str, arguments: &[&str]) -> FinishedRun {
    let settings = format!(
        "[aws]\nregion = 'eu-central-1'\nsts_endpoint_url = '{}'\n{settings}",
        moto::shared_server().url()
    );
    let program = Program::new().args(["check", "--json", "--endpoint-url", url]).with_keys();
    program.settings(&settings).args(arguments).run()
}

/// The outcome of a step, and the whole report about it.
fn find_step(ran: &FinishedRun, name: &str) -> (String, String) {
    let report: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("no report: {error}: {}", ran.stderr));
    let steps = report["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["step"] == name);
    let step = step.unwrap_or_else(|| panic!("no step {name}: {report:#}"));
    (step["outcome"].as_str().unwrap().to_owned(), step.to_string())
}

fn assert_step(ran: &FinishedRun, name: &str, outcome: &str, words: &[&str]) {
    let (found, text) = find_step(ran, name);
    assert_eq!(found, outcome, "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

#[test]
fn a_working_connection_passes_and_delivers_a_test_record() {
    let moto = moto::shared_server();
    moto.create_streams("checked", &["checked"]);
    let map = ["--map", "*=checked", "--events-per-second", "500", "--event-bytes", "818"];
    let ran = run_check(moto.url(), "", &map).expect_exit(0);
    assert_step(&ran, "plugin", "ok", &["checked"]);
    assert_step(&ran, "credentials", "ok", &["arn:aws:", "account 123456789012"]);
    assert_step(&ran, "stream checked", "ok", &["active"]);
    assert_step(&ran, "write to checked", "skipped", &["--send-test-record"]);
    assert_step(
        &ran,
        "cost of checked",
        "ok",
        &["would save 84 %", "818 bytes", "[streams.checked]"],
    );
    assert_step(&ran, "quota", "ok", &["39 %", "eu-central-1"]);
    assert!(moto.read_objects("checked", &["checked"])["checked"].is_empty());
    let ran =
        run_check(moto.url(), "", &["--map", "*=checked", "--send-test-record"]).expect_exit(0);
    assert_step(&ran, "write to checked", "ok", &["accepted"]);
    let objects = &moto.read_objects("checked", &["checked"])["checked"];
    let record: Value = serde_json::from_slice(&objects[0]).unwrap();
    assert_eq!((objects.len(), &record["event"]), (1, &json!("Standpipe Test Record")));
}

#[test]
fn each_wrong_stream_is_reported() {
    let stub = Stub::start(|put| match put.stream.as_str() {
        "denied" => {
            StubResponse::Fail { status: 400, code: "AccessDeniedException", accepted: false }
        }
        _ => StubResponse::Accept,
    });
    let stub = stub.with_descriptions(|stream, before| match stream {
        "missing" => Err("ResourceNotFoundException"),
        "secret" => Err("AccessDeniedException"),
        "busy" if before < 2 => Err("LimitExceededException"),
        "jammed" => Err("LimitExceededException"),
        _ => Ok(json!([])),
    });
    let streams = ["missing", "secret", "busy", "jammed", "denied"];
    let maps: Vec<_> =
        streams.iter().flat_map(|name| ["--map".to_owned(), format!("{name}={name}")]).collect();
    let mut arguments: Vec<_> = maps.iter().map(String::as_str).collect();
    arguments.extend(["--send-test-record", "--events-per-second", "9000"]);
    let settings = "[streams.tpyo]\nnewline = false";
    let ran = run_check(&stub.url(), settings, &arguments).expect_exit(1);
    assert_step(&ran, "stream missing", "failed", &["create it", "`region` under [aws]"]);
    assert_step(&ran, "stream secret", "skipped", &["firehose:DescribeDeliveryStream"]);
    assert_step(&ran, "write to secret", "ok", &[]);
    assert_step(&ran, "stream busy", "ok", &[]);
    assert_step(&ran, "stream jammed", "skipped", &["try again"]);
    assert_step(&ran, "write to denied", "failed", &["firehose:PutRecordBatch", "host iam policy"]);
    assert_step(&ran, "[streams.tpyo]", "failed", &["nothing is written"]);
    assert_step(&ran, "quota", "failed", &["858 %", "higher quota"]);
    assert_eq!(stub.violations(), [""; 0]);
}

#[test]
fn wrong_plugins_and_missing_credentials_end_the_check() {
    let ran = Program::new().args(["check", "--region", "eu-central-1", "--map", "=s"]).run();
    ran.expect_exit(2);
    let ran = Program::new()
        .args(["check", "--json", "--region", "eu-central-1", "--map", "a=b c"])
        .run();
    assert_step(&ran.expect_exit(1), "plugin", "failed", &["b c"]);
    let ran =
        Program::new().args(["check", "--json", "--region", "eu-central-1", "--map", "a=b"]).run();
    assert_step(&ran.expect_exit(1), "credentials", "failed", &["AWS_PROFILE"]);
    let people = Program::new().args(["check", "--region", "eu-central-1", "--map", "a=b"]).run();
    let people = String::from_utf8(people.expect_exit(1).stdout).unwrap();
    assert!(people.contains("ok       plugin       may name b\n"), "{people}");
}

#[test]
fn each_role_is_checked_only_for_its_own_streams() {
    let stub = Stub::start(|_| StubResponse::Accept).with_descriptions(|_, _| Ok(json!([])));
    let settings = "[dead_letters]\nstream = 'graveyard'\n[plugin]\non_failure = 'pass_through'\npass_through_stream = 'raw'\n\
                    [[sources]]\nname = 'shop'\ndialect = 'segment'\nwrite_keys = ['k']\n\
                    role_arn = 'arn:aws:iam::123456789012:role/shop'\n[plugin.canary.settings]\nmappings = [{ event = '*', \
                    stream = 'tried' }]\n";
    let ran = run_check(&stub.url(), settings, &["--map", "*=checked"]).expect_exit(0);
    for stream in ["checked", "raw", "tried"] {
        assert_step(&ran, &format!("stream {stream}"), "ok", &[]);
        assert_step(&ran, &format!("stream {stream} of shop"), "ok", &[]);
    }
    // Copies of dead letters are written with the default role.
    assert_step(&ran, "stream graveyard", "ok", &[]);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(!report.to_string().contains("graveyard of shop"), "{report:#}");
}
