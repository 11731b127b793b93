//! The raw form of the sources of events, `[[sources]]`, and the check of their names.
//!
//! The collector uses and checks most of the keys. The roles and the names also apply to
//! events of a program that embeds Standpipe.

use std::collections::HashSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SettingsChecker, item_labels, json};
use crate::event::SourceNames;
use crate::secret::Secret;

/// The maximum number of characters in the name of a source.
pub const NAME_CHARACTERS_MAX: usize = 100;

/// A source: a website or app whose SDK may send events to the address in `listen`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSource {
    /// Name of the source in plugins, dead letters and metrics, 1 to 100 characters.
    #[schemars(example = &"web")]
    pub name: String,
    /// Former names of the source. In dead letters and in the spool, Standpipe treats these
    /// names as names of this source.
    #[schemars(example = ["website"])]
    pub formerly: Option<Vec<String>>,
    /// The vendor whose API the SDK uses: `"segment"` or `"rudderstack"`.
    #[schemars(example = &"segment")]
    pub dialect: String,
    /// Keys with which the SDK can authenticate, or references `secret:NAME`. Two sources
    /// cannot share a key.
    #[schemars(example = ["WRITE-KEY"])]
    pub write_keys: Vec<Secret>,
    /// Whether the source may send events. If `false`, its requests get status 404. Default:
    /// `true`.
    pub enabled: Option<bool>,
    /// If `true`, a request with an invalid event gets status 400, and none of its events is
    /// accepted. If `false`, invalid events become dead letters, unless a request has more
    /// than 100 of them and they are more than half of its events. Default: `false`.
    pub strict: Option<bool>,
    /// If `true`, the body of a request becomes a dead letter if Standpipe refuses the request
    /// because the body is invalid, or is too large after decompression. Default: `false`.
    pub keep_refused: Option<bool>,
    /// Origins of the web pages that may send events, such as `https://shop.example` or
    /// `https://*.shop.example`. Default: all origins. Requests without an `Origin` header are
    /// always allowed.
    #[schemars(example = ["https://shop.example"])]
    pub allowed_origins: Option<Vec<String>>,
    /// Maximum number of events per second. Standpipe uses a token bucket that holds at most
    /// `rate_limit` tokens. A request with more events than tokens gets status 429, unless the
    /// bucket is full. Default: no limit.
    #[schemars(example = 1000)]
    pub rate_limit: Option<u32>,
    /// Like `rate_limit`, in bytes per second. Standpipe counts the bytes of the events after
    /// decompression, including the members that the collector adds. A source can have both
    /// limits. Default: no limit.
    #[schemars(example = 1_000_000)]
    pub rate_limit_bytes: Option<u32>,
    /// IAM role that Standpipe assumes to deliver the records of this source. Default: the
    /// value in `[aws]`.
    #[schemars(example = &"arn:aws:iam::111122223333:role/NAME")]
    pub role_arn: Option<String>,
    /// External id for the role, or a reference `secret:NAME`. Default: the value in `[aws]`.
    pub external_id: Option<Secret>,
    /// Function that turns requests to `/v1/functions/NAME` into events of the source. Default:
    /// none.
    pub function: Option<RawSourceFunction>,
}

/// Function that turns requests to `/v1/functions/NAME` into events of the source, such as webhooks
/// of other services. `script` or `path` is required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSourceFunction {
    /// JavaScript file of a source function of Segment. A relative path starts at the directory of
    /// the settings file. Default: none.
    #[schemars(example = &"stripe.js")]
    pub script: Option<PathBuf>,
    /// WebAssembly file of a plugin that exports the interface `functions`, in place of `script`.
    /// Default: none.
    #[schemars(example = &"stripe.wasm")]
    pub path: Option<PathBuf>,
    /// Files that the script can import, by the name of the file in camel case. `*` in a file name
    /// stands for any characters. Default: empty.
    #[schemars(example = &["libs/*.js"])]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<PathBuf>,
    /// Second argument of the function. A value can be a reference `secret:NAME`. With `path`, the
    /// settings of the plugin, whose table `secrets` can contain references. Default: empty.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[serde(deserialize_with = "json::object")]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// How long global variables of the script live: `"fresh"` for one request, or `"keep"` for as
    /// long as the instance of the function. Default: `"keep"`.
    #[schemars(example = &"keep")]
    pub globals: Option<String>,
}

/// Returns the labels of the sources in error messages.
pub fn source_labels(sources: &[RawSource]) -> Vec<String> {
    item_labels(sources.iter().map(|source| source.name.as_str()))
}

/// Returns whether a text has 1 to `characters_max` characters, none of them a control
/// character.
pub fn is_printable_within(text: &str, characters_max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= characters_max && !text.contains(char::is_control)
}

/// Checks the former names of the sources, and returns all names. A former name must not be
/// the name or a former name of another source, because the source of an event would then be
/// ambiguous.
pub fn check_source_names(sources: &[RawSource], checker: &mut SettingsChecker) -> SourceNames {
    let mut taken: HashSet<_> = sources.iter().map(|source| source.name.as_str()).collect();
    for (source, label) in sources.iter().zip(source_labels(sources)) {
        let mut top = checker.top();
        let mut check = top.item("sources", label);
        for former in source.formerly.iter().flatten() {
            if !is_printable_within(former, NAME_CHARACTERS_MAX) {
                check.add_mistake(format_args!(
                    "formerly: a name must have 1 to {NAME_CHARACTERS_MAX} characters, without control characters"
                ));
            }
            if !taken.insert(former) {
                check.add_mistake(format_args!(
                    "formerly has {former:?}, which is the name of another source or is listed twice: remove one"
                ));
            }
        }
    }
    let names = sources.iter().map(|source| {
        let formerly = source.formerly.iter().flatten().map(String::as_str);
        (source.name.as_str(), formerly)
    });
    SourceNames::new(names)
}
