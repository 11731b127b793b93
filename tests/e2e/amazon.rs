//! Tests delivery to moto's Firehose. The records are read back from its buckets with AWS's own
//! client.

use std::collections::BTreeMap;

use standpipe_tests::events::Events;
use standpipe_tests::moto::{self, REGION};
use standpipe_tests::oracle::{ExpectedOutcome, Oracle, Streams, assert_same, split_records};
use standpipe_tests::{Program, Stub, StubResponse};

const EVENTS: usize = 6000;
/// A role in the account of moto's streams.
const ROLE: &str = "arn:aws:iam::123456789012:role/firehose-writer";

#[test]
fn every_byte_arrives_in_the_buckets_once() {
    let streams = ["all-orders", "all-pages", "all-rest"];
    let rows = [("order completed", streams[0]), ("page", streams[1]), ("*", streams[2])];
    moto::shared_server().create_streams("all", &streams);
    let input = Events::new(31).into_ndjson(EVENTS);
    let ran = Program::host_run_against(moto::shared_server().url())
        .mapping(&rows)
        .stdin(input.clone())
        .run()
        .expect_exit(0);
    assert_same(
        &Oracle::new(&rows).expected_outcome(&input).streams,
        &read_arrived("all", &streams),
    );
    assert_eq!((ran.count("delivered"), ran.count("ambiguous")), (EVENTS as u64, 0));
}

#[test]
fn without_newlines_records_are_concatenated() {
    moto::shared_server().create_streams("bare", &["bare"]);
    let input = Events::new(32).into_ndjson(400);
    let program = Program::host_run_against(moto::shared_server().url())
        .settings("workers = 1\n[streams.bare]\nnewline = false");
    program.mapping(&[("*", "bare")]).stdin(input.clone()).run().expect_exit(0);
    let objects = &moto::shared_server().read_objects("bare", &["bare"])["bare"];
    let text: Vec<u8> = input.iter().copied().filter(|&byte| byte != b'\n').collect();
    assert!(objects.len() == 1 && objects[0] == text, "other bytes than the events'");
}

#[test]
fn without_grace_only_records_of_a_missing_stream_are_dead_lettered() {
    moto::shared_server().create_streams("there", &["there"]);
    let rows = [("page", "not-there"), ("*", "there")];
    let input = Events::new(33).into_ndjson(500);
    let program = Program::host_run_against(moto::shared_server().url())
        .settings("[delivery]\nmissing_stream_grace = '0s'");
    let ran = program.mapping(&rows).stdin(input.clone()).run().expect_exit(3);
    let ExpectedOutcome { mut streams, .. } = Oracle::new(&rows).expected_outcome(&input);
    let lost = streams.remove("not-there").unwrap();
    assert_same(&streams, &read_arrived("there", &["there"]));
    let dead_letters = ran.dead_letters();
    for dead_letter in &dead_letters {
        assert_eq!(
            (dead_letter.reason.as_str(), dead_letter.stream.as_deref()),
            ("stream_not_found", Some("not-there"))
        );
        assert!(dead_letter.detail.contains("ResourceNotFoundException"), "{}", dead_letter.detail);
    }
    let dead_lettered = dead_letters
        .into_iter()
        .map(|dead_letter| [dead_letter.event, b"\n".to_vec()].concat())
        .collect();
    let lost = BTreeMap::from([("not-there".to_owned(), lost)]);
    assert_same(&lost, &BTreeMap::from([("not-there".to_owned(), dead_lettered)]));
}

