//! Tests that metrics and logs of a collector are well-formed and correct, and show no secrets.

use std::fs;

use serde_json::json;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::{FinishedRun, workspace_directory};

use super::*;

/// Labels may contain any characters.
const ODD_NAME: &str = r#"shop "b\c" ä"#;

#[test]
fn metrics_are_well_formed_and_say_what_was_sent() {
    let stub = start_accepting_stub();
    let odd = SourceEntry::segment(ODD_NAME).write_keys(&["key-of-web"]);
    let settings = CollectorSettings::new([odd, SourceEntry::rudderstack("backend")]);
    let collector = start_collector(&stub, &settings);
    read_metrics(&collector);
    let five: Vec<_> = (0..5).map(|number| track_event(&number.to_string())).collect();
    assert_eq!(send_post(&collector, "/v1/batch", "key-of-web", &batch_of(&five)).status, 200);
    let mixed = batch_of(&[track_event("good"), json!({"type": "page"}), json!([])]);
    assert_eq!(send_post(&collector, "/v1/batch", "key-of-backend", &mixed).status, 200);
    assert_eq!(send_post(&collector, "/v1/track", "nobodys", &track_event("e")).status, 401);
    assert_eq!(send_post(&collector, "/v1/track", "key-of-web", &json!(7)).status, 400);
    assert_eq!(send_get(&collector, "/nowhere").status, 404);
    assert_eq!(send_get(&collector, "/v1/track").status, 405);
    assert_eq!(send_get(&collector, "/health").status, 200);
    standpipe_tests::wait_until("all is settled", || {
        read_metrics(&collector).sum("standpipe_events_settled_total") == 8.0
    });
    let seen = read_metrics(&collector);
    let of_source = |source: &str| {
        ["standpipe_collector_events_total", "standpipe_collector_dead_lettered_events_total"]
            .map(|name| seen.value(name, &[("source", source)]))
    };
    assert_eq!((of_source(ODD_NAME), of_source("backend")), ([5.0, 0.0], [3.0, 2.0]));
    for (status, count) in [("200", 3.0), ("400", 1.0), ("401", 1.0), ("404", 1.0), ("405", 1.0)] {
        assert_eq!(
            seen.value("standpipe_collector_responses_total", &[("status", status)]),
            count,
            "{status}"
        );
    }
    assert_eq!(seen.value("standpipe_collector_request_duration_seconds_count", &[]), 7.0);
    assert_eq!(seen.sum("standpipe_collector_responses_total"), 7.0);
    assert_eq!(seen.value("standpipe_collector_unknown_write_keys_total", &[]), 1.0);
    assert_eq!(seen.value("standpipe_events_settled_total", &[("outcome", "delivered")]), 6.0);
    assert_eq!(seen.value("standpipe_events_settled_total", &[("outcome", "dead")]), 2.0);
    assert_eq!(seen.value("standpipe_events_read_total", &[]), 8.0);
    for reason in ["no_identity", "not_an_object"] {
        assert_eq!(
            seen.value("standpipe_dead_letters_total", &[("reason", reason)]),
            1.0,
            "{reason}"
        );
    }
    assert_eq!(seen.value("standpipe_firehose_events_total", &[("stream", "all")]), 6.0);
    assert_eq!(seen.value("standpipe_firehose_records_total", &[("stream", "all")]), 6.0);
    let bytes: usize = stub.accepted_records()["all"].iter().map(Vec::len).sum();
    assert_eq!(seen.value("standpipe_firehose_bytes_total", &[("stream", "all")]), bytes as f64);
    assert_eq!(
        seen.value("standpipe_firehose_requests_total", &[("stream", "all")]),
        stub.requests().len() as f64
    );
    assert_eq!(seen.value("standpipe_spool_requests_total", &[]), 2.0);
    assert_eq!(seen.value("standpipe_spool_events", &[]), 0.0);
    let ran = collector.stop().expect_exit(3);
    assert_eq!([ran.count("read"), ran.count("delivered"), ran.count("dead")], [8, 6, 2]);
    assert_eq!(ran.summary()["collected"], json!({"accepted": 8, "unknown_keys": 1, "waiting": 0}));
}

#[test]
fn the_document_lists_every_metric() {
    let mut is_first = true;
    let stub = Stub::start(move |_| match std::mem::replace(&mut is_first, false) {
        true => {
            StubResponse::Fail { status: 503, code: "ServiceUnavailableException", accepted: false }
        }
        false => StubResponse::Accept,
    });
    let collector = start_collector(&stub, &both_vendors());
    let bad = batch_of(&[track_event("good"), json!({})]);
    assert_eq!(send_post(&collector, "/v1/batch", "key-of-web", &bad).status, 200);
    assert_eq!(send_get(&collector, "/nowhere").status, 404);
    standpipe_tests::wait_until("all is settled", || {
        read_metrics(&collector).sum("standpipe_events_settled_total") == 2.0
    });
    let seen = read_metrics(&collector);
    collector.stop().expect_exit(3);
    let document = fs::read_to_string(workspace_directory().join("host/docs/metrics.md")).unwrap();
    let tables = document.split("| metric | labels | meaning |").skip(1);
    let rows =
        tables.flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    let mut named = BTreeSet::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').collect();
        let names = in_backticks(cells[1]);
        assert_eq!(names.len(), 1, "not one metric: {row}");
        for name in names {
            assert_eq!(seen.labels_of(&name), Some(in_backticks(cells[2])), "the labels of {name}");
            assert!(named.insert(name), "twice: {row}");
        }
    }
    assert_eq!(named, seen.names());
    let alerts = document.lines().filter_map(|line| line.trim_start().strip_prefix("expr: "));
    let words = alerts.flat_map(|alert| alert.split(|c: char| c != '_' && !c.is_alphanumeric()));
    let metrics: Vec<_> = words.filter(|word| word.starts_with("standpipe_")).collect();
    assert!(metrics.len() > 4, "no alerts were found: this test looks at the wrong place");
    assert!(metrics.iter().all(|name| named.contains(*name)), "alerts of {metrics:?}");
}

