//! The settings of the collector: the sources, `[[sources]]`, and the settings of `[http]` about
//! bodies and addresses.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::Path;

use super::dialect::Dialect;
use super::limits::{HTTP_BODIES_BYTES_MAX, HTTP_PEER_BODIES_BYTES_MAX};
use super::origin::OriginRule;
use super::public_url::PublicUrl;
use super::rate_limit::SourceRate;
use standpipe_core::secret::{Secret, SecretReference, SecretSetting};
use standpipe_core::settings::{
    NAME_CHARACTERS_MAX, RawSource, SettingsChecker, TableChecker, is_printable_within,
    source_labels,
};
use standpipe_http::limits::COLLECT_BODY_BYTES_MAX_MAX;
use standpipe_http::{HttpSettings, RawHttp};
use standpipe_spool::limits::SPOOL_ACKNOWLEDGED_BYTES_MAX;
use standpipe_spool::{Durability, RawSpool, SpoolSettings};

/// The default limit for a request's body, before and after decompression, in bytes. Source:
/// RudderStack's gateway accepts 4,000 KiB, Segment accepts 500 KB.
const BODY_BYTES_MAX: usize = 4_096_000;

/// The minimum of the setting, in bytes: as much as Segment accepts for one event.
const BODY_BYTES_MAX_MIN: usize = 32 * 1024;

/// Characters of a write key.
const KEY_CHARACTERS_MAX: usize = 200;

/// A source that may send events.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// The source's name in plugins and dead letters.
    pub name: String,
    /// The vendor whose API the source accepts.
    pub dialect: Dialect,
    /// The write keys of the source's SDKs.
    pub write_keys: Vec<Secret>,
    /// Whether the source accepts requests now.
    pub enabled: bool,
    /// Whether one invalid event rejects its whole request.
    pub strict: bool,
    /// The origins of pages that may send. An empty list permits all.
    pub allowed_origins: Vec<OriginRule>,
    /// The maximum rate of the source.
    pub rate: SourceRate,
    /// Whether refused bodies of the source's requests become dead letters.
    pub keep_refused: bool,
}

/// A write key in a secret store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferencedKey {
    /// The position of its source.
    pub source: usize,
    /// The reference of the key.
    pub reference: SecretReference,
}

/// The checked settings of the collector.
#[derive(Debug, Clone)]
pub struct CollectSettings {
    /// The address, or `None` if an embedding program passes on the requests.
    pub address: Option<SocketAddr>,
    /// How connections are served.
    pub http: HttpSettings,
    /// Maximum bytes of a body.
    pub body_bytes_max: usize,
    /// Maximum bytes of all bodies of one client.
    pub body_bytes_per_peer_max: usize,
    /// The public URL of the collector. Without it, the request determines the URL.
    pub public_url: Option<PublicUrl>,
    /// The sources.
    pub sources: Vec<SourceSettings>,
    /// Write keys in a secret store.
    pub referenced_keys: Vec<ReferencedKey>,
    /// The settings of the spool.
    pub spool: SpoolSettings,
}

impl CollectSettings {
    /// Keeps no events: a request is answered when the next part of the run has them.
    pub fn remove_spool(&mut self) {
        let bytes_max = self.spool.bytes_max.min(SPOOL_ACKNOWLEDGED_BYTES_MAX);
        self.spool.durability = Durability::Acknowledged;
        self.spool.bytes_max = bytes_max;
    }
}

/// The settings of a collector as written in a settings file.
#[derive(Debug, Clone, Copy)]
pub struct RawCollect<'a> {
    /// The address to listen on, or `off`.
    pub listen: &'a str,
    /// The sources.
    pub sources: &'a [RawSource],
    /// How connections are served.
    pub http: &'a RawHttp,
    /// The settings of the spool.
    pub spool: &'a RawSpool,
}

