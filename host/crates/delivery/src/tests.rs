//! Tests delivery with a client that fails on purpose, under paused time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::faulty_client::{FaultyClient, InjectedFault};
use super::*;
use crate::dead_letters::DeadLetterWriter;
use crate::limits;
use standpipe_core::event::{Ack, Settled, StreamName};

mod compression;
mod progress;
mod retirement;
mod spans;

/// The outcome of a test's records.
struct Ran {
    settled: Settled,
    streams: BTreeMap<String, StreamReport>,
    accepted: BTreeMap<String, Vec<Vec<u8>>>,
    dead_letters: Vec<serde_json::Value>,
    elapsed: Duration,
}

const GRACE: Duration = Duration::from_secs(60);

fn settings() -> DeliverySettings {
    DeliverySettings {
        stream: StreamSettings { newline: true, concurrency: 2, aggregation: Aggregation::Off },
        streams: HashMap::new(),
        missing_stream_grace: GRACE,
        start_rate: StartRate::Unbounded,
        max_delay: Duration::from_secs(1),
        in_flight_bytes_max: limits::IN_FLIGHT_BYTES_MAX,
        request_bytes_enough: limits::REQUEST_BYTES_ENOUGH,
        overflow_directory: std::env::temp_dir(),
        overflow_bytes_max: settings::OVERFLOW_BYTES_MAX,
        dynamic_streams_max: 100,
        stream_idle_timeout: limits::STREAM_IDLE_TIMEOUT,
    }
}

