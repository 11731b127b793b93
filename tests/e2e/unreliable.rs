//! Tests a Firehose that fails from time to time: nothing is lost, and duplicates only follow from
//! lost responses.

use std::collections::BTreeMap;
use std::time::Duration;

use standpipe_tests::events::Events;
use standpipe_tests::oracle::{Differences, Oracle, assert_same, compare_streams};
use standpipe_tests::stub::PutRequest;
use standpipe_tests::{FinishedRun, Program, Stub, StubResponse, signature};

const EVENTS: usize = 20_000;
const ROWS: &[(&str, &str)] =
    &[("Order Completed", "orders"), ("page", "pages"), ("track", "tracks"), ("*", "rest")];
const BUSY: &str = "ServiceUnavailableException";

#[test]
fn requests_are_signed_whole_and_within_the_limits() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let input = Events::new(21).into_ndjson(EVENTS);
    let ran = run_delivery(&stub, input.clone(), "").expect_exit(0);
    assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &stub.accepted_records());
    assert_eq!(stub.violations(), [""; 0]);
    let puts = stub.requests();
    for put in &puts {
        let scope = put.scope.as_ref().expect("a checked signature");
        assert_eq!(scope.access_key_id, signature::ACCESS_KEY_ID);
        assert_eq!((scope.region.as_str(), scope.service.as_str()), ("eu-central-1", "firehose"));
        assert_eq!(put.headers["x-amz-target"], "Firehose_20150804.PutRecordBatch");
        assert_eq!(put.headers["content-type"], "application/x-amz-json-1.1");
    }
    let streams = ran.summary()["streams"].as_object().unwrap().clone();
    let requests = streams.values().map(|stream| stream["requests"].as_u64().unwrap());
    assert_eq!(requests.sum::<u64>(), puts.len() as u64);
    assert!(stub.connection_count() < puts.len(), "connections are not used again");
    assert!(puts.iter().any(|put| put.records.len() == 500), "no request was full");
}

#[test]
fn large_records_are_packed_within_the_limits() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let sizes = [1, 1_023_000, 900_000, 1_023_999, 1_023_999, 1_023_999, 1_023_999, 500_000, 3];
    let event = |size: &usize| {
        format!("{{\"f\":\"{}\"}}\n", "x".repeat(size.saturating_sub(8))).into_bytes()
    };
    let input = sizes.iter().cycle().take(40).flat_map(event).collect::<Vec<u8>>();
    run_delivery(&stub, input.clone(), "").expect_exit(0);
    assert_eq!(stub.violations(), [""; 0]);
    assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &stub.accepted_records());
}

#[test]
fn only_refused_records_are_sent_again() {
    let mut rng = fastrand::Rng::with_seed(22);
    let stub = Stub::start(move |put| StubResponse::Refuse {
        records: draw_positions(&mut rng, put, 10),
        code: BUSY,
    });
    let input = Events::new(22).into_ndjson(EVENTS);
    let ran = run_delivery(&stub, input.clone(), "").expect_exit(0);
    assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &stub.accepted_records());
    assert_eq!((ran.count("delivered"), ran.count("ambiguous")), (EVENTS as u64, 0));
}

#[test]
fn only_a_lost_response_duplicates_a_record() {
    let mut rng = fastrand::Rng::with_seed(23);
    let stub = Stub::start(move |put| match rng.u8(..100) {
        _ if put.number == 3 => StubResponse::Reset { accepted: true },
        0..4 => StubResponse::Fail { status: 500, code: "InternalFailure", accepted: rng.bool() },
        4..6 => StubResponse::Reset { accepted: rng.bool() },
        6..8 => StubResponse::Fail { status: 503, code: BUSY, accepted: false },
        8..10 => StubResponse::Slow(Duration::from_millis(20)),
        _ => StubResponse::Refuse { records: draw_positions(&mut rng, put, 10), code: BUSY },
    });
    let input = Events::new(23).into_ndjson(2 * EVENTS);
    let ran = run_delivery(&stub, input.clone(), "").expect_exit(0);
    assert_eq!(stub.violations(), [""; 0]);
    let found = compare_streams(
        &Oracle::new(ROWS).expected_outcome(&input).streams,
        &stub.accepted_records(),
    );
    let Differences { missing, unknown, doubled } = &found;
    assert!(missing.is_empty() && unknown.is_empty(), "{}", found.text());
    assert!(!doubled.is_empty(), "the script lost no answer: the test shows nothing");
    let ambiguous = ran.count("ambiguous");
    assert!(doubled.len() as u64 <= ambiguous, "{} doubled, {ambiguous} ambiguous", doubled.len());
    assert_eq!(ran.count("delivered"), 2 * EVENTS as u64);
}

#[test]
fn only_a_permanently_refused_record_is_dead_lettered() {
    let stub = Stub::start(|put| {
        let is_bad = |record: &Vec<u8>| record.windows(8).any(|word| word == b"poisoned");
        match put.records.iter().filter(|record| is_bad(record)).count() {
            0 => StubResponse::Accept,
            _ => StubResponse::Fail {
                status: 400,
                code: "InvalidArgumentException",
                accepted: false,
            },
        }
    });
    let mut lines: Vec<_> = Events::new(24).take(1000).collect();
    for at in [0, 499, 500, 777] {
        lines[at] = format!("{{\"type\":\"track\",\"event\":\"poisoned {at}\"}}");
    }
    let ran = run_delivery(&stub, lines.join("\n").into_bytes(), "").expect_exit(3);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (996, 4));
    let mut dead_letters: Vec<_> = ran
        .dead_letters()
        .into_iter()
        .map(|dead_letter| (dead_letter.line, dead_letter.reason))
        .collect();
    dead_letters.sort();
    assert_eq!(dead_letters, [1, 500, 501, 778].map(|line| (line, "record_refused".to_owned())));
}

