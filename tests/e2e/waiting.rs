//! Tests the conditions that a run waits for, and reports: unreachable services, streams that
//! accept nothing, and wrong clocks. Nothing is lost meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use standpipe_core::clock;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::endpoint::{session_response, sts_error};
use standpipe_tests::metrics::Metrics;
use standpipe_tests::{Collector, Endpoint, Program, Stub, StubResponse, free_port, wait_until};

const EVENT: &str = "{\"type\":\"track\"}\n";
const ROLE: &str = "arn:aws:iam::123456789012:role/firehose-writer";
const HOUR: Duration = Duration::from_secs(3600);

fn role_settings(firehose: &str, sts: &str) -> String {
    format!(
        "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{firehose}'\nrole_arn = '{ROLE}'\nsts_endpoint_url = '{sts}'\n\
         [delivery]\nmax_delay = '10ms'\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['key']\n"
    )
}

fn new_program(settings: &str) -> Program {
    Program::host_run().with_keys().settings(settings).mapping(&[("*", "s")])
}

fn send_track(collector: &Collector) -> u16 {
    let mut client = Client::connect(collector.url());
    let body = json!({"type": "track", "event": "e", "userId": "u"}).to_string();
    client
        .post("/v1/track", &[("Authorization", &basic_auth("key").1)], body.as_bytes())
        .unwrap()
        .status
}

fn send_get(collector: &Collector, path: &str) -> (u16, String) {
    let reply = Client::connect(collector.admin_url()).get(path).unwrap();
    (reply.status, reply.text())
}

/// The SDK sends three requests for each attempt.
#[test]
fn a_run_of_files_waits_for_sts_and_reports_it() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let sts = Endpoint::start(|asked| match asked.number {
        0..5 => (503, String::new()),
        number => (200, session_response(number, HOUR)),
    });
    let ran = new_program(&role_settings(&stub.url(), &sts.url()))
        .stdin(EVENT.repeat(700))
        .run()
        .expect_exit(0);
    let ran = ran.expect_stderr(&["waiting for AWS credentials", "firehose-writer"]);
    assert_eq!(ran.count("delivered"), 700);
}

#[test]
fn a_temporary_error_has_its_own_exit_code() {
    let secrets = "[secrets]\nmanager = 'aws-ssm'\n[aws.endpoints]\nssm = 'http://127.0.0.1:1'";
    let key = "[[sources]]\nname = 'app'\ndialect = 'segment'\nwrite_keys = ['secret:key']\n";
    for status in [500, 503, 429] {
        let sts = Endpoint::start(move |_| (status, sts_error("ServiceUnavailable", "busy")));
        let settings = role_settings("http://127.0.0.1:1", &sts.url());
        let ran = new_program(&settings).args(["--fail-fast"]).stdin(EVENT).run().expect_exit(1);
        ran.expect_stderr(&[ROLE]);
    }
    let settings =
        format!("listen = '127.0.0.1:0'\n{secrets}\n{key}[aws]\nregion = 'eu-central-1'");
    new_program(&settings)
        .args(["--fail-fast"])
        .run()
        .expect_exit(1)
        .expect_stderr(&["secret:key"]);
    // An error that requires a change is a usage error.
    let sts = Endpoint::start(|_| (403, sts_error("AccessDenied", "no")));
    new_program(&role_settings("http://127.0.0.1:1", &sts.url())).stdin(EVENT).run().expect_exit(2);
}

#[test]
fn a_collector_starts_without_sts_and_delivers_once_it_is_there() {
    let (stub, port) = (Stub::start(|_| StubResponse::Accept), free_port());
    let sts = format!("http://127.0.0.1:{port}");
    let collector = Collector::start(new_program(&role_settings(&stub.url(), &sts)));
    for _ in 0..10 {
        assert_eq!(send_track(&collector), 200);
    }
    let (status, text) = send_get(&collector, "/health/ready");
    assert_eq!(status, 200, "a spool takes them: {text}");
    assert!(text.contains("no AWS credentials"), "{text}");
    wait_until("the stream is held", || {
        send_get(&collector, "/health/ready").1.contains("the stream s is held")
    });
    let metrics = Metrics::parse(&send_get(&collector, "/metrics").1).unwrap();
    assert!(
        (metrics.value("standpipe_firehose_stream_held", &[("stream", "s")]) - 1.0).abs() < 0.1
    );
    let errors = [("stream", "s"), ("kind", "credentials")];
    assert!(metrics.value("standpipe_firehose_errors_total", &errors) >= 1.0);
    let _sts = Endpoint::start_at(port, |asked| (200, session_response(asked.number, HOUR)));
    wait_until("all is delivered", || {
        stub.accepted_records().get("s").is_some_and(|it| it.len() == 10)
    });
    wait_until("it is ready", || send_get(&collector, "/health/ready").1 == "ready\n");
    let metrics = Metrics::parse(&send_get(&collector, "/metrics").1).unwrap();
    assert!(metrics.value("standpipe_firehose_stream_held", &[("stream", "s")]).abs() < 0.1);
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(metrics.value(name, &[]) > 0.0, "{name}");
    }
    let started = metrics.value("process_start_time_seconds", &[]);
    let now = clock::now().unix_timestamp() as f64;
    assert!((now - started) < 600.0 && now + 5.0 > started, "{started}, now {now}");
    collector.stop().expect_exit(0).expect_stderr(&["10 events accepted from SDKs, 10 processed"]);
}

