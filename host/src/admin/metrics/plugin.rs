//! The plugin. What counts goes on over swaps: it is of all plugins in a role, not
//! of the one that is there at the moment.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::page::{Histogram, Page};
use standpipe_plugin_host::swap::{Ledgers, Swapper};
use standpipe_plugin_host::{CacheCounts, Counts, Generation, Health, Ledger};

const ACTIVE: &str = "active";
const CANARY: &str = "canary";

pub(super) fn hosted(page: &mut Page<'_>, swapper: &Swapper) -> fmt::Result {
    let roles = swapper.roles().load();
    let canary = roles.canary.as_ref();
    let mut generations = vec![(ACTIVE, &*roles.active)];
    generations.extend(canary.map(|canary| (CANARY, &**canary.generation())));
    present(page, &generations)?;
    let is_out = canary.is_some_and(|canary| canary.is_out());
    page.gauges(
        "plugin_canary_out",
        "Whether a canary failed too often, and is not asked any more",
        [([], f64::from(u8::from(is_out)))],
    )?;
    let Ledgers { active, canary } = swapper.ledgers();
    worked(page, [(ACTIVE, active), (CANARY, canary)])?;
    swapped(page, swapper)
}

/// The plugins that are there.
fn present(page: &mut Page<'_>, generations: &[(&'static str, &Generation)]) -> fmt::Result {
    let rows = generations.iter().map(|&(role, generation)| {
        let labels = [("role", role), ("sha256", &**generation.plugin().digest())];
        (labels, generation.number() as f64)
    });
    page.gauges("plugin_generation", "The number of the plugin, which goes up with each", rows)?;
    let states = generations.iter().flat_map(|&(role, generation)| {
        let health = generation.breaker().health(Instant::now());
        Health::ALL.map(|state| {
            let labels = [("role", role), ("state", state.word())];
            (labels, f64::from(u8::from(state == health)))
        })
    });
    let help = "1 for the state that the plugin is in, with the source that it does worst with";
    page.gauges("plugin_health", help, states)?;
    let rows = generations
        .iter()
        .map(|&(role, generation)| ([("role", role)], generation.counts().memory_bytes_max as f64));
    let help = "The most memory that one of the plugin's instances was seen with";
    page.gauges("plugin_memory_bytes", help, rows)
}

/// A metric's name, what it means, and its value.
type Column = (&'static str, &'static str, fn(&Counts) -> u64);

/// What plugins have done.
fn worked(page: &mut Page<'_>, ledgers: [(&'static str, &Arc<Ledger>); 2]) -> fmt::Result {
    let counts = ledgers.map(|(role, ledger)| (role, ledger.counts()));
    let columns: [Column; 3] = [
        ("plugin_events", "Events that the plugin decided about, or failed on", |of| of.events),
        ("plugin_filtered", "Those without an output", |of| of.filtered),
        ("plugin_rejected", "Those that it rejected", |of| of.rejected),
    ];
    for (name, help, value) in columns {
        page.counters(name, help, counts.iter().map(|(role, of)| ([("role", *role)], value(of))))?;
    }
    let failures = counts.iter().flat_map(|(role, of)| {
        of.faults.map(|(kind, count)| ([("role", *role), ("kind", kind)], count))
    });
    page.counters("plugin_failures", "Events that it failed on", failures)?;
    let calls = counts.iter().map(|(role, of)| {
        ([("role", *role)], Histogram { buckets: &of.calls, sum: of.call_seconds })
    });
    page.histograms("plugin_call_seconds", "Time that the plugin took for a batch", calls)?;
    let changes = ledgers.map(|(role, ledger)| ([("role", role)], ledger.health_changes()));
    page.counters("plugin_health_changes", "How often the plugin's state has changed", changes)
}

/// What became of other plugins.
fn swapped(page: &mut Page<'_>, swapper: &Swapper) -> fmt::Result {
    let report = swapper.report();
    page.counter("plugin_swaps", "How often another plugin has taken over", report.swaps)?;
    let refused = report.refused.iter().map(|(step, count)| ([("step", *step)], *count));
    page.counters("plugin_refused", "Plugins that were not taken, by the step", refused)?;
    let CacheCounts { hits, misses, rejected } = swapper.cache_counts();
    let results = [("hit", hits), ("miss", misses), ("rejected", rejected)];
    let results = results.map(|(result, count)| ([("result", result)], count));
    let help = "How often compiled code was looked for in the cache, by what was found";
    page.counters("plugin_cache_lookups", help, results)
}
