//! The settings of a server: `[http]`.
//!
//! The raw form also has the keys for the size of request bodies and for the public URL. The
//! collector checks these keys, because it reads the bodies and handles the requests.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::TrustedProxies;
use standpipe_core::settings::TableChecker;

/// The maximum of `max_connections`: far more connections than one machine can serve.
const CONNECTIONS_MAX: usize = 1_000_000;

/// The default of `keep_alive`. The load balancer should be the side that closes an idle
/// connection: an Application Load Balancer closes it after 60 s, and responds with 502 if it sends
/// a request while its target closes the connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// The minimum of `keep_alive`.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(1);

/// The maximum of `keep_alive`: more than 4,000 s, the maximum of an Application Load
/// Balancer.
pub(crate) const KEEP_ALIVE_MAX: Duration = Duration::from_secs(2 * 3600);

/// Connections and request bodies at the address in `listen`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawHttp {
    /// PEM file with the certificate chain. With `certificate` and `key`, Standpipe uses TLS,
    /// and reads the files again when they change. Default: no TLS.
    #[schemars(example = &"certificate.pem")]
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of the certificate.
    #[schemars(example = &"key.pem")]
    pub key: Option<PathBuf>,
    /// Maximum number of open connections, 1 to 1000000. Default: 10000, or fewer if the limit
    /// of open files is too low. When this number is reached, Standpipe closes some open
    /// connections to accept new ones.
    #[schemars(example = 10_000)]
    pub max_connections: Option<usize>,
    /// Maximum number of connections from one client: an IPv4 address or an IPv6 /64 network.
    /// Standpipe closes further connections. Default: half of `max_connections`.
    #[schemars(example = 5_000)]
    pub max_connections_per_peer: Option<usize>,
    /// Maximum size of a request body in bytes, 32768 to 16777216. The limit applies both
    /// before and after decompression. Default: 4096000.
    #[schemars(example = 4_096_000)]
    pub max_body_bytes: Option<usize>,
    /// Maximum memory in bytes for the request bodies of one client, at least
    /// `max_body_bytes`, at most 67108864. Default: 33554432.
    #[schemars(example = 33_554_432)]
    pub max_body_bytes_per_peer: Option<usize>,
    /// How long a connection may be idle between requests, `"1s"` to `"2h"`. Default:
    /// `"120s"`. Choose a longer time than the idle timeout of a load balancer in front of
    /// Standpipe.
    pub keep_alive: Option<String>,
    /// Addresses and networks of proxies, such as `203.0.113.0/24`. Standpipe uses the headers
    /// `X-Forwarded-For`, `X-Forwarded-Host`, `X-Forwarded-Proto` and `Forwarded` only in
    /// requests from these proxies. Default: private and loopback networks; with `[]`,
    /// Standpipe trusts no proxy.
    #[schemars(example = ["203.0.113.0/24"])]
    pub trusted_proxies: Option<Vec<String>>,
    /// URL of the collector as clients see it, such as `https://collect.example`. Standpipe
    /// sends this URL in the settings that SDKs download. Default: the URL from the headers of
    /// a trusted proxy, else from the `Host` header of the request.
    #[schemars(example = &"https://collect.example")]
    pub public_url: Option<String>,
}

/// How a server serves connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// The files of the certificate, or `None` without TLS.
    pub certificate: Option<CertificateFiles>,
    /// Maximum number of open connections. If `None`, 10,000, or fewer if the limit of open
    /// files is too low.
    pub connections_max: Option<usize>,
    /// Maximum number of open connections of one peer. If `None`, half of all connections.
    pub connections_per_peer_max: Option<usize>,
    /// How long a connection may be idle between requests.
    pub keep_alive: Duration,
    /// Proxies whose headers about their clients are used.
    pub trusted_proxies: TrustedProxies,
}

/// The files of a certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

impl RawHttp {
    /// Checks the settings of connections.
    pub fn check(&self, check: &mut TableChecker<'_>) -> HttpSettings {
        let mut connections = |key, count: Option<usize>| {
            count.and_then(|count| check.number(key, count, 1..=CONNECTIONS_MAX))
        };
        let connections_max = connections("max_connections", self.max_connections);
        let connections_per_peer_max =
            connections("max_connections_per_peer", self.max_connections_per_peer);
        let keep_alive = self.keep_alive.as_deref();
        let bounds = KEEP_ALIVE_MIN..=KEEP_ALIVE_MAX;
        HttpSettings {
            certificate: self.check_certificate(check),
            connections_max,
            connections_per_peer_max,
            keep_alive: check.duration("keep_alive", keep_alive, KEEP_ALIVE, bounds),
            trusted_proxies: self
                .trusted_proxies
                .as_deref()
                .and_then(|it| check.parsed("trusted_proxies", TrustedProxies::parse(it)))
                .unwrap_or_default(),
        }
    }

    fn check_certificate(&self, check: &mut TableChecker<'_>) -> Option<CertificateFiles> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some(CertificateFiles {
                certificate: check.path(certificate),
                key: check.path(key),
            }),
            (None, None) => None,
            _ => {
                check.add_mistake("certificate and key belong together: set both, or remove both");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use standpipe_core::settings::{SecretManager, SettingsChecker};

    use super::*;

    fn check(raw: &RawHttp) -> Result<HttpSettings, Vec<String>> {
        let mut checker = SettingsChecker::new(Path::new("/etc/standpipe"), SecretManager::None);
        let settings = raw.check(&mut checker.table("http"));
        match checker.into_mistakes() {
            mistakes if mistakes.is_empty() => Ok(settings),
            mistakes => Err(mistakes),
        }
    }

    #[test]
    fn paths_start_at_the_file_and_bounds_are_taken() {
        let raw = RawHttp {
            certificate: Some("c.pem".into()),
            key: Some("/k.pem".into()),
            max_connections: Some(CONNECTIONS_MAX),
            keep_alive: Some("2h".to_owned()),
            ..RawHttp::default()
        };
        let settings = check(&raw).unwrap();
        let files = settings.certificate.unwrap();
        assert_eq!(files.certificate, Path::new("/etc/standpipe/c.pem"));
        assert_eq!(files.key, Path::new("/k.pem"));
        assert_eq!(settings.connections_max, Some(CONNECTIONS_MAX));
        assert_eq!(settings.keep_alive, KEEP_ALIVE_MAX);
    }

    #[test]
    fn all_mistakes_are_told() {
        let raw = RawHttp {
            key: Some("k.pem".into()),
            max_connections: Some(CONNECTIONS_MAX + 1),
            max_connections_per_peer: Some(0),
            keep_alive: Some("999ms".to_owned()),
            trusted_proxies: Some(vec!["proxy".to_owned()]),
            ..RawHttp::default()
        };
        let mistakes = check(&raw).unwrap_err();
        assert_eq!(mistakes.len(), 5, "{mistakes:?}");
        assert_eq!(
            mistakes[..2],
            [
                "[http] max_connections is 1000001: write a number from 1 to 1000000",
                "[http] max_connections_per_peer is 0: write a number from 1 to 1000000"
            ]
        );
        assert!(mistakes.contains(&"[http] keep_alive is \"999ms\": write at least 1s".to_owned()));
    }
}
