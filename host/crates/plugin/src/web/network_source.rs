//! What access to the network is opened from.

use std::path::{Path, PathBuf};

use super::NetworkSettings;
use standpipe_core::fingerprint::FileFingerprint;
use standpipe_core::secret::Secret;

/// Settings, and what they refer to. Access is opened again only if this has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSource {
    /// The checked settings.
    pub settings: NetworkSettings,
    /// The URL of the proxy, with its password.
    pub proxy: Option<Secret>,
    /// Certificates to trust in addition to those of the system, as PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// The database of IP addresses.
    pub geolocation: Option<GeolocationFile>,
}

/// The file of a database of IP addresses, in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeolocationFile {
    pub(super) path: PathBuf,
    version: FileFingerprint,
}

impl GeolocationFile {
    /// The current version of a file.
    pub fn new(path: &Path) -> Self {
        GeolocationFile { path: path.to_owned(), version: FileFingerprint::of(path) }
    }
}

impl NetworkSource {
    /// Whether requests are sent in the same way, so that connections can be used on.
    pub(super) fn has_same_client(&self, other: &Self) -> bool {
        (&self.settings, &self.proxy, &self.ca_pem)
            == (&other.settings, &other.proxy, &other.ca_pem)
    }
}
