//! Measures what a queue costs: events per second of CPU time of a collector without a queue, of a collector that
//! publishes to JetStream, of a mapper, and of the NATS server, in turns; then the throughput of one and of two mappers
//! that each have a processor of their own; then the requests to Amazon SQS for a number of events.
//!
//! Each run is timed as a whole, so a bench harness has nothing to repeat. Ratios are reliable under other load on the
//! machine, throughput is not.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use serde_json::Value;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::events::Events;
use standpipe_tests::metrics::Metrics;
use standpipe_tests::nats::NatsCluster;
use standpipe_tests::stub::{Stub, StubResponse};
use standpipe_tests::{Collector, Program, Running, moto};

const ROUNDS: usize = 5;
const BATCH_EVENTS: usize = 200;
const CLIENTS: usize = 4;

/// Events of the trial with Amazon SQS, whose emulator is slow.
const SQS_EVENTS: usize = 100_000;

/// US dollars for a million requests to a standard queue, from the price list of Amazon SQS for eu-central-1 and most
/// other regions.
const SQS_DOLLARS_PER_MILLION: f64 = 0.40;

const ACK_WAIT: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(600);
const SOURCE: &str = "[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['k']\n";
const MAPPINGS: &str = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]\n";

fn main() {
    let events =
        env::var("EVENTS").map_or(1_000_000, |text| text.parse().expect("EVENTS is a number"));
    let bodies = make_bodies(events.min(20_000));
    println!("round  process               events  CPU s  events per CPU s  MiB");
    for round in 1..=ROUNDS {
        measure_alone(round, events, &bodies);
        measure_queue(round, events, &bodies);
    }
    println!("\nround  mappers  events per s of the middle 80 %");
    for round in 1..=ROUNDS {
        for mappers in [1, 2] {
            let rate = measure_mappers(mappers, events, &bodies);
            println!("{round:>5}  {mappers:>7}  {rate:>12.0}");
        }
    }
    measure_sqs(&bodies);
}

/// One process receives events, maps them and delivers them.
fn measure_alone(round: usize, events: usize, bodies: &[Vec<u8>]) {
    let (stub, delivered) = counting_stub();
    let program = Program::host_run_against(&stub.url()).settings(&format!("{SOURCE}{MAPPINGS}"));
    let collector = Collector::start(program);
    let sent = send(&collector, events, bodies);
    wait_for(&delivered, sent);
    report(round, "without a queue", sent, collector.running());
    collector.stop().expect_exit(0);
}

/// A collector publishes all events, and then a mapper receives them.
fn measure_queue(round: usize, events: usize, bodies: &[Vec<u8>]) {
    let cluster = NatsCluster::start(1);
    cluster.create_queue(ACK_WAIT);
    let sent = publish(&cluster, events, bodies, |collector, sent| {
        report(round, "collector", sent, collector.running());
    });
    let (stub, delivered) = counting_stub();
    let mapper = start_mapper(&cluster, &stub, &[]);
    wait_for(&delivered, sent);
    report(round, "mapper", sent, &mapper);
    let cpu = cluster.cpu_time(0).as_secs_f64();
    println!(
        "{round:>5}  {:<20}  {sent:>7}  {cpu:>5.2}  {:>16.0}",
        "nats-server",
        sent as f64 / cpu
    );
}

