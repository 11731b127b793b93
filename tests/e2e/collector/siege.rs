//! Tests that clients that keep connections or bodies open do not block others.

use std::ops::Range;

use standpipe_tests::client::{Client, basic_auth};

use super::*;

/// When a stalled body times out, in seconds.
const BODY_SECONDS: Range<f64> = 9.0..16.0;
/// When a stalled body is cut off if others need its connection, in seconds.
const SCARCE_SECONDS: Range<f64> = 0.0..7.0;
/// When slow headers time out, in seconds.
const HEADER_SECONDS: Range<f64> = 4.0..14.0;
/// When a silent connection is closed, in seconds.
const SILENCE_SECONDS: Range<f64> = 9.0..16.0;

#[test]
fn slow_clients_are_disconnected_and_do_not_block_others() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let good = GoodClient::start(&collector);
    let started = Instant::now();
    let mut dripping: Vec<_> = (0..300).map(|_| Some(Client::connect(collector.url()))).collect();
    let mut silent: Vec<_> = (0..20).map(|_| Some(Client::connect(collector.url()))).collect();
    let mut stopped: Vec<_> =
        (0..20).map(|_| Some(start_slow_body(&collector, "key-of-web"))).collect();
    let head = "POST /v1/batch HTTP/1.1\r\nHost: a\r\nX-Slow: ".bytes().chain([b'x'].repeat(9999));
    let mut gone = [0; 3];
    for byte in head {
        for slot in &mut dripping {
            if slot.as_mut().is_some_and(|client| client.send(&[byte]).is_err()) {
                *slot = None;
                gone[0] += 1;
                assert_within(started, HEADER_SECONDS);
            }
        }
        for slot in &mut silent {
            if slot.as_ref().is_some_and(Client::is_readable) {
                *slot = None;
                gone[1] += 1;
                assert_within(started, SILENCE_SECONDS);
            }
        }
        for slot in &mut stopped {
            if slot.as_ref().is_some_and(Client::is_readable) {
                let reply = slot.take().unwrap().read_response().unwrap();
                assert_eq!(reply.status, 408, "{}", reply.text());
                gone[2] += 1;
                assert_within(started, BODY_SECONDS);
            }
        }
        if gone == [300, 20, 20] {
            break;
        }
        let elapsed = started.elapsed().as_secs_f64();
        assert!(elapsed < SILENCE_SECONDS.end, "{gone:?} are gone after {elapsed} s");
        thread::sleep(20 * PACE);
    }
    let names = good.stop_and_list_names();
    let seen =
        read_metrics(&collector).value("standpipe_collector_responses_total", &[("status", "408")]);
    assert_eq!(seen, 20.0);
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &names);
}

/// Memory is reserved for received bytes, and not for announced ones.
#[test]
fn announced_bodies_take_no_memory_from_other_clients() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let misers: Vec<_> = (0..100).map(|_| start_slow_body(&collector, "key-of-web")).collect();
    let good = GoodClient::start(&collector);
    let filler = "x".repeat(3_500_000);
    let mut names = BTreeSet::new();
    for number in 0..10 {
        let mut event = track_event(&format!("large {number}"));
        event["filler"] = filler.as_str().into();
        let started = Instant::now();
        let reply = send_post(&collector, "/v1/batch", "key-of-backend", &batch_of(&[event]));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(started.elapsed() < PROMPT, "taken after {:?}", started.elapsed());
        names.insert(format!("large {number}"));
    }
    assert!(!misers.iter().any(Client::is_readable), "the misers were there all the time");
    drop(misers);
    names.append(&mut good.stop_and_list_names());
    let memory = collector.running().memory_bytes_max();
    assert!(memory < 300_000_000, "{memory} bytes");
    // The event is too large for a record, so it becomes a dead letter.
    let ran = collector.stop().expect_exit(3);
    let dead_letters = ran.dead_letters();
    assert_eq!(dead_letters.len(), 10);
    names.retain(|name| !name.starts_with("large"));
    assert_delivered(&stub, &names);
}

#[test]
fn clients_without_memory_wait_until_slow_ones_are_disconnected() {
    let stub = start_accepting_stub();
    let settings = both_vendors().with_line("http", "max_connections = 5");
    let collector = start_collector(&stub, &settings);
    let slow: Vec<_> = (0..5).map(|_| start_slow_body(&collector, "key-of-web")).collect();
    let started = Instant::now();
    let waiting = |number: usize| {
        let (url, body) = (collector.url().to_owned(), track_event(&format!("waiting {number}")));
        thread::spawn(move || {
            let headers =
                [("Authorization", &*basic_auth("key-of-web").1), ("Connection", "close")];
            Client::connect(&url).post("/v1/track", &headers, body.to_string().as_bytes()).unwrap()
        })
    };
    let waiting: Vec<_> = (0..10).map(waiting).collect();
    // Health checks have a separate address.
    let live = Client::connect(collector.admin_url()).get("/health/live").unwrap();
    assert_eq!(live.status, 200);
    for client in waiting {
        assert_eq!(client.join().unwrap().status, 200);
    }
    assert_within(started, SCARCE_SECONDS);
    // As many connections as necessary were closed early, and the others at their timeout.
    for mut client in slow {
        assert!(
            client.read_response().is_ok_and(|reply| reply.status == 408)
                || client.read_response().is_err()
        );
    }
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &(0..10).map(|number| format!("waiting {number}")).collect());
}

/// A client that announces 4 MB, and has an accepted connection.
fn start_slow_body(collector: &Collector, key: &str) -> Client {
    let mut client = Client::connect(collector.url());
    let (name, value) = basic_auth(key);
    let head = format!(
        "POST /v1/batch HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\nExpect: 100-continue\r\n\
         Content-Length: 4000000\r\n\r\n"
    );
    client.send(head.as_bytes()).unwrap();
    assert_eq!(client.read_response().unwrap().status, 100);
    client.send(b"{").unwrap();
    client
}

fn assert_within(started: Instant, seconds: Range<f64>) {
    let elapsed = started.elapsed().as_secs_f64();
    assert!(seconds.contains(&elapsed), "after {elapsed} s, not within {seconds:?}");
}
