//! Events go from a collector through the queue to a mapper, and arrive once.

use std::thread;
use std::time::Instant;

use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::ministack::{self, Ministack};
use standpipe_tests::moto;

use super::*;
use crate::fleet::sender::EventSender;

const BATCHES: usize = 40;
const BATCH_EVENTS: usize = 50;

/// A time after which a message is delivered again that no test waits for.
const LONG_ACK_WAIT: Duration = Duration::from_secs(600);

/// The time from SIGTERM until another mapper has delivered the events: a second to hand them back, and as long again
/// to deliver them on a busy machine.
const HAND_BACK_MAX: Duration = Duration::from_secs(2);

/// A queue, a collector, a mapper and a Firehose stub without faults.
struct SmallFleet {
    ledger: Arc<FleetLedger>,
    firehose: Stub,
    collector: FleetProcess,
    mapper: FleetProcess,
    _directory: tempfile::TempDir,
}

impl SmallFleet {
    /// Starts a collector and a mapper with the lines of `[queue]` for their roles.
    fn start(
        lines: impl Fn(&str) -> Vec<String>,
        adapt: impl Fn(Program) -> Program + Copy + Send + Sync + 'static,
    ) -> Self {
        let ledger = Arc::new(FleetLedger::new());
        let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
        let directory = tempfile::TempDir::new().expect("a directory");
        let queue_lines = lines("collector");
        let collector = FleetProcess::start_collector(directory.path(), "collector", move || {
            adapt(collector_program(&queue_lines))
        });
        let settings = settings_with(&lines("mapper"));
        let url = firehose.url();
        let mapper = FleetProcess::start_mapper(directory.path(), "mapper", move || {
            adapt(Program::host_run_against(&url).settings(&settings).mapping(ROWS))
        });
        SmallFleet { ledger, firehose, collector, mapper, _directory: directory }
    }

    fn sender(&self, seed: u64) -> EventSender<'_> {
        EventSender {
            ledger: &self.ledger,
            url: self.collector.url(),
            events: Events::new(seed),
            batch_events: BATCH_EVENTS,
            pause: Duration::ZERO,
        }
    }

    /// Sends events, and expects each of them once at the stub.
    fn expect_delivery(&mut self) {
        self.sender(211).post_batches(BATCHES);
        wait_for_arrivals(&self.ledger);
        // Each process ends only when nothing is left to do.
        let collected = self.collector.stop().expect_exit(0);
        let mapped = self.mapper.stop().expect_exit(0);
        let events = (BATCHES * BATCH_EVENTS) as u64;
        assert_eq!((collected.count("delivered"), mapped.count("delivered")), (events, events));
        self.ledger.check_exactly_once();
        assert_eq!(self.firehose.violations(), [""; 0]);
    }
}

#[test]
fn events_pass_a_stream_of_nats_once() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    SmallFleet::start(|role| nats_lines(role, &nats.urls()), |program| program).expect_delivery();
    assert_eq!(nats.backlog().stored, 0);
}

