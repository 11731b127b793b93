//! Slow clients, clients that go, and clients that send too much.

use std::time::Duration;

use standpipe_tests::wait_until;

use super::*;

const BYTES_MAX: usize = 64 * 1024 * 1024;

#[test]
fn what_is_too_large_is_refused_as_soon_as_that_is_known() {
    let collector = start(&administered());
    let announced = BYTES_MAX + 1;
    let mut client = put(&collector, &format!("Content-Length: {announced}"));
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 413, "{}", reply.text());

    let mut client = put(&collector, "Transfer-Encoding: chunked");
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1024 * 1024], b"\r\n"].concat();
    // The rest may not be taken any more.
    let _ = (0..65).try_for_each(|_| client.send(&chunk));
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 413, "{}", reply.text());

    // As much as is permitted is looked at.
    let reply = ask(&collector, "PUT", "/plugin", &vec![b'x'; BYTES_MAX]);
    assert_eq!((reply.status, &value(&reply)["step"]), (422, &json!("compile")));
    collector.stop().exits(0);
}

#[test]
fn who_is_slow_holds_up_nobody_for_long() {
    let collector = start(&administered());
    let mut slow: Vec<_> = (0..2).map(|_| half(&collector)).collect();
    wait_until("both places are taken", || {
        // The question takes a place too, and one of the slow may have come too late: it comes
        // again, and has time to be seen before the next question.
        let mut late = slow.iter_mut().filter(|client| client.has_news()).peekable();
        if late.peek().is_some() {
            late.for_each(|client| *client = half(&collector));
            std::thread::sleep(Duration::from_millis(200));
            return false;
        }
        let reply = ask(&collector, "PUT", "/plugin", b"x");
        if reply.status == 503 {
            assert_eq!(reply.header("retry-after"), Some("5"));
        }
        reply.status == 503 && !slow.iter().any(Client::has_news)
    });
    // What needs no such place is answered.
    assert_eq!(ask(&collector, "GET", "/plugin", b"").status, 200);
    assert_eq!(ask(&collector, "POST", "/plugin/rollback", b"").status, 409);
    // One goes, and one stays silent until it is told.
    drop(slow.pop());
    wait_until("its place is free", || ask(&collector, "PUT", "/plugin", b"x").status == 422);
    assert_eq!(slow[0].reply().unwrap().status, 408);
    // One says that this was all.
    let mut cut_off = half(&collector);
    cut_off.stop_sending();
    cut_off.be_patient_for(Duration::from_secs(5));
    if let Ok(reply) = cut_off.reply() {
        assert_eq!(reply.status, 400, "{}", reply.text());
    }
    assert_eq!(ask(&collector, "PUT", "/plugin", DEFAULT_PLUGIN).status, 200);
    let report = value(&ask(&collector, "GET", "/plugin", b""));
    assert_eq!(report["active"]["generation"], 1);
    collector.stop().exits(0);
}

#[test]
fn reports_come_while_others_are_worked_on() {
    let collector = start(&administered());
    let url = collector.admin_url();
    std::thread::scope(|scope| {
        let at_work = scope.spawn(|| {
            let authorization = format!("Bearer {TOKEN}");
            let headers = [("Authorization", &*authorization)];
            Client::connect(url).request("PUT", "/plugin", &headers, &of_default(1))
        });
        let mut reports = 0;
        while !at_work.is_finished() {
            assert_eq!(ask(&collector, "GET", "/plugin", b"").status, 200);
            reports += 1;
        }
        assert_eq!(at_work.join().unwrap().unwrap().status, 200);
        assert!(reports > 0);
    });
    collector.stop().exits(0);
}

/// A request that stops in the middle of its body.
fn half(collector: &Collector) -> Client {
    let mut client = put(collector, "Content-Length: 100");
    client.send(b"half").expect("a connection");
    client
}

fn put(collector: &Collector, header: &str) -> Client {
    let mut client = Client::connect(collector.admin_url());
    let head = format!(
        "PUT /plugin HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n{header}\r\n\r\n"
    );
    client.send(head.as_bytes()).expect("a connection");
    client
}
