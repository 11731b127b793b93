//! Tests that each bad request gets a response, and does not affect other clients.

use std::io;

use standpipe_tests::Curl;
use standpipe_tests::client::{Client, HttpResponse, basic_auth};
use standpipe_tests::compressed::{gzip_of_zeros, zstd};

use super::*;

const MEBIBYTE: usize = 1 << 20;

/// The maximum memory of the process, whatever the requests.
const MEMORY_BYTES_MAX: u64 = 200_000_000;

#[test]
fn decompression_bombs_are_refused_early() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let good = GoodClient::start(&collector);
    // Each body is a gigabyte of zeros. A gzip file of many members is valid and has the same
    // effect.
    let bombs = [
        ("gzip", gzip_of_zeros(64 * MEBIBYTE).repeat(16)),
        ("zstd", zstd(&vec![0; 64 * MEBIBYTE]).repeat(16)),
    ];
    let url = collector.url();
    thread::scope(|scope| {
        for (encoding, bomb) in bombs.iter().cycle().take(16) {
            scope.spawn(move || {
                let headers = [
                    ("Authorization", &*basic_auth("key-of-web").1),
                    ("Content-Encoding", *encoding),
                ];
                let reply = Client::connect(url).post("/v1/batch", &headers, bomb);
                assert_eq!(reply.unwrap().status, 413, "{encoding}");
            });
        }
    });
    let names = good.stop_and_list_names();
    let memory = collector.running().memory_bytes_max();
    assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes");
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &names);
}

#[test]
fn a_bad_event_is_refused_and_the_others_of_its_batch_are_accepted() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let names: Vec<_> = (0..99).map(|number| format!("good {number}")).collect();
    let mut events: Vec<_> = names.iter().map(|name| track_event(name)).collect();
    let bad = r#"{"type":"track","event":"whose?"}"#;
    events.insert(50, serde_json::from_str(bad).unwrap());
    assert_eq!(
        send_post(&collector, "/v1/batch", "key-of-backend", &batch_of(&events)).status,
        200
    );
    let mixed = batch_of(&[serde_json::json!(7), track_event("after a number")]);
    assert_eq!(send_post(&collector, "/v1/batch", "key-of-web", &mixed).status, 200);
    let ran = collector.stop().expect_exit(3);
    let mut dead_letters: Vec<_> = ran
        .dead_letters()
        .into_iter()
        .map(|dead_letter| {
            (dead_letter.source, dead_letter.reason, String::from_utf8(dead_letter.event).unwrap())
        })
        .collect();
    dead_letters.sort();
    let dead_letter = |source: &str, reason: &str, event: &str| {
        (source.to_owned(), reason.to_owned(), event.to_owned())
    };
    let bad = serde_json::from_str::<Value>(bad).unwrap().to_string();
    let expected =
        [dead_letter("backend", "no_identity", &bad), dead_letter("web", "not_an_object", "7")];
    assert_eq!(dead_letters, expected);
    let names = names.into_iter().chain(["after a number".to_owned()]).collect();
    assert_delivered(&stub, &names);
}

