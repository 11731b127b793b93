//! The settings of hosting a plugin: `[plugin]` and the tables below it.
//!
//! The program decides which plugin is loaded, and what happens to events that the plugin fails on.
//! The raw form contains the keys for this, and the program checks them.

mod breaker;
mod canary;
mod instance_limits;
mod network;
mod script;

pub use breaker::RawBreaker;
pub use canary::RawCanary;
pub use instance_limits::RawPluginLimits;
pub use network::RawNetwork;
pub use script::{RawScriptPaths, check_globals};

use std::path::PathBuf;

use minisign_verify::PublicKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Trust;
use standpipe_core::settings::{TableChecker, is_default, json};

/// The plugin that decides which delivery streams an event goes to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawPlugin {
    /// WebAssembly file of the plugin. A relative path starts at the directory of the settings
    /// file. Default: the built-in plugin.
    #[schemars(example = &"router.wasm")]
    pub path: Option<PathBuf>,
    /// JavaScript of RudderStack or Segment that runs as the plugin, in place of `path`: a file, a
    /// directory of files in the order of their names, or a list of files. Each event passes all
    /// files. Default: none.
    #[schemars(example = &"transform.js")]
    pub script: Option<RawScriptPaths>,
    /// Functions that the script defines: `"rudderstack"`, `"rudderstack-v0"`,
    /// `"segment-destination"`, `"segment-insert"` or `"segment-source"`. Default: the code shows it.
    #[schemars(example = &"rudderstack")]
    pub dialect: Option<String>,
    /// Files that the script can import, by the name of the file in camel case. `*` in a file name
    /// stands for any characters. Default: empty.
    #[schemars(example = &["libs/*.js"])]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<PathBuf>,
    /// Values that `getCredential` returns to the script, by name. A value can be a reference
    /// `secret:NAME`. Default: empty.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[serde(deserialize_with = "json::object")]
    pub credentials: serde_json::Map<String, serde_json::Value>,
    /// Second argument of a Segment function. A value can be a reference `secret:NAME`. Default:
    /// empty.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[serde(deserialize_with = "json::object")]
    pub function_settings: serde_json::Map<String, serde_json::Value>,
    /// How long global variables of the script live: `"fresh"` for one batch of events, or `"keep"`
    /// for as long as the plugin instance. Default: that of the dialect.
    #[schemars(example = &"fresh")]
    pub globals: Option<String>,
    /// Settings of the plugin, which receives them as JSON. For the built-in plugin, `mappings`
    /// lists tables with `event` and `stream`. Default: empty.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[serde(deserialize_with = "json::object")]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// SHA-256 that the plugin's file must have, 64 hexadecimal digits. Default: none.
    #[schemars(example = &"64 hexadecimal digits")]
    pub sha256: Option<String>,
    /// minisign public key. Standpipe rejects a plugin file without a signature in
    /// `FILE.wasm.minisig` that matches this key. Default: none.
    #[schemars(example = &"RW...")]
    pub public_key: Option<String>,
    /// File or directory of test cases that the plugin must pass before Standpipe uses it. A
    /// relative path starts at the directory of the settings file. Default: none.
    #[schemars(example = &"cases.json")]
    pub cases: Option<PathBuf>,
    /// What happens to an event if the plugin fails on it: `"dead_letter"`, `"drop"`,
    /// `"pass_through"` (Standpipe delivers the event unchanged) or `"halt"` (Standpipe stops).
    /// Default: `"dead_letter"`.
    #[schemars(example = &"dead_letter")]
    pub on_failure: Option<String>,
    /// Delivery stream for the events that `on_failure = "pass_through"` delivers unchanged.
    /// Default: none.
    #[schemars(example = &"unrouted")]
    pub pass_through_stream: Option<String>,
    /// Whether Standpipe reloads the plugin's file and the settings file when they change. Default:
    /// `true`.
    pub watch: Option<bool>,
    /// Second plugin that receives the same events as the active plugin. Standpipe compares the
    /// decisions of both, and uses only those of the active plugin.
    pub shadow: Option<RawShadow>,
    /// New plugin that receives the events of some users. The active plugin receives the events of
    /// all other users.
    pub canary: Option<RawCanary>,
    /// Database of IP addresses in the format MaxMind DB, for plugins that look up where addresses
    /// are. A relative path starts at the directory of the settings file. Default: none.
    #[schemars(example = &"GeoLite2-City.mmdb")]
    pub geolocation: Option<PathBuf>,
    /// Servers that plugins can send requests to. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub network: RawNetwork,
    /// Limits of a plugin instance: memory, CPU time and age.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: RawPluginLimits,
    /// Circuit breakers, which limit the CPU time for events that the plugin fails on. Each source
    /// has its own circuit breaker.
    #[serde(skip_serializing_if = "is_default")]
    pub breaker: RawBreaker,
}

/// Second plugin that receives the same events as the active plugin. `path`, `script` or `settings`
/// is required.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawShadow {
    /// WebAssembly file of the shadow. A relative path starts at the directory of the settings
    /// file. Default: the value in `[plugin]`.
    #[schemars(example = &"next.wasm")]
    pub path: Option<PathBuf>,
    /// JavaScript that runs as the shadow, as in `[plugin]`. Default: the value in `[plugin]`.
    #[schemars(example = &"next.js")]
    pub script: Option<RawScriptPaths>,
    /// Settings of the shadow. Default: the value in `[plugin]`.
    #[serde(deserialize_with = "json::optional_object")]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// SHA-256 that the file of the shadow must have. Default: the value in `[plugin]`.
    pub sha256: Option<String>,
}

impl RawPlugin {
    /// Checks the hashes and the public key that plugin files must match.
    pub fn check_trust(&self, check: &mut TableChecker<'_>) -> Trust {
        let canary = self.canary.as_ref().and_then(|canary| canary.sha256.as_deref());
        let shadow = self.shadow.as_ref().and_then(|shadow| shadow.sha256.as_deref());
        Trust {
            sha256: check_sha256(self.sha256.as_deref(), check),
            canary_sha256: check_sha256(canary, &mut check.table("canary")),
            shadow_sha256: check_sha256(shadow, &mut check.table("shadow")),
            public_key: check_public_key(self.public_key.as_deref(), check),
        }
    }
}

fn check_sha256(text: Option<&str>, check: &mut TableChecker<'_>) -> Option<String> {
    let text = text?;
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash {
        check.add_mistake(
            "sha256 is not a SHA-256: write 64 hexadecimal digits, as `sha256sum FILE.wasm` prints them",
        );
    }
    Some(text.to_ascii_lowercase())
}

fn check_public_key(text: Option<&str>, check: &mut TableChecker<'_>) -> Option<PublicKey> {
    let key = PublicKey::from_base64(text?.trim());
    key.map_err(|error| {
        check.add_mistake(format_args!(
            "public_key is not a minisign key ({error}): write the second line of minisign.pub, which begins with RW"
        ));
    })
    .ok()
}

/// Checks that a share is from 0 to 1.
fn check_share(key: &str, value: Option<f64>, usual: f64, check: &mut TableChecker<'_>) -> f64 {
    let share = value.unwrap_or(usual);
    if !(0.0..=1.0).contains(&share) {
        check.add_mistake(format_args!(
            "{key} is {share}: write a share from 0 to 1, such as 0.05 for 5 %"
        ));
    }
    share
}

#[cfg(test)]
mod tests;
