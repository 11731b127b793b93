//! Measures the cost of the main path's spans per event: without a log, with a log whose filter
//! disables them, and with a log that enables them.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::io;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use standpipe::Builder;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, reload};

/// Events of one iteration: a few hundred chunks and two dozen requests of 500 records.
const EVENTS: usize = 12_000;

const SETTINGS: &str = "[plugin.settings]\nmappings = [{ event = '*', stream = 'requests' }]\n[delivery]\nmax_delay = '10ms'\n";

const EVENT: &str =
    r#"{"type":"track","event":"Order Completed","userId":"u-1","properties":{"total":12.5}}"#;

/// Sets the level of the process's log, which writes nowhere. A process has one log, and spans
/// created on any thread must reach it.
static SET_LEVEL: LazyLock<Box<dyn Fn(LevelFilter) + Send + Sync>> = LazyLock::new(|| {
    let (level, handle) = reload::Layer::new(LevelFilter::OFF);
    let log = fmt::layer().with_writer(io::sink).with_filter(level);
    tracing_subscriber::registry().with(log).init();
    Box::new(move |level| handle.modify(|filter| *filter = level).expect("the log is there"))
});

fn main() {
    divan::main();
}

/// The prefixes of the names order the benches: divan runs them by name, and an installed log
/// cannot be removed.
#[divan::bench]
fn a_no_log(bencher: Bencher<'_, '_>) {
    submit_events(bencher);
}

#[divan::bench(args = ["off", "info", "debug"])]
fn b_log_at(bencher: Bencher<'_, '_>, level: &str) {
    SET_LEVEL(level.parse().expect("a level"));
    submit_events(bencher);
}

/// Creates one span as for each request, without the request.
#[divan::bench(args = ["off", "info", "debug"])]
fn c_span_at(bencher: Bencher<'_, '_>, level: &str) {
    SET_LEVEL(level.parse().expect("a level"));
    bencher.bench(|| {
        let span = tracing::debug_span!("firehose_request", stream = "requests", records = 500);
        span.in_scope(|| tracing::debug!("response"));
    });
}

/// Measures events from the submission to the record in a file.
fn submit_events(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("a runtime");
    let directory = TempDir::new().expect("a directory");
    let builder = Builder::from_toml(SETTINGS, directory.path()).expect("valid settings");
    let builder = builder.local_directory(directory.path().join("records"));
    let host = runtime.block_on(builder.start(runtime.handle())).expect("it starts");
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        let results = runtime.block_on(host.submit_batch((0..EVENTS).map(|_| EVENT)));
        assert!(results.iter().all(Result::is_ok));
    });
    runtime.block_on(host.stop());
}
