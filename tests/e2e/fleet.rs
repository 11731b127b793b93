//! Collectors and mappers with a queue between them: what a collector has answered with 200 arrives, whatever fails.
//!
//! [`truth`] kills processes under load, [`stalls`] stops and cuts them off, [`rules`] changes their plugins. [`ledger`]
//! accounts for the events.

mod components;
mod delivery;
mod ledger;
mod member;
mod rules;
mod sender;
mod stalls;
mod telemetry;
mod truth;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use standpipe_tests::events::Events;
use standpipe_tests::nats::NatsCluster;
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{Program, Stub, StubResponse, wait_until};

use ledger::{FleetLedger, ROWS, start_firehose};
use member::FleetProcess;

/// The shortest time after which a queue delivers a message again that the settings permit.
const ACK_WAIT: Duration = Duration::from_secs(5);

/// The write key of the source `web`.
const WRITE_KEY: &str = "key-of-web";

// Metrics of collectors and mappers.
const PUBLISHED: &str = "standpipe_queue_published_messages_total";
const REPUBLISHED: &str = "standpipe_queue_republished_messages_total";
const RECEIVED: &str = "standpipe_queue_received_messages_total";
const REDELIVERED: &str = "standpipe_queue_redelivered_messages_total";
const DUPLICATES: &str = "standpipe_queue_duplicate_messages_total";
const IN_PROGRESS: &str = "standpipe_queue_in_progress_messages";

/// Lines of `[queue]` for a stream of JetStream.
fn nats_lines(role: &str, servers: &str) -> Vec<String> {
    vec![
        "kind = 'nats'".to_owned(),
        format!("role = '{role}'"),
        format!("servers = {servers}"),
        format!("ack_wait = '{}s'", ACK_WAIT.as_secs()),
    ]
}

/// Lines of `[queue]` for a queue of Amazon SQS.
fn sqs_lines(role: &str, url: &str) -> Vec<String> {
    vec![
        "kind = 'sqs'".to_owned(),
        format!("role = '{role}'"),
        format!("url = '{url}'"),
        format!("ack_wait = '{}s'", ACK_WAIT.as_secs()),
    ]
}

/// Settings with the source `web` and these lines of `[queue]`.
fn settings_with(queue_lines: &[String]) -> CollectorSettings {
    let settings = CollectorSettings::new([SourceEntry::segment("web")]);
    queue_lines.iter().fold(settings, |settings, line| settings.with_line("queue", line))
}

/// Creates the stream and the consumer on all servers, as users do.
fn create_queue(nats: &NatsCluster) {
    create_queue_with(&nats_lines("both", &nats.urls()), nats);
}

/// Creates the stream and the consumer for these lines of `[queue]`.
fn create_queue_with(queue_lines: &[String], nats: &NatsCluster) {
    queue_creation(queue_lines, nats).run().expect_exit(0);
}

/// `host queue create` for these lines of `[queue]`.
fn queue_creation(queue_lines: &[String], nats: &NatsCluster) -> Program {
    let replicas = nats.server_count().to_string();
    let program = Program::new().args(["queue", "create", "--replicas", &replicas]);
    program.settings(&settings_with(queue_lines))
}

/// A program that has no plugin, and delivers nothing.
fn collector_program(queue_lines: &[String]) -> Program {
    let program = Program::host_run().args(["--region", "eu-central-1"]).with_keys();
    program.settings(&settings_with(queue_lines))
}

/// Starts a collector with a data directory of this name in `directory`.
fn start_collector(directory: &Path, name: &str, queue_lines: Vec<String>) -> FleetProcess {
    FleetProcess::start_collector(directory, name, move || collector_program(&queue_lines))
}

/// Starts a mapper with a data directory of this name in `directory`. It maps events by [`ROWS`] and delivers them to
/// the stub.
fn start_mapper(
    directory: &Path,
    name: &str,
    firehose: &Stub,
    queue_lines: Vec<String>,
) -> FleetProcess {
    let url = firehose.url();
    FleetProcess::start_mapper(directory, name, move || {
        Program::host_run_against(&url).settings(&settings_with(&queue_lines)).mapping(ROWS)
    })
}

/// Waits until all events that were answered with 200 have arrived.
fn wait_for_arrivals(ledger: &FleetLedger) {
    wait_until("all events have arrived", || ledger.outstanding() == 0);
}
