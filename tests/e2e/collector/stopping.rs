//! Tests that neither a stop nor a full disk loses accepted events.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;

use rustix::process::Signal;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::disk::Disk;
use standpipe_tests::make_data_directory;

use super::*;

#[test]
fn requests_in_progress_at_a_stop_are_answered_and_delivered() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let bodies: Vec<_> =
        (0..20).map(|number| track_event(&format!("late {number}")).to_string()).collect();
    let mut idle = Client::connect(collector.url());
    assert_eq!(idle.get("/health").unwrap().status, 200);
    let fresh = Client::connect(collector.url());
    let mut clients = Vec::new();
    for body in &bodies {
        let mut client = Client::connect(collector.url());
        client.send(request_head(body.len()).as_bytes()).unwrap();
        assert_eq!(client.read_response().unwrap().status, 100);
        client.send(&body.as_bytes()[..body.len() / 2]).unwrap();
        clients.push(client);
    }
    assert_eq!(get_readiness(&collector), (200, "ready\n".to_owned()));
    collector.running().send_signal(Signal::TERM);
    standpipe_tests::wait_until("nobody new is let in", || {
        TcpStream::connect(collector.url().strip_prefix("http://").unwrap()).is_err()
    });
    // Idle connections are closed at once, and readiness reports the stop.
    standpipe_tests::wait_until("the unused connections end", || {
        idle.is_readable() && fresh.is_readable()
    });
    assert!(idle.read_response().is_err());
    assert_eq!(
        get_readiness(&collector),
        (503, "stopping: no more events are accepted\n".to_owned())
    );
    let live = Client::connect(collector.admin_url()).get("/health/live").unwrap();
    assert_eq!(live.status, 200);
    for (client, body) in clients.iter_mut().zip(&bodies) {
        client.send(&body.as_bytes()[body.len() / 2..]).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.read_response().unwrap().status, 200);
        assert!(client.read_response().is_err(), "the connection ends with its answer");
    }
    let ran = collector.wait_until_stopped().expect_exit(0);
    assert_eq!(ran.summary()["collected"]["accepted"], 20);
    assert_eq!(ran.summary()["collected"]["waiting"], 0);
    assert_delivered(&stub, &(0..20).map(|number| format!("late {number}")).collect());
}

#[test]
fn undelivered_events_wait_for_the_next_start() {
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    make_data_directory(&data_dir);
    let settings = both_vendors().with_line("delivery", "drain_timeout = '1s'");
    let started = |stub: &Stub| {
        let program = new_program(stub, &settings).args(["--data-dir"]).args([&data_dir]);
        Collector::start(program.args(["--log-format", "json"]))
    };
    let hanging = Stub::start(|_| StubResponse::Hang);
    let collector = started(&hanging);
    let names: Vec<_> = (0..50).map(|number| format!("patient {number}")).collect();
    let events: Vec<_> = names.iter().map(|name| track_event(name)).collect();
    assert_eq!(send_post(&collector, "/v1/batch", "key-of-web", &batch_of(&events)).status, 200);
    standpipe_tests::wait_until("it is on its way", || !hanging.requests().is_empty());
    let asked = Instant::now();
    let ran = collector.stop().expect_exit(4).expect_stderr(&["\"waiting\":50"]);
    assert!(asked.elapsed() < Duration::from_secs(8), "stopped after {:?}", asked.elapsed());
    let summary = ran.summary();
    assert_eq!(summary["collected"]["waiting"], 50);
    assert_eq!((&summary["undelivered"], &summary["dead"]), (&0.into(), &0.into()));
    assert_eq!(ran.dead_letters(), []);

    let stub = start_accepting_stub();
    let ran = started(&stub).stop().expect_exit(0);
    assert_eq!(ran.summary()["collected"]["waiting"], 0);
    assert_delivered(&stub, &names.into_iter().collect());
    telemetry::assert_logged_in_json(&ran, "found undelivered events from a previous run");
}

#[test]
fn a_server_that_cannot_write_is_not_ready_until_it_can() {
    let disk = Disk::mount(16 << 20);
    let data_dir = disk.path().join("data");
    make_data_directory(&data_dir);
    let stub = start_accepting_stub();
    let program = new_program(&stub, &both_vendors()).args(["--data-dir"]).args([&data_dir]);
    let collector = Collector::start(program);
    assert_eq!(
        send_post(&collector, "/v1/track", "key-of-web", &track_event("before")).status,
        200
    );
    assert_eq!(get_readiness(&collector).0, 200);
    let filler = disk.path().join("filler");
    let mut file = File::create(&filler).unwrap();
    let page = [0; 4096];
    while file.write_all(&page).is_ok() {}
    // The current segment may still have space.
    let large = batch_of(&[track_event(&"x".repeat(1_000_000))]);
    standpipe_tests::wait_until("the disk is full", || {
        send_post(&collector, "/v1/track", "key-of-web", &large).status == 503
    });
    let refused = send_post(&collector, "/v1/batch", "key-of-web", &large);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    let not_ready = (503, "the spool cannot be written: see the log\n".to_owned());
    assert_eq!(get_readiness(&collector), not_ready);
    assert_eq!(read_metrics(&collector).value("standpipe_spool_failing", &[]), 1.0);
    std::fs::remove_file(filler).unwrap();
    drop(file);
    assert_eq!(send_post(&collector, "/v1/track", "key-of-web", &track_event("after")).status, 200);
    // The spool tests whether as much as it refused has space, and not only the small event.
    standpipe_tests::wait_until("it is ready", || get_readiness(&collector).0 == 200);
    assert_eq!(read_metrics(&collector).value("standpipe_spool_failing", &[]), 0.0);
    collector.stop().expect_exit(0).expect_stderr(&["No space left on device"]);
    assert_delivered(&stub, &["before", "after"].map(str::to_owned).into());
}

fn get_readiness(collector: &Collector) -> (u16, String) {
    let reply = Client::connect(collector.admin_url()).get("/health/ready").unwrap();
    (reply.status, reply.text())
}

fn request_head(bytes: usize) -> String {
    let (name, value) = basic_auth("key-of-web");
    format!(
        "POST /v1/track HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\nExpect: 100-continue\r\n\
         Content-Length: {bytes}\r\n\r\n"
    )
}