/// An SDK that gets no response sends its events again.
#[test]
fn an_event_that_is_sent_again_is_delivered_once_within_the_deduplication_window() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    let firehose = Stub::start(|_| StubResponse::Accept);
    let directory = tempfile::TempDir::new().expect("a directory");
    let lines = nats_lines("collector", &nats.urls());
    let collector = start_collector(directory.path(), "collector", lines);
    let mut lines = nats_lines("mapper", &nats.urls());
    lines.push("deduplication_window = '10m'".to_owned());
    let mut mapper = start_mapper(directory.path(), "mapper", &firehose, lines);
    let authorization = basic_auth(WRITE_KEY).1;
    let headers = [("Authorization", authorization.as_str())];
    let mut client = Client::connect(&collector.url());
    // The events of each request, by their ids.
    for (requests, ids) in [(1.0, &["m1", "m2"][..]), (2.0, &["m2", "m3", "m1"]), (3.0, &["m3"])] {
        let events = ids
            .iter()
            .map(|id| format!(r#"{{"type":"track","event":"E","userId":"u","messageId":"{id}"}}"#));
        let body = format!("{{\"batch\":[{}]}}", events.collect::<Vec<_>>().join(","));
        let response = client.post("/v1/batch", &headers, body.as_bytes()).unwrap();
        assert_eq!(response.status, 200, "{}", response.text());
        wait_until("the message is acknowledged", || {
            mapper.metric("standpipe_queue_acknowledged_messages_total") == requests
        });
    }
    assert_eq!(mapper.metric("standpipe_queue_duplicate_events_total"), 3.0);
    assert_eq!(mapper.metric("standpipe_queue_remembered_events"), 3.0);
    let finished = mapper.stop().expect_exit(0);
    assert_eq!((finished.count("read"), finished.count("delivered")), (3, 3));
    assert_eq!(finished.summary()["queue"]["duplicate_events"], 3);
    let records = firehose.accepted_records().into_values().flatten();
    let mut delivered: Vec<String> = records
        .map(|record| {
            let event: Value = serde_json::from_slice(&record).expect("JSON");
            event["messageId"].as_str().expect("an id").to_owned()
        })
        .collect();
    delivered.sort();
    assert_eq!(delivered, ["m1", "m2", "m3"]);
}

#[test]
fn events_pass_a_queue_of_sqs_in_moto_once() {
    let server = moto::shared_server();
    let url = format!("{}{}", server.url(), server.create_queue("once"));
    SmallFleet::start(|role| sqs_lines(role, &url), |program| program).expect_delivery();
}

#[test]
fn events_pass_a_queue_of_sqs_in_ministack_once() {
    let server = Ministack::start("any", "all");
    let url = format!("{}{}", server.url, ministack::QUEUE_PATH);
    let as_root = |program: Program| program.env("AWS_ACCESS_KEY_ID", ministack::ROOT_KEY);
    SmallFleet::start(|role| sqs_lines(role, &url), as_root).expect_delivery();
}

#[test]
fn one_process_can_have_both_roles() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    let ledger = Arc::new(FleetLedger::new());
    let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = tempfile::TempDir::new().expect("a directory");
    let settings = settings_with(&nats_lines("both", &nats.urls()));
    let url = firehose.url();
    let mut process = FleetProcess::start_collector(directory.path(), "both", move || {
        Program::host_run_against(&url).settings(&settings).mapping(ROWS)
    });
    let sender = EventSender {
        ledger: &ledger,
        url: process.url(),
        events: Events::new(212),
        batch_events: BATCH_EVENTS,
        pause: Duration::ZERO,
    };
    sender.post_batches(BATCHES);
    wait_for_arrivals(&ledger);
    let finished = process.stop().expect_exit(0);
    assert_eq!(finished.count("delivered"), (BATCHES * BATCH_EVENTS) as u64);
    ledger.check_exactly_once();
}

/// Starts a mapper whose settings have no sources, so that it takes events of all.
fn start_mapper_of_all(directory: &Path, firehose: &Stub, nats: &NatsCluster) -> FleetProcess {
    let settings = nats_lines("mapper", &nats.urls()).into_iter();
    let settings = settings
        .fold(CollectorSettings::new([]), |settings, line| settings.with_line("queue", &line));
    let url = firehose.url();
    FleetProcess::start_mapper(directory, "mapper", move || {
        Program::host_run_against(&url).settings(&settings).mapping(ROWS)
    })
}

#[test]
fn a_collector_publishes_files() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    let ledger = Arc::new(FleetLedger::new());
    let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = tempfile::TempDir::new().expect("a directory");
    let mut mapper = start_mapper_of_all(directory.path(), &firehose, &nats);
    let events: Vec<_> = Events::new(213).take(20_000).collect();
    let ids = ledger.record_posted(&events);
    let lines = nats_lines("collector", &nats.urls());
    let input = events.join("\n") + "\nnot JSON\n";
    // It ends when a mapper has confirmed all events.
    let ran = collector_program(&lines).stdin(input).run().expect_exit(0);
    assert_eq!((ran.count("read"), ran.count("delivered")), (20_001, 20_001));
    ledger.record_answered(&ids);
    assert_eq!(ledger.outstanding(), 0);
    let mapped = mapper.stop().expect_exit(3);
    assert_eq!((mapped.count("delivered"), mapped.count("dead")), (20_000, 1));
    ledger.check_exactly_once();
}

