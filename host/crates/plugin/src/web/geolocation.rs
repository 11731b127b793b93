//! A database of IP addresses: a file in the format MaxMind DB, such as `GeoLite2-City.mmdb`.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maxminddb::{MaxMindDbError, Reader};
use serde_json::Value;
use thiserror::Error;

/// A database in memory. Changes of its file have no effect on it.
#[derive(Clone)]
pub(super) struct GeolocationDatabase(Arc<Reader<Vec<u8>>>);

/// The database cannot be used.
#[derive(Debug, Error)]
#[error("failed to read the geolocation database {}: {cause}: use a file in the format MaxMind DB", path.display())]
pub struct InvalidDatabase {
    path: PathBuf,
    #[source]
    cause: MaxMindDbError,
}

impl GeolocationDatabase {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or has another format.
    pub(super) fn read(path: &Path) -> Result<Self, InvalidDatabase> {
        let reader = Reader::open_readfile(path);
        let reader = reader.map_err(|cause| InvalidDatabase { path: path.to_owned(), cause })?;
        Ok(GeolocationDatabase(Arc::new(reader)))
    }

    /// What the database contains about an address, as JSON text.
    pub(super) fn locate(&self, address: IpAddr) -> Result<Option<String>, MaxMindDbError> {
        let found: Option<Value> = self.0.lookup(address)?.decode()?;
        Ok(found.map(|found| found.to_string()))
    }
}

impl fmt::Debug for GeolocationDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeolocationDatabase").finish_non_exhaustive()
    }
}
