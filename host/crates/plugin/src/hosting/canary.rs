//! The settings of a canary: `[plugin.canary]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RawScriptPaths, check_share, json};
use crate::CanarySettings;
use standpipe_core::settings::TableChecker;

/// New plugin that receives the events of some users. `path`, `script` or `settings` is
/// required.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCanary {
    /// WebAssembly file of the canary. A relative path starts at the directory of the settings
    /// file. Default: the value in `[plugin]`.
    #[schemars(example = &"next.wasm")]
    pub path: Option<PathBuf>,
    /// JavaScript that runs as the canary, as in `[plugin]`. Default: the value in `[plugin]`.
    #[schemars(example = &"next.js")]
    pub script: Option<RawScriptPaths>,
    /// Settings of the canary. Default: the value in `[plugin]`.
    #[serde(deserialize_with = "json::optional_object")]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// SHA-256 that the file of the canary must have. Default: the value in `[plugin]`.
    pub sha256: Option<String>,
    /// Percentage of users whose events the canary receives, 0 to 100. Default: 5.
    #[schemars(example = 5.0)]
    pub percent: Option<f64>,
    /// Share of the canary's events, 0 to 1, that the canary may fail on or reject. Above this
    /// share, Standpipe stops the canary, and the active plugin receives all events again. Default:
    /// 0.01.
    #[schemars(example = 0.01)]
    pub max_error_rate: Option<f64>,
    /// Number of events that the canary must have received before `max_error_rate` applies.
    /// Default: 1000.
    #[schemars(example = 1000)]
    pub min_events: Option<u64>,
}

impl RawCanary {
    /// Checks the settings of the canary.
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
