//! Tests sources with their own roles: their records share neither requests nor sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::endpoint::{Endpoint, session_response, sts_error};
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{Collector, Program, Stub, StubResponse};

const HOUR: Duration = Duration::from_secs(3600);

fn role_settings(firehose: &str, sts: &str) -> CollectorSettings {
    let role_of_blog = "role_arn = 'arn:aws:iam::444455556666:role/blog'";
    let sources = [
        SourceEntry::segment("app"),
        SourceEntry::segment("shop").with_line("external_id = 'of-the-shop'"),
        SourceEntry::segment("blog").with_line(role_of_blog),
        SourceEntry::segment("blog's app")
            .write_keys(&["key-of-blogs-app"])
            .with_line(role_of_blog),
    ];
    let settings = CollectorSettings::new(sources).writing_as_role(firehose, sts);
    settings.with_line("aws", "external_id = 'shared'")
}

#[test]
fn records_of_different_identities_share_no_request_and_no_session() {
    let (stub, sts) = (Stub::start(|_| StubResponse::Accept), Endpoint::start_sts(HOUR));
    let program = Program::host_run().with_keys().settings(&role_settings(&stub.url(), &sts.url()));
    let collector = Collector::start(program.mapping(&[("*", "all")]));
    let mut client = Client::connect(collector.url());
    for round in 0..20 {
        for source in ["app", "shop", "blog", "blogs-app"] {
            let (header, key) = basic_auth(&format!("key-of-{source}"));
            let event = format!(r#"{{"event":"E","userId":"{source}","round":{round}}}"#);
            let reply = client.post("/v1/track", &[(header, &key)], event.as_bytes()).unwrap();
            assert_eq!(reply.status, 200);
        }
    }
    let ran = collector.stop().expect_exit(0);

    let mut sources_of_tokens = BTreeMap::<String, BTreeSet<String>>::new();
    for put in stub.requests() {
        let token = &put.headers["x-amz-security-token"];
        for record in &put.records {
            let event: Value = serde_json::from_slice(record).unwrap();
            let source = event["userId"].as_str().unwrap().to_owned();
            sources_of_tokens.entry(token.clone()).or_default().insert(source);
        }
    }
    let sources: BTreeSet<_> = sources_of_tokens.into_values().collect();
    let expected = [vec!["app"], vec!["blog", "blogs-app"], vec!["shop"]];
    let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect());
    assert_eq!(sources, BTreeSet::from(expected));
    let asked: Vec<_> = sts.requests().into_iter().map(|asked| asked.body).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    for (role, external_id) in [("writer", "shared"), ("writer", "of-the-shop"), ("blog", "shared")]
    {
        let is_this = |body: &&String| {
            body.contains(&format!("role%2F{role}"))
                && body.contains(&format!("ExternalId={external_id}"))
        };
        assert_eq!(asked.iter().filter(is_this).count(), 1, "{role}, {external_id}: {asked:?}");
    }
    let streams = &ran.summary()["streams"];
    let events = ["all", "all as shop", "all as blog"].map(|name| streams[name]["events"].as_u64());
    assert_eq!(events, [Some(20), Some(20), Some(40)]);
}

#[test]
fn a_role_that_cannot_be_assumed_is_reported_with_its_source() {
    let sts = Endpoint::start(|asked| match asked.body.contains("role%2Fblog") {
        true => (403, sts_error("AccessDenied", "no")),
        false => (200, session_response(asked.number, HOUR)),
    });
    let program =
        Program::host_run().with_keys().settings(&role_settings("http://127.0.0.1:9", &sts.url()));
    let program = program.mapping(&[("*", "all")]);
    let ran = program.args(["--listen", "127.0.0.1:0", "--admin", "off"]).run();
    ran.expect_exit(2).expect_stderr(&["source \"blog\"", "role/blog", "external_id"]);
}

#[test]
fn an_external_id_without_a_role_is_ignored() {
    let source =
        "[[sources]]\nname = 'a'\ndialect = 'segment'\nwrite_keys = ['k']\nexternal_id = 'x'";
    let ran = Program::host_run_locally().settings(source).run();
    ran.expect_exit(2).expect_stderr(&["[[sources]] \"a\"", "only used with role_arn"]);
}

#[test]
fn each_identity_is_checked_and_trusted() {
    let stub =
        Stub::start(|_| StubResponse::Accept).with_descriptions(|_, _| Ok(serde_json::json!([])));
    let sts = Endpoint::start_sts(HOUR);
    let settings = role_settings(&stub.url(), &sts.url());
    let check = Program::new().args(["check", "--json", "--map", "*=all", "--send-test-record"]);
    let ran = check.with_keys().settings(&settings).run().expect_exit(0);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let steps = report["steps"].as_array().unwrap().iter();
    let steps: BTreeSet<_> = steps.map(|step| step["step"].as_str().unwrap()).collect();
    for identity in ["", " of shop", " of blog", " of blog's app"] {
        for step in ["credentials", "stream all", "write to all"] {
            let step = format!("{step}{identity}");
            assert!(steps.contains(step.as_str()), "no {step} in {report:#}");
        }
    }
    let tokens: BTreeSet<_> =
        stub.requests().iter().map(|put| put.headers["x-amz-security-token"].clone()).collect();
    assert_eq!(tokens.len(), 4, "{tokens:?}");

    let trust = Program::new().args(["iam", "trust", "--principal", "999988887777"]);
    let ran = trust.settings(&settings).run().expect_exit(0);
    let trust: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let ids = &trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"];
    assert_eq!(ids, &serde_json::json!(["of-the-shop", "shared"]));
}
