//! Why a request has no response.

#[cfg(feature = "network")]
use std::error::Error as _;
#[cfg(feature = "network")]
use std::io;
use std::net::IpAddr;

use thiserror::Error;

use super::bindings::standpipe::mapping::web::{self as contract, FailureKind};
use super::host_pattern::RefusedUrl;
#[cfg(feature = "network")]
use standpipe_core::error_chain;

/// Why a request has no response. The text contains no query, header or body.
#[derive(Debug, Clone, Error)]
#[cfg_attr(not(feature = "network"), expect(dead_code, reason = "only few requests get so far"))]
pub(crate) enum WebFailure {
    /// The settings allow no requests.
    #[error(
        "the network is off for plugins: write allow = [\"{host}\"] under [plugin.network] to allow requests \
         to this host"
    )]
    Off { host: String },
    /// The program cannot send requests.
    #[cfg(not(feature = "network"))]
    #[error(
        "no request to {host} is sent, because this program is built without the cargo feature `network`: build it \
         with the feature"
    )]
    NotBuilt { host: String },
    /// The events are not real ones.
    #[error(
        "no request to {host} is sent while the plugin is configured, tested, measured or compared"
    )]
    NotReal { host: String },
    #[error(transparent)]
    Url(#[from] RefusedUrl),
    /// The host of the URL is an address that is not public.
    #[error(
        "blocked request to non-public address: {address}: add its network to `allow_private` under \
         [plugin.network]"
    )]
    Address { address: IpAddr },
    /// The host stands for an address that is not public.
    #[error(
        "cannot use {address} as IP address for {host}: add its network to `allow_private` under \
         [plugin.network]"
    )]
    ResolvedAddress { address: IpAddr, host: String },
    #[error("unable to resolve IP address for {host}")]
    Unresolved { host: String },
    #[error(
        "the method {method:?} cannot be sent: use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"
    )]
    Method { method: String },
    #[error(
        "the header {name:?} cannot be sent: use a name of letters, digits and `-`, and a value in one line"
    )]
    Header { name: String },
    #[error("the header `host` cannot be sent: the URL says which host is meant")]
    HostHeader,
    #[error("connect ECONNREFUSED {host}")]
    Refused { host: String },
    #[error("the connection to {host} ended before the response was complete (ECONNRESET)")]
    Disconnected { host: String },
    #[error("no complete response of {host} within {millis} ms")]
    Timeout { host: String, millis: u128 },
    /// All requests of a call together took too long.
    #[error(
        "the requests of one call took longer than {millis} ms: raise `batch_timeout` under [plugin.network], or \
         send fewer requests one after the other"
    )]
    BatchTimeout { millis: u128 },
    #[error(
        "the response of {host} is larger than {bytes} bytes: raise `max_response_bytes` under [plugin.network]"
    )]
    TooLarge { host: String, bytes: usize },
    /// All responses of a call together are too large.
    #[error(
        "the responses to the requests of one call are larger than {bytes} bytes together: send fewer requests at once"
    )]
    BatchTooLarge { bytes: usize },
    #[error(
        "more than {requests} requests in one call: raise `max_requests_per_batch` under [plugin.network]"
    )]
    TooMany { requests: usize },
    #[error("more than {redirects} redirects")]
    Redirects { redirects: usize },
    #[error("redirect to another URL, although `redirects` is `error`")]
    Redirected,
    /// A redirect without a usable target.
    #[error("{host} redirects without a valid URL in the header `location`")]
    Location { host: String },
    #[error("{cause}")]
    Other { cause: String },
}

/// A host name that cannot be used. The resolver returns it through the HTTP client, which passes it
/// on as the source of its own error.
#[cfg(feature = "network")]
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub(super) struct UnusableHost(pub(super) Box<WebFailure>);

impl WebFailure {
    /// The failure that an error of the HTTP client stands for.
    #[cfg(feature = "network")]
    pub(super) fn of_client(error: reqwest::Error, host: &str) -> Self {
        // The URL may contain secrets.
        let error = error.without_url();
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(UnusableHost(failure)) = cause.downcast_ref() {
                return (**failure).clone();
            }
            if let Some(cause) = cause.downcast_ref::<io::Error>() {
                match cause.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        return WebFailure::Refused { host: host.to_owned() };
                    }
                    io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof => {
                        return WebFailure::Disconnected { host: host.to_owned() };
                    }
                    _ => {}
                }
            }
            source = cause.source();
        }
        // The other errors after the connection are those of an incomplete response.
        if (error.is_body() || error.is_decode() || error.is_request()) && !error.is_connect() {
            return WebFailure::Disconnected { host: host.to_owned() };
        }
        WebFailure::Other { cause: error_chain(&error) }
    }

    pub(super) fn kind(&self) -> FailureKind {
        match self {
            #[cfg(not(feature = "network"))]
            WebFailure::NotBuilt { .. } => FailureKind::NotAllowed,
            WebFailure::Off { .. }
            | WebFailure::NotReal { .. }
            | WebFailure::Url(RefusedUrl::Host { .. })
            | WebFailure::Address { .. }
            | WebFailure::ResolvedAddress { .. } => FailureKind::NotAllowed,
            WebFailure::Url(RefusedUrl::Invalid | RefusedUrl::Scheme)
            | WebFailure::Method { .. }
            | WebFailure::Header { .. }
            | WebFailure::HostHeader => FailureKind::Invalid,
            WebFailure::Unresolved { .. } => FailureKind::Unresolved,
            WebFailure::Refused { .. } => FailureKind::Refused,
            WebFailure::Disconnected { .. } => FailureKind::Disconnected,
            WebFailure::Timeout { .. } | WebFailure::BatchTimeout { .. } => FailureKind::Timeout,
            WebFailure::TooLarge { .. } | WebFailure::BatchTooLarge { .. } => FailureKind::TooLarge,
            WebFailure::TooMany { .. } => FailureKind::TooMany,
            WebFailure::Redirects { .. } | WebFailure::Redirected | WebFailure::Location { .. } => {
                FailureKind::Redirected
            }
            WebFailure::Other { .. } => FailureKind::Other,
        }
    }
}

impl From<WebFailure> for contract::Failure {
    fn from(failure: WebFailure) -> Self {
        contract::Failure { kind: failure.kind(), message: failure.to_string() }
    }
}