/// Some mappers, each with a processor of its own, receive what waits in the queue.
fn measure_mappers(mappers: usize, events: usize, bodies: &[Vec<u8>]) -> f64 {
    let cluster = NatsCluster::start(1);
    cluster.create_queue(ACK_WAIT);
    let sent = publish(&cluster, events, bodies, |_, _| ());
    let started: Vec<_> = (0..mappers)
        .map(|number| {
            let program = Program::host_run().args(["--local", "out"]);
            let settings = format!("workers = 1\n{}", mapper_settings(&cluster));
            let processor = number.to_string();
            let starter = ["taskset", "-c", &processor];
            program
                .settings(&settings)
                .args(["--admin", "127.0.0.1:0"])
                .started_by(&starter)
                .start()
        })
        .collect();
    let urls: Vec<_> = started.iter().map(admin_url).collect();
    let mut first = None;
    loop {
        let done: f64 =
            urls.iter().map(|url| read_metric(url, "standpipe_events_read_total")).sum();
        let now = Instant::now();
        if done >= 0.1 * sent as f64 {
            first.get_or_insert((now, done));
        }
        if let Some((since, before)) = first
            && done >= 0.9 * sent as f64
        {
            return (done - before) / (now - since).as_secs_f64();
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Counts the requests that a number of events cost.
fn measure_sqs(bodies: &[Vec<u8>]) {
    let url = create_sqs_queue();
    let queue = format!("[queue]\nkind = 'sqs'\nurl = '{url}'\n");
    let program = Program::host_run().with_keys().env("AWS_REGION", moto::REGION);
    let collector =
        Collector::start(program.settings(&format!("{SOURCE}{queue}role = 'collector'\n")));
    let sent = send(&collector, SQS_EVENTS, bodies);
    let (stub, delivered) = counting_stub();
    let program = Program::host_run_against(&stub.url()).args(["--admin", "127.0.0.1:0"]);
    let mapper = program.settings(&format!("{queue}role = 'mapper'\n{MAPPINGS}")).start();
    wait_for(&delivered, sent);
    let mapper_url = admin_url(&mapper);
    thread::sleep(Duration::from_secs(2));
    let billed = [collector.admin_url(), &mapper_url]
        .map(|url| read_metric(url, "standpipe_queue_billed_requests_total"));
    let bytes = read_metric(collector.admin_url(), "standpipe_queue_published_bytes_total");
    let messages = read_metric(collector.admin_url(), "standpipe_queue_published_messages_total");
    let requests: f64 = billed.iter().sum();
    let millions = sent as f64 / 1e6;
    println!(
        "\nAmazon SQS: {sent} events, {messages} messages, {bytes} bytes; billed requests: {} of the collector, {} of the \
         mapper; {:.4} dollars per million events",
        billed[0],
        billed[1],
        requests / 1e6 * SQS_DOLLARS_PER_MILLION / millions
    );
}

/// Creates a queue in the emulator of AWS, and returns its URL.
fn create_sqs_queue() -> String {
    let headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "AmazonSQS.CreateQueue"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/sqs/aws4_request",
        ),
    ];
    let mut client = Client::connect(moto::shared_server().url());
    let response = client.post("/", &headers, b"{\"QueueName\":\"bench\"}").expect("a response");
    let response: Value = serde_json::from_str(&response.text()).expect("JSON");
    response["QueueUrl"].as_str().expect("the queue is created").to_owned()
}

/// Bodies of requests with different events.
fn make_bodies(events: usize) -> Vec<Vec<u8>> {
    let events: Vec<_> = Events::new(7).take(events).collect();
    let body = |events: &[String]| format!("{{\"batch\":[{}]}}", events.join(",")).into_bytes();
    events.chunks(BATCH_EVENTS).map(body).collect()
}

/// Sends events with several clients. Returns how many were accepted.
fn send(collector: &Collector, events: usize, bodies: &[Vec<u8>]) -> u64 {
    let (next, url) = (AtomicU64::new(0), collector.url());
    let requests = (events / BATCH_EVENTS) as u64;
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(url);
                let (name, value) = basic_auth("k");
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return;
                    }
                    let body = &bodies[number as usize % bodies.len()];
                    let headers = [(name, value.as_str()), ("content-type", "application/json")];
                    let response = client.post("/v1/batch", &headers, body).expect("a response");
                    assert_eq!(response.status, 200);
                }
            });
        }
    });
    requests * BATCH_EVENTS as u64
}

/// Publishes events through a collector, which ends when JetStream has stored all.
fn publish(
    cluster: &NatsCluster,
    events: usize,
    bodies: &[Vec<u8>],
    look: impl Fn(&Collector, u64),
) -> u64 {
    let queue = format!("[queue]\nkind = 'nats'\nservers = {}\n", cluster.urls());
    let settings = format!("{SOURCE}{queue}role = 'collector'\ncustody = 'until-stored'\n");
    let collector = Collector::start(Program::host_run().settings(&settings));
    let sent = send(&collector, events, bodies);
    while read_metric(collector.admin_url(), "standpipe_events_read_total") < sent as f64 {
        thread::sleep(Duration::from_millis(20));
    }
    look(&collector, sent);
    collector.stop().expect_exit(0);
    sent
}

fn mapper_settings(cluster: &NatsCluster) -> String {
    let servers = cluster.urls();
    format!("[queue]\nkind = 'nats'\nrole = 'mapper'\nservers = {servers}\n{MAPPINGS}")
}

fn start_mapper(cluster: &NatsCluster, stub: &Stub, arguments: &[&str]) -> Running {
    let program = Program::host_run_against(&stub.url()).args(["--admin", "off"]);
    program.settings(&mapper_settings(cluster)).args(arguments).start()
}

/// A stub that accepts all records, and counts them.
fn counting_stub() -> (Stub, Arc<AtomicU64>) {
    let delivered = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&delivered);
    let stub = Stub::start_forgetful(move |put| {
        counted.fetch_add(put.records.len() as u64, Ordering::Relaxed);
        StubResponse::Accept
    });
    (stub, delivered)
}

fn wait_for(delivered: &AtomicU64, events: u64) {
    let deadline = Instant::now() + PATIENCE;
    while delivered.load(Ordering::Relaxed) < events {
        assert!(Instant::now() < deadline, "only {delivered:?} of {events} events arrived");
        thread::sleep(Duration::from_millis(5));
    }
}

fn report(round: usize, process: &str, events: u64, running: &Running) {
    let usage = running.usage().expect("the process lives");
    let (cpu, mebibytes) = (usage.cpu.as_secs_f64(), usage.memory_bytes_max >> 20);
    println!(
        "{round:>5}  {process:<20}  {events:>7}  {cpu:>5.2}  {:>16.0}  {mebibytes:>3}",
        events as f64 / cpu
    );
}

fn admin_url(running: &Running) -> String {
    let line = running.wait_for_line("health and metrics on ");
    line.split_whitespace().last().expect("an address").to_owned()
}

/// The sum of all samples of a metric.
fn read_metric(admin_url: &str, name: &str) -> f64 {
    let page = Client::connect(admin_url).get("/metrics").expect("a page").text();
    Metrics::parse(&page).expect("OpenMetrics").sum(name)
}