#[test]
fn a_missing_stream_delays_no_other_and_may_be_created_in_time() {
    let mut refused = 0;
    let stub = Stub::start(move |put| {
        let is_missing = put.stream == "pages" && refused < 3;
        refused += usize::from(is_missing);
        if is_missing { missing_response() } else { StubResponse::Accept }
    });
    let input = Events::new(25).into_ndjson(300);
    let ran = run_delivery(&stub, input.clone(), "missing_stream_grace = '1m'")
        .expect_exit(0)
        .expect_stderr(&["stream=pages"]);
    assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &stub.accepted_records());
    assert_eq!(ran.count("ambiguous"), 0);
}

#[test]
fn after_the_grace_records_of_a_missing_stream_are_dead_lettered() {
    let stub =
        Stub::start(
            |put| if put.stream == "pages" { missing_response() } else { StubResponse::Accept },
        );
    let input = Events::new(26).into_ndjson(300);
    let ran = run_delivery(&stub, input.clone(), "missing_stream_grace = '400ms'").expect_exit(3);
    let mut expected = Oracle::new(ROWS).expected_outcome(&input).streams;
    let pages = expected.remove("pages").unwrap();
    let accepted = stub.accepted_records().into_iter().filter(|(_, records)| !records.is_empty());
    assert_same(&expected, &accepted.collect());
    let dead_letters = ran.dead_letters();
    let dead_lettered: Vec<_> =
        dead_letters.iter().map(|dead_letter| [&dead_letter.event[..], b"\n"].concat()).collect();
    let dead_lettered = BTreeMap::from([("pages".to_owned(), dead_lettered)]);
    assert_same(&BTreeMap::from([("pages".to_owned(), pages)]), &dead_lettered);
    assert!(dead_letters.iter().all(|dead_letter| dead_letter.reason == "stream_not_found"));
    assert!(dead_letters.iter().any(|dead_letter| dead_letter.attempts > 1));
}

#[test]
fn a_denied_stream_delays_no_other() {
    let mut accepted = 0;
    let input = Events::new(29).into_ndjson(60_000);
    let fate = Oracle::new(ROWS).expected_outcome(&input).streams;
    let others = 60_000 - fate["tracks"].len();
    let stub = Stub::start(move |put| match put.stream.as_str() {
        "tracks" if accepted < others => denied_response(),
        "tracks" => StubResponse::Accept,
        _ => {
            accepted += put.records.len();
            StubResponse::Accept
        }
    });
    let ran = run_delivery(&stub, input, "").expect_exit(0).expect_stderr(&["stream=tracks"]);
    assert_same(&fate, &stub.accepted_records());
    assert_eq!((ran.count("delivered"), ran.count("ambiguous")), (60_000, 0));
    assert!(ran.summary()["streams"]["tracks"]["overflowed"].as_u64().unwrap() > 0);
}

#[test]
fn refused_credentials_hold_records_until_they_are_accepted() {
    for code in ["ExpiredTokenException", "AccessDeniedException", "UnrecognizedClientException"] {
        let stub = Stub::start(move |put| match put.number {
            0..2 => StubResponse::Fail { status: 400, code, accepted: false },
            _ => StubResponse::Accept,
        });
        let input = Events::new(27).into_ndjson(100);
        let ran = run_delivery(&stub, input.clone(), "").expect_exit(0).expect_stderr(&[code]);
        assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &stub.accepted_records());
        assert_eq!((ran.count("ambiguous"), ran.count("dead")), (0, 0), "{code}");
    }
}

#[test]
fn responses_of_a_proxy_before_firehose_lose_nothing() {
    let stub = Stub::start(|put| match put.number {
        0 => StubResponse::Fail { status: 502, code: "", accepted: false },
        1 => StubResponse::Fail { status: 403, code: "", accepted: false },
        2 => StubResponse::Fail { status: 429, code: "", accepted: false },
        _ => StubResponse::Accept,
    });
    let input = Events::new(28).into_ndjson(100);
    run_delivery(&stub, input.clone(), "").expect_exit(0);
    assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &stub.accepted_records());
}

fn run_delivery(stub: &Stub, input: Vec<u8>, delivery: &str) -> FinishedRun {
    let program = Program::host_run_against(&stub.url()).mapping(ROWS);
    program.settings(&format!("[delivery]\n{delivery}")).stdin(input).run()
}

fn denied_response() -> StubResponse {
    StubResponse::Fail { status: 400, code: "AccessDeniedException", accepted: false }
}

fn missing_response() -> StubResponse {
    StubResponse::Fail { status: 400, code: "ResourceNotFoundException", accepted: false }
}

/// Draws this percentage of a request's records.
fn draw_positions(rng: &mut fastrand::Rng, put: &PutRequest, percent: u8) -> Vec<usize> {
    (0..put.records.len()).filter(|_| rng.u8(..100) < percent).collect()
}
