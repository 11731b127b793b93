//! A Firehose that fails now and then: nothing is lost, and nothing is there
//! twice but for a lost answer.

use std::collections::BTreeMap;
use std::time::Duration;

use standpipe_tests::events::Events;
use standpipe_tests::oracle::{Differences, Oracle, assert_same, differences};
use standpipe_tests::stub::Put;
use standpipe_tests::{Fate, Program, Ran, Stub, signature};

const EVENTS: usize = 20_000;
const ROWS: &[(&str, &str)] =
    &[("Order Completed", "orders"), ("page", "pages"), ("track", "tracks"), ("*", "rest")];
const BUSY: &str = "ServiceUnavailableException";

#[test]
fn requests_are_signed_whole_and_within_the_limits() {
    let stub = Stub::start(|_| Fate::Accept);
    let input = Events::new(21).ndjson(EVENTS);
    let ran = deliver(&stub, input.clone(), "").exits(0);
    assert_same(&Oracle::new(ROWS).fate(&input).streams, &stub.accepted());
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
    assert!(stub.connections() < puts.len(), "connections are not used again");
    assert!(puts.iter().any(|put| put.records.len() == 500), "no request was full");
}

#[test]
fn large_records_are_packed_within_the_limits() {
    let stub = Stub::start(|_| Fate::Accept);
    let sizes = [1, 1_023_000, 900_000, 1_023_999, 1_023_999, 1_023_999, 1_023_999, 500_000, 3];
    let event = |size: &usize| {
        format!("{{\"f\":\"{}\"}}\n", "x".repeat(size.saturating_sub(8))).into_bytes()
    };
    let input = sizes.iter().cycle().take(40).flat_map(event).collect::<Vec<u8>>();
    deliver(&stub, input.clone(), "").exits(0);
    assert_eq!(stub.violations(), [""; 0]);
    assert_same(&Oracle::new(ROWS).fate(&input).streams, &stub.accepted());
}

#[test]
fn refused_records_alone_are_sent_again() {
    let mut rng = fastrand::Rng::with_seed(22);
    let stub =
        Stub::start(move |put| Fate::Refuse { records: some(&mut rng, put, 10), code: BUSY });
    let input = Events::new(22).ndjson(EVENTS);
    let ran = deliver(&stub, input.clone(), "").exits(0);
    assert_same(&Oracle::new(ROWS).fate(&input).streams, &stub.accepted());
    assert_eq!((ran.count("delivered"), ran.count("ambiguous")), (EVENTS as u64, 0));
}

#[test]
fn only_a_lost_answer_can_double_a_record() {
    let mut rng = fastrand::Rng::with_seed(23);
    let stub = Stub::start(move |put| match rng.u8(..100) {
        _ if put.number == 3 => Fate::Reset { accepted: true },
        0..4 => Fate::Fail { status: 500, code: "InternalFailure", accepted: rng.bool() },
        4..6 => Fate::Reset { accepted: rng.bool() },
        6..8 => Fate::Fail { status: 503, code: BUSY, accepted: false },
        8..10 => Fate::Slow(Duration::from_millis(20)),
        _ => Fate::Refuse { records: some(&mut rng, put, 10), code: BUSY },
    });
    let input = Events::new(23).ndjson(2 * EVENTS);
    let ran = deliver(&stub, input.clone(), "").exits(0);
    assert_eq!(stub.violations(), [""; 0]);
    let found = differences(&Oracle::new(ROWS).fate(&input).streams, &stub.accepted());
    let Differences { missing, unknown, doubled } = &found;
    assert!(missing.is_empty() && unknown.is_empty(), "{}", found.text());
    assert!(!doubled.is_empty(), "the script lost no answer: the test shows nothing");
    let ambiguous = ran.count("ambiguous");
    assert!(doubled.len() as u64 <= ambiguous, "{} doubled, {ambiguous} ambiguous", doubled.len());
    assert_eq!(ran.count("delivered"), 2 * EVENTS as u64);
}

#[test]
fn a_refusal_for_good_kills_that_record_alone() {
    let stub = Stub::start(|put| {
        let is_bad = |record: &Vec<u8>| record.windows(8).any(|word| word == b"poisoned");
        match put.records.iter().filter(|record| is_bad(record)).count() {
            0 => Fate::Accept,
            _ => Fate::Fail { status: 400, code: "InvalidArgumentException", accepted: false },
        }
    });
    let mut lines: Vec<_> = Events::new(24).take(1000).collect();
    for at in [0, 499, 500, 777] {
        lines[at] = format!("{{\"type\":\"track\",\"event\":\"poisoned {at}\"}}");
    }
    let ran = deliver(&stub, lines.join("\n").into_bytes(), "").exits(3);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (996, 4));
    let mut letters: Vec<_> =
        ran.letters().into_iter().map(|letter| (letter.line, letter.reason)).collect();
    letters.sort();
    assert_eq!(letters, [1, 500, 501, 778].map(|line| (line, "record_refused".to_owned())));
}

