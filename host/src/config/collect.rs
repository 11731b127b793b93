use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use super::secrets::References;
use super::{ConfigError, RawHttp, RawSource, RawSpool};
use crate::admin::Token;
use crate::collector::{Dialect, OriginRule, PublicUrl, Rate, SourceSettings};
use crate::event::SourceNames;
use crate::http::TrustedProxies;
use crate::limits;
use crate::secret::{Reference, Secret, SecretSetting};
use crate::spool::{Durability, SpoolSettings};

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
    let certificate = match (http.certificate, http.key) {
        (Some(certificate), Some(key)) => {
            let [certificate, key] = [certificate, key].map(|path| directory.join(path));
            Some(CertificateFiles { certificate, key })
        }
        (None, None) => None,
        _ => {
            return Err(ConfigError::new(
                "[http] certificate and key belong together: set both, or remove both",
            ));
        }
    };
    let address = match listen {
        "off" => None,
        listen => Some(address("listen", listen)?),
    };
    let (sources, referenced_keys) = check_sources(sources, references)?;
    let body_bytes_max = within(
        "[http] max_body_bytes",
        http.max_body_bytes.unwrap_or(limits::COLLECT_BODY_BYTES_MAX),
        BODY_BYTES_MIN..=limits::COLLECT_BODY_BYTES_MAX_MAX,
    )?;
    Ok(CollectSettings {
        address,
        certificate,
        connections_max: connections("[http] max_connections", http.max_connections)?,
        connections_per_peer_max: connections(
            "[http] max_connections_per_peer",
            http.max_connections_per_peer,
        )?,
        body_bytes_max,
        body_bytes_per_peer_max: within(
            "[http] max_body_bytes_per_peer",
            http.max_body_bytes_per_peer.unwrap_or(limits::HTTP_PEER_BODIES_BYTES_MAX),
            body_bytes_max..=limits::HTTP_BODIES_BYTES_MAX,
        )?,
        trusted_proxies: trusted_proxies(http.trusted_proxies.as_deref())?,
        public_url: http.public_url.as_deref().map(public_url).transpose()?,
        sources,
        referenced_keys,
        spool: SpoolSettings {
            directory: data_dir.join("spool"),
            bytes_max: within(
                "[spool] max_bytes",
                spool.max_bytes.unwrap_or(limits::SPOOL_BYTES_MAX),
                SPOOL_BYTES_MIN..=u64::MAX,
            )?,
            durability: durability(spool.durability.as_deref())?,
        },
    })
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
            "nobody may send to the address that is listened on: add [[sources]] with name, dialect and write_keys",
        ));
    }
    let (mut names, mut keys) = (HashSet::new(), HashSet::new());
    let (mut referenced, mut named) = (Vec::new(), HashSet::new());
    let mut checked = Vec::with_capacity(sources.len());
    for (place, source) in sources.into_iter().enumerate() {
        let (source, own) = check_source(source, references)?;
        let name = &source.name;
        if !names.insert(name.clone()) {
            return Err(ConfigError::new(format!(
                "[[sources]] {name:?} stands twice: give each source a name of its own"
            )));
        }
        for key in &source.write_keys {
            if !keys.insert(key.expose().to_owned()) {
                return Err(ConfigError::new(format!(
                    "[[sources]] {name:?}: one of its write_keys stands twice: a key belongs to one source"
                )));
            }
        }
        for reference in own {
            if !named.insert(reference.clone()) {
                return Err(ConfigError::new(format!(
                    "[[sources]] {name:?}: {reference} stands twice: a key belongs to one source"
                )));
            }
            referenced.push(ReferencedKey { source: place, reference });
        }
        checked.push(source);
    }
    Ok((checked, referenced))
}

/// What the sources are called, and were. A name of before that is also one of today,
/// or of another source, would not say whose events they are.
pub(super) fn check_source_names(sources: &[RawSource]) -> Result<SourceNames, ConfigError> {
    let mut taken: HashSet<_> = sources.iter().map(|source| source.name.as_str()).collect();
    for source in sources {
        let (name, formerly) = (&source.name, source.formerly.iter().flatten());
        for former in formerly {
            if !is_good(former, NAME_CHARACTERS_MAX) {
                return Err(ConfigError::new(format!(
                    "[[sources]] {name:?}: formerly must have names of 1 to {NAME_CHARACTERS_MAX} characters, and none that controls a terminal"
                )));
            }
            if !taken.insert(former) {
                return Err(ConfigError::new(format!(
                    "[[sources]] {name:?}: formerly has {former:?}, which is the name of another source, or stands twice: remove one"
                )));
            }
        }
    }
    let names = sources.iter().map(|source| {
        let formerly = source.formerly.iter().flatten().map(String::as_str);
        (source.name.as_str(), formerly)
    });
    Ok(SourceNames::new(names))
}

/// A source, and those of its keys that are kept elsewhere.
fn check_source(
    source: RawSource,
    references: &References,
) -> Result<(SourceSettings, Vec<Reference>), ConfigError> {
    let RawSource { name, write_keys, .. } = source;
    if !is_good(&name, NAME_CHARACTERS_MAX) {
        return Err(ConfigError::new(format!(
            "[[sources]] name must have 1 to {NAME_CHARACTERS_MAX} characters, and none that controls a terminal"
        )));
    }
    let place = format!("[[sources]] {name:?}");
    let dialect = match source.dialect.as_str() {
        "segment" => Dialect::Segment,
        "rudderstack" => Dialect::RudderStack,
        other => {
            return Err(ConfigError::new(format!(
                "{place}: dialect is {other:?}: write \"segment\" or \"rudderstack\""
            )));
        }
    };
    if write_keys.is_empty() {
        return Err(ConfigError::new(format!(
            "{place}: write_keys is empty: write at least one key"
        )));
    }
    let (mut own_keys, mut referenced) = (Vec::new(), Vec::new());
    for key in write_keys {
        match references.check(&format!("{place}: a write key"), key)? {
            SecretSetting::Value(key) if !is_write_key(key.expose()) => {
                return Err(ConfigError::new(format!(
                    "{place}: a write key must have 1 to {KEY_CHARACTERS_MAX} characters, and none that controls a terminal"
                )));
            }
            SecretSetting::Value(key) => own_keys.push(key),
            SecretSetting::Reference(reference) => referenced.push(reference),
        }
    }
    let origins = source.allowed_origins.unwrap_or_default();
    let allowed_origins = origins.iter().map(|origin| OriginRule::parse(origin));
    let allowed_origins = allowed_origins
        .collect::<Result<_, _>>()
        .map_err(|error| ConfigError::new(format!("{place}: allowed_origins: {error}")))?;
    let rate = Rate {
        events: limit(&place, "rate_limit", source.rate_limit, "events")?,
        bytes: limit(&place, "rate_limit_bytes", source.rate_limit_bytes, "bytes")?,
    };
    let settings = SourceSettings {
        name,
        dialect,
        write_keys: own_keys,
        enabled: source.enabled.unwrap_or(true),
        strict: source.strict.unwrap_or(false),
        allowed_origins,
        rate,
    };
    Ok((settings, referenced))
}

fn connections(key: &str, count: Option<usize>) -> Result<Option<usize>, ConfigError> {
    count.map(|count| within(key, count, 1..=CONNECTIONS_MAX)).transpose()
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
