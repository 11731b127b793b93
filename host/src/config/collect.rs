//! Checks what a collector is made of: listener, TLS, limits, proxies, sources with their keys, and
//! the spool. Checked also where this run does not listen.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::duration;
use super::error::Mistakes;
use super::places::source_places;
use super::secrets::References;
use super::{ConfigError, RawHttp, RawSource, RawSpool};
use crate::admin::Token;
use standpipe_collector::{Dialect, OriginRule, PublicUrl, Rate, SourceSettings};
use standpipe_core::event::SourceNames;
use standpipe_core::secret::{Reference, Secret, SecretSetting};
use standpipe_http::TrustedProxies;
use standpipe_spool::{Durability, SpoolSettings};

const ADMIN: &str = "127.0.0.1:9180";
const CONNECTIONS_MAX: usize = 1_000_000;
const BODY_BYTES_MIN: usize = 32 * 1024;
const SPOOL_BYTES_MIN: u64 = 16 * 1024 * 1024;
const NAME_CHARACTERS_MAX: usize = 100;
const KEY_CHARACTERS_MAX: usize = 200;

/// How SDKs are listened to.
#[derive(Debug, Clone)]
pub struct CollectSettings {
    /// On which address; on none where the program that the host is part of brings
    /// the requests.
    pub address: Option<SocketAddr>,
    /// With what certificate, if the connections are encrypted.
    pub certificate: Option<CertificateFiles>,
    /// Connections at once. None where the limit of open files decides.
    pub connections_max: Option<usize>,
    /// Connections of one peer at once; half of all where it is not set.
    pub connections_per_peer_max: Option<usize>,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Bytes of all bodies of one client.
    pub body_bytes_per_peer_max: usize,
    /// How long a connection may be unused after a request.
    pub keep_alive: Duration,
    /// Proxies that are believed about their clients.
    pub trusted_proxies: TrustedProxies,
    /// How clients reach the collector. None where requests say it.
    pub public_url: Option<PublicUrl>,
    /// Who may send.
    pub sources: Vec<SourceSettings>,
    /// Write keys that a manager of secrets keeps.
    pub referenced_keys: Vec<ReferencedKey>,
    /// Where events wait.
    pub spool: SpoolSettings,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate with its chain, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

/// A write key that is kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferencedKey {
    /// The position of its source.
    pub source: usize,
    /// What it is kept as.
    pub reference: Reference,
}

/// Whether this can be a write key.
pub fn is_write_key(text: &str) -> bool {
    is_good(text, KEY_CHARACTERS_MAX)
}

fn is_good(text: &str, characters_max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= characters_max && !text.contains(char::is_control)
}

pub(super) fn check_collect(
    listen: &str,
    directory: &Path,
    sources: Vec<RawSource>,
    references: &References,
    http: RawHttp,
    spool: &RawSpool,
    data_dir: &Path,
) -> Result<CollectSettings, ConfigError> {
    let mut mistakes = Mistakes::default();
    let certificate = match (http.certificate, http.key) {
        (Some(certificate), Some(key)) => {
            let [certificate, key] = [certificate, key].map(|path| directory.join(path));
            Some(CertificateFiles { certificate, key })
        }
        (None, None) => None,
        _ => {
            mistakes.add(ConfigError::new(
                "[http] certificate and key belong together: set both, or remove both",
            ));
            None
        }
    };
    let address = match listen {
        "off" => None,
        listen => mistakes.some(address("listen", listen)),
    };
    let (sources, referenced_keys) =
        mistakes.or(check_sources(sources, references), (Vec::new(), Vec::new()));
    let usual = standpipe_collector::limits::COLLECT_BODY_BYTES_MAX;
    let body_bytes_max = within(
        "[http] max_body_bytes",
        http.max_body_bytes.unwrap_or(usual),
        BODY_BYTES_MIN..=standpipe_http::limits::COLLECT_BODY_BYTES_MAX_MAX,
    );
    let body_bytes_max = mistakes.or(body_bytes_max, usual);
    let usual = standpipe_collector::limits::HTTP_PEER_BODIES_BYTES_MAX;
    let body_bytes_per_peer_max = within(
        "[http] max_body_bytes_per_peer",
        http.max_body_bytes_per_peer.unwrap_or(usual),
        body_bytes_max..=standpipe_collector::limits::HTTP_BODIES_BYTES_MAX,
    );
    let spool_bytes_max = within(
        "[spool] max_bytes",
        spool.max_bytes.unwrap_or(standpipe_spool::limits::SPOOL_BYTES_MAX),
        SPOOL_BYTES_MIN..=u64::MAX,
    );
    let per_peer = connections("[http] max_connections_per_peer", http.max_connections_per_peer);
    let proxies = trusted_proxies(http.trusted_proxies.as_deref());
    let keep_alive = keep_alive(http.keep_alive.as_deref());
    let settings = CollectSettings {
        address,
        certificate,
        connections_max: mistakes
            .or(connections("[http] max_connections", http.max_connections), None),
        connections_per_peer_max: mistakes.or(per_peer, None),
        body_bytes_max,
        body_bytes_per_peer_max: mistakes.or(body_bytes_per_peer_max, usual),
        keep_alive: mistakes.or(keep_alive, standpipe_http::limits::HTTP_KEEP_ALIVE),
        trusted_proxies: mistakes.or(proxies, TrustedProxies::default()),
        public_url: mistakes.or(http.public_url.as_deref().map(public_url).transpose(), None),
        sources,
        referenced_keys,
        spool: SpoolSettings {
            directory: data_dir.join("spool"),
            bytes_max: mistakes.or(spool_bytes_max, standpipe_spool::limits::SPOOL_BYTES_MAX),
            durability: mistakes.or(durability(spool.durability.as_deref()), Durability::Fsync),
        },
    };
    mistakes.end(settings)
}