#[test]
fn a_missing_stream_holds_up_no_other_and_may_appear_in_time() {
    let mut refused = 0;
    let stub = Stub::start(move |put| {
        let is_missing = put.stream == "pages" && refused < 3;
        refused += usize::from(is_missing);
        if is_missing { missing() } else { Fate::Accept }
    });
    let input = Events::new(25).ndjson(300);
    let ran = deliver(&stub, input.clone(), "missing_stream_grace = '1m'")
        .exits(0)
        .says(&["stream=pages"]);
    assert_same(&Oracle::new(ROWS).fate(&input).streams, &stub.accepted());
    assert_eq!(ran.count("ambiguous"), 0);
}

#[test]
fn after_the_grace_records_of_a_missing_stream_are_dead() {
    let stub = Stub::start(|put| if put.stream == "pages" { missing() } else { Fate::Accept });
    let input = Events::new(26).ndjson(300);
    let ran = deliver(&stub, input.clone(), "missing_stream_grace = '400ms'").exits(3);
    let mut expected = Oracle::new(ROWS).fate(&input).streams;
    let pages = expected.remove("pages").unwrap();
    let accepted = stub.accepted().into_iter().filter(|(_, records)| !records.is_empty());
    assert_same(&expected, &accepted.collect());
    let letters = ran.letters();
    let buried: Vec<_> = letters.iter().map(|letter| [&letter.event[..], b"\n"].concat()).collect();
    let buried = BTreeMap::from([("pages".to_owned(), buried)]);
    assert_same(&BTreeMap::from([("pages".to_owned(), pages)]), &buried);
    assert!(letters.iter().all(|letter| letter.reason == "stream_not_found"));
    assert!(letters.iter().any(|letter| letter.attempts > 1));
}

#[test]
fn a_stream_that_is_denied_holds_up_no_other() {
    let mut accepted = 0;
    let input = Events::new(29).ndjson(60_000);
    let fate = Oracle::new(ROWS).fate(&input).streams;
    let others = 60_000 - fate["tracks"].len();
    let stub = Stub::start(move |put| match put.stream.as_str() {
        "tracks" if accepted < others => denied(),
        "tracks" => Fate::Accept,
        _ => {
            accepted += put.records.len();
            Fate::Accept
        }
    });
    let ran = deliver(&stub, input, "").exits(0).says(&["stream=tracks"]);
    assert_same(&fate, &stub.accepted());
    assert_eq!((ran.count("delivered"), ran.count("ambiguous")), (60_000, 0));
    assert!(ran.summary()["streams"]["tracks"]["overflowed"].as_u64().unwrap() > 0);
}

#[test]
fn credentials_that_are_refused_hold_records_until_they_are_not() {
    for code in ["ExpiredTokenException", "AccessDeniedException", "UnrecognizedClientException"] {
        let stub = Stub::start(move |put| match put.number {
            0..2 => Fate::Fail { status: 400, code, accepted: false },
            _ => Fate::Accept,
        });
        let input = Events::new(27).ndjson(100);
        let ran = deliver(&stub, input.clone(), "").exits(0).says(&[code]);
        assert_same(&Oracle::new(ROWS).fate(&input).streams, &stub.accepted());
        assert_eq!((ran.count("ambiguous"), ran.count("dead")), (0, 0), "{code}");
    }
}

#[test]
fn answers_of_something_before_firehose_lose_nothing() {
    let stub = Stub::start(|put| match put.number {
        0 => Fate::Fail { status: 502, code: "", accepted: false },
        1 => Fate::Fail { status: 403, code: "", accepted: false },
        2 => Fate::Fail { status: 429, code: "", accepted: false },
        _ => Fate::Accept,
    });
    let input = Events::new(28).ndjson(100);
    deliver(&stub, input.clone(), "").exits(0);
    assert_same(&Oracle::new(ROWS).fate(&input).streams, &stub.accepted());
}

fn deliver(stub: &Stub, input: Vec<u8>, delivery: &str) -> Ran {
    let program = Program::running_against(&stub.url()).mapping(ROWS);
    program.settings(&format!("[delivery]\n{delivery}")).stdin(input).run()
}

fn denied() -> Fate {
    Fate::Fail { status: 400, code: "AccessDeniedException", accepted: false }
}

fn missing() -> Fate {
    Fate::Fail { status: 400, code: "ResourceNotFoundException", accepted: false }
}

/// So many in a hundred of a request's records.
fn some(rng: &mut fastrand::Rng, put: &Put, percent: u8) -> Vec<usize> {
    (0..put.records.len()).filter(|_| rng.u8(..100) < percent).collect()
}
