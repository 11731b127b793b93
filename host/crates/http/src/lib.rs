//! An HTTP/1.1 and HTTP/2 server, with or without TLS, that no client can block, whether it is
//! slow, disconnects, or sends a compression bomb.
//!
//! The server handles connections and bodies. It passes each request to a handler, and does not
//! know its purpose. The limits are in [`limits`].

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

/// A response. Responses are short, so their bodies are in memory.
pub type Response = hyper::Response<http_body_util::Full<bytes::Bytes>>;

/// A request whose body has not been read.
pub type Request = hyper::Request<RequestBody>;
