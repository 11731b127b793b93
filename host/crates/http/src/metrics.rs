//! Metrics of connections, by listener.

use std::fmt;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::connections::{ConnectionCounts, Connections};
use standpipe_core::metrics::{self, MetricsPage};

/// The counts of a server's connections.
#[derive(Debug, Clone)]
pub struct ConnectionStats(pub(super) Connections);

impl ConnectionStats {
    /// Registers the metrics of the connections of these listeners, each with its name.
    pub fn register_metrics(registry: &mut Registry, listeners: Vec<(&'static str, Self)>) {
        metrics::register(registry, move |page| write(page, &listeners));
    }
}

/// Selects a counter of a listener.
type CounterOf = fn(&ConnectionCounts) -> &Counter;

fn write(page: &mut MetricsPage<'_>, listeners: &[(&'static str, ConnectionStats)]) -> fmt::Result {
    let labeled = || listeners.iter().map(|(name, stats)| ([("listener", *name)], &stats.0));
    let open = labeled().map(|(labels, connections)| (labels, connections.count() as f64));
    page.gauges("http_connections", "Open connections of clients", open)?;
    let closed: [(_, _, CounterOf); 3] = [
        (
            "http_connections_evicted",
            "Connections that were closed to make room for others",
            |counts| &counts.evicted,
        ),
        (
            "http_connections_refused",
            "Connections that were closed immediately, because their address had too many",
            |counts| &counts.refused,
        ),
        (
            "http_connections_malformed",
            "Connections that were closed because of an invalid request or a head that is too long",
            |counts| &counts.malformed,
        ),
    ];
    for (name, help, count) in closed {
        page.counters(
            name,
            help,
            labeled().map(|(labels, of)| (labels, count(of.counts()).get())),
        )?;
    }
    Ok(())
}
