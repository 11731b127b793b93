//! `[plugin]` with shadow, canary, limits and breaker, as written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json;

/// The mapping plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawPlugin {
    /// The component's file; the default mapping plugin if there is none.
    /// A relative path starts at the settings file.
    #[schemars(example = &"router.wasm")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Settings that are handed to the plugin. The default mapping plugin takes
    /// `mappings` (rows of `event` and `stream`), `fan_out` and `unmapped`.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[serde(deserialize_with = "json::object")]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The SHA-256 that the component must have, in whatever role it is used; any by
    /// default.
    #[schemars(example = &"64 hexadecimal digits")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The key of minisign's that the component must be signed with, whose signature
    /// is beside it in FILE.wasm.minisig; none by default.
    #[schemars(example = &"RW...")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// A file of cases, or a directory of such files, that a plugin must pass before
    /// it is taken: see `host plugin test`.
    #[schemars(example = &"cases.json")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cases: Option<PathBuf>,
    /// What becomes of an event that the plugin fails on: `"dead_letter"`, the
    /// default, `"drop"`, `"pass_through"` or `"halt"`.
    #[schemars(example = &"dead_letter")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// The stream that such events are passed through to.
    #[schemars(example = &"unrouted")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_through: Option<String>,
    /// Whether the component's file and this settings file are watched, and taken
    /// anew when they change; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<bool>,
    /// A plugin that is asked about all events too, to see where it would decide
    /// otherwise; nothing that it decides is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<RawShadow>,
    /// A plugin that decides about the events of some users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<RawCanary>,
    /// What an instance of the plugin may take.
    #[serde(skip_serializing_if = "RawPluginLimits::is_empty")]
    pub limits: RawPluginLimits,
    /// When the plugin counts as failing, and what its failures may cost.
    #[serde(skip_serializing_if = "RawBreaker::is_empty")]
    pub breaker: RawBreaker,
}

/// A plugin that is asked about all events too.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawShadow {
    /// Its component's file; that of the plugin if there is none.
    #[schemars(example = &"next.wasm")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Its settings; those of the plugin if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "json::optional_object")]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// The SHA-256 that its component must have; by default the one that `sha256`
    /// under `[plugin]` demands, if it demands any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A plugin that decides about the events of some users.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCanary {
    /// Its component's file; that of the plugin if there is none.
    #[schemars(example = &"next.wasm")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Its settings; those of the plugin if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "json::optional_object")]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// The SHA-256 that its component must have; by default the one that `sha256`
    /// under `[plugin]` demands, if it demands any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The share of users whose events it decides about, from 0 to 100; 5 by default.
    #[schemars(example = 5.0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// The share of its events, from 0 to 1, that it may fail on or reject before it
    /// is not asked any more; 0.01 by default.
    #[schemars(example = 0.01)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_error_rate: Option<f64>,
    /// Events that it must have seen before it is judged; 1000 by default.
    #[schemars(example = 1000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_events: Option<u64>,
}

/// What an instance of the plugin may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawPluginLimits {
    /// Bytes of memory; 134,217,728 (128 MiB) by default.
    #[schemars(example = 134_217_728)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Bytes that the answer about one batch may take in the host's memory;
    /// 67,108,864 (64 MiB) by default.
    #[schemars(example = 67_108_864)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_bytes: Option<u64>,
    /// Processor time for being configured; `5s` by default.
    #[schemars(example = &"5s")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configure_cpu: Option<String>,
    /// Processor time of a call, whatever its batch; `50ms` by default.
    #[schemars(example = &"50ms")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_cpu: Option<String>,
    /// What comes on top for each event of the batch; `2ms` by default.
    #[schemars(example = &"2ms")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_cpu: Option<String>,
    /// What comes on top for each byte of the batch that the plugin is handed; `1us` by
    /// default.
    #[schemars(example = &"1us")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte_cpu: Option<String>,
    /// Calls after which an instance is replaced; 20,000 by default.
    #[schemars(example = 20_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// The age at which an instance is replaced; `1h` by default.
    #[schemars(example = &"1h")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
}

/// When the plugin counts as failing, and what its failures may cost.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawBreaker {
    /// The share of a source's events that it fails on, from 0 to 1, from which it is
    /// degraded; 0.1 by default.
    #[schemars(example = 0.1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded_from: Option<f64>,
    /// The share from which it is off for the source after a window; 0.95 by default.
    #[schemars(example = 0.95)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off_from: Option<f64>,
    /// For how long events are counted together; `10s` by default.
    #[schemars(example = &"10s")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// How long a source stays off before it is judged anew, and the time from one
    /// trial to the next where `when_off` is `"fail"`; `5s` by default.
    #[schemars(example = &"5s")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// The share of the workers' processor time, from 0.01 to 1, that events may take
    /// which it fails on. A source whose events take more waits for its turn; 0.5 by
    /// default.
    #[schemars(example = 0.5)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_cpu: Option<f64>,
    /// What happens to the events of a source that it is off for: `"wait"`, the
    /// default: each is asked about in its turn; or `"fail"`: they are treated as
    /// `on_failure` says without being asked about, but for a trial now and then.
    #[schemars(example = &"wait")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_off: Option<String>,
}

impl RawPluginLimits {
    fn is_empty(&self) -> bool {
        *self == RawPluginLimits::default()
    }
}

impl RawBreaker {
    fn is_empty(&self) -> bool {
        *self == RawBreaker::default()
    }
}
