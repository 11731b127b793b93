//! The metrics of collectors and mappers are those of `host/docs/fleet-operation.md`, and each process has those that the
//! page says.

use std::collections::BTreeSet;
use std::fs;

use standpipe_tests::metrics::Metrics;
use standpipe_tests::{moto, workspace_directory};

use super::*;

/// What the page says about a metric: the processes that have it, and whether a queue of another kind has none.
struct DocumentedMetric {
    name: String,
    process: String,
    meaning: String,
}

fn documented_metrics() -> Vec<DocumentedMetric> {
    let page =
        fs::read_to_string(workspace_directory().join("host/docs/fleet-operation.md")).unwrap();
    let (_, table) = page.split_once("| metric | process | meaning |\n").expect("a table");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let metrics = rows.flat_map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let names = cells[1].split(", ").map(|name| name.trim_matches('`').to_owned());
        let (process, meaning) = (cells[2].to_owned(), cells[3].to_owned());
        names
            .map(|name| DocumentedMetric {
                name,
                process: process.clone(),
                meaning: meaning.clone(),
            })
            .collect::<Vec<_>>()
    });
    metrics.collect()
}

/// The metrics of a queue that a process serves.
fn served_metrics(member: &FleetProcess) -> BTreeSet<String> {
    let names = || Metrics::parse(&member.get("/metrics").1).expect("OpenMetrics").names();
    // The process has to ask the queue first.
    wait_until("the status of the queue is known", || {
        names().contains("standpipe_queue_waiting_messages")
    });
    names().into_iter().filter(|name| name.starts_with("standpipe_queue_")).collect()
}

fn check(role: &str, member: &FleetProcess, belongs: impl Fn(&DocumentedMetric) -> bool) {
    let documented = documented_metrics();
    let of_queue = documented.iter().filter(|metric| metric.name.starts_with("standpipe_queue_"));
    let expected = of_queue
        // The first word: some processes have a metric only with a setting.
        .filter(|metric| {
            let process = metric.process.split(' ').next().unwrap_or_default();
            [role, "all"].contains(&process) && belongs(metric)
        })
        .map(|metric| metric.name.clone());
    assert_eq!(served_metrics(member), expected.collect::<BTreeSet<_>>(), "{role}");
}

/// A mapper has some metrics only with this setting.
fn with_deduplication(queue_lines: Vec<String>) -> Vec<String> {
    let window = "deduplication_window = '10m'".to_owned();
    queue_lines.into_iter().chain([window]).collect()
}

#[test]
fn the_metrics_of_a_stream_of_nats_are_documented() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    let ledger = Arc::new(FleetLedger::new());
    let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = tempfile::TempDir::new().expect("a directory");
    // A stream without a message has no oldest one.
    nats.publish(b"unreadable");
    let lines = |role| with_deduplication(nats_lines(role, &nats.urls()));
    let collector = start_collector(directory.path(), "collector", lines("collector"));
    // Only requests to Amazon SQS cost money.
    let of_nats = |metric: &DocumentedMetric| !metric.name.contains("requests");
    check("collector", &collector, of_nats);
    let mapper = start_mapper(directory.path(), "mapper", &firehose, lines("mapper"));
    check("mapper", &mapper, |metric| {
        // The mapper may have processed the message before it asked.
        of_nats(metric)
            && (metric.name != "standpipe_queue_oldest_message_seconds"
                || served_metrics(&mapper).contains(&metric.name))
    });
}

#[test]
fn the_metrics_of_a_queue_of_sqs_are_documented() {
    let server = moto::shared_server();
    let url = format!("{}{}", server.url(), server.create_queue("metrics"));
    let ledger = Arc::new(FleetLedger::new());
    let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
    let directory = tempfile::TempDir::new().expect("a directory");
    let of_sqs = |metric: &DocumentedMetric| !metric.meaning.contains("JetStream only");
    let lines = with_deduplication(sqs_lines("mapper", &url));
    let mapper = start_mapper(directory.path(), "mapper", &firehose, lines);
    check("mapper", &mapper, of_sqs);
    let collector = start_collector(directory.path(), "collector", sqs_lines("collector", &url));
    check("collector", &collector, of_sqs);
}
