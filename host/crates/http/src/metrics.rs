//! Metrics of connections, by the listener that they came in at.

use std::fmt;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::connections::Connections;
use standpipe_core::metrics::{self, MetricsPage};

/// What became of a server's connections.
#[derive(Debug, Clone)]
pub struct ConnectionStats(Connections);

impl ConnectionStats {
    pub(super) fn new(connections: Connections) -> Self {
        ConnectionStats(connections)
    }

    /// Have the connections of these listeners be on a page of metrics, each with its name.
    pub fn register_metrics(registry: &mut Registry, listeners: Vec<(&'static str, Self)>) {
        metrics::register(registry, move |page| write(page, &listeners));
    }
}

fn write(page: &mut MetricsPage<'_>, listeners: &[(&'static str, ConnectionStats)]) -> fmt::Result {
    let open =
        listeners.iter().map(|(name, stats)| ([("listener", *name)], stats.0.count() as f64));
    page.gauges("http_connections", "Connections of clients that are open", open)?;
    let rows = |count: fn(&Connections) -> &Counter| {
        listeners.iter().map(move |(name, stats)| ([("listener", *name)], count(&stats.0).get()))
    };
    page.counters(
        "http_connections_evicted",
        "Connections that were closed to make room for others",
        rows(Connections::evicted),
    )?;
    page.counters(
        "http_connections_refused",
        "Connections that were closed at once, since their address had as many as it may",
        rows(Connections::refused),
    )?;
    page.counters(
        "http_connections_malformed",
        "Connections that were closed for bytes that are no request, or a head that is too long",
        rows(Connections::malformed),
    )
}
