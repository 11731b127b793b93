//! Metrics of the plugins of a run. Counters continue after swaps, because they belong to all
//! plugins in a role.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::Swapper;
use super::swapper::SwapCounters;
use crate::counts::{PluginCounters, RoleCounters};
use crate::web::WebCounters;
use crate::{Engine, Generation, Health};
use standpipe_core::metrics::{self, MetricsPage};

const ACTIVE: &str = "active";
const CANARY: &str = "canary";

impl Swapper {
    /// Registers the metrics of the plugins.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let swapper = self.clone();
        metrics::register(registry, move |page| write(page, &swapper));
    }
}

fn write(page: &mut MetricsPage<'_>, swapper: &Swapper) -> fmt::Result {
    let roles = swapper.roles().load();
    let canary = roles.canary.as_ref();
    let mut generations = vec![(ACTIVE, &*roles.active)];
    generations.extend(canary.map(|canary| (CANARY, &**canary.generation())));
    write_present(page, &generations)?;
    let is_out = canary.is_some_and(|canary| canary.is_out());
    page.gauge(
        "plugin_canary_out",
        "Whether a canary failed too often and is no longer called (1 or 0)",
        f64::from(u8::from(is_out)),
    )?;
    let SwapCounters { active, canary, .. } = swapper.counters();
    write_done(page, [(ACTIVE, active), (CANARY, canary)])?;
    write_swaps(page, swapper)
}

/// Writes gauges of the published plugins.
fn write_present(
    page: &mut MetricsPage<'_>,
    generations: &[(&'static str, &Generation)],
) -> fmt::Result {
    let rows = generations.iter().map(|&(role, generation)| {
        let labels = [("role", role), ("sha256", &**generation.plugin().digest())];
        (labels, generation.number() as f64)
    });
    page.gauges(
        "plugin_generation",
        "The generation of the plugin, which increases with each swap",
        rows,
    )?;
    let states = generations.iter().flat_map(|&(role, generation)| {
        let health = generation.breaker().health(Instant::now());
        Health::ALL.map(|state| {
            let labels = [("role", role), ("state", state.word())];
            (labels, f64::from(u8::from(state == health)))
        })
    });
    let help = "1 for the current state of the plugin, for the source with the worst state";
    page.gauges("plugin_health", help, states)?;
    let rows = generations.iter().map(|&(role, generation)| {
        ([("role", role)], generation.counts().memory_bytes_max() as f64)
    });
    let help = "The maximum observed memory of one of the plugin's instances";
    page.gauges("plugin_memory_bytes", help, rows)
}

/// A metric's name, its description, and its counter.
type CounterColumn = (&'static str, &'static str, fn(&PluginCounters) -> &Counter);

/// Writes the counters of each role.
fn write_done(
    page: &mut MetricsPage<'_>,
    roles: [(&'static str, &Arc<RoleCounters>); 2],
) -> fmt::Result {
    let counts = roles.map(|(role, counters)| (role, &counters.counts));
    let columns: [CounterColumn; 3] = [
        ("plugin_events", "Events that the plugin decided about or failed on", |of| &of.events),
        (
            "plugin_filtered_events",
            "Events that the plugin has filtered: events without an output",
            |of| &of.filtered,
        ),
        ("plugin_rejected_events", "Events that the plugin has rejected", |of| &of.rejected),
    ];
    for (name, help, counter) in columns {
        let rows = counts.map(|(role, of)| ([("role", role)], counter(of).get()));
        page.counters(name, help, rows)?;
    }
    let failures = counts.iter().flat_map(|(role, of)| {
        of.faults().map(|(kind, count)| ([("role", *role), ("kind", kind)], count))
    });
    page.counters("plugin_failures", "Events that the plugin failed on", failures)?;
    let calls = counts.map(|(role, of)| ([("role", role)], &of.calls));
    page.histograms(
        "plugin_call_duration_seconds",
        "Time that the plugin took for a batch",
        calls,
    )?;
    let changes = roles.map(|(role, counters)| ([("role", role)], counters.health_changes.get()));
    page.counters("plugin_health_changes", "How often the plugin's state has changed", changes)
}

/// Writes the counters of swaps, rejections and the cache.
fn write_swaps(page: &mut MetricsPage<'_>, swapper: &Swapper) -> fmt::Result {
    let counters = swapper.counters();
    page.counter("plugin_swaps", "Swaps to another plugin", counters.swaps.get())?;
    let refused = counters.refused().map(|(step, count)| ([("step", step)], count));
    let help = "Plugins that were rejected, by the step that they failed";
    page.counters("plugin_load_failures", help, refused)?;
    let counts = swapper.engine().and_then(Engine::cache_counts).cloned().unwrap_or_default();
    let results = [("hit", counts.hits), ("miss", counts.misses), ("rejected", counts.rejected)];
    let rows = results.iter().map(|(result, count)| ([("result", *result)], count.get()));
    let help = "Lookups of compiled code in the cache, by result";
    page.counters("plugin_cache_lookups", help, rows)?;
    match swapper.engine() {
        Some(engine) => write_requests(page, engine.network().counters()),
        None => Ok(()),
    }
}

/// Writes the counts of requests that plugins have sent.
fn write_requests(page: &mut MetricsPage<'_>, counters: &WebCounters) -> fmt::Result {
    let rows = counters.outcomes().map(|(outcome, count)| ([("outcome", outcome)], count));
    page.counters("plugin_requests", "Requests of plugins to servers, by outcome", rows)?;
    let help = "Time of the requests of plugins to servers, with the wait for their turn";
    page.histograms("plugin_request_duration_seconds", help, [([], &counters.times)])
}
