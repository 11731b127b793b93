//! What plugins can reach outside of their sandbox: servers, and a database of IP addresses.
//!
//! Both are closed until the settings open them. Requests only go to hosts that the settings allow,
//! and only to addresses that are public or that the settings allow. All requests of a call are sent
//! at the same time. The plugin's thread sleeps meanwhile, which costs none of its CPU time, and the
//! other workers continue. Neither URLs nor headers nor bodies are logged.
//!
//! Both can be opened again with other settings. A call that waits for responses ends under the
//! settings under which it began.

mod address;
mod call_usage;
#[cfg(feature = "network")]
mod client;
mod counters;
#[cfg(feature = "network")]
mod exchange;
mod failure;
mod geolocation;
mod host_pattern;
mod network_source;
#[cfg(not(feature = "network"))]
mod no_client;
#[cfg(feature = "network")]
mod resolver;
pub mod settings;
#[cfg(feature = "network")]
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
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use thiserror::Error;
use url::Url;

use bindings::standpipe::mapping::web as contract;
#[cfg(feature = "network")]
use client::WebClient;
use failure::WebFailure;
use geolocation::GeolocationDatabase;
#[cfg(not(feature = "network"))]
use no_client::WebClient;

pub(crate) use call_usage::{CallUsage, RequestsOfPlugin};
pub(crate) use counters::WebCounters;

pub use address::is_address_allowed;
pub use geolocation::InvalidDatabase;
pub use host_pattern::{HostPattern, InvalidHostPattern, RefusedUrl, check_url};
pub use network_source::{GeolocationFile, NetworkSource};
pub use settings::NetworkSettings;

/// What the plugins of an engine can reach.
#[derive(Default)]
pub struct NetworkAccess {
    opened: ArcSwap<OpenedNetwork>,
    counters: Arc<WebCounters>,
}

/// The client and the database, and what they were opened from.
#[derive(Default)]
struct OpenedNetwork {
    source: NetworkSource,
    /// `None` if no requests are allowed.
    client: Option<Arc<WebClient>>,
    geolocation: Option<GeolocationDatabase>,
}

/// Why plugins cannot reach what the settings allow.
#[derive(Debug, Error)]
pub enum NetworkAccessError {
    /// The system cannot create threads.
    #[error("failed to start the threads for requests of plugins: {0}")]
    Threads(#[from] io::Error),
    /// The URL of the proxy is invalid. It may contain a password, so it is not shown.
    #[error(
        "`proxy` under [plugin.network] is not the URL of a proxy: write http://HOST:PORT or \
         http://USER:PASSWORD@HOST:PORT"
    )]
    Proxy,
    /// The database of IP addresses cannot be used.
    #[error("[plugin] geolocation: {0}")]
    Geolocation(#[from] InvalidDatabase),
}

impl NetworkAccess {
    /// Opens what the settings allow, in place of what is open. Returns whether anything has changed.
    /// If it fails, everything stays as it was. Callers must not call it at the same time.
    ///
    /// # Errors
    ///
    /// Fails if the system cannot create threads, or if the proxy or the database is invalid.
    pub fn reopen(&self, source: NetworkSource) -> Result<bool, NetworkAccessError> {
        let current = self.opened.load_full();
        if current.source == source {
            return Ok(false);
        }
        let geolocation = match &source.geolocation {
            None => None,
            same if *same == current.source.geolocation => current.geolocation.clone(),
            Some(file) => Some(GeolocationDatabase::read(&file.path)?),
        };
        let client = match &current.client {
            _ if source.settings.allow.is_empty() => None,
            Some(client) if source.has_same_client(&current.source) => Some(Arc::clone(client)),
            _ => Some(Arc::new(WebClient::start(&source)?)),
        };
        self.opened.store(Arc::new(OpenedNetwork { source, client, geolocation }));
        Ok(true)
    }

    /// Looks up an IP address in the database. The result is JSON text, or `None` if the database
    /// contains nothing about the address.
    pub(crate) fn locate(&self, address: &str) -> Result<Option<String>, String> {
        let opened = self.opened.load();
        let database = opened.geolocation.as_ref().ok_or(
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
        // Held until the responses have arrived, because its threads end with the client.
        let opened = self.opened.load_full();
        if let Some(client) = &opened.client
            && usage.allowed == RequestsOfPlugin::Sent
        {
            return client.fetch_all(requests, usage, &self.counters);
        }
        let refused = requests.into_iter().map(|request| {
            let url = Url::parse(&request.url).ok();
            let host = url.as_ref().map(host_pattern::host_and_port).unwrap_or_default();
            let failure = match &opened.client {
                Some(_) => WebFailure::NotReal { host },
                None => WebFailure::Off { host },
            };
            self.counters.add(Some(failure.kind()), Duration::ZERO);
            Err(failure)
        });
        refused.collect()
    }
}

#[cfg(all(test, feature = "network"))]
mod tests;
