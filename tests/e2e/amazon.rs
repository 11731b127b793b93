//! Delivery to Firehose as moto has it, read back from its buckets with AWS's
//! own client.

use std::collections::BTreeMap;

use standpipe_tests::events::Events;
use standpipe_tests::moto::{self, REGION};
use standpipe_tests::oracle::{Fate as Expected, Oracle, Streams, assert_same, records};
use standpipe_tests::{Fate, Program, Stub};

const EVENTS: usize = 6000;
/// In the account that moto's streams are made in.
const ROLE: &str = "arn:aws:iam::123456789012:role/firehose-writer";

#[test]
fn every_byte_arrives_in_the_buckets_once() {
    let streams = ["all-orders", "all-pages", "all-rest"];
    let rows = [("order completed", streams[0]), ("page", streams[1]), ("*", streams[2])];
    moto::server().create("all", &streams);
    let input = Events::new(31).ndjson(EVENTS);
    let ran = Program::running_against(moto::server().url())
        .mapping(&rows)
        .stdin(input.clone())
        .run()
        .exits(0);
    assert_same(&Oracle::new(&rows).fate(&input).streams, &arrived("all", &streams));
    assert_eq!((ran.count("delivered"), ran.count("ambiguous")), (EVENTS as u64, 0));
}

#[test]
fn without_newlines_records_run_together() {
    moto::server().create("bare", &["bare"]);
    let input = Events::new(32).ndjson(400);
    let program = Program::running_against(moto::server().url())
        .settings("workers = 1\n[streams.bare]\nnewline = false");
    program.mapping(&[("*", "bare")]).stdin(input.clone()).run().exits(0);
    let objects = &moto::server().read("bare", &["bare"])["bare"];
    let text: Vec<u8> = input.iter().copied().filter(|&byte| byte != b'\n').collect();
    assert!(objects.len() == 1 && objects[0] == text, "other bytes than the events'");
}

#[test]
fn a_missing_stream_without_grace_kills_its_records_alone() {
    moto::server().create("there", &["there"]);
    let rows = [("page", "not-there"), ("*", "there")];
    let input = Events::new(33).ndjson(500);
    let program = Program::running_against(moto::server().url())
        .settings("[delivery]\nmissing_stream_grace = '0s'");
    let ran = program.mapping(&rows).stdin(input.clone()).run().exits(3);
    let Expected { mut streams, .. } = Oracle::new(&rows).fate(&input);
    let lost = streams.remove("not-there").unwrap();
    assert_same(&streams, &arrived("there", &["there"]));
    let letters = ran.letters();
    for letter in &letters {
        assert_eq!(
            (letter.reason.as_str(), letter.stream.as_deref()),
            ("stream_not_found", Some("not-there"))
        );
        assert!(letter.detail.contains("ResourceNotFoundException"), "{}", letter.detail);
    }
    let buried =
        letters.into_iter().map(|letter| [letter.event, b"\n".to_vec()].concat()).collect();
    let lost = BTreeMap::from([("not-there".to_owned(), lost)]);
    assert_same(&lost, &BTreeMap::from([("not-there".to_owned(), buried)]));
}

#[test]
fn a_role_is_assumed_with_its_external_id() {
    let moto = moto::server();
    moto.create("role", &["role"]);
    moto.record();
    let settings = format!(
        "[aws]\nsts_endpoint_url = '{}'\nrole_arn = '{ROLE}'\nexternal_id = 'my workspace/1'",
        moto.url()
    );
    let input = Events::new(34).ndjson(50);
    let program =
        Program::running_against(moto.url()).settings(&settings).mapping(&[("*", "role")]);
    program.stdin(input.clone()).run().exits(0);
    assert_same(&Oracle::new(&[("*", "role")]).fate(&input).streams, &arrived("role", &["role"]));

    let requests = moto.recorded();
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
    // Records are then signed with the role's own keys, which moto makes up.
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
        Program::running_against("http://127.0.0.1:1").settings(&settings).mapping(&[("*", "s")]);
    let ran = program.args(["--fail-fast"]).stdin("{}\n").run().exits(1);
    ran.says(&[ROLE, "failed to assume the role", "`sts_endpoint_url`"]);
}

#[test]
fn the_endpoint_can_be_set_in_three_ways() {
    let event = "{\"type\":\"track\"}\n";
    let program = || {
        let program = Program::running().args(["--region", REGION]).with_keys();
        program.mapping(&[("*", "s")]).stdin(event)
    };
    let nowhere = "http://127.0.0.1:1";
    let settings = |url: &str| format!("[aws]\nendpoint_url = '{url}'");
    for way in ["argument", "settings", "environment"] {
        let stub = Stub::start(|_| Fate::Accept);
        let program = match way {
            "argument" => {
                program().args(["--endpoint-url", &stub.url()]).settings(&settings(nowhere))
            }
            "settings" => {
                program().settings(&settings(&stub.url())).env("AWS_ENDPOINT_URL_FIREHOSE", nowhere)
            }
            _ => program().env("AWS_ENDPOINT_URL_FIREHOSE", stub.url()),
        };
        program.run().exits(0);
        assert_eq!(stub.accepted()["s"], [event.as_bytes()], "{way}");
    }
}

#[test]
fn keys_and_region_can_stand_in_the_settings() {
    let stub = Stub::start(|_| Fate::Accept);
    let (id, secret) =
        (standpipe_tests::signature::ACCESS_KEY_ID, standpipe_tests::signature::SECRET_ACCESS_KEY);
    let settings = format!(
        "[aws]\nregion = 'ap-south-1'\nendpoint_url = '{}'\naccess_key_id = '{id}'\nsecret_access_key = '{secret}'\n\
         session_token = 'the token'",
        stub.url()
    );
    let program = Program::running().settings(&settings).mapping(&[("*", "s")]).stdin("{}\n");
    program.env("AWS_REGION", "us-east-1").run().exits(0);
    let put = &stub.requests()[0];
    assert_eq!(put.scope.as_ref().unwrap().region, "ap-south-1");
    assert_eq!(put.headers["x-amz-security-token"], "the token");
}

/// What is in a bucket, cut into records.
fn arrived(bucket: &str, streams: &[&str]) -> Streams {
    let objects = moto::server().read(bucket, streams).into_iter();
    objects
        .map(|(stream, objects)| {
            (stream, objects.iter().flat_map(|object| records(object)).collect())
        })
        .collect()
}
