//! Processes and networks that stall: a held delivery stream, a stopped mapper, a network that loses all packets, and
//! a stream of JetStream that is lost. Nothing is lost, no message is delivered again for ever, and memory is bounded.
//!
//! `FLEET_STALL_SECONDS=60` has stalls last as long as the default of `ack_wait`. Without it they last longer than the
//! shortest `ack_wait`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;
use standpipe_tests::nats::NatsBacklog;
use standpipe_tests::{TcpProxy, moto};
use tempfile::TempDir;

use super::sender::{EndLoadOnDrop, EventSender};
use super::*;

/// How long a stall lasts: long enough for two deliveries of a message that nobody extends.
const STALL_SHORT: Duration = Duration::from_secs(12);

/// The load of each test.
const BATCH_EVENTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(50);

/// Memory of a process while 200,000 events wait: a collector and a mapper take less than 100 MiB.
const MEMORY_BYTES_MAX: u64 = 200 << 20;

/// A stopping process may take this long without its queue: see `LAST_ACKNOWLEDGEMENTS_PATIENCE` of the queue.
const STOP_MAX: Duration = Duration::from_secs(15);

fn stall_duration() -> Duration {
    let seconds = std::env::var("FLEET_STALL_SECONDS").ok();
    seconds.map_or(STALL_SHORT, |seconds| {
        Duration::from_secs(seconds.parse().expect("FLEET_STALL_SECONDS is a number"))
    })
}

/// One NATS server, a collector, and the Firehose stub.
struct StallScene {
    nats: NatsCluster,
    ledger: Arc<FleetLedger>,
    /// While set, the stub refuses all records.
    is_held: Arc<AtomicBool>,
    firehose: Stub,
    directory: TempDir,
}

impl StallScene {
    fn new() -> Self {
        let nats = NatsCluster::start(1);
        create_queue(&nats);
        let ledger = Arc::new(FleetLedger::new());
        let is_held = Arc::new(AtomicBool::new(false));
        let firehose = start_holdable_firehose(&ledger, &is_held);
        StallScene {
            nats,
            ledger,
            is_held,
            firehose,
            directory: TempDir::new().expect("a directory"),
        }
    }

    fn start_collector(&self, servers: &str) -> FleetProcess {
        start_collector(self.directory.path(), "collector", nats_lines("collector", servers))
    }

    fn start_mapper(&self, name: &str, servers: &str) -> FleetProcess {
        start_mapper(self.directory.path(), name, &self.firehose, nats_lines("mapper", servers))
    }

    /// Sends events to a collector for as long as `during` takes.
    fn under_load<T>(&self, collector: &FleetProcess, seed: u64, during: impl FnOnce() -> T) -> T {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let sender = EventSender {
                ledger: &self.ledger,
                url: collector.url(),
                events: Events::new(seed),
                batch_events: BATCH_EVENTS,
                pause: PAUSE,
            };
            let is_over = &is_over;
            scope.spawn(move || sender.run_until(is_over));
            let _ending = EndLoadOnDrop(is_over);
            during()
        })
    }

    /// Waits until all events have arrived, and the queue has delivered each message for the last time.
    fn wait_for_end(&self) {
        wait_for_arrivals(&self.ledger);
        let empty = NatsBacklog { waiting: 0, unacknowledged: 0, redelivered: 0, stored: 0 };
        wait_until("the queue is empty", || self.nats.backlog() == empty);
    }

    /// Events that something at this time could have hit.
    fn count_in_flight(&self, since: Duration) -> usize {
        let since = since.saturating_sub(Duration::from_secs(1));
        self.ledger.count_in_flight(since, self.ledger.now())
    }

    /// Checks that all events have arrived, and that no more of them came twice than were in flight.
    fn check_duplicates(&self, in_flight: usize) {
        let duplicates = self.ledger.check();
        let count: usize = duplicates.iter().map(|duplicate| duplicate.count).sum();
        assert!(count <= in_flight, "{count} duplicates, {in_flight} events in flight");
    }
}