#[test]
fn the_summary_counts_waiting_events_of_the_spool() {
    let settings = role_settings("http://127.0.0.1:1", "http://127.0.0.1:1");
    let settings =
        settings.replace("max_delay = '10ms'", "max_delay = '10ms'\ndrain_timeout = '100ms'");
    let collector = Collector::start(new_program(&settings));
    for _ in 0..7 {
        assert_eq!(send_track(&collector), 200);
    }
    let ran = collector.stop().expect_exit(4);
    let ran =
        ran.expect_stderr(&["7 events accepted from SDKs", "7 wait in the spool for the next run"]);
    assert!(!ran.stderr.contains("0 events read"), "{}", ran.stderr);
}

#[test]
fn a_collector_waits_at_startup_for_the_secret_manager() {
    let port = free_port();
    let settings = format!(
        "[secrets]\nmanager = 'aws-ssm'\n[aws]\nregion = 'eu-central-1'\n[aws.endpoints]\nssm = 'http://127.0.0.1:{port}'\n\
         [[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['secret:key']\n"
    );
    let program =
        Program::host_run_locally().with_keys().settings(&settings).mapping(&[("*", "s")]);
    let running = program.args(["--listen", "127.0.0.1:0", "--admin", "off"]).start();
    running.wait_for("waiting to start: could not resolve secret:key");
    let answer = json!({"Parameter": {"Value": "key"}}).to_string();
    let _manager = Endpoint::start_at(port, move |_| (200, answer.clone()));
    running.wait_for("listening on ");
}

#[test]
fn a_run_that_is_to_fail_fast_ends_when_a_stream_accepts_nothing() {
    for code in ["AccessDeniedException", "InvalidArgumentException"] {
        let stub = Stub::start(move |put| match put.stream.as_str() {
            "s" => StubResponse::Fail { status: 400, code, accepted: false },
            _ => StubResponse::Accept,
        });
        let program = Program::host_run_against(&stub.url()).mapping(&[("*", "s")]);
        let program = program.settings("[delivery]\nmax_delay = '10ms'");
        let (started, program) = (Instant::now(), program.args(["--fail-fast"]));
        let ran = program.stdin(EVENT.repeat(3000)).run().expect_exit(1);
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        let ran = ran.expect_stderr(&["fault: the stream s accepts no records", code]);
        let summary = ran.summary();
        let count = |key: &str| summary[key].as_u64().unwrap();
        assert_eq!(count("read"), count("dead") + count("undelivered"), "{code}");
        assert!(
            ran.dead_letters().iter().all(|dead_letter| dead_letter.reason == "given_up"),
            "{code}"
        );
    }
}

/// Firehose's message for a stream that reads from a Kinesis stream.
#[test]
fn a_stream_that_refuses_everything_is_held_until_it_accepts() {
    let accepts = Arc::<AtomicBool>::default();
    let is_open = Arc::clone(&accepts);
    let refusal = json!({
        "__type": "InvalidArgumentException",
        "message": "This operation is not permitted on KinesisStreamAsSource delivery stream type.",
    });
    let stub = Stub::start(move |_| match is_open.load(Ordering::Relaxed) {
        true => StubResponse::Accept,
        false => StubResponse::from_text(400, refusal.to_string()),
    });
    let program = Program::host_run_against(&stub.url()).mapping(&[("*", "s")]);
    let mut running = program.start();
    running.write_all_in_background(EVENT.repeat(20_000).into_bytes());
    let line = running.wait_for_line("the stream refuses every record");
    assert!(line.contains("Direct PUT stream") && line.contains("Kinesis data stream"), "{line}");
    std::thread::sleep(Duration::from_secs(3));
    let refused = stub.requests().len();
    assert!(refused < 200, "{refused} requests");
    accepts.store(true, Ordering::Relaxed);
    let ran = running.wait(standpipe_tests::DEADLINE).expect_exit(0);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (20_000, 0));
    let stream = &ran.summary()["streams"]["s"];
    assert!(stream["retries"].as_u64().unwrap() > 500, "{stream}");
    assert!(stream["errors"]["invalid"].as_u64().unwrap() >= 10, "{stream}");
}