#[test]
fn bodies_without_events_are_refused_whole() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let good = GoodClient::start(&collector);
    let deep = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat();
    let in_event =
        |text: &str| format!(r#"{{"batch":[{{"userId":"u","type":"page","a":{text}}}]}}"#);
    let large = format!(r#"{{"batch":["{}"]}}"#, "x".repeat(4_096_000));
    let bodies: &[(&[u8], u16)] = &[
        (b"", 400),
        (b" \r\n", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"\"batch\"", 400),
        (b"{}", 400),
        (b"{\"batch\":{}}", 400),
        (b"{\"batch\":[{}", 400),
        (b"{\"batch\":[]}{}", 400),
        (b"{\"batch\":[\"\xff\xfe\"]}", 400),
        (b"{\"batch\":[\"\xed\xa0\x80\"]}", 400),
        (b"\xef\xbb\xbf{\"batch\":[]}", 400),
        (b"{\"batch\":[\"\0\"]}", 400),
        (b"{\"batch\":[NaN]}", 400),
        (b"\x1f\x8b\x08\0\0\0", 400),
        (&deep(100_000).into_bytes(), 400),
        (&in_event(&deep(100_000)).into_bytes(), 400),
        (&in_event(&"{\"a\":".repeat(100_000)).into_bytes(), 400),
        (&large.into_bytes(), 413),
    ];
    let headers = [("Authorization", &*basic_auth("key-of-backend").1)];
    for (body, status) in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
        let mut client = Client::connect(collector.url());
        let reply = client.post("/v1/batch", &headers, body);
        let reply = reply.unwrap_or_else(|error| panic!("{shown:?}: {error}"));
        assert_eq!(reply.status, *status, "{shown:?}: {}", reply.text());
    }
    let names = good.stop_and_list_names();
    let refused =
        read_metrics(&collector).value("standpipe_collector_responses_total", &[("status", "400")]);
    assert_eq!(refused, bodies.len() as f64 - 1.0);
    let ran = collector.stop().expect_exit(0);
    assert_eq!(ran.dead_letters(), []);
    assert_delivered(&stub, &names);
}

#[test]
fn requests_that_break_the_protocol_are_refused_or_closed() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let good = GoodClient::start(&collector);
    let body = track_event("half").to_string();
    let headers = |count: usize, bytes: usize| {
        (0..count).map(|at| format!("X-{at}: {}\r\n", "x".repeat(bytes))).collect::<String>()
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("a body that goes on", request_with("Content-Length: 9\r\n", &body), &[400]),
        ("no length of a number", request_with("Content-Length: nine\r\n", &body), &[400]),
        ("a negative length", request_with("Content-Length: -9\r\n", &body), &[400]),
        (
            "a length beyond all numbers",
            request_with("Content-Length: 99999999999999999999\r\n", &body),
            &[400],
        ),
        (
            "the largest length",
            request_with("Content-Length: 18446744073709551613\r\n", &body),
            &[413],
        ),
        ("two lengths", request_with("Content-Length: 9\r\nContent-Length: 10\r\n", &body), &[400]),
        ("a bad chunk size", request_with(chunked, "zz\r\nhello\r\n0\r\n\r\n"), &[400]),
        (
            "a chunk size beyond all numbers",
            request_with(chunked, "fffffffffffffffff\r\nhello\r\n"),
            &[400],
        ),
        ("a chunk longer than its size", request_with(chunked, "2\r\nhello\r\n0\r\n\r\n"), &[400]),
        ("a coding that is not chunked", request_with("Transfer-Encoding: gzip\r\n", ""), &[400]),
        ("a flood of headers", request_with(&headers(200, 1), ""), &[431]),
        ("headers of a megabyte", request_with(&headers(50, 20_000), ""), &[431]),
        ("a header of a megabyte", request_with(&headers(1, MEBIBYTE), ""), &[431]),
        (
            "a path of a megabyte",
            format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MEBIBYTE)),
            &[414, 431],
        ),
        ("a broken header", request_with("no colon\r\n", ""), &[400]),
        ("no HTTP", "\x16\x03\x01\x02\0\x01\0\x01\x03\x03\r\n\r\n".to_owned(), &[400]),
        ("an unknown version", "GET /health HTTP/7.1\r\n\r\n".to_owned(), &[400]),
    ];
    for (what, bytes, statuses) in cases {
        match send_raw(&collector, bytes.as_bytes()) {
            Ok(reply) => assert!(statuses.contains(&reply.status), "{what}: {}", reply.status),
            Err(error) => assert!(is_cut_off(&error), "{what}: {error}"),
        }
    }
    // A client that disconnects in the middle of a request has sent no events.
    let whole = request_with(&format!("Content-Length: {}\r\n", body.len()), &body);
    let chunks = request_with(chunked, "2\r\n{}\r\n");
    for end in [10, 60, whole.len() - body.len(), whole.len() - 1, chunks.len()] {
        let bytes = if end == chunks.len() { &chunks } else { &whole };
        let mut half_closed = Client::connect(collector.url());
        half_closed.send(&bytes.as_bytes()[..end]).unwrap();
        half_closed.stop_sending();
        assert!(
            half_closed
                .read_response()
                .map_or_else(|error| is_cut_off(&error), |it| it.status == 400)
        );
        Client::connect(collector.url()).send(&bytes.as_bytes()[..end]).unwrap();
    }
    let names = good.stop_and_list_names();
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &names);
}

