//! The memory for bodies, and the limits for its users.
//!
//! All bodies share one budget. Requests without a write key before their body share a part of it,
//! because they may come from anyone. Each client also has a limit.
//! [`Proxies`](super::proxies::Proxies) determines what counts as a client.

use std::net::IpAddr;

use hyper::body::Body;

use crate::limits;
use standpipe_http::{self as http, BodyError, BodyMemory, BodyReservation, PeerMemory};

#[derive(Debug)]
pub(super) struct RequestBodyMemory {
    all: BodyMemory,
    keyless: BodyMemory,
    peers: PeerMemory,
    body_bytes_max: usize,
}

/// Whether a request contains its write key before its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPlace {
    Head,
    /// In the body, where old SDKs send the key, or missing.
    Body,
}

impl RequestBodyMemory {
    pub(super) fn new(body_bytes_max: usize) -> Self {
        RequestBodyMemory {
            all: BodyMemory::new(limits::HTTP_BODIES_BYTES_MAX),
            keyless: BodyMemory::new(limits::HTTP_KEYLESS_BODIES_BYTES_MAX),
            peers: PeerMemory::new(limits::HTTP_PEER_BODIES_BYTES_MAX),
            body_bytes_max,
        }
    }

    /// Sets the limit for each client in bytes.
    pub(super) fn set_peer_bytes_max(&mut self, peer_bytes_max: usize) {
        self.peers = PeerMemory::new(peer_bytes_max);
    }

    /// Reads a body within the limit of its client, and within the limit for requests without a key
    /// in the head.
    pub(super) async fn read(
        &self,
        body: &mut (impl Body + Unpin),
        key: KeyPlace,
        client: Option<IpAddr>,
    ) -> Result<(Vec<u8>, BodyReservation), BodyError> {
        let (peer, max) = (client.map(|client| self.peers.for_peer(client)), self.body_bytes_max);
        // The narrowest limit comes first: a request that waits for its own share takes nothing
        // from others.
        match (&peer, key) {
            (None, KeyPlace::Head) => http::read_body(body, max, &[&self.all]).await,
            (None, KeyPlace::Body) => http::read_body(body, max, &[&self.keyless, &self.all]).await,
            (Some(peer), KeyPlace::Head) => http::read_body(body, max, &[peer, &self.all]).await,
            (Some(peer), KeyPlace::Body) => {
                http::read_body(body, max, &[peer, &self.keyless, &self.all]).await
            }
        }
    }
}
