//! Tests requests that cause far more work than their size: memory, disk and time stay limited
//! meanwhile, and an honest client is served.

use standpipe_tests::client::{Client, HttpResponse, basic_auth};
use standpipe_tests::compressed::zlib;
use standpipe_tests::http2::Http2Client;

use super::*;

/// Events of the honest client have a mapping; events of the others do not.
const TRACKED: &[(&str, &str)] = &[("track", "all")];

/// Maximum memory of the process during a flood, in bytes: its
/// [documented](../../../host/docs/collector-operation.md) limits plus its own needs.
const MEMORY_BYTES_MAX: u64 = 300_000_000;

/// The duration of most floods, long enough to affect the honest client.
const FLOOD: Duration = Duration::from_secs(2);

/// Maximum CPU time of the process for a request of 16 MiB: several times what it needs. It is not
/// the time until the response, which depends on other load on the machine.
const CPU_PER_REQUEST: Duration = Duration::from_secs(4);

fn start_for_floods(stub: &Stub, settings: &CollectorSettings) -> Collector {
    let program = Program::host_run_against(&stub.url()).settings(settings).mapping(TRACKED);
    Collector::start(program)
}

/// Asserts that the honest client was served, with no wait longer than [`PROMPT`], and that the
/// memory of the process stayed limited.
fn assert_unharmed(
    stub: &Stub,
    collector: Collector,
    good: GoodClient,
) -> standpipe_tests::FinishedRun {
    let (names, p99) = good.stop_timed();
    let memory = collector.running().memory_bytes_max();
    print_report(&format!("{} honest requests, p99 {p99:?}, at most {memory} bytes", names.len()));
    assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes");
    let stopping = Instant::now();
    let ran = collector.stop();
    assert!(stopping.elapsed() < 5 * PROMPT, "stopped after {:?}", stopping.elapsed());
    assert_delivered(stub, &names);
    ran
}

/// Prints figures, which `--nocapture` shows.
fn print_report(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
}