/// A chunked body ends with its last chunk. A `Content-Length` is ignored, in any order of the
/// headers.
#[test]
fn a_content_length_beside_chunks_is_ignored() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let mut names = BTreeSet::new();
    for (number, length) in ["4", "9999"].into_iter().enumerate() {
        for is_first in [true, false] {
            let name = format!("chunked {number} {is_first}");
            let body = track_event(&name).to_string();
            let (length, chunked) =
                (format!("Content-Length: {length}\r\n"), "Transfer-Encoding: chunked\r\n");
            let headers =
                if is_first { [&length, chunked].concat() } else { [chunked, &length].concat() };
            let chunks = format!("{:x};a=b\r\n{body}\r\n0\r\nTrailer: x\r\n\r\n", body.len());
            assert_eq!(
                send_raw(&collector, request_with(&headers, &chunks).as_bytes()).unwrap().status,
                200
            );
            names.insert(name);
        }
    }
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &names);
}

#[test]
fn http_2_works_without_tls() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let url = format!("{}/v1/track", collector.url());
    let send = |key: &str, body: &str| {
        Curl::post(&url, key, body).arg("--http2-prior-knowledge").send().unwrap()
    };
    let good = send("key-of-web", &track_event("over two").to_string());
    assert_eq!((good.status, &*good.version), (200, "2"));
    assert_eq!(send("nobodys", "{}").status, 401);
    assert_eq!(send("nobodys", &" ".repeat(100_000)).status, 401);
    let large = " ".repeat(100_000) + &track_event("large over two").to_string();
    assert_eq!(send("key-of-web", &large).status, 200);
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &["over two", "large over two"].map(str::to_owned).into());
}

#[test]
fn dead_letters_and_plugins_get_the_source_of_an_event() {
    let stub = start_accepting_stub();
    let program = Program::host_run_against(&stub.url()).settings(&both_vendors());
    let program = program.args(["--plugin"]).args([standpipe_tests::misbehaving_plugin()]);
    let collector = Collector::start(program);
    for key in ["key-of-web", "key-of-backend"] {
        for name in ["print", "reject"] {
            assert_eq!(send_post(&collector, "/v1/track", key, &track_event(name)).status, 200);
        }
    }
    let ran = collector.stop().expect_exit(3).expect_stderr(&["from web", "from backend"]);
    let mut dead_letters: Vec<_> = ran
        .dead_letters()
        .into_iter()
        .map(|dead_letter| (dead_letter.source, dead_letter.reason))
        .collect();
    dead_letters.sort();
    let dead_letter = |source: &str| (source.to_owned(), "plugin_rejected".to_owned());
    assert_eq!(dead_letters, [dead_letter("backend"), dead_letter("web")]);
    assert_eq!(delivered_events(&stub).len(), 2);
}

/// A request with these headers and this body, and a valid key.
fn request_with(headers: &str, body: &str) -> String {
    let (name, value) = basic_auth("key-of-web");
    format!("POST /v1/track HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n{headers}\r\n{body}")
}

/// Sends these bytes and reads a response.
fn send_raw(collector: &Collector, bytes: &[u8]) -> io::Result<HttpResponse> {
    let mut client = Client::connect(collector.url());
    // The response may arrive before all bytes are sent.
    let sent = client.send(bytes);
    client.read_response().or_else(|error| sent.and(Err(error)))
}

/// Whether the server closed the connection, and the client did not time out.
fn is_cut_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};

    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}