/// A Firehose stub that refuses all records while `is_held`.
fn start_holdable_firehose(ledger: &Arc<FleetLedger>, is_held: &Arc<AtomicBool>) -> Stub {
    let is_held = Arc::clone(is_held);
    start_firehose(ledger, move |_| match is_held.load(Ordering::Relaxed) {
        true => StubResponse::Fail { status: 400, code: "AccessDeniedException", accepted: false },
        false => StubResponse::Accept,
    })
}

/// A URL of a NATS server behind a proxy, as a list of a settings file.
fn url_of(proxy: &TcpProxy) -> String {
    format!("['nats://{}']", proxy.address())
}

#[test]
fn a_held_stream_holds_messages_without_delivering_them_again() {
    let scene = StallScene::new();
    let collector = scene.start_collector(&scene.nats.urls());
    let mappers = ["one", "two"].map(|name| scene.start_mapper(name, &scene.nats.urls()));
    scene.is_held.store(true, Ordering::Relaxed);
    scene.under_load(&collector, 221, || thread::sleep(stall_duration()));
    let held: f64 = mappers.iter().map(|mapper| mapper.metric(IN_PROGRESS)).sum();
    assert!(held > 0.0 && scene.ledger.outstanding() > 0, "nothing was held");
    scene.is_held.store(false, Ordering::Relaxed);
    scene.wait_for_end();
    // The mappers have extended all messages, and the collector has waited for them.
    let again: f64 = mappers.iter().map(|mapper| mapper.metric(REDELIVERED)).sum();
    assert_eq!((again, collector.metric(REPUBLISHED)), (0.0, 0.0));
    scene.ledger.check_exactly_once();
}

#[test]
fn a_held_stream_holds_messages_of_sqs_without_delivering_them_again() {
    let server = moto::shared_server();
    let url = format!("{}{}", server.url(), server.create_queue("held"));
    let ledger = Arc::new(FleetLedger::new());
    let is_held = Arc::new(AtomicBool::new(true));
    let firehose = start_holdable_firehose(&ledger, &is_held);
    let directory = TempDir::new().expect("a directory");
    let lines = sqs_lines("collector", &url);
    let collector = start_collector(directory.path(), "collector", lines);
    let mappers = ["one", "two"]
        .map(|name| start_mapper(directory.path(), name, &firehose, sqs_lines("mapper", &url)));
    let sender = EventSender {
        ledger: &ledger,
        url: collector.url(),
        events: Events::new(231),
        batch_events: BATCH_EVENTS,
        pause: PAUSE,
    };
    sender.post_batches(20);
    thread::sleep(stall_duration());
    is_held.store(false, Ordering::Relaxed);
    wait_for_arrivals(&ledger);
    let again: f64 = mappers.iter().map(|mapper| mapper.metric(REDELIVERED)).sum();
    assert_eq!(again, 0.0);
    ledger.check_exactly_once();
}

#[test]
fn a_stopped_mapper_loses_its_messages_to_another() {
    let scene = StallScene::new();
    let collector = scene.start_collector(&scene.nats.urls());
    let [stopped, other] = ["one", "two"].map(|name| scene.start_mapper(name, &scene.nats.urls()));
    let in_flight = scene.under_load(&collector, 222, || {
        wait_until("both mappers work", || {
            [&stopped, &other].iter().all(|mapper| mapper.metric(RECEIVED) > 3.0)
        });
        stopped.running().send_signal(Signal::STOP);
        let since = scene.ledger.now();
        thread::sleep(stall_duration());
        stopped.running().send_signal(Signal::CONT);
        thread::sleep(Duration::from_secs(1));
        scene.count_in_flight(since)
    });
    scene.wait_for_end();
    scene.check_duplicates(in_flight);
    // Each message that the stopped mapper held was delivered once more, and those that JetStream had sent to it.
    let again = stopped.metric(REDELIVERED) + other.metric(REDELIVERED);
    let received = stopped.metric(RECEIVED) + other.metric(RECEIVED);
    assert!(again <= received / 2.0, "{again} of {received} messages were delivered again");
}

