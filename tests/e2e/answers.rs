//! Tests responses that do not account for every record, that never end, or that come from
//! something in front of Firehose: no record is lost, and none is dead-lettered because of them.

mod services;

use standpipe_tests::events::Events;
use standpipe_tests::oracle::{Oracle, assert_same};
use standpipe_tests::{FinishedRun, Program, Stub, StubResponse};

/// Records of each request whose first response is wrong.
const RECORDS: usize = 3;

/// Responses to a request of [`RECORDS`] records that do not report a result for each record.
fn incomplete_answers() -> Vec<(u16, String)> {
    let ids = r#"{"RecordId":"1"},{"RecordId":"2"}"#;
    let failed = r#"{"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow down."}"#;
    let answer = |count: &str, results: &str| {
        format!(r#"{{"FailedPutCount":{count},"RequestResponses":[{results}]}}"#)
    };
    let bodies = [
        String::new(),
        "{}".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "<html>welcome</html>".to_owned(),
        r#"{"FailedPutCount":0}"#.to_owned(),
        format!(r#"{{"RequestResponses":[{ids},{{"RecordId":"3"}}]}}"#),
        answer("0", ""),
        answer("0", ids),
        answer("0", &format!(r#"{ids},{{"RecordId":"3"}},{{"RecordId":"4"}}"#)),
        answer("0", &format!("{ids},{failed}")),
        answer("0", &format!("{ids},{{}}")),
        answer("0", &format!(r#"{ids},{{"RecordId":""}}"#)),
        answer("0", &format!(r#"{ids},{{"RecordId":null,"ErrorCode":null}}"#)),
        answer("1", &format!(r#"{ids},{{"RecordId":"3"}}"#)),
        answer("1", &format!(r#"{ids},{{"RecordId":"3","ErrorCode":"InternalFailure"}}"#)),
        answer("2", &format!("{ids},{failed}")),
        answer("null", &format!(r#"{ids},{{"RecordId":"3"}}"#)),
        answer("-1", &format!(r#"{ids},{{"RecordId":"3"}}"#)),
        answer("0", &format!(r#"{ids},{{"RecordId":3}}"#)),
        answer("0", &format!(r#"{ids},["3"]"#)),
        format!(r#"[0,[{ids},{{"RecordId":"3"}}]]"#),
        answer("0", &format!(r#"{ids},{{"RecordId":"3"}}"#)).replace("]}", ""),
    ];
    let mut answers: Vec<_> = bodies.into_iter().map(|body| (200, body)).collect();
    answers.push((204, String::new()));
    answers
}

#[test]
fn a_response_that_does_not_account_for_every_record_is_ignored() {
    let answers = incomplete_answers();
    let streams: Vec<String> = (0..answers.len()).map(|number| format!("s{number}")).collect();
    let rows: Vec<_> = streams.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let scripted = answers.clone();
    let mut seen = std::collections::BTreeSet::new();
    let stub = Stub::start(move |put| {
        assert_eq!(put.records.len(), RECORDS, "{}", put.stream);
        let number: usize = put.stream[1..].parse().expect("a number");
        let (status, body) = scripted[number].clone();
        if seen.insert(number) {
            StubResponse::from_text(status, body)
        } else {
            StubResponse::Accept
        }
    });
    let event = |name: &String| format!("{{\"type\":\"track\",\"event\":\"{name}\"}}\n");
    let input: String = streams.iter().map(|name| event(name).repeat(RECORDS)).collect();
    let program = Program::host_run_against(&stub.url()).settings("workers = 1").mapping(&rows);
    let ran = program
        .stdin(input)
        .run()
        .expect_exit(0)
        .expect_stderr(&["InvalidAnswer", "`endpoint_url`"]);
    let records = (answers.len() * RECORDS) as u64;
    assert_eq!((ran.count("delivered"), ran.count("dead")), (records, 0));
    for (name, (status, body)) in streams.iter().zip(&answers) {
        let accepted = stub.accepted_records();
        let event = event(name).into_bytes();
        assert_eq!(accepted[name], vec![event; RECORDS], "{status}: {body}");
        let report = &ran.summary()["streams"][name];
        assert_eq!(report["invalid_answers"], 1, "{status}: {body}: {report}");
        assert_eq!(report["ambiguous"], RECORDS as u64, "{status}: {body}: {report}");
    }
}

#[test]
fn an_endless_response_takes_no_memory() {
    const BYTES: usize = 200_000_000;
    let input = Events::new(61).into_ndjson(100);
    let plain = Stub::start(|_| StubResponse::Accept);
    let (_, usual) = new_program(&plain.url(), input.clone()).watch(|_| {});
    let stub = Stub::start(|put| match put.number {
        number @ 0..3 => StubResponse::Long { status: [200, 502, 403][number], bytes: BYTES },
        _ => StubResponse::Accept,
    });
    let (ran, usage) = new_program(&stub.url(), input.clone()).watch(|_| {});
    let ran = ran.expect_exit(0).expect_stderr(&["more than 1048576 bytes"]);
    assert_same(
        &Oracle::new(&[("*", "s")]).expected_outcome(&input).streams,
        &stub.accepted_records(),
    );
    assert_eq!((ran.count("delivered"), ran.count("dead")), (100, 0));
    let more = usage.memory_bytes_max.saturating_sub(usual.memory_bytes_max);
    assert!(more < 24 << 20, "{more} bytes more than without");
}

#[test]
fn a_413_for_every_size_holds_the_stream() {
    let stub = Stub::start(|put| match put.number {
        0..12 => not_firehose(413),
        _ => StubResponse::Accept,
    });
    let input = Events::new(62).into_ndjson(4);
    let ran = run_program(&stub, input.clone()).expect_exit(0).expect_stderr(&[
        "HTTP 413",
        "body",
        "raise its limit",
    ]);
    assert_same(
        &Oracle::new(&[("*", "s")]).expected_outcome(&input).streams,
        &stub.accepted_records(),
    );
    assert_eq!((ran.count("dead"), ran.count("ambiguous")), (0, 0));
}

#[test]
fn a_413_for_large_requests_makes_them_smaller() {
    let stub = Stub::start(|put| {
        let bytes: usize = put.records.iter().map(Vec::len).sum();
        if bytes > 20_000 { not_firehose(413) } else { StubResponse::Accept }
    });
    let input = Events::new(63).into_ndjson(2000);
    let ran = run_program(&stub, input.clone()).expect_exit(0);
    assert_same(
        &Oracle::new(&[("*", "s")]).expected_outcome(&input).streams,
        &stub.accepted_records(),
    );
    assert_eq!((ran.count("dead"), ran.count("ambiguous")), (0, 0));
}

/// A request with one small record can be rejected for a reason other than the record.
#[test]
fn no_status_of_a_proxy_dead_letters_a_record() {
    let statuses = [
        301, 302, 307, 400, 401, 403, 404, 405, 407, 408, 410, 411, 413, 414, 415, 417, 421, 425,
        429, 431, 451, 500, 501, 502, 503, 504, 505, 507, 511,
    ];
    let streams: Vec<String> = statuses.iter().map(|status| format!("s{status}")).collect();
    let rows: Vec<_> = streams.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let mut seen = std::collections::BTreeSet::new();
    let stub = Stub::start(move |put| {
        let status = put.stream[1..].parse().expect("a status");
        if seen.insert(status) { not_firehose(status) } else { StubResponse::Accept }
    });
    let event = |name: &String| format!("{{\"type\":\"track\",\"event\":\"{name}\"}}\n");
    let input: String = streams.iter().map(event).collect();
    let program = Program::host_run_against(&stub.url()).mapping(&rows).stdin(input);
    let ran = program.run().expect_exit(0).expect_stderr(&["HTTP 302", "it redirects"]);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (statuses.len() as u64, 0));
    for name in &streams {
        assert_eq!(stub.accepted_records()[name], [event(name).into_bytes()]);
    }
}

fn new_program(url: &str, input: Vec<u8>) -> Program {
    Program::host_run_against(url).settings("workers = 1").mapping(&[("*", "s")]).stdin(input)
}

fn run_program(stub: &Stub, input: Vec<u8>) -> FinishedRun {
    new_program(&stub.url(), input).run()
}

/// A response without Firehose's format and without a code.
fn not_firehose(status: u16) -> StubResponse {
    StubResponse::from_text(status, "<html>not AWS</html>".to_owned())
}
