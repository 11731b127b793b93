//! Tests incomplete responses of other AWS services, and `host check` with incomplete responses.

use std::time::Duration;

use serde_json::{Value, json};
use standpipe_tests::endpoint::{RecordedRequest, session_response};
use standpipe_tests::{Endpoint, Program, Stub, StubResponse};

const EVENT: &str = "{\"type\":\"track\"}\n";
const ROLE: &str = "arn:aws:iam::123456789012:role/firehose-writer";

#[test]
fn a_check_fails_where_something_else_than_firehose_answers() {
    let is_put = |asked: &RecordedRequest| operation_target(asked).ends_with("PutRecordBatch");
    for (status, body) in [(200, ""), (204, ""), (200, "{}"), (200, "<html>"), (200, "null")] {
        let report = run_check(move |asked| match is_put(asked) {
            true => (status, body.to_owned()),
            false => (200, stream_description().to_string()),
        });
        assert_step_failed(&report, "write to s", &["InvalidAnswer", "`endpoint_url`"]);
    }
    let mut nameless = stream_description();
    nameless["DeliveryStreamDescription"]["DeliveryStreamName"] = "t".into();
    for body in
        ["{}".to_owned(), "{\"DeliveryStreamDescription\":{}}".to_owned(), nameless.to_string()]
    {
        let report = run_check(move |asked| match is_put(asked) {
            true => (
                200,
                json!({"FailedPutCount": 0, "RequestResponses": [{"RecordId": "1"}]}).to_string(),
            ),
            false => (200, body.clone()),
        });
        assert_step_failed(&report, "stream s", &["InvalidAnswer", "`endpoint_url`"]);
        let written = find_step(&report, "write to s");
        assert_eq!(written["outcome"], "ok", "{written}");
        let caller = find_step(&report, "credentials");
        assert_eq!(caller["outcome"], "skipped", "{caller}");
        assert!(caller["detail"].as_str().unwrap().contains("no Account"), "{caller}");
    }
}

#[test]
fn an_incomplete_session_is_refused() {
    let whole = || session_response(0, Duration::from_secs(3600));
    let without = |element: &str| {
        let text = whole();
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let (from, to) = (text.find(&open).unwrap(), text.find(&close).unwrap() + close.len());
        format!("{}{}", &text[..from], &text[to..])
    };
    let members = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "Credentials"];
    let incomplete = members.map(|member| (without(member), format!("no {member}")));
    let others = ["", "{}", "null", "<html></html>"].map(|text| (text.to_owned(), String::new()));
    let long = (" ".repeat(3_000_000), "more than 1048576 bytes".to_owned());
    let cut = whole();
    let cut = (cut[..cut.find("</SessionToken>").unwrap()].to_owned(), String::new());
    for (body, words) in incomplete.into_iter().chain(others).chain([long, cut]) {
        let answer = body.clone();
        let sts = Endpoint::start(move |_| (200, answer.clone()));
        let settings = format!("[aws]\nrole_arn = '{ROLE}'\nsts_endpoint_url = '{}'", sts.url());
        let stub = Stub::start(|_| StubResponse::Accept);
        let program =
            Program::host_run_against(&stub.url()).settings(&settings).mapping(&[("*", "s")]);
        let ran = program.stdin(EVENT).run().expect_exit(2).expect_stderr(&[
            ROLE,
            "failed to assume the role",
            &words,
        ]);
        assert!(!ran.stderr.contains("token 0"), "{}", ran.stderr);
        assert_eq!(stub.requests().len(), 0, "{}", &body[..body.len().min(80)]);
    }
}

#[test]
fn a_secret_without_a_value_stops_the_start() {
    let long = format!("{{\"SecretString\":\"{}\"}}", "x".repeat(3_000_000));
    for (manager, body, words) in [
        ("aws-secretsmanager", "{}", "no text SecretString"),
        ("aws-secretsmanager", "{\"SecretString\":null}", "no text SecretString"),
        ("aws-secretsmanager", "{\"SecretString\":\"\"}", "it is empty"),
        ("aws-secretsmanager", "{\"SecretBinary\":\"eA==\"}", "binary"),
        ("aws-secretsmanager", "", "InvalidAnswer"),
        ("aws-secretsmanager", "null", "InvalidAnswer"),
        ("aws-secretsmanager", "[\"hush\"]", "InvalidAnswer"),
        ("aws-secretsmanager", "{\"SecretString\":\"hush", "InvalidAnswer"),
        ("aws-secretsmanager", &long, "more than 1048576 bytes"),
        ("aws-ssm", "{}", "no text Parameter.Value"),
        ("aws-ssm", "{\"Parameter\":{\"Value\":[\"hush\"]}}", "no text Parameter.Value"),
        ("aws-ssm", "{\"Parameter\":{\"Value\":\"\"}}", "it is empty"),
    ] {
        let answer = body.to_owned();
        let service = Endpoint::start(move |_| (200, answer.clone()));
        let settings = format!(
            "[aws]\nregion = 'eu-central-1'\naccess_key_id = 'secret:id'\nsecret_access_key = 'secret:key'\n\
             endpoints = {{ secretsmanager = '{0}', ssm = '{0}' }}\n[secrets]\nmanager = '{manager}'",
            service.url()
        );
        let program = Program::host_run_against("http://127.0.0.1:1").settings(&settings);
        let ran = program.mapping(&[("*", "s")]).stdin(EVENT).run().expect_exit(2);
        let ran = ran.expect_stderr(&["secret:id", words]);
        assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
    }
}

/// Runs `host check --send-test-record` against a server with these responses.
fn run_check(mut answer: impl FnMut(&RecordedRequest) -> (u16, String) + Send + 'static) -> Value {
    let endpoint = Endpoint::start(move |asked| match asked.body.contains("GetCallerIdentity") {
        true => (
            200,
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetCallerIdentityResult></GetCallerIdentityResult></GetCallerIdentityResponse>"
                .to_owned(),
        ),
        false => answer(asked),
    });
    let settings =
        format!("[aws]\nregion = 'eu-central-1'\nsts_endpoint_url = '{}'", endpoint.url());
    let program = Program::new().args(["check", "--json", "--endpoint-url", &endpoint.url()]);
    let program =
        program.with_keys().settings(&settings).args(["--map", "*=s", "--send-test-record"]);
    let ran = program.run().expect_exit(1);
    serde_json::from_slice(&ran.stdout).expect("a report")
}

fn find_step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut steps = report["steps"].as_array().unwrap().iter();
    steps.find(|step| step["step"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"))
}

fn assert_step_failed(report: &Value, name: &str, words: &[&str]) {
    let step = find_step(report, name);
    assert_eq!(step["outcome"], "failed", "{step}");
    for word in words {
        assert!(step.to_string().contains(word), "no {word:?} in {step}");
    }
}

fn operation_target(asked: &RecordedRequest) -> &str {
    asked.headers.get("x-amz-target").map_or("", String::as_str)
}

fn stream_description() -> Value {
    json!({"DeliveryStreamDescription": {
        "DeliveryStreamName": "s", "DeliveryStreamARN": "arn:aws:firehose:eu-central-1:123456789012:deliverystream/s",
        "DeliveryStreamStatus": "ACTIVE", "DeliveryStreamType": "DirectPut", "VersionId": "1",
        "Destinations": [], "HasMoreDestinations": false,
    }})
}
