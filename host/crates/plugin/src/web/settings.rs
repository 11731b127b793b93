//! What plugins may do in the network, with the default limits.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::HostPattern;
use standpipe_core::secret::SecretSetting;

/// Requests in one call of a plugin: four for each of the 500 events of a batch.
pub const REQUESTS_PER_BATCH_MAX: usize = 2000;

/// The time of one request, with its redirects and the body of its response.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The time that one call of a plugin waits for responses. The worker maps no other events
/// meanwhile.
pub const BATCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of the body of one response.
pub const RESPONSE_BYTES_MAX: usize = 1024 * 1024;

/// Requests of all workers that are sent at the same time.
pub const CONCURRENT_REQUESTS_MAX: usize = 200;

/// Hosts that plugins may send requests to, and the limits of these requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// The hosts. If there are none, each request fails.
    pub allow: Vec<HostPattern>,
    /// Networks whose addresses may be used although they are not public.
    pub allow_private: Vec<IpNet>,
    /// Maximum requests in one call of a plugin.
    pub requests_per_batch: usize,
    /// Maximum time of one request.
    pub timeout: Duration,
    /// Maximum time that one call of a plugin waits.
    pub batch_timeout: Duration,
    /// Maximum bytes of the body of one response.
    pub response_bytes: usize,
    /// Maximum requests of all workers at the same time.
    pub concurrent: usize,
    /// A proxy for requests. It decides which addresses the names of servers stand for.
    pub proxy: Option<SecretSetting>,
    /// A PEM file with certificates to trust in addition to those of the system.
    pub ca_bundle: Option<PathBuf>,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        NetworkSettings {
            allow: Vec::new(),
            allow_private: Vec::new(),
            requests_per_batch: REQUESTS_PER_BATCH_MAX,
            timeout: REQUEST_TIMEOUT,
            batch_timeout: BATCH_TIMEOUT,
            response_bytes: RESPONSE_BYTES_MAX,
            concurrent: CONCURRENT_REQUESTS_MAX,
            proxy: None,
            ca_bundle: None,
        }
    }
}
