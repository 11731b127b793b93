//! The settings of requests that plugins send: `[plugin.network]`.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::web::{HostPattern, NetworkSettings};
use standpipe_core::secret::Secret;
use standpipe_core::settings::TableChecker;

/// The range of `max_requests_per_batch`.
const REQUESTS_PER_BATCH: RangeInclusive<u64> = 1..=100_000;

/// The maximum of `timeout`.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The maximum of `batch_timeout`. A worker waits so long, and a run does not end meanwhile.
const BATCH_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// The range of `max_response_bytes`. A plugin instance holds the responses in its memory.
const RESPONSE_BYTES: RangeInclusive<u64> = 1024..=32 * 1024 * 1024;

/// The range of `max_concurrent`. Each request needs a file descriptor.
const CONCURRENT: RangeInclusive<u64> = 1..=10_000;

/// Servers that plugins can send requests to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawNetwork {
    /// Hosts that plugins can send requests to: a host such as `"api.example.com"`, all hosts below
    /// a domain such as `"*.example.com"`, each with an optional port such as
    /// `"api.example.com:8443"`. Without a port, an entry allows port 80 of `http` and port 443 of
    /// `https`. Default: empty, which means that plugins cannot send requests.
    #[schemars(example = &["api.example.com"])]
    pub allow: Vec<String>,
    /// Networks such as `"10.1.0.0/16"` whose addresses plugins can use although they are not
    /// public. Addresses that provide the credentials of a machine, such as `169.254.169.254`, must
    /// be listed one by one. Default: empty.
    #[schemars(example = &["10.1.0.0/16"])]
    pub allow_private: Vec<String>,
    /// Maximum number of requests of one call with a batch of events, 1 to 100000. Default: 2000.
    #[schemars(example = 2000)]
    pub max_requests_per_batch: Option<u64>,
    /// Maximum time of a request, with its redirects and its response, at most `"1m"`. Default:
    /// `"10s"`.
    #[schemars(example = &"10s")]
    pub timeout: Option<String>,
    /// Maximum time that a call with a batch of events waits for responses, at most `"10m"`.
    /// Default: `"30s"`.
    #[schemars(example = &"30s")]
    pub batch_timeout: Option<String>,
    /// Maximum size of the body of a response in bytes, 1024 to 33554432. Default: 1048576 (1 MiB).
    #[schemars(example = 1_048_576)]
    pub max_response_bytes: Option<u64>,
    /// Maximum number of requests of all workers that are sent at the same time, 1 to 10000.
    /// Default: 200.
    #[schemars(example = 200)]
    pub max_concurrent: Option<u64>,
    /// HTTP proxy for requests: `http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`. The proxy
    /// chooses the addresses of servers, so Standpipe cannot check them. Hosts in the environment
    /// variable `NO_PROXY` are reached without the proxy. Default: no proxy.
    #[schemars(example = &"http://HOST:PORT")]
    pub proxy: Option<Secret>,
    /// PEM file with certificates to trust in addition to those of the system. A relative path
    /// starts at the directory of the settings file. Default: none.
    pub ca_bundle: Option<PathBuf>,
}

impl RawNetwork {
    /// Checks the hosts and the limits.
    pub fn check(&self, check: &mut TableChecker<'_>) -> NetworkSettings {
        let usual = NetworkSettings::default();
        let mut allow = Vec::new();
        for text in &self.allow {
            match HostPattern::parse(text) {
                Ok(pattern) => allow.push(pattern),
                Err(error) => check.add_mistake(format_args!("allow contains {text:?}: {error}")),
            }
        }
        let mut allow_private = Vec::new();
        for text in &self.allow_private {
            match parse_network(text) {
                Some(network) => allow_private.push(network),
                None => check.add_mistake(format_args!(
                    "allow_private contains {text:?}: write a network or an address, such as \"10.1.0.0/16\" or \
                     \"10.1.2.3\""
                )),
            }
        }
        let mut count = |key, value: Option<u64>, usual, bounds| {
            let count = value.and_then(|value| check.number(key, value, bounds));
            count.map_or(usual, |count| usize::try_from(count).unwrap_or(usize::MAX))
        };
        let requests_per_batch = count(
            "max_requests_per_batch",
            self.max_requests_per_batch,
            usual.requests_per_batch,
            REQUESTS_PER_BATCH,
        );
        let response_bytes = count(
            "max_response_bytes",
            self.max_response_bytes,
            usual.response_bytes,
            RESPONSE_BYTES,
        );
        let concurrent = count("max_concurrent", self.max_concurrent, usual.concurrent, CONCURRENT);
        let timeout =
            check.positive_duration("timeout", self.timeout.as_deref(), usual.timeout, TIMEOUT_MAX);
        let batch_timeout = check.positive_duration(
            "batch_timeout",
            self.batch_timeout.as_deref(),
            usual.batch_timeout,
            BATCH_TIMEOUT_MAX,
        );
        NetworkSettings {
            allow,
            allow_private,
            requests_per_batch,
            timeout,
            batch_timeout,
            response_bytes,
            concurrent,
            proxy: check.optional_secret("proxy", self.proxy.clone()),
            ca_bundle: self.ca_bundle.as_ref().map(|path| check.path(path)),
        }
    }
}

/// Parses a network, or an address as a network of its own.
fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok();
    network.or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)))
}