#[test]
fn a_mapper_that_is_cut_off_loses_its_messages_to_another() {
    let scene = StallScene::new();
    let collector = scene.start_collector(&scene.nats.urls());
    let proxy = TcpProxy::start(&scene.nats.address(0));
    let cut = scene.start_mapper("one", &url_of(&proxy));
    let other = scene.start_mapper("two", &scene.nats.urls());
    let in_flight = scene.under_load(&collector, 223, || {
        wait_until("both mappers work", || {
            [&cut, &other].iter().all(|mapper| mapper.metric(RECEIVED) > 3.0)
        });
        proxy.cut();
        let since = scene.ledger.now();
        let started = Instant::now();
        wait_until("the mapper reports that it has lost its queue", || {
            cut.get("/health/ready").0 == 503
        });
        thread::sleep(stall_duration().saturating_sub(started.elapsed()));
        proxy.restore();
        wait_until("the mapper is ready again", || cut.get("/health/ready").0 == 200);
        scene.count_in_flight(since)
    });
    scene.wait_for_end();
    scene.check_duplicates(in_flight);
}

#[test]
fn a_server_that_is_cut_off_is_left_for_another() {
    let nats = NatsCluster::start(3);
    create_queue(&nats);
    let ledger = Arc::new(FleetLedger::new());
    let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = TempDir::new().expect("a directory");
    let proxies: Vec<_> =
        (0..nats.server_count()).map(|number| TcpProxy::start(&nats.address(number))).collect();
    let urls = proxies.iter().map(|proxy| format!("'nats://{}'", proxy.address()));
    let urls = format!("[{}]", urls.collect::<Vec<_>>().join(", "));
    let mapper = start_mapper(directory.path(), "mapper", &firehose, nats_lines("mapper", &urls));
    let lines = nats_lines("collector", &nats.urls());
    let collector = start_collector(directory.path(), "collector", lines);
    let sender = |seed| EventSender {
        ledger: &ledger,
        url: collector.url(),
        events: Events::new(seed),
        batch_events: BATCH_EVENTS,
        pause: Duration::ZERO,
    };
    sender(229).post_batches(1);
    wait_for_arrivals(&ledger);
    let used: Vec<_> = proxies.iter().filter(|proxy| proxy.connection_count() > 0).collect();
    assert_eq!(used.len(), 1, "the mapper has one connection");
    used[0].cut();
    sender(230).post_batches(1);
    wait_for_arrivals(&ledger);
    ledger.check();
    drop(mapper);
}

#[test]
fn a_collector_that_is_cut_off_keeps_its_events() {
    let scene = StallScene::new();
    let proxy = TcpProxy::start(&scene.nats.address(0));
    let collector = scene.start_collector(&url_of(&proxy));
    let mapper = scene.start_mapper("mapper", &scene.nats.urls());
    let answered = scene.under_load(&collector, 224, || {
        wait_until("events arrive", || mapper.metric(RECEIVED) > 3.0);
        proxy.cut();
        let before = scene.ledger.answered();
        thread::sleep(stall_duration());
        let answered = scene.ledger.answered() - before;
        proxy.restore();
        answered
    });
    assert!(answered > 0, "the collector accepts events without its queue");
    scene.wait_for_end();
    // A confirmation that was held in the network has arrived afterwards.
    scene.ledger.check();
}

