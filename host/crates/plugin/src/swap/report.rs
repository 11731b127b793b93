//! The status of the plugins as the admin API returns it: active, previous, canary, shadow, rejections
//! and pauses.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;

use super::RejectedCandidate;
use crate::compare::Comparison;
use crate::{Canary, Generation, Health, Pauses, Shadow};
use standpipe_core::clock;

/// Maximum number of failing sources in the status of a plugin.
const FAILING_SOURCES_SHOWN: usize = 20;

/// The status of the plugins.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PluginStatus {
    /// The active plugin.
    pub active: GenerationReport,
    /// The previous plugin, which a rollback returns to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<GenerationReport>,
    /// The generation that the last rollback withdrew, until the next swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<u64>,
    /// The plugin that decides the events of some users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryReport>,
    /// The plugin that also maps all events, but whose decisions are only compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowReport>,
    /// Swaps since the start.
    pub swaps: u64,
    /// Rejected candidates, by the step that they failed.
    pub refused: BTreeMap<&'static str, u64>,
    /// The last rejection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refused: Option<RejectionReport>,
    /// How long workers paused to switch to another plugin.
    pub pauses: PauseReport,
}

/// A plugin in a role, and its counts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GenerationReport {
    /// The number of the generation in this run. It increases with each generation.
    pub generation: u64,
    /// The SHA-256 of the component.
    pub sha256: String,
    /// The origin of the component.
    pub origin: String,
    /// When the generation began, in RFC 3339.
    pub since: String,
    /// The delivery streams that the plugin may name, including patterns.
    pub streams: Vec<String>,
    /// The plugin's health with its worst source.
    pub health: Health,
    /// The sources that the plugin fails on, the worst first, at most twenty.
    pub failing_sources: Vec<FailingSource>,
    /// Events that the plugin decided or failed on.
    pub events: u64,
    /// Events without an output.
    pub filtered: u64,
    /// Events that the plugin rejected.
    pub rejected: u64,
    /// Events that the plugin failed on, by the kind of failure.
    pub failed: BTreeMap<&'static str, u64>,
    /// The duration of all calls together, in seconds.
    pub call_seconds: f64,
    /// The maximum memory of one of the plugin's instances, in bytes.
    pub memory_bytes: u64,
}

/// A source whose events a plugin fails on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FailingSource {
    /// The source.
    pub source: String,
    /// The plugin's health with its events.
    pub health: Health,
}

/// A canary.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CanaryReport {
    /// The share of users whose events the canary decides, from 0 to 100.
    pub percent: f64,
    /// The maximum share of events, from 0 to 1, that the canary may fail on or reject.
    pub max_error_rate: f64,
    /// Whether the canary exceeded this share, and was stopped.
    pub is_out: bool,
    /// The canary's plugin. Events that it failed on went to the active plugin, which counts them
    /// too.
    pub plugin: GenerationReport,
}

/// A shadow, and the differences between its decisions and those of the active plugin.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ShadowReport {
    /// Events that were skipped because the shadow's queue was full.
    pub skipped: u64,
    /// Counts and samples of the differences.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub comparison: Comparison,
    /// The shadow's plugin.
    pub plugin: GenerationReport,
}

/// A rejected candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RejectionReport {
    /// When the candidate was rejected, in RFC 3339.
    pub time: String,
    /// The step that the candidate failed.
    pub step: &'static str,
    /// The reason.
    pub reason: String,
    /// The SHA-256 of the component, if it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// How long workers paused to switch to another plugin, for the last few thousand switches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PauseReport {
    /// How often a worker switched.
    pub count: u64,
    /// The median, in microseconds.
    pub p50_micros: u32,
    /// The 99th percentile, in microseconds.
    pub p99_micros: u32,
    /// The maximum, in microseconds.
    pub max_micros: u32,
}

impl GenerationReport {
    pub(super) fn new(generation: &Generation) -> Self {
        let (counts, plugin) = (generation.counts(), generation.plugin());
        let sources = generation.breaker().failing_sources(Instant::now()).into_iter();
        let failing_sources: Vec<_> = sources
            .take(FAILING_SOURCES_SHOWN)
            .map(|(source, health)| FailingSource { source, health })
            .collect();
        let worst = failing_sources.first().map(|worst| worst.health);
        GenerationReport {
            generation: generation.number(),
            sha256: plugin.digest().to_string(),
            origin: generation.origin().to_owned(),
            since: clock::rfc3339(generation.since().into()),
            streams: plugin.streams().map(str::to_owned).collect(),
            health: worst.unwrap_or(Health::Healthy),
            failing_sources,
            events: counts.events.get(),
            filtered: counts.filtered.get(),
            rejected: counts.rejected.get(),
            failed: counts.faults().filter(|(_, count)| *count > 0).collect(),
            call_seconds: counts.calls.sum_seconds(),
            memory_bytes: counts.memory_bytes_max(),
        }
    }
}

impl CanaryReport {
    pub(super) fn new(canary: &Canary) -> Self {
        CanaryReport {
            percent: canary.settings().percent,
            max_error_rate: canary.settings().error_rate_max,
            is_out: canary.is_out(),
            plugin: GenerationReport::new(canary.generation()),
        }
    }
}

impl ShadowReport {
    pub(super) fn new(shadow: &Shadow) -> Self {
        ShadowReport {
            skipped: shadow.skipped(),
            comparison: shadow.comparison(),
            plugin: GenerationReport::new(shadow.generation()),
        }
    }
}

impl RejectionReport {
    pub(super) fn new(refused: &RejectedCandidate, time: SystemTime) -> Self {
        RejectionReport {
            time: clock::rfc3339(time.into()),
            step: refused.step.word(),
            reason: refused.cause.to_string(),
            sha256: refused.digest.as_deref().map(str::to_owned),
        }
    }
}

impl PauseReport {
    pub(super) fn new(pauses: &Pauses) -> Self {
        PauseReport {
            count: pauses.count(),
            p50_micros: pauses.quantile_micros(0.5),
            p99_micros: pauses.quantile_micros(0.99),
            max_micros: pauses.quantile_micros(1.0),
        }
    }
}