#[test]
fn the_dead_letters_of_a_collector_are_copied() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    let firehose = Stub::start(|_| StubResponse::Accept);
    let settings = settings_with(&nats_lines("collector", &nats.urls()));
    let settings = settings.with_line("dead_letters", "stream = 'dead'");
    let too_long = format!("{{\"text\":\"{}\"}}", "x".repeat(9 << 20));
    let program = Program::host_run_against(&firehose.url()).settings(&settings);
    let ran = program.stdin(too_long).run().expect_exit(3);
    assert_eq!((ran.count("dead"), ran.count("dead_letters_copied")), (1, 1));
    let records = firehose.accepted_records();
    let [record] = &records["dead"][..] else { panic!("{} records", records["dead"].len()) };
    assert!(String::from_utf8_lossy(record).contains("\"reason\":\"event_too_long\""));
}

#[test]
fn an_unreadable_message_becomes_a_dead_letter_whole() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    let ledger = Arc::new(FleetLedger::new());
    let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = tempfile::TempDir::new().expect("a directory");
    let lines = nats_lines("mapper", &nats.urls());
    let mut mapper = start_mapper(directory.path(), "mapper", &firehose, lines);
    let messages: [&[u8]; 4] = [b"\x07another version", b"\x01not Zstandard", b"", &[0xff; 3000]];
    for message in messages {
        nats.publish(message);
    }
    wait_until("all messages are acknowledged", || nats.backlog().stored == 0);
    mapper.stop().expect_exit(3);
    let dead_letters = standpipe_tests::DeadLetter::read_all(&directory.path().join("mapper"));
    let found: Vec<_> =
        dead_letters.iter().map(|letter| (&*letter.reason, &letter.event[..])).collect();
    assert_eq!(found, messages.map(|message| ("message_unreadable", message)));
    assert!(
        dead_letters[0].detail.contains("unknown message version 7"),
        "{}",
        dead_letters[0].detail
    );
}

#[test]
fn an_event_of_an_unknown_source_becomes_a_dead_letter() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    let ledger = Arc::new(FleetLedger::new());
    let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = tempfile::TempDir::new().expect("a directory");
    let lines = nats_lines("collector", &nats.urls());
    let collector = start_collector(directory.path(), "collector", lines);
    let others = CollectorSettings::new([SourceEntry::segment("another")]);
    let lines = nats_lines("mapper", &nats.urls());
    let settings = lines.iter().fold(others, |settings, line| settings.with_line("queue", line));
    let url = firehose.url();
    let mut mapper = FleetProcess::start_mapper(directory.path(), "mapper", move || {
        Program::host_run_against(&url).settings(&settings).mapping(ROWS)
    });
    let authorization = basic_auth(WRITE_KEY).1;
    let headers = [("Authorization", authorization.as_str())];
    let body = br#"{"type":"track","event":"of web","userId":"u","messageId":"1"}"#;
    let response = Client::connect(&collector.url()).post("/v1/track", &headers, body).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    wait_until("the event is published and settled", || {
        mapper.metric("standpipe_queue_acknowledged_messages_total") == 1.0
    });
    mapper.stop().expect_exit(3);
    let dead_letters = standpipe_tests::DeadLetter::read_all(&directory.path().join("mapper"));
    let [dead_letter] = &dead_letters[..] else { panic!("{dead_letters:?}") };
    assert_eq!((&*dead_letter.reason, &*dead_letter.source), ("unknown_source", "web"));
    assert!(String::from_utf8_lossy(&dead_letter.event).contains("of web"));
}

