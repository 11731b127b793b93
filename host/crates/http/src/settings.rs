//! The settings of a server: `[http]`.
//!
//! What a body may take, and by which URL clients reach the server, is for the code that reads
//! the bodies and answers the requests: those keys are in the raw form and are checked there.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::TrustedProxies;
use standpipe_core::settings::TableChecker;

/// Connections that the settings may ask for: far more than one machine can serve.
const CONNECTIONS_MAX: usize = 1_000_000;

/// How long a connection may be unused after a request, unless the settings say otherwise.
/// A load balancer must be the one that closes: an Application Load Balancer does after 60 s,
/// and a request that it sends while its target closes is answered with 502.
pub const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// The least that the settings may say.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(1);

/// The most that the settings may say: more than the 4,000 s that an Application Load
/// Balancer can be set to.
pub(crate) const KEEP_ALIVE_MAX: Duration = Duration::from_secs(2 * 3600);

/// How the address for SDKs is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawHttp {
    /// A certificate with its chain, in PEM; with `key` it turns TLS on. Both
    /// files are read again when they change. A relative path starts at the
    /// settings file.
    #[schemars(example = &"certificate.pem")]
    pub certificate: Option<PathBuf>,
    /// The certificate's key, in PEM.
    #[schemars(example = &"key.pem")]
    pub key: Option<PathBuf>,
    /// Connections that are open at once; 10,000 by default, or fewer where the limit
    /// of open files leaves room for fewer. Beyond it, connections that wait for their
    /// client are closed for new ones, the oldest first.
    #[schemars(example = 10_000)]
    pub max_connections: Option<usize>,
    /// Connections of one IP address (of IPv6, of one /64 network) that are open at once;
    /// half of `max_connections` by default.
    #[schemars(example = 5_000)]
    pub max_connections_per_peer: Option<usize>,
    /// Bytes of a request's body, also once it is decompressed; 4,096,000 by
    /// default.
    #[schemars(example = 4_096_000)]
    pub max_body_bytes: Option<usize>,
    /// Bytes of all bodies of one client that are read or worked on at once; 33,554,432
    /// by default, which is half of what all clients have.
    #[schemars(example = 33_554_432)]
    pub max_body_bytes_per_peer: Option<usize>,
    /// How long a connection may be unused after a request, such as `"620s"`; `"120s"` by
    /// default, `"1s"` to `"2h"`. It must be longer than a load balancer before the collector
    /// keeps connections, or that sends requests while they are closed.
    pub keep_alive: Option<String>,
    /// IP addresses and networks of proxies, such as `203.0.113.0/24`, whose headers
    /// `X-Forwarded-For`, `-Host` and `-Proto`, and `Forwarded`, are believed; private
    /// networks and loopback by default. The limits of one address do not hold for them,
    /// but for the clients that they name.
    #[schemars(example = ["203.0.113.0/24"])]
    pub trusted_proxies: Option<Vec<String>>,
    /// The URL by which clients reach the collector, such as `https://collect.example`,
    /// which SDKs are told to send to. By default what a trusted proxy says, or the
    /// request's own `Host`.
    #[schemars(example = &"https://collect.example")]
    pub public_url: Option<String>,
}

/// How a server serves connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// With what certificate, if the connections are encrypted.
    pub certificate: Option<CertificateFiles>,
    /// Connections at once. None where the limit of open files decides.
    pub connections_max: Option<usize>,
    /// Connections of one peer at once; half of all where it is not set.
    pub connections_per_peer_max: Option<usize>,
    /// How long a connection may be unused after a request.
    pub keep_alive: Duration,
    /// Proxies that are believed about their clients.
    pub trusted_proxies: TrustedProxies,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate with its chain, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl RawHttp {
    /// Checks how connections are served.
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
