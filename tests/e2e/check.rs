//! `host check`: what is wrong is found before the first event.

use serde_json::{Value, json};
use standpipe_tests::{Fate, Program, Ran, Stub, moto};

/// The command line's `host check --json` against an endpoint.
fn check(url: &str, settings: &str, arguments: &[&str]) -> Ran {
    let settings = format!(
        "[aws]\nregion = 'eu-central-1'\nsts_endpoint_url = '{}'\n{settings}",
        moto::server().url()
    );
    let program = Program::new().args(["check", "--json", "--endpoint-url", url]).with_keys();
    program.settings(&settings).args(arguments).run()
}

/// The outcome of a step, and everything that is told about it.
fn step(ran: &Ran, name: &str) -> (String, String) {
    let report: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("no report: {error}: {}", ran.stderr));
    let steps = report["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["step"] == name);
    let step = step.unwrap_or_else(|| panic!("no step {name}: {report:#}"));
    (step["outcome"].as_str().unwrap().to_owned(), step.to_string())
}

fn is(ran: &Ran, name: &str, outcome: &str, words: &[&str]) {
    let (found, text) = step(ran, name);
    assert_eq!(found, outcome, "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

#[test]
fn a_good_connection_is_found_good_and_a_test_record_arrives() {
    let moto = moto::server();
    moto.create("checked", &["checked"]);
    let map = ["--map", "*=checked", "--events-per-second", "500", "--event-bytes", "818"];
    let ran = check(moto.url(), "", &map).exits(0);
    is(&ran, "plugin", "ok", &["checked"]);
    is(&ran, "credentials", "ok", &["arn:aws:", "account 123456789012"]);
    is(&ran, "stream checked", "ok", &["active"]);
    is(&ran, "write to checked", "skipped", &["--send-test-record"]);
    is(&ran, "cost of checked", "ok", &["would save 84 %", "818 bytes", "[streams.checked]"]);
    is(&ran, "quota", "ok", &["39 %", "eu-central-1"]);
    assert!(moto.read("checked", &["checked"])["checked"].is_empty());
    let ran = check(moto.url(), "", &["--map", "*=checked", "--send-test-record"]).exits(0);
    is(&ran, "write to checked", "ok", &["accepted"]);
    let objects = &moto.read("checked", &["checked"])["checked"];
    let record: Value = serde_json::from_slice(&objects[0]).unwrap();
    assert_eq!((objects.len(), &record["event"]), (1, &json!("Standpipe Test Record")));
}

#[test]
fn what_is_wrong_with_streams_is_told_one_by_one() {
    let stub = Stub::start(|put| match put.stream.as_str() {
        "denied" => Fate::Fail { status: 400, code: "AccessDeniedException", accepted: false },
        _ => Fate::Accept,
    });
    let stub = stub.describing(|stream, before| match stream {
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
    let ran = check(&stub.url(), settings, &arguments).exits(1);
    is(&ran, "stream missing", "failed", &["create it", "`region` under [aws]"]);
    is(&ran, "stream secret", "skipped", &["firehose:DescribeDeliveryStream"]);
    is(&ran, "write to secret", "ok", &[]);
    is(&ran, "stream busy", "ok", &[]);
    is(&ran, "stream jammed", "skipped", &["try again"]);
    is(&ran, "write to denied", "failed", &["firehose:PutRecordBatch", "host iam policy"]);
    is(&ran, "[streams.tpyo]", "failed", &["nothing is written"]);
    is(&ran, "quota", "failed", &["858 %", "higher quota"]);
    assert_eq!(stub.violations(), [""; 0]);
}

#[test]
fn wrong_plugins_and_missing_credentials_end_the_check() {
    let ran = Program::new().args(["check", "--region", "eu-central-1", "--map", "=s"]).run();
    ran.exits(2);
    let ran = Program::new()
        .args(["check", "--json", "--region", "eu-central-1", "--map", "a=b c"])
        .run();
    is(&ran.exits(1), "plugin", "failed", &["b c"]);
    let ran =
        Program::new().args(["check", "--json", "--region", "eu-central-1", "--map", "a=b"]).run();
    is(&ran.exits(1), "credentials", "failed", &["AWS_PROFILE"]);
    let people = Program::new().args(["check", "--region", "eu-central-1", "--map", "a=b"]).run();
    let people = String::from_utf8(people.exits(1).stdout).unwrap();
    assert!(people.contains("ok       plugin       may name b\n"), "{people}");
}

#[test]
fn each_role_is_checked_for_what_it_writes_alone() {
    let stub = Stub::start(|_| Fate::Accept).describing(|_, _| Ok(json!([])));
    let settings = "[dead_letters]\nstream = 'graveyard'\n[plugin]\non_failure = 'pass_through'\npass_through_stream = 'raw'\n\
                    [[sources]]\nname = 'shop'\ndialect = 'segment'\nwrite_keys = ['k']\n\
                    role_arn = 'arn:aws:iam::123456789012:role/shop'\n[plugin.canary.settings]\nmappings = [{ event = '*', \
                    stream = 'tried' }]\n";
    let ran = check(&stub.url(), settings, &["--map", "*=checked"]).exits(0);
    for stream in ["checked", "raw", "tried"] {
        is(&ran, &format!("stream {stream}"), "ok", &[]);
        is(&ran, &format!("stream {stream} of shop"), "ok", &[]);
    }
    // Copies of dead letters are written with the default role.
    is(&ran, "stream graveyard", "ok", &[]);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(!report.to_string().contains("graveyard of shop"), "{report:#}");
}