#[test]
fn a_process_without_its_queue_stops_in_time() {
    let scene = StallScene::new();
    let proxy = TcpProxy::start(&scene.nats.address(0));
    let mut collector = scene.start_collector(&url_of(&proxy));
    let mut mapper = scene.start_mapper("mapper", &url_of(&proxy));
    scene.under_load(&collector, 225, || {
        wait_until("events arrive", || mapper.metric(RECEIVED) > 3.0);
        proxy.cut();
        // Acknowledgements are on their way now, which nobody answers.
        thread::sleep(Duration::from_secs(1));
    });
    let started = Instant::now();
    mapper.stop().expect_exit(0);
    let took = started.elapsed();
    assert!(took < STOP_MAX, "the mapper stopped after {took:?}");
    proxy.restore();
    mapper.restart();
    scene.wait_for_end();
    scene.ledger.check();
    collector.stop().expect_exit(0);
}

#[test]
fn a_stream_that_is_lost_is_filled_again() {
    let mut scene = StallScene::new();
    let collector = scene.start_collector(&scene.nats.urls());
    scene.under_load(&collector, 226, || thread::sleep(Duration::from_secs(2)));
    wait_until("all messages are stored", || {
        scene.nats.backlog().waiting as f64 == collector.metric(PUBLISHED)
    });
    scene.nats.kill(0);
    scene.nats.restart_empty(0);
    scene.nats.wait_until_ready();
    create_queue(&scene.nats);
    // Others have the sequence numbers of the messages that are lost.
    scene.under_load(&collector, 227, || thread::sleep(Duration::from_secs(2)));
    let mapper = scene.start_mapper("mapper", &scene.nats.urls());
    scene.wait_for_end();
    assert!(collector.metric(REPUBLISHED) > 0.0);
    scene.ledger.check_exactly_once();
    drop(mapper);
}

#[test]
fn a_cluster_that_loses_two_of_three_stores_loses_no_event() {
    let mut nats = NatsCluster::start(3);
    create_queue(&nats);
    let ledger = Arc::new(FleetLedger::new());
    let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = TempDir::new().expect("a directory");
    let lines = nats_lines("collector", &nats.urls());
    let collector = start_collector(directory.path(), "collector", lines);
    let sender = |seed| EventSender {
        ledger: &ledger,
        url: collector.url(),
        events: Events::new(seed),
        batch_events: BATCH_EVENTS,
        pause: PAUSE,
    };
    sender(232).post_batches(20);
    wait_until("messages are stored", || collector.metric(PUBLISHED) >= 1.0);
    (0..2).for_each(|number| nats.kill(number));
    (0..2).for_each(|number| nats.restart_empty(number));
    sender(233).post_batches(20);
    nats.wait_until_ready();
    // An operator does this if the cluster has lost the stream, too. If not, it only shows that the stream has a leader.
    let lines = nats_lines("both", &nats.urls());
    wait_until("the queue exists", || queue_creation(&lines, &nats).run().exit == 0);
    let lines = nats_lines("mapper", &nats.urls());
    let mapper = start_mapper(directory.path(), "mapper", &firehose, lines);
    wait_for_arrivals(&ledger);
    ledger.check_exactly_once();
    drop(mapper);
}

#[test]
fn memory_is_bounded_while_everything_waits() {
    let scene = StallScene::new();
    scene.is_held.store(true, Ordering::Relaxed);
    let collector = scene.start_collector(&scene.nats.urls());
    let mapper = scene.start_mapper("mapper", &scene.nats.urls());
    let sender = EventSender {
        ledger: &scene.ledger,
        url: collector.url(),
        events: Events::new(228),
        batch_events: 1000,
        pause: Duration::ZERO,
    };
    sender.post_batches(200);
    thread::sleep(ACK_WAIT);
    for (name, member) in [("collector", &collector), ("mapper", &mapper)] {
        let bytes = member.running().memory_bytes_max();
        assert!(bytes < MEMORY_BYTES_MAX, "the {name} takes {} MiB", bytes >> 20);
    }
    scene.is_held.store(false, Ordering::Relaxed);
    scene.wait_for_end();
    scene.ledger.check_exactly_once();
}