#[test]
fn a_role_is_assumed_with_its_external_id() {
    let moto = moto::shared_server();
    moto.create_streams("role", &["role"]);
    moto.start_recording();
    let settings = format!(
        "[aws]\nsts_endpoint_url = '{}'\nrole_arn = '{ROLE}'\nexternal_id = 'my workspace/1'",
        moto.url()
    );
    let input = Events::new(34).into_ndjson(50);
    let program =
        Program::host_run_against(moto.url()).settings(&settings).mapping(&[("*", "role")]);
    program.stdin(input.clone()).run().expect_exit(0);
    assert_same(
        &Oracle::new(&[("*", "role")]).expected_outcome(&input).streams,
        &read_arrived("role", &["role"]),
    );

    let requests = moto.recorded_requests();
    let assumed = requests.iter().filter(|request| request.body.contains("Action=AssumeRole"));
    let assumed: Vec<_> = assumed.map(|request| request.body.as_str()).collect();
    assert!(!assumed.is_empty(), "no role was assumed");
    let role = ROLE.replace(':', "%3A").replace('/', "%2F");
    for field in
        [&format!("RoleArn={role}"), "ExternalId=my%20workspace%2F1", "RoleSessionName=standpipe"]
    {
        let all_have = assumed.iter().all(|body| body.split('&').any(|part| part == field));
        assert!(all_have, "no {field} in {assumed:?}");
    }
    // Later requests are signed with the role's own keys, which moto generates.
    let puts = requests.iter().filter(|request| {
        request.headers.contains("PutRecordBatch") && request.body.contains(r#"Name":"role""#)
    });
    let puts: Vec<_> = puts.map(|put| put.headers.as_str()).collect();
    assert!(!puts.is_empty(), "the records were not seen");
    assert!(puts.iter().all(|headers| headers.contains("Credential=ASIA")), "{puts:?}");
}

#[test]
fn a_role_that_cannot_be_assumed_stops_a_start_that_fails_fast() {
    let settings = format!("[aws]\nsts_endpoint_url = 'http://127.0.0.1:1'\nrole_arn = '{ROLE}'");
    let program =
        Program::host_run_against("http://127.0.0.1:1").settings(&settings).mapping(&[("*", "s")]);
    let ran = program.args(["--fail-fast"]).stdin("{}\n").run().expect_exit(1);
    ran.expect_stderr(&[ROLE, "failed to assume the role", "`sts_endpoint_url`"]);
}

#[test]
fn the_endpoint_can_be_set_in_three_ways() {
    let event = "{\"type\":\"track\"}\n";
    let program = || {
        let program = Program::host_run().args(["--region", REGION]).with_keys();
        program.mapping(&[("*", "s")]).stdin(event)
    };
    let nowhere = "http://127.0.0.1:1";
    let settings = |url: &str| format!("[aws]\nendpoint_url = '{url}'");
    for way in ["argument", "settings", "environment"] {
        let stub = Stub::start(|_| StubResponse::Accept);
        let program = match way {
            "argument" => {
                program().args(["--endpoint-url", &stub.url()]).settings(&settings(nowhere))
            }
            "settings" => {
                program().settings(&settings(&stub.url())).env("AWS_ENDPOINT_URL_FIREHOSE", nowhere)
            }
            _ => program().env("AWS_ENDPOINT_URL_FIREHOSE", stub.url()),
        };
        program.run().expect_exit(0);
        assert_eq!(stub.accepted_records()["s"], [event.as_bytes()], "{way}");
    }
}

#[test]
fn keys_and_region_can_stand_in_the_settings() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let (id, secret) =
        (standpipe_tests::signature::ACCESS_KEY_ID, standpipe_tests::signature::SECRET_ACCESS_KEY);
    let settings = format!(
        "[aws]\nregion = 'ap-south-1'\nendpoint_url = '{}'\naccess_key_id = '{id}'\nsecret_access_key = '{secret}'\n\
         session_token = 'the token'",
        stub.url()
    );
    let program = Program::host_run().settings(&settings).mapping(&[("*", "s")]).stdin("{}\n");
    program.env("AWS_REGION", "us-east-1").run().expect_exit(0);
    let put = &stub.requests()[0];
    assert_eq!(put.scope.as_ref().unwrap().region, "ap-south-1");
    assert_eq!(put.headers["x-amz-security-token"], "the token");
}

/// Reads the objects of a bucket, split into records.
fn read_arrived(bucket: &str, streams: &[&str]) -> Streams {
    let objects = moto::shared_server().read_objects(bucket, streams).into_iter();
    objects
        .map(|(stream, objects)| {
            (stream, objects.iter().flat_map(|object| split_records(object)).collect())
        })
        .collect()
}