#[test]
fn an_event_that_is_too_large_for_the_queue_becomes_a_dead_letter() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    let ledger = Arc::new(FleetLedger::new());
    let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = tempfile::TempDir::new().expect("a directory");
    let mapper = start_mapper_of_all(directory.path(), &firehose, &nats);
    // Zstandard cannot shrink it below a message of NATS, which has a megabyte.
    let mut random = fastrand::Rng::with_seed(214);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(2 << 20).collect();
    let large = format!("{{\"type\":\"track\",\"messageId\":\"large\",\"noise\":\"{noise}\"}}");
    let mut events: Vec<_> = Events::new(214).take(100).collect();
    let ids = ledger.record_posted(&events);
    events.insert(50, large.clone());
    let ran = collector_program(&nats_lines("collector", &nats.urls()))
        .stdin(events.join("\n"))
        .run()
        .expect_exit(3);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (100, 1));
    let dead_letters = ran.dead_letters();
    let [dead_letter] = &dead_letters[..] else { panic!("{} dead letters", dead_letters.len()) };
    assert_eq!((&*dead_letter.reason, dead_letter.line), ("message_too_large", 51));
    assert!(dead_letter.event == large.as_bytes(), "the dead letter has the event");
    ledger.record_answered(&ids);
    assert_eq!(ledger.outstanding(), 0);
    ledger.check_exactly_once();
    drop(mapper);
}

#[test]
fn a_stopped_mapper_hands_its_messages_of_nats_back_within_a_second() {
    let nats = NatsCluster::start(1);
    let lines = |role: &str| with_long_ack_wait(nats_lines(role, &nats.urls()));
    create_queue_with(&lines("both"), &nats);
    hand_back(lines);
}

#[test]
fn a_stopped_mapper_hands_its_messages_of_sqs_back_within_a_second() {
    let server = moto::shared_server();
    let url = format!("{}{}", server.url(), server.create_queue("handed-back"));
    hand_back(|role| with_long_ack_wait(sqs_lines(role, &url)));
}

/// Messages that are not handed back are delivered again only after this time.
fn with_long_ack_wait(queue_lines: Vec<String>) -> Vec<String> {
    let lines = queue_lines.into_iter().filter(|line| !line.starts_with("ack_wait"));
    lines.chain([format!("ack_wait = '{}s'", LONG_ACK_WAIT.as_secs())]).collect()
}

/// Stops a mapper that holds messages, and expects that another one delivers them.
fn hand_back(lines: impl Fn(&str) -> Vec<String>) {
    let ledger = Arc::new(FleetLedger::new());
    let held = start_firehose(&ledger, |_| StubResponse::Fail {
        status: 503,
        code: "ServiceUnavailableException",
        accepted: false,
    });
    let healthy = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = tempfile::TempDir::new().expect("a directory");
    let collector = start_collector(directory.path(), "collector", lines("collector"));
    let mut first = start_mapper(directory.path(), "first", &held, lines("mapper"));
    let sender = EventSender {
        ledger: &ledger,
        url: collector.url(),
        events: Events::new(215),
        batch_events: BATCH_EVENTS,
        pause: Duration::ZERO,
    };
    sender.post_batches(BATCHES);
    wait_until("the first mapper holds all messages", || {
        let published = collector.metric(PUBLISHED);
        published >= 1.0 && first.metric(IN_PROGRESS) == published
    });
    let second = start_mapper(directory.path(), "second", &healthy, lines("mapper"));
    let stopped = Instant::now();
    let stopping = thread::spawn(move || first.stop());
    wait_for_arrivals(&ledger);
    let took = stopped.elapsed();
    assert!(took < HAND_BACK_MAX, "the second mapper has delivered all events after {took:?}");
    let finished = stopping.join().expect("the first mapper stops").expect_exit(0);
    assert_eq!((finished.count("delivered"), finished.count("dead")), (0, 0));
    ledger.check_exactly_once();
    drop((collector, second));
}
