//! The page of metrics in the text format of OpenMetrics. Each crate registers its own metrics.
//! Metrics of the whole process are here and in the submodule.

mod process;

use std::fmt;
use std::sync::atomic::Ordering;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::AdminView;
#[cfg(feature = "collector")]
use standpipe_collector::register_spool_metrics;
use standpipe_core::metrics::{self, MetricsPage};
use standpipe_http::ConnectionStats;
use standpipe_plugin_host::engine_version;

/// The media type of the page.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The prefix of all metrics, except for those of the process, which have the names of Prometheus'
/// own clients.
const PREFIX: &str = "standpipe";

/// Registers all metrics of a run, and of the listener that serves them.
pub(super) fn build_registry(view: &AdminView, own: ConnectionStats) -> Registry {
    let mut all = Registry::default();
    metrics::register(&mut all, process::write_resources);
    let registry = all.sub_registry_with_prefix(PREFIX);
    metrics::register(registry, write_build_info);
    view.progress.register_metrics(registry);
    if let Some(mapping) = &view.mapping {
        mapping.delivery.register_metrics(registry);
    }
    let aws = view.aws.clone();
    metrics::register(registry, move |page| {
        let Some(seconds) = aws.clock_skew_seconds() else { return Ok(()) };
        let help = "Seconds by which AWS is ahead of this machine's clock and by which signatures \
            are corrected; 0 below 4 minutes";
        page.gauge("aws_clock_skew_seconds", help, seconds as f64)
    });
    view.dead_letters.register_metrics(registry);
    #[cfg(feature = "collector")]
    if let Some(collector) = &view.collector {
        collector.register_metrics(registry);
    }
    let of_collector = view.connections.clone().map(|stats| ("collector", stats));
    let listeners = of_collector.into_iter().chain([("admin", own)]).collect();
    ConnectionStats::register_metrics(registry, listeners);
    if let Some(lines) = view.log_lines_dropped.clone() {
        let help = "Lines that were dropped because standard error was not read or failed";
        metrics::register(registry, move |page| {
            page.counter("log_lines_dropped", help, lines.load(Ordering::Relaxed))
        });
    }
    #[cfg(feature = "collector")]
    if let Some(spool) = view.spool.clone() {
        register_spool_metrics(registry, spool);
    }
    #[cfg(feature = "collector")]
    if let Some(held) = &view.held {
        held.register_metrics(registry);
    }
    if let Some(mapping) = &view.mapping {
        mapping.swapper.register_metrics(registry);
    }
    #[cfg(feature = "queue")]
    if let Some(queue) = &view.queue {
        queue.register_metrics(registry);
    }
    #[cfg(feature = "queue")]
    if let Some(fleet) = &view.fleet {
        fleet.register_metrics(registry);
    }
    all
}

/// The current values of all metrics.
pub(super) fn encode_metrics(registry: &Registry) -> String {
    let mut text = String::new();
    text::encode(&mut text, registry).expect("writing into a string does not fail");
    text
}

fn write_build_info(page: &mut MetricsPage<'_>) -> fmt::Result {
    let version = env!("CARGO_PKG_VERSION");
    page.gauges(
        "build_info",
        "The program; always 1",
        [([("version", version), ("engine", &engine_version())], 1.0)],
    )
}
