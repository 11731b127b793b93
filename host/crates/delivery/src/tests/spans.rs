//! Tests the log output of a request at the level debug.

use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

use super::*;

/// Delivers two records, one of which the first request rejects, and returns the log of this level.
async fn log_of(level: Level) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_span_events(FmtSpan::NEW)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    standpipe_core::scoped_log::ask_all_threads();
    let guard = tracing::subscriber::set_default(subscriber);
    let port = FaultyClient::new(|_, _, request| match request {
        0 => InjectedFault::Refuse(vec![1], "ServiceUnavailableException"),
        _ => InjectedFault::None,
    });
    let records = vec![("orders", b"of nobody".to_vec()), ("orders", b"of somebody".to_vec())];
    let ran = deliver(port, records).await;
    assert_eq!(ran.settled.delivered, 2);
    drop(guard);
    String::from_utf8(log.0.lock().clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_request_has_a_span_that_holds_no_payload() {
    let log = log_of(Level::DEBUG).await;
    let spans: Vec<_> = log.lines().filter(|line| line.ends_with(": new")).collect();
    assert_eq!(spans.len(), 2, "{log}");
    // Two records with their newlines, then the rejected one.
    assert!(
        spans[0].contains("put_record_batch{stream=orders records=2 bytes=22 attempt=1}"),
        "{log}"
    );
    assert!(
        spans[1].contains("put_record_batch{stream=orders records=1 bytes=12 attempt=2}"),
        "{log}"
    );
    assert!(log.contains("Firehose answered refused=1"), "{log}");
    assert!(!log.contains("somebody"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_log_without_debug_knows_nothing_of_requests() {
    let log = log_of(Level::INFO).await;
    assert!(!log.contains("put_record_batch") && !log.contains("Firehose answered"), "{log}");
}
