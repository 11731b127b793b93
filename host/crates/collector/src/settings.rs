//! The settings of the collector: the sources, `[[sources]]`, and what of `[http]` is about bodies and addresses.

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
use standpipe_spool::{RawSpool, SpoolSettings};

/// Bytes of a request's body, also once it is decompressed, unless the settings say
/// otherwise. Source: RudderStack's gateway takes 4,000 KiB; Segment takes 500 KB.
const BODY_BYTES_MAX: usize = 4_096_000;

/// The minimum of the setting, in bytes: as much as Segment accepts for one event.
const BODY_BYTES_MAX_MIN: usize = 32 * 1024;

/// Characters of a write key.
const KEY_CHARACTERS_MAX: usize = 200;

/// Who may send events.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// What plugins and dead letters know it by.
    pub name: String,
    /// Whose endpoint it takes the place of.
    pub dialect: Dialect,
    /// What its SDKs identify themselves with.
    pub write_keys: Vec<Secret>,
    /// Whether it takes anything at present.
    pub enabled: bool,
    /// Whether one bad event has its whole request refused.
    pub strict: bool,
    /// The pages that may send; all if there are none.
    pub allowed_origins: Vec<OriginRule>,
    /// What it may send in a second.
    pub rate: SourceRate,
    /// Whether bodies of its requests that are refused go to the dead letters.
    pub keep_refused: bool,
}

/// A write key that a manager of secrets keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferencedKey {
    /// The position of its source.
    pub source: usize,
    /// What it is kept as.
    pub reference: SecretReference,
}

/// How SDKs are listened to.
#[derive(Debug, Clone)]
pub struct CollectSettings {
    /// The address; none if an embedding program passes on the requests.
    pub address: Option<SocketAddr>,
    /// How connections are served there.
    pub http: HttpSettings,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Bytes of all bodies of one client.
    pub body_bytes_per_peer_max: usize,
    /// How clients reach the collector. None where requests say it.
    pub public_url: Option<PublicUrl>,
    /// Who may send.
    pub sources: Vec<SourceSettings>,
    /// Write keys that a manager of secrets keeps.
    pub referenced_keys: Vec<ReferencedKey>,
    /// Where events wait.
    pub spool: SpoolSettings,
}

/// What a settings file says about a collector.
#[derive(Debug, Clone, Copy)]
pub struct RawCollect<'a> {
    /// The address to listen on, or `off`.
    pub listen: &'a str,
    /// Who may send.
    pub sources: &'a [RawSource],
    /// How the address is served.
    pub http: &'a RawHttp,
    /// Where events wait.
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

/// Checks the source, apart from its role. Also returns those of its keys that are kept elsewhere.
fn check_source(
    source: &RawSource,
    check: &mut TableChecker<'_>,
) -> (SourceSettings, Vec<SecretReference>) {
    if !is_printable_within(&source.name, NAME_CHARACTERS_MAX) {
        check.add_mistake(format_args!(
            "name must have 1 to {NAME_CHARACTERS_MAX} characters, and none that controls a terminal"
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
                    "write_keys: a key must have 1 to {KEY_CHARACTERS_MAX} characters, and none that controls a terminal"
                ));
            }
            Some(SecretSetting::Value(key)) => own.push(key),
            Some(SecretSetting::Reference(reference)) => referenced.push(reference),
            None => {}
        }
    }
    (own, referenced)
}

/// Whether this can be a write key.
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

/// How much of something a source may send in a second.
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