impl RawCollect<'_> {
    /// Checks the settings of a collector whose spool is in the data directory.
    pub fn check(&self, data_dir: &Path, checker: &mut SettingsChecker) -> CollectSettings {
        let address = match self.listen {
            "off" => None,
            listen => checker.top().address("listen", listen),
        };
        let (sources, referenced_keys) = check_sources(self.sources, checker);
        let http = self.http.check(&mut checker.table("http"));
        let mut check = checker.table("http");
        let body_bytes = self.http.max_body_bytes.unwrap_or(BODY_BYTES_MAX);
        let body_bounds = BODY_BYTES_MAX_MIN..=COLLECT_BODY_BYTES_MAX_MAX;
        let body_bytes_max =
            check.number("max_body_bytes", body_bytes, body_bounds).unwrap_or(BODY_BYTES_MAX);
        let peer_bytes = self.http.max_body_bytes_per_peer.unwrap_or(HTTP_PEER_BODIES_BYTES_MAX);
        let peer_bounds = body_bytes_max..=HTTP_BODIES_BYTES_MAX;
        CollectSettings {
            address,
            http,
            body_bytes_max,
            body_bytes_per_peer_max: check
                .number("max_body_bytes_per_peer", peer_bytes, peer_bounds)
                .unwrap_or(HTTP_PEER_BODIES_BYTES_MAX),
            public_url: self
                .http
                .public_url
                .as_deref()
                .and_then(|it| check.parsed("public_url", PublicUrl::parse(it))),
            sources,
            referenced_keys,
            spool: self.spool.check(data_dir, &mut checker.table("spool")),
        }
    }
}

/// Checks the source, except for its role. Also returns those of its keys that are in a secret
/// store.
fn check_source(
    source: &RawSource,
    check: &mut TableChecker<'_>,
) -> (SourceSettings, Vec<SecretReference>) {
    if !is_printable_within(&source.name, NAME_CHARACTERS_MAX) {
        check.add_mistake(format_args!(
            "name must have 1 to {NAME_CHARACTERS_MAX} characters, without control characters"
        ));
    }
    let dialect = check_dialect(&source.dialect, check);
    let (write_keys, referenced) = check_keys(source, check);
    let origins = source.allowed_origins.iter().flatten();
    let allowed_origins = origins
        .filter_map(|origin| check.parsed("allowed_origins", OriginRule::parse(origin)))
        .collect();
    let rate = SourceRate {
        events: check_rate("rate_limit", source.rate_limit, "events", check),
        bytes: check_rate("rate_limit_bytes", source.rate_limit_bytes, "bytes", check),
    };
    let settings = SourceSettings {
        name: source.name.clone(),
        dialect,
        write_keys,
        enabled: source.enabled.unwrap_or(true),
        strict: source.strict.unwrap_or(false),
        allowed_origins,
        rate,
        keep_refused: source.keep_refused.unwrap_or(false),
    };
    (settings, referenced)
}

fn check_keys(
    source: &RawSource,
    check: &mut TableChecker<'_>,
) -> (Vec<Secret>, Vec<SecretReference>) {
    if source.write_keys.is_empty() {
        check.add_mistake("write_keys is empty: write at least one key");
    }
    let mut own = Vec::new();
    let mut referenced = Vec::new();
    for key in &source.write_keys {
        match check.secret("write_keys: one", key.clone()) {
            Some(SecretSetting::Value(key)) if !is_write_key(key.expose()) => {
                check.add_mistake(format_args!(
                    "write_keys: a key must have 1 to {KEY_CHARACTERS_MAX} characters, without control characters"
                ));
            }
            Some(SecretSetting::Value(key)) => own.push(key),
            Some(SecretSetting::Reference(reference)) => referenced.push(reference),
            None => {}
        }
    }
    (own, referenced)
}

/// Whether this text can be a write key.
pub fn is_write_key(text: &str) -> bool {
    is_printable_within(text, KEY_CHARACTERS_MAX)
}

fn check_sources(
    sources: &[RawSource],
    checker: &mut SettingsChecker,
) -> (Vec<SourceSettings>, Vec<ReferencedKey>) {
    if sources.is_empty() {
        checker.add(
            "[[sources]] is missing, so no client can send events to the address in listen: add [[sources]] with \
             name, dialect and write_keys",
        );
    }
    let mut names = HashSet::new();
    let mut keys = HashSet::new();
    let mut references = HashSet::new();
    let mut checked = Vec::with_capacity(sources.len());
    let mut referenced = Vec::new();
    for (position, (source, label)) in sources.iter().zip(source_labels(sources)).enumerate() {
        let mut top = checker.top();
        let mut check = top.item("sources", label);
        if !source.name.is_empty() && !names.insert(source.name.as_str()) {
            check.add_table_mistake(" stands twice: give each source a name of its own");
        }
        let (settings, own) = check_source(source, &mut check);
        for key in &settings.write_keys {
            if !keys.insert(key.expose().to_owned()) {
                check.add_mistake(
                    "write_keys: one of them stands twice: a key belongs to one source",
                );
            }
        }
        for reference in own {
            if !references.insert(reference.clone()) {
                check.add_mistake(format_args!(
                    "write_keys: {reference} stands twice: a key belongs to one source"
                ));
            }
            referenced.push(ReferencedKey { source: position, reference });
        }
        checked.push(settings);
    }
    (checked, referenced)
}