/// Where health and metrics are told.
pub(super) fn check_admin(
    listen: Option<&str>,
    is_collector: bool,
) -> Result<Option<SocketAddr>, ConfigError> {
    match listen {
        Some("off") => Ok(None),
        Some(listen) => address("[admin] listen", listen).map(Some),
        None if is_collector => address("[admin] listen", ADMIN).map(Some),
        None => Ok(None),
    }
}

/// What requests about the plugin must bring along.
pub(super) fn check_token(
    token: Option<Secret>,
    references: &References,
) -> Result<Option<SecretSetting>, ConfigError> {
    let token = references.optional("[admin] token", token)?;
    if let Some(SecretSetting::Value(token)) = &token {
        Token::new(token).map_err(|error| ConfigError::new(error.to_string()))?;
    }
    Ok(token)
}

fn check_sources(
    sources: Vec<RawSource>,
    references: &References,
) -> Result<(Vec<SourceSettings>, Vec<ReferencedKey>), ConfigError> {
    if sources.is_empty() {
        return Err(ConfigError::new(
            "[[sources]] is missing, so that nobody may send to the address that is listened on: add [[sources]] with \
             name, dialect and write_keys",
        ));
    }
    let (mut names, mut keys) = (HashSet::new(), HashSet::new());
    let (mut referenced, mut named) = (Vec::new(), HashSet::new());
    let mut checked = Vec::with_capacity(sources.len());
    let mut mistakes = Mistakes::default();
    let places = source_places(&sources);
    for (position, (source, place)) in sources.into_iter().zip(places).enumerate() {
        if !source.name.is_empty() && !names.insert(source.name.clone()) {
            mistakes.add(ConfigError::new(format!(
                "{place} stands twice: give each source a name of its own"
            )));
        }
        let Some((source, own)) = mistakes.some(check_source(&place, source, references)) else {
            continue;
        };
        for key in &source.write_keys {
            if !keys.insert(key.expose().to_owned()) {
                mistakes.add(ConfigError::new(format!(
                    "{place}: write_keys: one of them stands twice: a key belongs to one source"
                )));
            }
        }
        for reference in own {
            if !named.insert(reference.clone()) {
                mistakes.add(ConfigError::new(format!(
                    "{place}: write_keys: {reference} stands twice: a key belongs to one source"
                )));
            }
            referenced.push(ReferencedKey { source: position, reference });
        }
        checked.push(source);
    }
    mistakes.end((checked, referenced))
}

/// What the sources are called, and were. A name of before that is also one of today,
/// or of another source, would not say whose events they are.
pub(super) fn check_source_names(sources: &[RawSource]) -> Result<SourceNames, ConfigError> {
    let mut taken: HashSet<_> = sources.iter().map(|source| source.name.as_str()).collect();
    let mut mistakes = Mistakes::default();
    for (source, place) in sources.iter().zip(source_places(sources)) {
        for former in source.formerly.iter().flatten() {
            if !is_good(former, NAME_CHARACTERS_MAX) {
                mistakes.add(ConfigError::new(format!(
                    "{place}: formerly must have names of 1 to {NAME_CHARACTERS_MAX} characters, and none that controls a terminal"
                )));
            }
            if !taken.insert(former) {
                mistakes.add(ConfigError::new(format!(
                    "{place}: formerly has {former:?}, which is the name of another source, or stands twice: remove one"
                )));
            }
        }
    }
    let names = sources.iter().map(|source| {
        let formerly = source.formerly.iter().flatten().map(String::as_str);
        (source.name.as_str(), formerly)
    });
    mistakes.end(SourceNames::new(names))
}

