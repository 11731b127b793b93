//! Tests clients that are slow, disconnect, or send too much.

use std::time::Duration;

use standpipe_tests::wait_until;

use super::*;

const BYTES_MAX: usize = 64 * 1024 * 1024;

#[test]
fn oversized_components_are_refused_early() {
    let collector = start_collector(&settings_with_token());
    let announced = BYTES_MAX + 1;
    let mut client = send_put(&collector, &format!("Content-Length: {announced}"));
    let reply = client.read_response().unwrap();
    assert_eq!(reply.status, 413, "{}", reply.text());

    let mut client = send_put(&collector, "Transfer-Encoding: chunked");
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1024 * 1024], b"\r\n"].concat();
    // The server may refuse the rest.
    let _ = (0..65).try_for_each(|_| client.send(&chunk));
    let reply = client.read_response().unwrap();
    assert_eq!(reply.status, 413, "{}", reply.text());

    // A component of the maximum size is checked.
    let reply = send_request(&collector, "PUT", "/plugin", &vec![b'x'; BYTES_MAX]);
    assert_eq!((reply.status, &parse_body(&reply)["step"]), (422, &json!("compile")));
    collector.stop().expect_exit(0);
}

#[test]
fn slow_admin_clients_do_not_block_others() {
    let collector = start_collector(&settings_with_token());
    let mut slow: Vec<_> = (0..2).map(|_| send_half_request(&collector)).collect();
    wait_until("both places are taken", || {
        // This request needs a slot too, and one of the slow requests may have come too late. It is
        // sent again, and the server gets time to notice it before the next attempt.
        let mut late = slow.iter_mut().filter(|client| client.is_readable()).peekable();
        if late.peek().is_some() {
            late.for_each(|client| *client = send_half_request(&collector));
            std::thread::sleep(Duration::from_millis(200));
            return false;
        }
        let reply = send_request(&collector, "PUT", "/plugin", b"x");
        if reply.status == 503 {
            assert_eq!(reply.header("retry-after"), Some("5"));
        }
        reply.status == 503 && !slow.iter().any(Client::is_readable)
    });
    // Requests that need no slot get responses.
    assert_eq!(send_request(&collector, "GET", "/plugin", b"").status, 200);
    assert_eq!(send_request(&collector, "POST", "/plugin/rollback", b"").status, 409);
    // One client disconnects, and one waits for its response.
    drop(slow.pop());
    wait_until("its place is free", || {
        send_request(&collector, "PUT", "/plugin", b"x").status == 422
    });
    assert_eq!(slow[0].read_response().unwrap().status, 408);
    // One client ends its request.
    let mut cut_off = send_half_request(&collector);
    cut_off.stop_sending();
    cut_off.set_read_timeout(Duration::from_secs(5));
    if let Ok(reply) = cut_off.read_response() {
        assert_eq!(reply.status, 400, "{}", reply.text());
    }
    assert_eq!(send_request(&collector, "PUT", "/plugin", DEFAULT_PLUGIN).status, 200);
    let report = parse_body(&send_request(&collector, "GET", "/plugin", b""));
    assert_eq!(report["active"]["generation"], 1);
    collector.stop().expect_exit(0);
}

#[test]
fn reports_are_answered_during_other_requests() {
    let collector = start_collector(&settings_with_token());
    let url = collector.admin_url();
    std::thread::scope(|scope| {
        let at_work = scope.spawn(|| {
            let authorization = format!("Bearer {TOKEN}");
            let headers = [("Authorization", &*authorization)];
            Client::connect(url).request("PUT", "/plugin", &headers, &default_plugin_variant(1))
        });
        let mut reports = 0;
        while !at_work.is_finished() {
            assert_eq!(send_request(&collector, "GET", "/plugin", b"").status, 200);
            reports += 1;
        }
        assert_eq!(at_work.join().unwrap().unwrap().status, 200);
        assert!(reports > 0);
    });
    collector.stop().expect_exit(0);
}

/// Sends the first half of a request with a body.
fn send_half_request(collector: &Collector) -> Client {
    let mut client = send_put(collector, "Content-Length: 100");
    client.send(b"half").expect("a connection");
    client
}

fn send_put(collector: &Collector, header: &str) -> Client {
    let mut client = Client::connect(collector.admin_url());
    let head = format!(
        "PUT /plugin HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n{header}\r\n\r\n"
    );
    client.send(head.as_bytes()).expect("a connection");
    client
}
