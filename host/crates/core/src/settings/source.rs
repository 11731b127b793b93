//! The sources of events, `[[sources]]`, as they are written, and what they are called.
//!
//! Most of their keys are for the collector, which checks them; the roles and the names
//! hold for events of an embedder too.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SettingsChecker, item_labels};
use crate::event::SourceNames;
use crate::secret::Secret;

/// Characters of a source's name.
pub const NAME_CHARACTERS_MAX: usize = 100;

/// Who may send events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSource {
    /// What plugins and dead letters know the source by.
    #[schemars(example = &"web")]
    pub name: String,
    /// Names that it had before: events of these that wait in the spool or in the
    /// dead letters are taken for events of this source.
    #[schemars(example = ["website"])]
    pub formerly: Option<Vec<String>>,
    /// Whose endpoint it takes the place of: `"segment"` or `"rudderstack"`.
    #[schemars(example = &"segment")]
    pub dialect: String,
    /// What its SDKs identify themselves with.
    #[schemars(example = ["WRITE-KEY"])]
    pub write_keys: Vec<Secret>,
    /// Whether it takes anything at present; true by default.
    pub enabled: Option<bool>,
    /// Whether one bad event has its whole request refused with 400. By default
    /// the good ones are taken, and the bad ones go to the dead letters.
    pub strict: Option<bool>,
    /// Whether the bodies of its requests that are refused for what is in them go to the
    /// dead letters: SDKs delete what is refused. False by default.
    pub keep_refused: Option<bool>,
    /// Origins of pages that may send, such as `https://shop.example` or
    /// `https://*.shop.example`; all by default. Senders that are no pages
    /// name no origin, and are not held by this.
    #[schemars(example = ["https://shop.example"])]
    pub allowed_origins: Option<Vec<String>>,
    /// Events a second; what is beyond is answered with 429. A second's worth may come
    /// at once, and a larger request is taken where nothing came before it; others then
    /// wait until its time has passed. No limit by default.
    #[schemars(example = 1000)]
    pub rate_limit: Option<u32>,
    /// Bytes of events a second, as they are stored: decompressed, and with what is
    /// added to them. Otherwise like `rate_limit`, and both hold where both are set. No
    /// limit by default.
    #[schemars(example = 1_000_000)]
    pub rate_limit_bytes: Option<u32>,
    /// A role that the source's records are written with, in place of that under
    /// `[aws]`.
    #[schemars(example = &"arn:aws:iam::111122223333:role/NAME")]
    pub role_arn: Option<String>,
    /// The external id that the role asks for, in place of that under `[aws]`.
    pub external_id: Option<Secret>,
}

/// Returns the labels by which mistakes name the sources.
pub fn source_labels(sources: &[RawSource]) -> Vec<String> {
    item_labels(sources.iter().map(|source| source.name.as_str()))
}

/// Returns whether a text has 1 to `characters_max` characters and no control characters.
pub fn is_printable_within(text: &str, characters_max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= characters_max && !text.contains(char::is_control)
}

/// What the sources are called, and were. A name of before that is also one of today,
/// or of another source, would not say whose events they are.
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
