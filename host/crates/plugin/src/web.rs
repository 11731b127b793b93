//! What plugins can reach outside of their sandbox: servers, and a database of IP addresses.
//!
//! Both are closed until the settings open them. Requests only go to hosts that the settings allow,
//! and only to addresses that are public or that the settings allow. All requests of a call are sent
//! at the same time. The plugin's thread sleeps meanwhile, which costs none of its CPU time, and the
//! other workers continue. Neither URLs nor headers nor bodies are logged.

mod address;
mod client;
mod counters;
mod exchange;
mod failure;
mod geolocation;
mod host_pattern;
mod resolver;
pub mod settings;
mod tls;

pub(crate) mod bindings {
    //! The bindings that wasmtime generates from the contract.
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "network",
    });
}

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use url::Url;

use bindings::standpipe::mapping::web as contract;
use client::WebClient;
use failure::WebFailure;
use geolocation::GeolocationDatabase;

pub(crate) use client::{CallUsage, RequestsOfPlugin};
pub(crate) use counters::WebCounters;

pub use address::is_address_allowed;
pub use geolocation::InvalidDatabase;
pub use host_pattern::{HostPattern, InvalidHostPattern, RefusedUrl, check_url};
pub use settings::NetworkSettings;

/// What the plugins of an engine can reach.
#[derive(Default)]
pub struct NetworkAccess {
    /// `None` if no requests are allowed.
    client: Option<WebClient>,
    geolocation: Option<GeolocationDatabase>,
    counters: Arc<WebCounters>,
}

/// Why plugins cannot reach what the settings allow.
#[derive(Debug, Error)]
pub enum NetworkAccessError {
    /// The system cannot create threads.
    #[error("failed to start the threads for requests of plugins: {0}")]
    Threads(#[from] io::Error),
    /// The database of IP addresses cannot be used.
    #[error("[plugin] geolocation: {0}")]
    Geolocation(#[from] InvalidDatabase),
}

impl NetworkAccess {
    /// Opens what the settings allow, and the database of IP addresses in this file.
    ///
    /// # Errors
    ///
    /// Fails if the system cannot create threads, or if the file is not a database.
    pub fn open(
        settings: &NetworkSettings,
        geolocation: Option<&Path>,
    ) -> Result<Self, NetworkAccessError> {
        let geolocation = geolocation.map(GeolocationDatabase::read).transpose()?;
        let is_open = !settings.allow.is_empty();
        let client = is_open.then(|| WebClient::start(settings.clone())).transpose()?;
        Ok(NetworkAccess { client, geolocation, counters: Arc::default() })
    }

    /// Looks up an IP address in the database. The result is JSON text, or `None` if the database
    /// contains nothing about the address.
    pub(crate) fn locate(&self, address: &str) -> Result<Option<String>, String> {
        let database = self.geolocation.as_ref().ok_or(
            "geolocation is not available right now: write geolocation = \"GeoLite2-City.mmdb\" under [plugin]",
        )?;
        let address = address.parse().map_err(|_| "invalid ip address".to_owned())?;
        database.locate(address).map_err(|error| error.to_string())
    }

    /// The counts of requests.
    pub(crate) fn counters(&self) -> &WebCounters {
        &self.counters
    }

    /// Sends all requests of a plugin at the same time, and waits for the responses.
    pub(crate) fn fetch_all(
        &self,
        requests: Vec<contract::Request>,
        usage: &mut CallUsage,
    ) -> Vec<Result<contract::Response, WebFailure>> {
        if let Some(client) = &self.client
            && usage.allowed == RequestsOfPlugin::Sent
        {
            return client.fetch_all(requests, usage, &self.counters);
        }
        let refused = requests.into_iter().map(|request| {
            let url = Url::parse(&request.url).ok();
            let host = url.as_ref().map(host_pattern::host_and_port).unwrap_or_default();
            let failure = match &self.client {
                Some(_) => WebFailure::NotReal { host },
                None => WebFailure::Off { host },
            };
            self.counters.add(Some(failure.kind()), Duration::ZERO);
            Err(failure)
        });
        refused.collect()
    }
}

#[cfg(test)]
mod tests;
