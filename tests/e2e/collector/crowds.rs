//! Tests many idle or slow clients: they take no more than their share, and good clients and
//! orchestrators always get responses.

use std::io;
use std::net::Ipv4Addr;

use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::wait_until;

use super::*;

/// Bytes of nearly complete bodies that use up all memory for bodies: as many large bodies as fit,
/// and one that takes the rest.
const HOARDS: [usize; 17] = {
    let mut hoards = [4_095_000; 17];
    hoards[16] = 1_572_000;
    hoards
};

/// How long the test observes a good client: longer than the maximum time that it waits, and
/// shorter than the timeout of slow bodies.
const HOARDED: Duration = Duration::from_secs(8);

/// The pause between two bytes of the slow clients.
const DRIP: Duration = Duration::from_millis(100);

/// The length that each slow client announces.
const ANNOUNCED: usize = 4_095_990;

/// Bodies of requests that do not send their key first take only a part of the memory.
#[test]
fn slow_bodies_without_a_key_do_not_block_other_clients() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let hoarders = Hoarders::start(&collector, None);
    let good = GoodClient::start(&collector);
    // A client whose key is in the body waits only until the slowest clients are cut off.
    let started = Instant::now();
    let mut event = track_event("key in the body");
    event["writeKey"] = "key-of-web".into();
    let mut client = Client::connect(collector.url());
    client.set_read_timeout(PROMPT);
    let reply = client.post("/v1/track", &[], event.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    thread::sleep(HOARDED);
    let mut names = good.stop_and_list_names();
    names.insert("key in the body".to_owned());
    hoarders.stop();
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &names);
}

/// The key of a page is public.
#[test]
fn slow_bodies_with_a_key_make_room() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let hoarders = Hoarders::start(&collector, Some("key-of-web"));
    let good = GoodClient::start(&collector);
    thread::sleep(HOARDED);
    let names = good.stop_and_list_names();
    hoarders.stop();
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &names);
}

#[test]
fn idle_connections_make_room() {
    let stub = start_accepting_stub();
    let settings = both_vendors().with_line("http", "max_connections = 20");
    let collector = start_collector(&stub, &settings);
    let used: Vec<_> = (0..5)
        .map(|_| {
            let mut client = Client::connect(collector.url());
            assert_eq!(client.get("/health").unwrap().status, 200);
            client
        })
        .collect();
    let silent: Vec<_> = (0..40).map(|_| Client::connect(collector.url())).collect();
    for number in 0..40 {
        let started = Instant::now();
        let event = track_event(&format!("late {number}"));
        assert_eq!(send_post(&collector, "/v1/track", "key-of-web", &event).status, 200);
        assert!(started.elapsed() < PROMPT, "{number}: {:?}", started.elapsed());
    }
    assert!(silent.iter().any(Client::is_readable), "the oldest ones were closed");
    let metrics = read_metrics(&collector);
    assert!(
        metrics.value("standpipe_http_connections_evicted_total", &[("listener", "collector")])
            > 0.0
    );
    assert!(metrics.value("standpipe_http_connections", &[("listener", "collector")]) <= 20.0);
    drop((used, silent));
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &(0..40).map(|number| format!("late {number}")).collect());
}

#[test]
fn many_admin_connections_do_not_block_health_checks() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let admin = collector.admin_url();
    let live = || {
        let started = Instant::now();
        let mut client = Client::connect(admin);
        client.set_read_timeout(PROMPT);
        let reply = client.get("/health/live");
        assert_eq!(reply.unwrap().status, 200, "after {:?}", started.elapsed());
        assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    };
    let silent: Vec<_> = (0..100).map(|_| Client::connect(admin)).collect();
    (0..20).for_each(|_| live());
    drop(silent);
    // Headers that never end, and unused bodies that never end.
    for head in [
        "GET /health/live HTTP/1.1\r\nX-Slow: ",
        "PUT /plugin HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
    ] {
        let slow: Vec<_> = (0..64)
            .map(|_| {
                let mut client = Client::connect(admin);
                client.send(head.as_bytes()).unwrap();
                client
            })
            .collect();
        (0..5).for_each(|_| live());
        drop(slow);
    }
    collector.stop().expect_exit(0);
}

/// There are 1,100 idle connections, but only 1,024 files may be open.
#[test]
fn a_low_limit_of_open_files_leaves_room_for_delivery() {
    let stub = start_accepting_stub();
    let collector = Collector::start(program_with_ulimit(&stub, "ulimit -n 1024", &both_vendors()));
    let silent: Vec<_> = (0..1100).map(|_| Client::connect(collector.url())).collect();
    let good = GoodClient::start(&collector);
    let live = Client::connect(collector.admin_url()).get("/health/live").unwrap();
    assert_eq!(live.status, 200);
    thread::sleep(Duration::from_secs(2));
    let names = good.stop_and_list_names();
    wait_until("what was accepted is delivered", || delivered_events(&stub).len() == names.len());
    let open =
        read_metrics(&collector).value("standpipe_http_connections", &[("listener", "collector")]);
    assert!(open <= 512.0, "{open}");
    drop(silent);
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &names);
}

