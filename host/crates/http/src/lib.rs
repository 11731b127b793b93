//! A server of HTTP/1.1 and HTTP/2, plain or with TLS, that no client can hold
//! up: neither a slow one, nor one that has gone, nor one that sends a compression bomb.
//!
//! It knows connections and bodies and not what a request is for: each request
//! goes to a handler. Its bounds are in [`limits`].

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod body;
mod connection;
mod connections;
mod descriptors;
mod forwarded;
pub mod limits;
mod metrics;
mod peers;
mod request_memory;
mod server;
mod settings;
mod tls;

pub use body::{
    BodyError, BodyMemory, BodyReservation, PeerMemory, RequestBody, discard_body, read_body,
};
pub use connections::ConnectionLimits;
pub use descriptors::Descriptors;
pub use forwarded::{Forwarded, is_host};
pub use metrics::ConnectionStats;
pub use peers::{InvalidNetwork, Peer, TrustedProxies, UserAddress, is_private};
pub use request_memory::{RequestMemory, RequestReservation};
pub use server::{BindError, Server};
pub use settings::{CertificateFiles, HttpSettings, KEEP_ALIVE, RawHttp};
pub use tls::{CertificateError, Tls, TlsError};

/// A response. Responses are short, so they are whole.
pub type Response = hyper::Response<http_body_util::Full<bytes::Bytes>>;

/// A request whose body has not been read.
pub type Request = hyper::Request<RequestBody>;