fn check_dialect(word: &str, check: &mut TableChecker<'_>) -> Dialect {
    match word {
        "segment" => Dialect::Segment,
        "rudderstack" => Dialect::RudderStack,
        other => {
            check.add_mistake(format_args!(
                "dialect is {other:?}: write \"segment\" or \"rudderstack\""
            ));
            Dialect::Segment
        }
    }
}

/// Checks a rate of a source.
fn check_rate(
    key: &str,
    limit: Option<u32>,
    unit: &str,
    check: &mut TableChecker<'_>,
) -> Option<NonZero<u32>> {
    let limit = NonZero::new(limit?);
    if limit.is_none() {
        check.add_mistake(format_args!("{key} is 0: write {unit} a second, or enabled = false"));
    }
    limit
}

#[cfg(test)]
mod tests {
    use standpipe_core::settings::SecretManager;

    use super::*;

    fn source(name: &str) -> RawSource {
        RawSource {
            name: name.to_owned(),
            dialect: "segment".to_owned(),
            write_keys: vec![Secret::new(format!("key-of-{name}"))],
            ..RawSource::default()
        }
    }

    fn check(sources: &[RawSource], http: &RawHttp) -> Result<CollectSettings, Vec<String>> {
        let mut checker = SettingsChecker::new(Path::new("/etc/standpipe"), SecretManager::Local);
        let spool = RawSpool::default();
        let raw = RawCollect { listen: "127.0.0.1:0", sources, http, spool: &spool };
        let settings = raw.check(Path::new("/data"), &mut checker);
        standpipe_core::settings::check_source_names(sources, &mut checker);
        match checker.into_mistakes() {
            mistakes if mistakes.is_empty() => Ok(settings),
            mistakes => Err(mistakes),
        }
    }

    #[test]
    fn keys_and_references_are_told_apart_by_their_sources() {
        let sources = [
            source("web"),
            RawSource { write_keys: vec![Secret::new("secret:app".to_owned())], ..source("app") },
        ];
        let settings = check(&sources, &RawHttp::default()).unwrap();
        assert_eq!(settings.body_bytes_max, BODY_BYTES_MAX);
        assert_eq!(settings.sources[0].write_keys, sources[0].write_keys);
        assert_eq!(settings.sources[1].write_keys, []);
        assert_eq!(settings.referenced_keys.len(), 1);
        assert_eq!(settings.referenced_keys[0].source, 1);
    }

    #[test]
    fn all_mistakes_of_all_sources_are_told() {
        let sources = [
            RawSource { dialect: "x".to_owned(), rate_limit: Some(0), ..source("web") },
            RawSource { formerly: Some(vec!["web".to_owned()]), ..source("web") },
        ];
        let mistakes = check(
            &sources,
            &RawHttp {
                max_body_bytes: Some(BODY_BYTES_MAX_MIN - 1),
                max_body_bytes_per_peer: Some(HTTP_BODIES_BYTES_MAX + 1),
                ..RawHttp::default()
            },
        );
        assert_eq!(
            mistakes.unwrap_err(),
            [
                "[[sources]] \"web\": dialect is \"x\": write \"segment\" or \"rudderstack\"",
                "[[sources]] \"web\": rate_limit is 0: write events a second, or enabled = false",
                "[[sources]] \"web\" (number 2) stands twice: give each source a name of its own",
                "[[sources]] \"web\" (number 2): write_keys: one of them stands twice: a key belongs to one source",
                "[http] max_body_bytes is 32767: write a number from 32768 to 16777216",
                "[http] max_body_bytes_per_peer is 67108865: write a number from 4096000 to 67108864",
                "[[sources]] \"web\" (number 2): formerly has \"web\", which is the name of another source or \
                 is listed twice: remove one",
            ]
        );
    }
}
