//! Tests that refused requests are logged and counted, because SDKs delete refused events.

use serde_json::json;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::compressed::gzip;

use super::*;

fn source_settings() -> CollectorSettings {
    CollectorSettings::new([
        SourceEntry::segment("web"),
        SourceEntry::rudderstack("kept").with_line("keep_refused = true"),
        SourceEntry::segment("strict")
            .with_line("strict = true")
            .with_line("keep_refused = true")
            .with_line("rate_limit_bytes = 10000000"),
        SourceEntry::segment("off").with_line("enabled = false"),
        SourceEntry::segment("shop").with_line("allowed_origins = ['https://shop.example']"),
    ])
}

/// Sends a body with these headers and the key. Returns the status and the text of the response.
fn send_body(
    collector: &Collector,
    path: &str,
    key: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, String) {
    let authorization = basic_auth(key).1;
    let key = (!key.is_empty()).then_some(("Authorization", &*authorization));
    let headers: Vec<_> = key.into_iter().chain(headers.iter().copied()).collect();
    let reply = Client::connect(collector.url()).post(path, &headers, body).unwrap();
    (reply.status, reply.text())
}

#[test]
fn refused_requests_are_counted_and_logged_by_source_and_reason() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &source_settings());
    let deep = ["[".repeat(2000), "]".repeat(2000)].concat();
    let mostly_bad = batch_of(&vec![json!(7); 200]).to_string();
    let page = ("Origin", "https://evil.example");
    let gzipped = ("Content-Encoding", "gzip");
    type Case<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    let cases: &[Case<'_>] = &[
        ("web", "empty_body", "key-of-web", &[], b" ", 400, "request body is nil"),
        (
            "web",
            "invalid_utf8",
            "key-of-web",
            &[],
            b"{\"a\":\"\xff\"}",
            400,
            "invalid json: the body is not UTF-8 from byte 6",
        ),
        ("web", "not_json", "key-of-web", &[], b"{\"batch\":[}", 400, "from byte 10"),
        (
            "web",
            "nested_too_deep",
            "key-of-web",
            &[],
            deep.as_bytes(),
            400,
            "invalid json: objects and arrays are nested deeper",
        ),
        ("web", "not_an_object", "key-of-web", &[], b"[]", 400, ""),
        ("web", "no_batch", "key-of-web", &[], b"{}", 400, ""),
        ("kept", "empty_batch", "key-of-kept", &[], b"{\"batch\":[]}", 400, ""),
        ("strict", "bad_event", "key-of-strict", &[], b"{\"batch\":[7]}", 400, "event 1 of 1"),
        ("web", "mostly_bad_events", "key-of-web", &[], mostly_bad.as_bytes(), 400, ""),
        ("web", "bad_compression", "key-of-web", &[gzipped], b"{}", 400, ""),
        ("", "no_write_key", "", &[], b"{\"batch\":[]}", 401, ""),
        ("", "unknown_write_key", "nobodys", &[], b"{}", 401, ""),
        ("shop", "origin", "key-of-shop", &[page], b"{}", 403, ""),
        ("off", "source_disabled", "key-of-off", &[], b"{}", 404, ""),
        ("web", "content_encoding", "key-of-web", &[("Content-Encoding", "lzw")], b"{}", 415, ""),
    ];
    for (source, reason, key, headers, body, status, words) in cases {
        // The key may also be in the body.
        for _ in 0..2 {
            let (got, text) = send_body(&collector, "/v1/batch", key, headers, body);
            assert_eq!(got, *status, "{reason}: {text}");
            assert!(text.contains(words), "{reason}: {text}");
        }
        let labels = [("source", *source), ("reason", *reason)];
        let seen =
            read_metrics(&collector).value("standpipe_collector_refused_requests_total", &labels);
        assert_eq!(seen, 2.0, "{source} {reason}");
    }
    let in_body = br#"{"writeKey":"key-of-web","batch":{}}"#;
    assert_eq!(send_body(&collector, "/v1/batch", "", &[], in_body).0, 400);
    assert_eq!(send_get(&collector, "/v1/pixel/track?writeKey=nobodys").status, 200);
    assert_eq!(send_get(&collector, "/nowhere").status, 404);
    assert_eq!(send_get(&collector, "/v1/track").status, 405);
    let seen = read_metrics(&collector);
    let count = |source: &str, reason: &str| {
        let labels = [("source", source), ("reason", reason)];
        seen.value("standpipe_collector_refused_requests_total", &labels)
    };
    assert_eq!(count("web", "no_batch"), 3.0);
    assert_eq!(count("", "unknown_write_key"), 3.0);
    assert_eq!((count("", "unknown_path"), count("", "wrong_method")), (1.0, 1.0));
    assert_eq!(
        seen.sum("standpipe_collector_refused_requests_total"),
        2.0 * cases.len() as f64 + 4.0
    );
    let ran = collector.stop().expect_exit(3);
    // There is one log line for each source and reason, however often it occurs.
    for (source, reason, _, _, _, status, words) in cases {
        let whose = match *source {
            "" => "of no known source".to_owned(),
            name => format!("of the source {name:?}"),
        };
        let start = format!("refused a request {whose} with {status} ({reason}): ");
        let lines: Vec<_> = ran.stderr.lines().filter(|line| line.contains(&start)).collect();
        assert_eq!(lines.len(), 1, "{start}\n{}", ran.stderr);
        assert!(lines[0].contains(words), "{}", lines[0]);
    }
    assert!(!ran.stderr.contains("key-of") && !ran.stderr.contains("nobodys"), "{}", ran.stderr);
}