/// A server whose clock is this number of seconds ahead of this machine's: it rejects signatures
/// that differ by five minutes from its own time.
fn start_skewed_server(ahead: i64, accepted: impl Fn(&str) -> String + Send + 'static) -> Endpoint {
    Endpoint::start_with_headers(move |asked| {
        let now = clock::now() + parse_time(ahead);
        let date = http_date(now.unix_timestamp());
        let signed = asked.headers.get("x-amz-date").cloned().unwrap_or_default();
        let signed_at = amz_seconds(&signed);
        let head = format!("date: {date}\r\n");
        match signed_at.abs_diff(now.unix_timestamp()) <= 300 {
            true => (200, head, accepted(&asked.body)),
            false if asked.body.contains("Action=") => (
                403,
                head,
                sts_error("SignatureDoesNotMatch", "Signature expired: is now earlier than"),
            ),
            false => {
                let message = format!("Signature expired: {signed} is now earlier than another");
                let body = json!({"__type": "InvalidSignatureException", "message": message});
                (400, head, body.to_string())
            }
        }
    })
}

fn parse_time(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

/// Converts `20260101T000000Z` to seconds.
fn amz_seconds(text: &str) -> i64 {
    let at = |range: std::ops::Range<usize>| text.get(range).unwrap_or("00");
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        at(0..4),
        at(4..6),
        at(6..8),
        at(9..11),
        at(11..13),
        at(13..15)
    );
    match clock::parse_rfc3339(&text) {
        Some(time) => time.unix_timestamp(),
        None => 0,
    }
}

fn http_date(seconds: i64) -> String {
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let day = days[usize::try_from(seconds / 86_400 % 7).unwrap()];
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
    let text = clock::rfc3339(moment.into());
    let month: usize = text[5..7].parse().unwrap();
    format!("{day}, {} {} {} {} GMT", &text[8..10], months[month - 1], &text[..4], &text[11..19])
}

/// Firehose's response if it accepts everything.
fn accept_all(body: &str) -> String {
    let request: Value = serde_json::from_str(body).unwrap_or_default();
    let records = request["Records"].as_array().map_or(0, Vec::len);
    let taken: Vec<_> = (0..records).map(|id| json!({ "RecordId": id.to_string() })).collect();
    json!({"FailedPutCount": 0, "RequestResponses": taken}).to_string()
}

#[test]
fn a_wrong_clock_is_corrected_and_not_reported_as_a_wrong_key() {
    for has_role in [false, true] {
        let firehose = start_skewed_server(3600, accept_all);
        // Sessions expire one hour after the server's own time.
        let sts = start_skewed_server(3600, |_| session_response(0, 2 * HOUR));
        let settings = match has_role {
            true => role_settings(&firehose.url(), &sts.url()),
            false => format!("[aws]\nregion = 'eu-central-1'\nendpoint_url = '{}'", firehose.url()),
        };
        let program = new_program(&settings).args(["--fail-fast"]);
        let ran = program.stdin(EVENT.repeat(1200)).run().expect_exit(0);
        assert_eq!((ran.count("delivered"), ran.count("dead")), (1200, 0));
        let ran = ran.expect_stderr(&["this machine's clock is 1h", "behind the one of AWS"]);
        assert!(!ran.stderr.contains("secret_access_key"), "{}", ran.stderr);
        assert!(firehose.requests().len() < 20, "{} requests", firehose.requests().len());
    }
}

#[test]
fn the_clock_offset_is_a_metric() {
    let firehose = start_skewed_server(7200, accept_all);
    let settings = format!(
        "[aws]\nregion = 'eu-central-1'\nendpoint_url = '{}'\n[delivery]\nmax_delay = '10ms'\n\
         [[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['key']\n",
        firehose.url()
    );
    let collector = Collector::start(new_program(&settings));
    let skew = || {
        let page = send_get(&collector, "/metrics").1;
        Metrics::parse(&page).unwrap().value("standpipe_aws_clock_skew_seconds", &[])
    };
    assert!(skew().abs() < 1.0);
    assert_eq!(send_track(&collector), 200);
    wait_until("it is known", || (skew() - 7200.0).abs() < 5.0);
    let page = send_get(&collector, "/metrics").1;
    let errors = [("stream", "s"), ("kind", "clock")];
    assert!(
        Metrics::parse(&page).unwrap().value("standpipe_firehose_errors_total", &errors) >= 1.0
    );
    collector.stop().expect_exit(0);
}