/// Delivers records to streams through a client, and gives up after an hour.
async fn deliver(port: FaultyClient, records: Vec<(&'static str, Vec<u8>)>) -> Ran {
    deliver_packed(port, records, Aggregation::Off).await
}

async fn deliver_packed(
    port: FaultyClient,
    records: Vec<(&'static str, Vec<u8>)>,
    aggregation: Aggregation,
) -> Ran {
    let stream = StreamSettings { aggregation, ..settings().stream };
    deliver_with(DeliverySettings { stream, ..settings() }, port, records).await
}

async fn deliver_with(
    settings: DeliverySettings,
    port: FaultyClient,
    records: Vec<(&'static str, Vec<u8>)>,
) -> Ran {
    let started = Instant::now();
    let directory = tempfile::tempdir().unwrap();
    let dead_letters = Arc::new(DeadLetterWriter::new(directory.path().to_owned()));
    let (port, abort) = (Arc::new(port), CancellationToken::new());
    let delivery = Delivery::new(
        FirehoseClients::new(Arc::clone(&port) as Arc<dyn FirehoseClient>),
        settings,
        Arc::clone(&dead_letters),
        Handle::current(),
        abort.clone(),
    );
    let settled = Arc::new(Mutex::new(Settled::default()));
    let (mut accumulator, notice) = (RecordAccumulator::new(&delivery), Arc::clone(&settled));
    let push_all = move || {
        let notice = move |settled| *notice.lock() = settled;
        let ack = Ack::new("test".into(), records.len(), notice);
        let provenance = Provenance { ack, plugin: "digest".into(), generation: 0 };
        for (event, (stream, text)) in (0..).zip(&records) {
            let place = place(&mut accumulator, stream);
            let record = Record { event, line: u64::from(event) + 1, text, payload: None };
            accumulator.push(place, &provenance, record).unwrap();
        }
        accumulator.close_all();
    };
    tokio::task::spawn_blocking(push_all).await.unwrap();
    let overdue = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        abort.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = delivery.drain() => {}
        () = overdue => {}
    }
    let file = dead_letters.report().file;
    let lines = file.map(|file| std::fs::read_to_string(file).unwrap()).unwrap_or_default();
    Ran {
        settled: *settled.lock(),
        streams: delivery.report(),
        accepted: port
            .accepted()
            .into_iter()
            .map(|(name, records)| (name.to_string(), records))
            .collect(),
        dead_letters: lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        elapsed: started.elapsed(),
    }
}

/// The slot of a stream that events name.
fn place(accumulator: &mut RecordAccumulator, stream: &str) -> StreamSlot {
    let name = StreamName::parse(stream).unwrap();
    accumulator.place(Identity::default(), &name, NamedBy::Event).unwrap()
}

/// Records `0`, `1`, ... for the stream `s`.
fn numbered(count: usize) -> Vec<(&'static str, Vec<u8>)> {
    (0..count).map(|number| ("s", number.to_string().into_bytes())).collect()
}

fn lines(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("{number}\n").into_bytes()).collect()
}

fn sorted(mut records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    records.sort_by_key(|record| (record.len(), record.clone()));
    records
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_is_delivered_in_order() {
    let ran = deliver(FaultyClient::new(|_, _, _| InjectedFault::None), numbered(500)).await;
    assert_eq!(ran.accepted["s"], lines(500));
    let report = StreamReport {
        events: 500,
        records: 500,
        bytes: 1890,
        requests: 1,
        billed_kb: 2500,
        billed_kb_unaggregated: 2500,
        ..StreamReport::default()
    };
    assert_eq!(ran.streams["s"], report);
    assert_eq!(ran.settled.delivered, 500);
}

#[tokio::test(start_paused = true)]
async fn only_refused_records_are_sent_again() {
    for code in ["ServiceUnavailableException", "InternalFailure", "ThrottlingException", "Unheard"]
    {
        let port = FaultyClient::new(move |_, batch, request| match request {
            0 => InjectedFault::Refuse((0..batch.len()).step_by(3).collect(), code),
            1 => InjectedFault::Refuse(vec![5], code),
            _ => InjectedFault::None,
        });
        let ran = deliver(port, numbered(30)).await;
        assert_eq!(sorted(ran.accepted["s"].clone()), lines(30), "{code}");
        assert_eq!((ran.streams["s"].requests, ran.streams["s"].retries), (3, 11), "{code}");
        assert_eq!((ran.settled.delivered, ran.streams["s"].ambiguous), (30, 0), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_means_duplicates_that_are_counted() {
    let port = FaultyClient::new(|_, _, request| match request {
        0 => InjectedFault::FailAfter(RetryClass::RetryAmbiguous, "ConnectionLost"),
        _ => InjectedFault::None,
    });
    let ran = deliver(port, numbered(10)).await;
    assert_eq!(ran.accepted["s"].len(), 20);
    assert_eq!((ran.streams["s"].ambiguous, ran.streams["s"].retries), (10, 10));
    assert_eq!((ran.settled.delivered, ran.streams["s"].events), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn an_invalid_answer_is_counted_and_its_records_are_sent_again() {
    let port = FaultyClient::new(|_, _, request| match request {
        0 => InjectedFault::FailBefore(RetryClass::RetryAmbiguous, "InvalidAnswer"),
        1 => InjectedFault::FailBefore(RetryClass::RetryAmbiguous, "Timeout"),
        _ => InjectedFault::None,
    });
    let ran = deliver(port, numbered(10)).await;
    assert_eq!(ran.accepted["s"], lines(10));
    assert_eq!((ran.streams["s"].invalid_answers, ran.streams["s"].ambiguous), (1, 20));
    assert_eq!((ran.settled.delivered, ran.settled.dead), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_too_large_are_split() {
    let port = FaultyClient::new(|_, batch, _| match batch.len() {
        0..8 => InjectedFault::None,
        _ => InjectedFault::FailBefore(RetryClass::TooLarge, "HTTP 413"),
    });
    let ran = deliver(port, numbered(400)).await;
    assert_eq!(sorted(ran.accepted["s"].clone()), lines(400));
    assert_eq!((ran.settled.delivered, ran.settled.dead), (400, 0));
    assert!(ran.streams["s"].requests < 140, "{:?}", ran.streams["s"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_alone_that_is_too_large_for_the_way_is_kept() {
    let port = FaultyClient::new(|_, _, request| match request {
        0..60 => InjectedFault::FailBefore(RetryClass::TooLarge, "HTTP 413"),
        _ => InjectedFault::None,
    });
    let ran = deliver(port, numbered(10)).await;
    assert_eq!(sorted(ran.accepted["s"].clone()), lines(10));
    assert_eq!((ran.settled.delivered, ran.settled.dead), (10, 0));
    assert_eq!((ran.streams["s"].ambiguous, &ran.streams["s"].problem), (0, &None));
    // The sender pauses between requests.
    assert!(ran.elapsed > Duration::from_secs(60), "{:?}", ran.elapsed);
    // Even at the end of a run, the records do not count as faulty.
    let port =
        FaultyClient::new(|_, _, _| InjectedFault::FailBefore(RetryClass::TooLarge, "HTTP 413"));
    let ran = deliver(port, numbered(3)).await;
    assert!(
        ran.dead_letters.iter().all(|letter| letter["reason"] == "given_up"),
        "{:?}",
        ran.dead_letters
    );
    assert_eq!(ran.settled.dead, 3);
}

#[tokio::test(start_paused = true)]
async fn trouble_that_ends_loses_nothing() {
    for retry_class in [RetryClass::Retry, RetryClass::Hold, RetryClass::Missing] {
        let port = FaultyClient::new(move |_, _, request| match request {
            0..5 => InjectedFault::FailBefore(retry_class, "Trouble"),
            _ => InjectedFault::None,
        });
        let ran = deliver(port, numbered(10)).await;
        assert_eq!(ran.accepted["s"], lines(10), "{retry_class:?}");
        assert_eq!((ran.settled.delivered, ran.streams["s"].ambiguous), (10, 0), "{retry_class:?}");
        assert_eq!(ran.streams["s"].problem, None, "{retry_class:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stays_missing_goes_to_the_dead_letters_after_its_grace() {
    let port = FaultyClient::new(|stream, _, _| match stream.as_str() {
        "gone" => InjectedFault::FailBefore(RetryClass::Missing, "ResourceNotFoundException"),
        _ => InjectedFault::None,
    });
    let ran = deliver(port, vec![("gone", b"a".to_vec()), ("here", b"b".to_vec())]).await;
    assert_eq!((ran.settled.delivered, ran.settled.dead), (1, 1));
    assert!(ran.elapsed >= GRACE, "{:?}", ran.elapsed);
    let letter = &ran.dead_letters[0];
    assert_eq!(
        (&letter["reason"], &letter["stream"]),
        (&"stream_not_found".into(), &"gone".into())
    );
    assert_eq!((&letter["event"], &letter["line"]), (&"a".into(), &1.into()));
    assert!(letter["attempts"].as_u64().unwrap() > 3, "{letter}");
}

#[tokio::test(start_paused = true)]
async fn the_invalid_record_of_a_request_is_found() {
    let port = FaultyClient::new(|_, batch, _| {
        let is_invalid = batch.payloads().any(|payload| matches!(payload, b"7\n" | b"123\n"));
        if is_invalid {
            InjectedFault::FailBefore(RetryClass::Invalid, "ValidationException")
        } else {
            InjectedFault::None
        }
    });
    let ran = deliver(port, numbered(400)).await;
    assert_eq!((ran.settled.delivered, ran.settled.dead), (398, 2));
    let mut dead: Vec<_> =
        ran.dead_letters.iter().map(|letter| letter["event"].as_str().unwrap()).collect();
    dead.sort_unstable();
    assert_eq!(dead, ["123", "7"]);
    assert!(ran.streams["s"].requests < 40, "{:?}", ran.streams["s"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_refused_for_good_goes_to_the_dead_letters_alone() {
    let port = FaultyClient::new(|_, batch, request| match request {
        0 => InjectedFault::Refuse(vec![batch.len() - 1], "InvalidArgumentException"),
        _ => InjectedFault::None,
    });
    let ran = deliver(port, numbered(5)).await;
    assert_eq!((ran.settled.delivered, ran.settled.dead), (4, 1));
    assert_eq!(ran.dead_letters[0]["reason"], "record_refused");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_goes_to_the_dead_letters() {
    let port = FaultyClient::new(|stream, _, _| match stream.as_str() {
        "denied" => InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException"),
        "hanging" => InjectedFault::Hang,
        _ => InjectedFault::None,
    });
    let records = ["denied", "fine", "hanging", "fine"].map(|stream| (stream, b"x".to_vec()));
    let ran = deliver(port, records.into()).await;
    assert_eq!((ran.settled.delivered, ran.settled.dead), (2, 2));
    assert_eq!(ran.streams["denied"].problem.as_deref(), Some("AccessDeniedException: injected"));
    assert_eq!((ran.streams["denied"].ambiguous, ran.streams["hanging"].ambiguous), (0, 1));
    let mut dead_letters: Vec<_> =
        ran.dead_letters.iter().map(|letter| &letter["detail"]).collect();
    dead_letters.sort_by_key(|detail| detail.as_str().unwrap().len());
    let ended = "the run ended before the stream took it";
    assert_eq!(dead_letters, [ended, &format!("{ended}: AccessDeniedException: injected")]);
    assert_eq!(ran.accepted["fine"].len(), 2);
}

/// This number of records of a kilobyte, for each of these streams in turn.
fn kilobytes(streams: &[&'static str], count: usize) -> Vec<(&'static str, Vec<u8>)> {
    let record = |number: usize| format!("{number:01000}").into_bytes();
    (0..count * streams.len()).map(|at| (streams[at % streams.len()], record(at))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_held_stream_holds_up_no_other() {
    const COUNT: usize = 40_000;
    let accepted = Mutex::new(0);
    let port = FaultyClient::new(move |stream, batch, _| {
        let mut accepted = accepted.lock();
        if stream.as_str() != "denied" {
            *accepted += batch.len();
        } else if *accepted < 2 * COUNT {
            return InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException");
        }
        InjectedFault::None
    });
    let ran = deliver(port, kilobytes(&["a", "denied", "b"], COUNT)).await;
    assert_eq!(ran.settled.delivered, 3 * COUNT as u64);
    assert!(["a", "b", "denied"].iter().all(|stream| ran.accepted[*stream].len() == COUNT));
    let denied = &ran.streams["denied"];
    assert!(denied.overflowed > COUNT as u64 / 2, "{denied:?}");
    // A batch is not sent before earlier batches on disk. Only concurrent requests may overtake
    // each other.
    let number =
        |record: &[u8]| std::str::from_utf8(record).unwrap().trim().parse::<usize>().unwrap() / 3;
    let strays =
        ran.accepted["denied"].iter().enumerate().map(|(at, record)| number(record).abs_diff(at));
    assert!(strays.max().unwrap() <= 2000, "the order was not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_disk_the_input_waits_for_a_held_stream() {
    let port = FaultyClient::new(|stream, _, request| match stream.as_str() {
        "denied" if request < 12 => {
            InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException")
        }
        _ => InjectedFault::None,
    });
    let settings = DeliverySettings { overflow_bytes_max: 0, ..settings() };
    let ran = deliver_with(settings, port, kilobytes(&["denied", "a"], 40_000)).await;
    assert_eq!((ran.settled.delivered, ran.streams["denied"].overflowed), (80_000, 0));
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_everything_that_waits_for_a_missing_stream_is_dead_lettered_at_once() {
    let port = FaultyClient::new(|_, _, _| {
        InjectedFault::FailBefore(RetryClass::Missing, "ResourceNotFoundException")
    });
    let ran = deliver(port, numbered(20_000)).await;
    assert_eq!(ran.settled.dead, 20_000);
    let longest_probe = standpipe_aws::limits::RETRY_PAUSE_MAX;
    assert!(ran.elapsed < GRACE + 2 * longest_probe, "{:?}", ran.elapsed);
}

#[tokio::test(start_paused = true)]
async fn what_several_requests_leave_is_sent_in_one() {
    let port = FaultyClient::new(|_, batch, _| {
        let tenth = (0..batch.len()).filter(|_| fastrand::u8(..10) == 0).collect();
        InjectedFault::Refuse(tenth, "ServiceUnavailableException")
    });
    let ran = deliver(port, numbered(50_000)).await;
    assert_eq!(ran.settled.delivered, 50_000);
    let requests = ran.streams["s"].requests;
    // Each of 100 full batches leaves 50 records to send again, and each of these leaves 5.
    assert!(requests < 125, "{requests} requests where 112 are needed");
}

#[tokio::test(start_paused = true)]
async fn identities_share_no_request_though_their_streams_have_one_name() {
    let port = || Arc::new(FaultyClient::new(|_, _, _| InjectedFault::None));
    let (default, other) = (port(), port());
    let mut ports = FirehoseClients::new(Arc::clone(&default) as Arc<dyn FirehoseClient>);
    let identity = ports.add("web".to_owned(), Arc::clone(&other) as Arc<dyn FirehoseClient>);
    let dead_letters = Arc::new(DeadLetterWriter::new("unused".into()));
    let delivery =
        Delivery::new(ports, settings(), dead_letters, Handle::current(), CancellationToken::new());
    let mut accumulator = RecordAccumulator::new(&delivery);
    let name = StreamName::parse("s").unwrap();
    let places = [Identity::default(), identity]
        .map(|identity| accumulator.place(identity, &name, NamedBy::Event).unwrap());
    let provenance =
        Provenance { ack: Ack::new("test".into(), 9, |_| ()), plugin: "".into(), generation: 0 };
    for event in 0..9 {
        let record = Record { event, line: 1, text: b"e", payload: None };
        accumulator.push(places[event as usize % 3 / 2], &provenance, record).unwrap();
    }
    accumulator.close_all();
    delivery.drain().await;
    let records = [default, other].map(|port| port.accepted()[&name].len());
    assert_eq!(records, [6, 3]);
    let events = delivery.report().into_iter().map(|(name, report)| (name, report.events));
    let expected = [("s", 6), ("s as web", 3)].map(|(name, events)| (name.to_owned(), events));
    assert_eq!(events.collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_record_larger_than_firehose_takes_is_not_taken() {
    let port = Arc::new(FaultyClient::new(|_, _, _| InjectedFault::None));
    let dead_letters = Arc::new(DeadLetterWriter::new("unused".into()));
    let delivery = Delivery::new(
        FirehoseClients::new(port),
        settings(),
        dead_letters,
        Handle::current(),
        CancellationToken::new(),
    );
    let mut accumulator = RecordAccumulator::new(&delivery);
    let place = place(&mut accumulator, "s");
    let provenance =
        Provenance { ack: Ack::new("test".into(), 2, |_| ()), plugin: "".into(), generation: 0 };
    let text = vec![b'x'; limits::RECORD_BYTES_MAX];
    let mut push = |text: &[u8]| {
        let record = Record { event: 0, line: 1, text, payload: None };
        accumulator.push(place, &provenance, record)
    };
    assert_eq!(push(&text), Err(RecordNotAdded::TooLarge { bytes: limits::RECORD_BYTES_MAX + 1 }));
    assert_eq!(push(&text[1..]), Ok(()));
}

/// All tasks share one thread under paused time: a task that waits for memory must not block it.
#[tokio::test(start_paused = true)]
async fn an_asynchronous_driver_waits_for_room_without_blocking() {
    let port = Arc::new(FaultyClient::new(|_, _, request| match request {
        0..40 => InjectedFault::FailBefore(RetryClass::Retry, "ServiceUnavailableException"),
        _ => InjectedFault::None,
    }));
    let dead_letters = Arc::new(DeadLetterWriter::new("unused".into()));
    let ports = FirehoseClients::new(Arc::clone(&port) as Arc<dyn FirehoseClient>);
    let delivery =
        Delivery::new(ports, settings(), dead_letters, Handle::current(), CancellationToken::new());
    let mut accumulator = RecordAccumulator::new(&delivery);
    let place = place(&mut accumulator, "s");
    let records = kilobytes(&["s"], 40_000);
    let ack =
        Ack::new("test".into(), records.len(), |settled| assert_eq!(settled.delivered, 40_000));
    let provenance = Provenance { ack, plugin: "".into(), generation: 0 };
    let started = Instant::now();
    for (event, (_, text)) in (0..).zip(&records) {
        let record = Record { event, line: 1, text, payload: None };
        accumulator.add(place, &provenance, record).unwrap();
        accumulator.flush().await;
    }
    assert!(started.elapsed() > Duration::ZERO, "it never waited");
    tokio::time::sleep(settings().max_delay).await;
    accumulator.end_due(Instant::now().into_std());
    accumulator.flush().await;
    drop((accumulator, provenance));
    delivery.drain().await;
    assert_eq!(port.accepted().into_values().flatten().count(), 40_000);
}

/// Sizes of records, small and large. All together stay below what one stream may have in flight: a
/// worker that waits for memory would stop paused time.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let small = prop::collection::vec(0_usize..3000, 1..1000);
    let large = prop::collection::vec(300_000..limits::RECORD_BYTES_MAX, 0..5);
    (small, large).prop_map(|(small, large)| [small, large].concat()).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn requests_keep_within_the_limits_and_every_record_arrives_once(
        sizes in sizes(),
        fail_every in 1_usize..9,
    ) {
        let records: Vec<_> = sizes.iter().enumerate().map(|(number, size)| {
            let mut text = number.to_string().into_bytes();
            text.resize(text.len().max(*size), b'.');
            (if number % 7 == 0 { "a" } else { "b" }, text)
        }).collect();
        let mut expected: Vec<_> =
            records.iter().map(|(_, text)| [text.as_slice(), b"\n"].concat()).collect();
        let port = FaultyClient::new(move |_, batch, request| {
            assert!(batch.len() <= limits::REQUEST_RECORDS_MAX);
            assert!(batch.payload_bytes() <= limits::REQUEST_BYTES_MAX);
            match request % fail_every {
                1 => InjectedFault::Refuse((0..batch.len()).step_by(2).collect(), "InternalFailure"),
                2 => InjectedFault::FailBefore(RetryClass::Retry, "ServiceUnavailableException"),
                _ => InjectedFault::None,
            }
        });
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let ran = runtime.block_on(deliver(port, records));
        prop_assert_eq!(ran.settled, Settled { delivered: sizes.len() as u64, ..Settled::default() });
        let mut accepted = ran.accepted.into_values().flatten().collect::<Vec<_>>();
        expected.sort_unstable();
        accepted.sort_unstable();
        prop_assert!(accepted == expected, "records are missing, doubled or changed");
    }
}

#[tokio::test(start_paused = true)]
async fn packed_events_share_records_and_are_billed_as_such() {
    let port = FaultyClient::new(|_, _, request| match request {
        0 => InjectedFault::Refuse(vec![1], "ServiceUnavailableException"),
        _ => InjectedFault::None,
    });
    let records = numbered(1200);
    let ran = deliver_packed(port, records, Aggregation::UpTo { bytes_max: 100_000 }).await;
    let report = &ran.streams["s"];
    // A record has at most 500 events.
    assert_eq!((report.events, report.records, report.retries), (1200, 3, 1));
    assert_eq!((report.billed_kb, report.billed_kb_unaggregated), (15, 6000));
    let second: Vec<_> = lines(1200)[500..1000].concat();
    assert_eq!(ran.accepted["s"][2], second, "a record is sent again as it was");
    assert_eq!(ran.settled.delivered, 1200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn packed_records_keep_within_the_limits_and_every_event_arrives_once_and_in_order(
        sizes in sizes(),
        bytes_max in 5 * 1024..=limits::RECORD_BYTES_MAX,
    ) {
        let records: Vec<_> = sizes.iter().enumerate().map(|(number, size)| {
            let mut text = number.to_string().into_bytes();
            text.resize(text.len().max(*size), b'.');
            ("s", text)
        }).collect();
        let mut expected: Vec<_> =
            records.iter().map(|(_, text)| [text.as_slice(), b"\n"].concat()).collect();
        let port = FaultyClient::new(move |_, batch, _| {
            assert!(batch.len() <= limits::REQUEST_RECORDS_MAX);
            assert!(batch.payload_bytes() <= limits::REQUEST_BYTES_MAX);
            for record in batch.payloads() {
                let events = record.iter().filter(|&&byte| byte == b'\n').count();
                assert!(events <= limits::RECORD_EVENTS_MAX);
                assert!(record.len() <= bytes_max || events == 1);
                assert!(record.len() <= limits::RECORD_BYTES_MAX);
            }
            InjectedFault::None
        });
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let ran = runtime.block_on(deliver_packed(port, records, Aggregation::UpTo { bytes_max }));
        prop_assert_eq!(ran.settled.delivered, sizes.len() as u64);
        let number = |event: &[u8]| {
            let digits = event.split(|&byte| !byte.is_ascii_digit()).next().unwrap();
            std::str::from_utf8(digits).unwrap().parse::<usize>().unwrap()
        };
        let mut accepted = Vec::new();
        for record in &ran.accepted["s"] {
            let events: Vec<_> = record.split_inclusive(|&byte| byte == b'\n').collect();
            prop_assert!(events.windows(2).all(|pair| number(pair[0]) + 1 == number(pair[1])));
            accepted.extend(events.into_iter().map(<[u8]>::to_vec));
        }
        expected.sort_unstable();
        accepted.sort_unstable();
        prop_assert!(accepted == expected, "events are missing, doubled or changed");
    }
}

/// Rejects every request, regardless of its content.
fn refusing() -> InjectedFault {
    InjectedFault::FailBefore(RetryClass::Invalid, "InvalidArgumentException")
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_refuses_everything_is_held_and_no_record_is_condemned() {
    let start = Instant::now();
    let port = FaultyClient::new(move |_, _, _| match start.elapsed() < Duration::from_secs(600) {
        true => refusing(),
        false => InjectedFault::None,
    });
    let ran = deliver(port, numbered(20_000)).await;
    assert_eq!(sorted(ran.accepted["s"].clone()), lines(20_000));
    assert_eq!((ran.settled.delivered, ran.settled.dead), (20_000, 0));
    // 40 requests carry all records. Then halving stops, and the stream is tested every few
    // seconds.
    assert!(ran.streams["s"].requests < 300, "{:?}", ran.streams["s"]);
    assert_eq!(ran.streams["s"].problem, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_accepts_says_why_when_the_run_ends() {
    for count in [2_000, 1] {
        let ran = deliver(FaultyClient::new(|_, _, _| refusing()), numbered(count)).await;
        assert_eq!(ran.settled.dead, count as u64, "the run gave up");
        assert!(ran.dead_letters.iter().all(|letter| letter["reason"] == "given_up"));
        let problem = ran.streams["s"].problem.as_deref().unwrap_or_default();
        assert!(problem.contains("Direct PUT") && problem.contains("InvalidArgument"), "{problem}");
        assert!(ran.streams["s"].requests < 500, "{:?}", ran.streams["s"]);
    }
}

/// If Firehose names each record, it has examined the records, so one of them is dead-lettered at
/// each attempt. It is not plausible that all of them are invalid.
#[tokio::test(start_paused = true)]
async fn a_stream_that_names_every_record_is_held_all_the_same() {
    let code = "InvalidArgumentException";
    let port = FaultyClient::new(move |_, batch, request| match request {
        0..100 => InjectedFault::Refuse((0..batch.len()).collect(), code),
        _ => InjectedFault::None,
    });
    let ran = deliver(port, numbered(2_000)).await;
    assert_eq!(ran.settled.delivered + ran.settled.dead, 2_000);
    assert!((50..=100).contains(&ran.settled.dead), "{:?}", ran.settled);
    assert!(ran.dead_letters.iter().all(|letter| letter["reason"] == "record_refused"));
    assert!(ran.elapsed > Duration::from_secs(10), "it pauses: {:?}", ran.elapsed);
}

/// The other streams continue, and the stream that starts to reject everything loses nothing.
#[tokio::test(start_paused = true)]
async fn a_stream_that_begins_to_refuse_everything_is_held_too() {
    let start = Instant::now();
    let port = FaultyClient::new(move |stream, _, request| match stream.as_str() {
        "turns" if request > 5 && start.elapsed() < Duration::from_secs(300) => refusing(),
        _ => InjectedFault::None,
    });
    let ran = deliver(port, kilobytes(&["fine", "turns"], 10_000)).await;
    assert_eq!((ran.settled.delivered, ran.settled.dead), (20_000, 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_alone_is_condemned_once_the_stream_accepts_another() {
    let is_bad = |batch: &Batch| batch.payloads().any(|payload| payload == b"bad\n");
    let port = FaultyClient::new(move |_, batch, _| match is_bad(batch) {
        true => refusing(),
        false => InjectedFault::None,
    });
    let port = Arc::new(port);
    let dead_letters =
        Arc::new(DeadLetterWriter::new(tempfile::tempdir().unwrap().path().to_owned()));
    let ports = FirehoseClients::new(Arc::clone(&port) as Arc<dyn FirehoseClient>);
    let delivery = Delivery::new(
        ports,
        settings(),
        Arc::clone(&dead_letters),
        Handle::current(),
        CancellationToken::new(),
    );
    let mut accumulator = RecordAccumulator::new(&delivery);
    let place = place(&mut accumulator, "s");
    let provenance =
        Provenance { ack: Ack::new("test".into(), 2, |_| ()), plugin: "".into(), generation: 0 };
    for (event, text) in [(0, &b"bad"[..]), (1, b"good")] {
        let record = Record { event, line: 1, text, payload: None };
        accumulator.add(place, &provenance, record).unwrap();
        accumulator.end_all();
        accumulator.flush().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let dead = dead_letters.report().dead_letters.values().sum::<u64>();
        assert_eq!(dead, u64::from(event), "it is compared with another one first");
        assert_eq!(delivery.report()["s"].problem.is_some(), event == 0);
    }
    drop((accumulator, provenance));
    delivery.drain().await;
    assert_eq!(port.accepted().into_values().flatten().collect::<Vec<_>>(), [b"good\n"]);
}

/// At the end of an input, no further records arrive to compare the last ones with.
#[tokio::test(start_paused = true)]
async fn the_last_records_of_a_run_are_condemned_by_what_the_stream_accepted_before() {
    let port = FaultyClient::new(|_, batch, _| {
        match batch.payloads().any(|payload| payload.starts_with(b"bad")) {
            true => refusing(),
            false => InjectedFault::None,
        }
    });
    let mut records = numbered(500);
    records.extend([("s", b"bad 1".to_vec()), ("s", b"bad 2".to_vec())]);
    let ran = deliver(port, records).await;
    assert_eq!((ran.settled.delivered, ran.settled.dead), (500, 2));
    assert!(ran.dead_letters.iter().all(|letter| letter["reason"] == "record_refused"));
    assert!(ran.elapsed < Duration::from_secs(120), "{:?}", ran.elapsed);
}

#[tokio::test(start_paused = true)]
async fn each_request_with_a_record_counts_as_an_attempt() {
    let port =
        FaultyClient::new(|_, batch, _| match batch.payloads().any(|payload| payload == b"0\n") {
            true => refusing(),
            false => InjectedFault::None,
        });
    let ran = deliver(port, numbered(512)).await;
    assert_eq!((ran.settled.delivered, ran.settled.dead), (511, 1));
    // The first request has 500 records, each further one half of them.
    let attempts = ran.dead_letters[0]["attempts"].as_u64().unwrap();
    assert!((9..=11).contains(&attempts), "{attempts}");
    assert!(ran.streams["s"].retries >= 500, "{:?}", ran.streams["s"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_accepts_nothing_is_no_recovery() {
    for code in ["AccessDeniedException", "InvalidSourceException", "ServiceUnavailableException"] {
        let port = FaultyClient::new(move |_, batch, _| {
            InjectedFault::Refuse((0..batch.len()).collect(), code)
        });
        let ran = deliver(port, numbered(1_000)).await;
        assert_eq!(ran.settled.dead, 1_000, "{code}: the run gave up");
        let problem = ran.streams["s"].problem.as_deref().unwrap_or_default();
        assert!(problem.contains(code), "{code}: {problem:?}");
        assert!(ran.streams["s"].requests < 1_500, "{code}: {:?}", ran.streams["s"]);
    }
}

/// Keeps the log of a test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_held_is_told_of_every_30_seconds() {
    let log = Log::default();
    let own = log.clone();
    let lines = tracing_subscriber::fmt().with_writer(move || own.clone()).with_ansi(false);
    standpipe_core::scoped_log::ask_all_threads();
    let _guard = tracing::subscriber::set_default(lines.finish());
    let port = FaultyClient::new(|_, _, _| {
        InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException")
    });
    let ran = deliver(port, numbered(10)).await;
    assert_eq!(ran.settled.dead, 10, "the run gave up after an hour");
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    let logged = text.lines().filter(|line| line.contains("AccessDeniedException")).count();
    assert!((115..=122).contains(&logged), "{logged} lines in an hour");
}
