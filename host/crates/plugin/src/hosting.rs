//! The settings of how a plugin is hosted: `[plugin]` and the tables in it.
//!
//! Which component is loaded from where, and what becomes of events that it fails on, is for the program to say: those
//! keys are in the raw form and are checked there.

mod breaker;
mod canary;
mod instance_limits;
mod json;

pub use breaker::RawBreaker;
pub use canary::RawCanary;
pub use instance_limits::RawPluginLimits;

use std::path::PathBuf;

use minisign_verify::PublicKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Trust;
use standpipe_core::settings::{TableChecker, is_default};

/// The mapping plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawPlugin {
    /// The component's file; the built-in plugin if there is none.
    /// A relative path starts at the settings file.
    #[schemars(example = &"router.wasm")]
    pub path: Option<PathBuf>,
    /// Settings that are handed to the plugin. The built-in plugin takes
    /// `mappings` (rows of `event` and `stream`), `fan_out` and `unmapped`.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[serde(deserialize_with = "json::object")]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The SHA-256 that the component must have, in whatever role it is used; any by
    /// default.
    #[schemars(example = &"64 hexadecimal digits")]
    pub sha256: Option<String>,
    /// The key of minisign's that the component must be signed with, whose signature
    /// is beside it in FILE.wasm.minisig; none by default.
    #[schemars(example = &"RW...")]
    pub public_key: Option<String>,
    /// A file of cases, or a directory of such files, that a plugin must pass before
    /// it is taken: see `host plugin test`.
    #[schemars(example = &"cases.json")]
    pub cases: Option<PathBuf>,
    /// What becomes of an event that the plugin fails on: `"dead_letter"`, the
    /// default, `"drop"`, `"pass_through"` or `"halt"`.
    #[schemars(example = &"dead_letter")]
    pub on_failure: Option<String>,
    /// The stream that such events are passed through to.
    #[schemars(example = &"unrouted")]
    pub pass_through_stream: Option<String>,
    /// Whether the component's file and this settings file are watched, and taken
    /// anew when they change; true by default.
    pub watch: Option<bool>,
    /// A plugin that is asked about all events too, to see where it would decide
    /// otherwise; nothing that it decides is carried out.
    pub shadow: Option<RawShadow>,
    /// A plugin that decides about the events of some users.
    pub canary: Option<RawCanary>,
    /// What an instance of the plugin may take.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: RawPluginLimits,
    /// When the plugin counts as failing, and what its failures may cost.
    #[serde(skip_serializing_if = "is_default")]
    pub breaker: RawBreaker,
}

/// A plugin that is asked about all events too.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawShadow {
    /// Its component's file; that of the plugin if there is none.
    #[schemars(example = &"next.wasm")]
    pub path: Option<PathBuf>,
    /// Its settings; those of the plugin if there are none.
    #[serde(deserialize_with = "json::optional_object")]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// The SHA-256 that its component must have; by default the one that `sha256`
    /// under `[plugin]` demands, if it demands any.
    pub sha256: Option<String>,
}

impl RawPlugin {
    /// Checks which components may be loaded.
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

/// A share of something, from 0 to 1.
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
