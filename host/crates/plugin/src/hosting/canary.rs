//! The settings of a canary: `[plugin.canary]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{check_share, json};
use crate::CanarySettings;
use standpipe_core::settings::TableChecker;

/// A plugin that decides about the events of some users.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCanary {
    /// Its component's file; that of the plugin if there is none.
    #[schemars(example = &"next.wasm")]
    pub path: Option<PathBuf>,
    /// Its settings; those of the plugin if there are none.
    #[serde(deserialize_with = "json::optional_object")]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// The SHA-256 that its component must have; by default the one that `sha256`
    /// under `[plugin]` demands, if it demands any.
    pub sha256: Option<String>,
    /// The share of users whose events it decides about, from 0 to 100; 5 by default.
    #[schemars(example = 5.0)]
    pub percent: Option<f64>,
    /// The share of its events, from 0 to 1, that it may fail on or reject before it
    /// is not asked any more; 0.01 by default.
    #[schemars(example = 0.01)]
    pub max_error_rate: Option<f64>,
    /// Events that it must have seen before it is judged; 1000 by default.
    #[schemars(example = 1000)]
    pub min_events: Option<u64>,
}

impl RawCanary {
    /// Checks how the canary is tried.
    pub fn check(&self, check: &mut TableChecker<'_>) -> CanarySettings {
        let usual = CanarySettings::default();
        let percent = self.percent.unwrap_or(usual.percent);
        if !(0.0..=100.0).contains(&percent) {
            check.add_mistake(format_args!("percent is {percent}: write a number from 0 to 100"));
        }
        let error_rate = self.max_error_rate;
        CanarySettings {
            percent,
            error_rate_max: check_share("max_error_rate", error_rate, usual.error_rate_max, check),
            events_min: self.min_events.unwrap_or(usual.events_min),
        }
    }
}