/// Sends a body this number of times at once, each on its own connection. Returns the responses.
fn send_at_once(
    collector: &Collector,
    count: usize,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<HttpResponse> {
    let url = collector.url();
    thread::scope(|scope| {
        let send = || {
            let mut client = Client::connect(url);
            client.post("/v1/batch", headers, body).unwrap_or_else(|error| panic!("{error}"))
        };
        let clients: Vec<_> = (0..count).map(|_| scope.spawn(send)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// A batch whose context has this number of bytes, with this number of events without a context.
fn shared_batch(context_bytes: usize, events: usize) -> String {
    let event = r#"{"type":"page","userId":"u"}"#;
    let events = vec![event; events].join(",");
    format!(r#"{{"context":{{"a":"{}"}},"batch":[{events}]}}"#, "x".repeat(context_bytes))
}

fn count_status(replies: &[HttpResponse], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

/// A few hundred bytes become a batch of 28 MB, because each event gets the shared context. A
/// hundred such requests arrive at once.
#[test]
fn shared_fields_cannot_be_multiplied_into_gigabytes() {
    let stub = start_accepting_stub();
    let collector = start_for_floods(&stub, &both_vendors());
    let good = GoodClient::start(&collector);
    let headers =
        [("Authorization", &*basic_auth("key-of-web").1), ("Content-Encoding", "deflate")];
    let body = zlib(shared_batch(40_000, 700).as_bytes());
    assert!(body.len() < 1000, "{} bytes", body.len());
    let started = Instant::now();
    let mut looked_at = 0;
    while looked_at == 0 || started.elapsed() < FLOOD {
        let replies = send_at_once(&collector, 100, &headers, &body);
        // Most of them are refused because other requests are being decoded.
        assert_eq!(count_status(&replies, 413) + count_status(&replies, 503), 100);
        for reply in replies.iter().filter(|reply| reply.status == 413) {
            let text = reply.text();
            assert!(text.contains("16777216") && text.contains("fewer events"), "{text}");
            looked_at += 1;
        }
    }
    print_report(&format!("{looked_at} requests of {} bytes were looked at", body.len()));
    assert_unharmed(&stub, collector, good).expect_exit(0);
}

/// Many clients send requests that expand to the maximum. Requests that do not fit into the budget
/// are temporarily refused, and accepted ones are stored.
#[test]
fn requests_that_grow_to_the_limit_wait_for_memory() {
    let stub = start_accepting_stub();
    let collector = start_for_floods(&stub, &both_vendors());
    let good = GoodClient::start(&collector);
    let headers =
        [("Authorization", &*basic_auth("key-of-web").1), ("Content-Encoding", "deflate")];
    let body = zlib(shared_batch(40_000, 400).as_bytes());
    let replies = send_at_once(&collector, 60, &headers, &body);
    let (taken, busy) = (count_status(&replies, 200), count_status(&replies, 503));
    print_report(&format!("{taken} taken, {busy} refused for now"));
    assert_eq!(taken + busy, 60, "{:?}", replies.iter().map(|it| it.status).collect::<Vec<_>>());
    assert!(taken > 0);
    let refused = replies.iter().filter(|reply| reply.status == 503);
    assert!(refused.clone().all(|reply| reply.header("retry-after") == Some("1")));
    let ran = assert_unharmed(&stub, collector, good);
    assert_eq!(ran.expect_exit(0).summary()["filtered"], 400 * taken);
}

/// A body of 16 MiB contains a quarter of a million events, and the shared context makes each of
/// them too long.
#[test]
fn events_that_grow_too_long_do_not_block_the_collector() {
    let stub = start_accepting_stub();
    let settings = both_vendors().with_line("http", "max_body_bytes = 16777216");
    let collector = start_for_floods(&stub, &settings);
    let good = GoodClient::start(&collector);
    let headers = [("Authorization", &*basic_auth("key-of-web").1)];
    let body = shared_batch(8 * 1024 * 1024, 270_000);
    assert!(body.len() > 16_000_000 && body.len() < 16_777_216);
    let few = shared_batch(8 * 1024 * 1024, 20_000);
    let cpu = || collector.running().usage().expect("it runs").cpu;
    for (body, word) in [(&body, "events"), (&few, "fewer events")] {
        let (started, before, mut rounds) = (Instant::now(), cpu(), 0);
        while rounds == 0 || started.elapsed() < FLOOD {
            let replies = send_at_once(&collector, 4, &headers, body.as_bytes());
            assert_eq!(count_status(&replies, 413) + count_status(&replies, 503), 4);
            let refused = replies.iter().find(|reply| reply.status == 413);
            let refused = refused.expect("one was looked at");
            assert!(refused.text().contains(word), "{}", refused.text());
            rounds += 1;
        }
        let used = (cpu() - before) / (4 * rounds);
        print_report(&format!("a request of {} bytes used {used:?}", body.len()));
        assert!(used < CPU_PER_REQUEST, "{used:?}");
        let asked = Instant::now();
        assert_eq!(Client::connect(collector.admin_url()).get("/health/live").unwrap().status, 200);
        assert!(asked.elapsed() < PROMPT);
    }
    assert_unharmed(&stub, collector, good).expect_exit(0);
}

/// A million times `{}` is not a million dead letters.
#[test]
fn invalid_events_of_one_request_do_not_flood_the_dead_letters() {
    let stub = start_accepting_stub();
    let collector = start_for_floods(&stub, &both_vendors());
    let good = GoodClient::start(&collector);
    let headers =
        [("Authorization", &*basic_auth("key-of-web").1), ("Content-Encoding", "deflate")];
    let batch_of = |events: usize| {
        zlib(format!("{{\"batch\":[{}]}}", vec!["{}"; events].join(",")).as_bytes())
    };
    let send =
        |body: &[u8]| Client::connect(collector.url()).post("/v1/batch", &headers, body).unwrap();
    for (events, bound) in [(1_365_000, "500000 members and items"), (25_001, "25000 events")] {
        let reply = send(&batch_of(events));
        assert_eq!(reply.status, 413, "{}", reply.text());
        assert!(reply.text().contains(bound), "{}", reply.text());
    }
    let reply = send(&batch_of(25_000));
    assert_eq!(reply.status, 400, "{}", reply.text());
    let text = reply.text();
    assert!(text.contains("25000 of 25000") && text.contains("anonymousId"), "{text}");
    // The maximum number of invalid events in a batch.
    assert_eq!(send(&batch_of(100)).status, 200);
    let ran = assert_unharmed(&stub, collector, good).expect_exit(3);
    assert_eq!((ran.dead_letters().len(), ran.count("dead")), (100, 100));
}

/// With a few bytes, a client repeats an earlier header, hundreds of times in each of a hundred
/// requests on a connection. The requests never end.
#[test]
fn headers_of_http_2_are_in_a_budget() {
    let stub = start_accepting_stub();
    let collector = start_for_floods(&stub, &both_vendors());
    let good = GoodClient::start(&collector);
    let before = collector.running().memory_bytes_max();
    let mut floods: Vec<_> = (0..60).map(|_| Http2Client::connect(collector.url())).collect();
    for (number, flood) in floods.iter_mut().enumerate() {
        // Some requests respect the limit of bytes of headers, and some also their maximum number.
        // The server may already have closed the connection.
        let times = [1900, 900, 95][number % 3];
        let _ = (0..200).try_for_each(|_| flood.post_with_repeated_header("/v1/batch", times));
    }
    thread::sleep(Duration::from_secs(2));
    let memory = collector.running().memory_bytes_max();
    print_report(&format!("{before} bytes before, {memory} with the headers"));
    assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes");
    drop(floods);
    assert_unharmed(&stub, collector, good).expect_exit(0);
}