#[test]
fn refused_bodies_are_kept_if_the_source_is_configured_so() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &source_settings());
    let cut = r#"{"batch":[{"type":"track","event":"precious","userId":"#;
    let strict = batch_of(&[track_event("good"), json!({"type": "page"})]).to_string();
    let compressed = gzip(cut.as_bytes());
    let broken = &compressed[..compressed.len() - 4];
    let large = format!("{{\"batch\":[{}", "x".repeat(700_000));
    let in_body = r#"{"batch":{},"writeKey":"key-of-kept"}"#;
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], &'a [u8]);
    let cases: &[Case<'_>] = &[
        ("kept", "key-of-kept", &[], cut.as_bytes(), cut.as_bytes()),
        ("kept", "key-of-kept", &[("Content-Encoding", "gzip")], &compressed, cut.as_bytes()),
        ("kept", "key-of-kept", &[("Content-Encoding", "gzip")], broken, broken),
        ("kept", "key-of-kept", &[], large.as_bytes(), large.as_bytes()),
        ("kept", "", &[], in_body.as_bytes(), in_body.as_bytes()),
        ("strict", "key-of-strict", &[], strict.as_bytes(), strict.as_bytes()),
    ];
    for (_, key, headers, body, _) in cases {
        assert_eq!(send_body(&collector, "/v1/batch", key, headers, body).0, 400);
    }
    // The body is empty, or its source does not keep refused bodies, or the body was not read.
    assert_eq!(send_body(&collector, "/v1/batch", "key-of-kept", &[], b" ").0, 400);
    assert_eq!(send_body(&collector, "/v1/batch", "key-of-web", &[], cut.as_bytes()).0, 400);
    assert_eq!(send_body(&collector, "/v1/batch", "key-of-off", &[], cut.as_bytes()).0, 404);
    assert_eq!(send_post(&collector, "/v1/track", "key-of-kept", &track_event("good")).status, 200);
    let ran = collector
        .stop()
        .expect_exit(3)
        .expect_stderr(&["its body went to the dead letters", "SDKs do not send it again"]);
    assert_eq!([ran.count("read"), ran.count("delivered"), ran.count("dead")], [7, 1, 6]);
    let mut dead_letters: Vec<_> = ran
        .dead_letters()
        .into_iter()
        .map(|dead_letter| (dead_letter.source, dead_letter.reason, dead_letter.event))
        .collect();
    let mut expected: Vec<_> = cases
        .iter()
        .map(|(source, .., kept)| {
            ((*source).to_owned(), "request_refused".to_owned(), kept.to_vec())
        })
        .collect();
    dead_letters.sort();
    expected.sort();
    assert_eq!(dead_letters, expected);
}

/// The HTTP server below the collector responds to these requests, and never passes them on.
#[test]
fn invalid_requests_are_counted_and_logged() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &source_settings());
    let long = format!("GET /v1/pixel/track?data={} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    for (bytes, statuses) in [("no request\r\n\r\n", [400, 400]), (&long, [414, 431])] {
        let mut client = Client::connect(collector.url());
        // The response may arrive before everything is sent.
        let _ = client.send(bytes.as_bytes());
        let status = client.read_response().unwrap().status;
        assert!(statuses.contains(&status), "{status}");
    }
    assert_eq!(send_get(&collector, "/health").status, 200);
    let count = |listener: &str| {
        read_metrics(&collector)
            .value("standpipe_http_connections_malformed_total", &[("listener", listener)])
    };
    standpipe_tests::wait_until("both are counted", || count("collector") == 2.0);
    assert_eq!(count("admin"), 0.0);
    let ran = collector.stop().expect_exit(0);
    let lines = ran
        .stderr
        .lines()
        .filter(|line| line.contains("closed a connection without a valid HTTP request"));
    assert_eq!(lines.count(), 1, "{}", ran.stderr);
    assert!(!ran.stderr.contains("xxx"), "{}", ran.stderr);
}