#[test]
fn health_endpoints_accept_only_get() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let mut client = Client::connect(collector.admin_url());
    for (method, path, status) in [
        ("GET", "/health/live", 200),
        ("GET", "/health/ready", 200),
        ("GET", "/metrics", 200),
        ("POST", "/metrics", 405),
        ("GET", "/v1/track", 404),
    ] {
        let reply = client.request(method, path, &[], b"").unwrap();
        assert_eq!(reply.status, status, "{method} {path}");
    }
    let content_type = client.get("/metrics").unwrap();
    let content_type = content_type.header("content-type").unwrap();
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    // The collector's address does not serve the metrics.
    assert_eq!(send_get(&collector, "/metrics").status, 404);
    collector.stop().expect_exit(0);
}

#[test]
fn logs_and_metrics_show_neither_keys_nor_events() {
    const MARK: &str = "xyzzy";
    let key = format!("key-{MARK}");
    let backend = SourceEntry::rudderstack("backend").write_keys(&[&key]);
    let settings = CollectorSettings::new([SourceEntry::segment("web"), backend.clone()]);
    let stub = Stub::start(|put| match put.number % 3 {
        0 => StubResponse::Fail { status: 400, code: "ValidationException", accepted: false },
        1 => StubResponse::Refuse { records: vec![0], code: "InternalFailure" },
        _ => StubResponse::Accept,
    });
    let logged = new_program(&stub, &settings).args(["--log-format", "json"]);
    let collector = Collector::start(logged.env("RUST_LOG", "info,standpipe=trace"));
    let paths = ["/v1/batch", "/v1/track", "/v1/webhook", "/xyzzy", "/v1/xyzzy", "/v1/pixel/track"];
    let bodies = [
        batch_of(&[
            track_event(MARK),
            json!({"type": MARK}),
            json!(MARK),
            json!({MARK: MARK, "userId": MARK}),
        ]),
        json!({"userId": MARK, "event": MARK, "writeKey": key, MARK: [MARK]}),
        json!(MARK),
    ];
    for path in paths {
        for who in [&*key, "xyzzy", "key-of-web"] {
            for body in &bodies {
                send_post(&collector, path, who, body);
            }
        }
        let query = format!("{path}?writeKey={key}&userId={MARK}&event={MARK}&data={MARK}");
        assert!(send_get(&collector, &query).status < 500);
        let mut client = Client::connect(collector.url());
        let headers = [
            ("Authorization", &*basic_auth(&key).1),
            ("Content-Encoding", MARK),
            ("Origin", MARK),
            ("Host", MARK),
            ("X-Forwarded-For", MARK),
        ];
        client.post(path, &headers, format!("{{\"{MARK}\"").as_bytes()).unwrap();
        let gzip = [headers[0], ("Content-Encoding", "gzip")];
        client.post(path, &gzip, MARK.as_bytes()).unwrap();
    }
    let _ = Client::connect(collector.url()).send(format!("{MARK}\r\n\r\n").as_bytes());
    for path in [format!("/v1/projects/{key}/settings"), format!("/v1/projects/{MARK}/settings")] {
        send_get(&collector, &path);
    }
    standpipe_tests::wait_until("all is settled", || {
        read_metrics(&collector).value("standpipe_spool_events", &[]) == 0.0
    });
    let page = Client::connect(collector.admin_url()).get("/metrics").unwrap().text();
    let ran = collector.stop().expect_exit(3);
    let counts = ["dead", "delivered"].map(|key| ran.count(key));
    assert!(counts.into_iter().all(|count| count > 0), "{counts:?} dead and delivered");
    let summary = ran.summary().to_string();
    let stdout = String::from_utf8_lossy(&ran.stdout).into_owned();
    for (what, text) in [
        ("the log", &ran.stderr),
        ("metrics", &page),
        ("the summary", &summary),
        ("standard output", &stdout),
    ] {
        assert!(!text.contains(MARK), "{what} shows too much:\n{text}");
    }
    assert_logged_in_json(&ran, "");
    // A program that fails to start logs in the same way.
    let web = SourceEntry::segment("web").write_keys(&[&key]);
    let twice = CollectorSettings::new([web, backend]);
    let ran = new_program(&stub, &twice).args(["--listen", "127.0.0.1:0"]).run().expect_exit(2);
    assert!(ran.stderr.contains("stands twice") && !ran.stderr.contains(MARK), "{}", ran.stderr);
}

/// Fails unless every line except those of the command line itself is a JSON log line, and one of
/// them contains these words.
pub(super) fn assert_logged_in_json(ran: &FinishedRun, words: &str) {
    let lines = ran.stderr.lines().filter(|line| !line.starts_with("host: "));
    let mut is_told = false;
    for line in lines {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
        is_told |= line["fields"]["message"].as_str().expect("a message").contains(words);
    }
    assert!(is_told, "nothing of {words:?}:\n{}", ran.stderr);
}

/// The words between backticks.
fn in_backticks(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