#[test]
fn the_soft_limit_of_open_files_is_raised() {
    let stub = start_accepting_stub();
    let collector = Collector::start(program_with_ulimit(&stub, "ulimit -Sn 64", &both_vendors()));
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut client = Client::connect(collector.url());
            assert_eq!(client.get("/health").unwrap().status, 200);
            client
        })
        .collect();
    let open =
        read_metrics(&collector).value("standpipe_http_connections", &[("listener", "collector")]);
    assert!(open >= 200.0, "{open}");
    drop(clients);
    collector.stop().expect_exit(0);
}

#[test]
fn more_connections_than_open_files_are_refused_at_startup() {
    let stub = start_accepting_stub();
    let settings = both_vendors().with_line("http", "max_connections = 600");
    let program =
        program_with_ulimit(&stub, "ulimit -n 1024", &settings).args(["--listen", "127.0.0.1:0"]);
    let ran = program.run().expect_exit(2);
    ran.expect_stderr(&["[http] max_connections", "at most 512", "raise it to 1200", "ulimit -n"]);
}

#[test]
fn one_address_has_its_share_of_connections() {
    let stub = start_accepting_stub();
    let settings = both_vendors()
        .with_line("http", "max_connections = 20")
        .with_line("http", "max_connections_per_peer = 3")
        .with_line("http", "trusted_proxies = ['127.0.0.9']");
    let collector = start_collector(&stub, &settings);
    let is_served = |own: [u8; 4]| -> io::Result<Client> {
        let mut client = Client::connect_from(Ipv4Addr::from(own), collector.url());
        client.set_read_timeout(PROMPT);
        client.get("/health").map(|_| client)
    };
    let greedy: Vec<_> = (0..3).map(|_| is_served([127, 0, 0, 2]).unwrap()).collect();
    assert!(is_served([127, 0, 0, 2]).is_err(), "it has what it may");
    assert!(is_served([127, 0, 0, 3]).is_ok());
    let proxy: Vec<_> = (0..6).map(|_| is_served([127, 0, 0, 9]).unwrap()).collect();
    drop(greedy);
    wait_until("there is room again", || is_served([127, 0, 0, 2]).is_ok());
    let refused = read_metrics(&collector)
        .value("standpipe_http_connections_refused_total", &[("listener", "collector")]);
    assert!(refused >= 1.0, "{refused}");
    drop(proxy);
    collector.stop().expect_exit(0);
}

/// Behind a proxy, the limit applies to the client that the proxy names.
#[test]
fn one_client_has_its_share_of_memory() {
    let stub = start_accepting_stub();
    let settings = both_vendors().with_line("http", "max_body_bytes_per_peer = 4096000");
    let collector = start_collector(&stub, &settings);
    let hoarder = |client: &str| {
        let mut hoarder = Client::connect(collector.url());
        let head = head_of(Some("key-of-web"), &format!("X-Forwarded-For: {client}\r\n"));
        hoarder.send(head.as_bytes()).unwrap();
        hoarder.send(&vec![b' '; HOARDS[0]]).unwrap();
        hoarder
    };
    let _first = hoarder("203.0.113.1");
    let large = |client: &str| {
        let mut event = track_event("large");
        event["filler"] = "x".repeat(500_000).into();
        let headers =
            [("Authorization", &*basic_auth("key-of-web").1), ("X-Forwarded-For", client)];
        let mut sender = Client::connect(collector.url());
        sender.post("/v1/track", &headers, event.to_string().as_bytes()).unwrap().status
    };
    let started = Instant::now();
    assert_eq!(large("203.0.113.2"), 200);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // The client's own large body is cut off once it is slow.
    assert_eq!(large("203.0.113.1"), 200);
    collector.stop().expect_exit(0);
}

/// The program, with limits set by a shell.
fn program_with_ulimit(stub: &Stub, limit: &str, settings: &CollectorSettings) -> Program {
    let program = new_program(stub, settings);
    program.started_by(&["/bin/sh", "-c", &format!("{limit} && exec \"$0\" \"$@\"")])
}

/// Clients that send nearly the whole body, and then a byte from time to time.
struct Hoarders {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hoarders {
    /// Returns when all clients have sent their part, or got a response with a refusal.
    fn start(collector: &Collector, key: Option<&str>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let threads = HOARDS.map(|bytes| {
            let (url, head) = (collector.url().to_owned(), head_of(key, ""));
            let (stopped, sent) = (Arc::clone(&is_over), Arc::clone(&sent));
            thread::spawn(move || {
                let mut client = Client::connect(&url);
                let _ = client.send(head.as_bytes()).and_then(|()| client.send(&vec![b' '; bytes]));
                sent.fetch_add(1, Ordering::Relaxed);
                while !stopped.load(Ordering::Relaxed) {
                    let _ = client.send(b" ");
                    thread::sleep(DRIP);
                }
            })
        });
        wait_until("the memory is full", || sent.load(Ordering::Relaxed) >= HOARDS.len() / 4);
        thread::sleep(Duration::from_secs(1));
        Hoarders { is_over, threads: threads.into() }
    }

    fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a hoarder goes away");
        }
    }
}

fn head_of(key: Option<&str>, more: &str) -> String {
    let key =
        key.map(|key| format!("Authorization: {}\r\n", basic_auth(key).1)).unwrap_or_default();
    format!("POST /v1/batch HTTP/1.1\r\nHost: a\r\n{key}{more}Content-Length: {ANNOUNCED}\r\n\r\n")
}