/// A source, and those of its keys that are kept elsewhere.
fn check_source(
    place: &str,
    source: RawSource,
    references: &References,
) -> Result<(SourceSettings, Vec<Reference>), ConfigError> {
    let mut mistakes = Mistakes::default();
    let RawSource { name, write_keys, .. } = source;
    if !is_good(&name, NAME_CHARACTERS_MAX) {
        mistakes.add(ConfigError::new(format!(
            "{place}: name must have 1 to {NAME_CHARACTERS_MAX} characters, and none that controls a terminal"
        )));
    }
    let dialect = match source.dialect.as_str() {
        "segment" => Dialect::Segment,
        "rudderstack" => Dialect::RudderStack,
        other => {
            mistakes.add(ConfigError::new(format!(
                "{place}: dialect is {other:?}: write \"segment\" or \"rudderstack\""
            )));
            Dialect::Segment
        }
    };
    if write_keys.is_empty() {
        mistakes
            .add(ConfigError::new(format!("{place}: write_keys is empty: write at least one key")));
    }
    let (mut own_keys, mut referenced) = (Vec::new(), Vec::new());
    for key in write_keys {
        match mistakes.some(references.check(&format!("{place}: write_keys: one"), key)) {
            Some(SecretSetting::Value(key)) if !is_write_key(key.expose()) => {
                mistakes.add(ConfigError::new(format!(
                    "{place}: write_keys: a key must have 1 to {KEY_CHARACTERS_MAX} characters, and none that controls a terminal"
                )));
            }
            Some(SecretSetting::Value(key)) => own_keys.push(key),
            Some(SecretSetting::Reference(reference)) => referenced.push(reference),
            None => {}
        }
    }
    let mut allowed_origins = Vec::new();
    for origin in source.allowed_origins.unwrap_or_default() {
        let rule = OriginRule::parse(&origin);
        let rule =
            rule.map_err(|error| ConfigError::new(format!("{place}: allowed_origins: {error}")));
        allowed_origins.extend(mistakes.some(rule));
    }
    let rate = Rate {
        events: mistakes.or(limit(place, "rate_limit", source.rate_limit, "events"), None),
        bytes: mistakes
            .or(limit(place, "rate_limit_bytes", source.rate_limit_bytes, "bytes"), None),
    };
    let settings = SourceSettings {
        name,
        dialect,
        write_keys: own_keys,
        enabled: source.enabled.unwrap_or(true),
        strict: source.strict.unwrap_or(false),
        allowed_origins,
        rate,
        keep_refused: source.keep_refused.unwrap_or(false),
    };
    mistakes.end((settings, referenced))
}

fn connections(key: &str, count: Option<usize>) -> Result<Option<usize>, ConfigError> {
    count.map(|count| within(key, count, 1..=CONNECTIONS_MAX)).transpose()
}

fn keep_alive(text: Option<&str>) -> Result<Duration, ConfigError> {
    let key = "[http] keep_alive";
    let keep_alive = duration(
        key,
        text,
        standpipe_http::limits::HTTP_KEEP_ALIVE,
        standpipe_http::limits::HTTP_KEEP_ALIVE_MAX,
    )?;
    if keep_alive < standpipe_http::limits::HTTP_KEEP_ALIVE_MIN {
        return Err(ConfigError::new(format!(
            "{key} is {:?}: write at least {}",
            text.unwrap_or_default(),
            humantime::format_duration(standpipe_http::limits::HTTP_KEEP_ALIVE_MIN)
        )));
    }
    Ok(keep_alive)
}

fn trusted_proxies(networks: Option<&[String]>) -> Result<TrustedProxies, ConfigError> {
    match networks {
        Some(networks) => TrustedProxies::parse(networks)
            .map_err(|error| ConfigError::new(format!("[http] trusted_proxies: {error}"))),
        None => Ok(TrustedProxies::default()),
    }
}

fn public_url(text: &str) -> Result<PublicUrl, ConfigError> {
    PublicUrl::parse(text).map_err(|error| ConfigError::new(format!("[http] public_url: {error}")))
}

/// How much of something a source may send in a second.
fn limit(
    place: &str,
    key: &str,
    limit: Option<u32>,
    unit: &str,
) -> Result<Option<NonZero<u32>>, ConfigError> {
    let Some(limit) = limit else { return Ok(None) };
    let limit = NonZero::new(limit).ok_or_else(|| {
        ConfigError::new(format!("{place}: {key} is 0: write {unit} a second, or enabled = false"))
    })?;
    Ok(Some(limit))
}

fn durability(word: Option<&str>) -> Result<Durability, ConfigError> {
    match word {
        None | Some("fsync") => Ok(Durability::Fsync),
        Some("os") => Ok(Durability::Os),
        Some("memory") => Ok(Durability::Memory),
        Some(word) => Err(ConfigError::new(format!(
            "[spool] durability is {word:?}: write \"fsync\", \"os\" or \"memory\""
        ))),
    }
}

fn address(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        ConfigError::new(format!(
            "{key} is {text:?}: write an IP address and a port, such as 0.0.0.0:8080 or [::1]:8080"
        ))
    })
}

fn within<N: PartialOrd + std::fmt::Display + Copy>(
    key: &str,
    value: N,
    range: std::ops::RangeInclusive<N>,
) -> Result<N, ConfigError> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(ConfigError::new(format!("{key} is {value}: write a number from {least} to {most}")))
}
