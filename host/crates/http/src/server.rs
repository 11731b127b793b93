//! Accepts connections within limits, total and per peer, with or without TLS, and shuts down
//! within a time limit. If file descriptors run out, accepting pauses, and this is logged once a
//! minute.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ConnectionStats;
use super::connection::{self, ConnectionStream};
use super::connections::{ConnectionLimits, ConnectionSlot, Connections};
use super::{Peer, Request, Response, Tls};
use crate::limits;
use standpipe_core::log_interval::LogInterval;

/// Timeout for a TLS handshake: two round trips, with retransmissions on a bad network.
const HTTP_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before accepting again if the system has no more descriptors.
const NO_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(100);

/// The minimum time between log lines about this.
const NO_DESCRIPTORS_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A server that is listening.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    connections: Connections,
}

/// An accepted connection without a slot.
type AcceptedConnection = (TcpStream, IpAddr);

/// Listening on an address failed.
#[derive(Debug, Error)]
#[error("failed to listen on {address}: {error}: free the port, or choose another one")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The error of the operating system.
    #[source]
    pub error: io::Error,
}

impl Server {
    /// Listens on an address. Port 0 means any free port.
    ///
    /// # Errors
    ///
    /// Fails if the address is in use, or does not belong to this machine.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Tls>,
        limits: ConnectionLimits,
    ) -> Result<Self, BindError> {
        let listen = async {
            let listener = TcpListener::bind(address).await?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = listen.await.map_err(|error| BindError { address, error })?;
        Ok(Server { listener, address, tls, connections: Connections::new(limits) })
    }

    /// Returns the metrics of the connections, which outlive the server.
    pub fn stats(&self) -> ConnectionStats {
        ConnectionStats(self.connections.clone())
    }

    /// The address of the server, with its actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves requests until `stop` is cancelled. Requests that were read before still get their
    /// responses, within [`limits::HTTP_SHUTDOWN_TIMEOUT`].
    pub async fn serve<H, F>(self, handle: H, stop: CancellationToken)
    where
        H: Fn(Request, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let mut under_way = JoinSet::new();
        let mut stopped = pin!(stop.cancelled());
        let mut accepting = Acceptor::new(&self);
        loop {
            let (stream, peer, place) = tokio::select! {
                () = &mut stopped => break,
                accepted = accepting.next() => accepted,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => continue,
            };
            let (tls, handle, stop) = (self.tls.clone(), handle.clone(), stop.clone());
            under_way.spawn(async move {
                // A failed connection only affects its client.
                let peer = Peer { address: peer, is_encrypted: tls.is_some() };
                if let Some(stream) = accept_tls(stream, tls, &place).await {
                    connection::serve_connection(stream, peer, &place, handle, &stop).await;
                }
                drop(place);
            });
        }
        drop(accepting);
        drop(self.listener);
        let all_done = async { while under_way.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limits::HTTP_SHUTDOWN_TIMEOUT, all_done).await;
    }
}

/// Accepts connections one after the other. Keeps an accepted connection if the wait for its slot
/// is cancelled.
struct Acceptor<'a> {
    server: &'a Server,
    accepted: Option<AcceptedConnection>,
    /// Limits the log lines about missing descriptors.
    log_interval: LogInterval,
}

impl<'a> Acceptor<'a> {
    fn new(server: &'a Server) -> Self {
        Acceptor {
            server,
            accepted: None,
            log_interval: LogInterval::new(NO_DESCRIPTORS_LOG_INTERVAL),
        }
    }

    /// Returns the next connection, once there is a slot for it.
    async fn next(&mut self) -> (TcpStream, IpAddr, ConnectionSlot) {
        let connections = &self.server.connections;
        loop {
            let (stream, peer) = match self.accepted.take() {
                Some(accepted) => accepted,
                None => self.accept_connection().await,
            };
            // A peer with the maximum number of connections gets no response, because its next
            // attempt may succeed.
            if !connections.admits_peer(peer) {
                continue;
            }
            self.accepted = Some((stream, peer));
            connections.wait_for_slot().await;
            if let Some((stream, peer)) = self.accepted.take() {
                return (stream, peer, connections.take_slot(peer));
            }
        }
    }

    async fn accept_connection(&mut self) -> AcceptedConnection {
        loop {
            match self.server.listener.accept().await {
                Ok((stream, peer)) => {
                    // Responses are short, and clients wait for them.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer.ip().to_canonical());
                }
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    self.log_exhaustion(&error);
                    self.server.connections.evict_idle();
                    tokio::time::sleep(NO_DESCRIPTORS_PAUSE).await;
                }
            }
        }
    }

    fn log_exhaustion(&mut self, error: &io::Error) {
        if self.log_interval.admit().is_some() {
            tracing::warn!(
                "failed to accept connections on {}: {error}: raise the limit of open files (`ulimit -n`, or \
                 LimitNOFILE= of a systemd unit), or lower `max_connections` under [http]",
                self.server.address
            );
        }
    }
}

/// Whether the error affects only this connection, and not accepting itself.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The stream after the TLS handshake, if TLS is enabled. `None` if the handshake fails, takes too
/// long, or must make room for others.
async fn accept_tls(
    stream: TcpStream,
    tls: Option<Tls>,
    place: &ConnectionSlot,
) -> Option<ConnectionStream> {
    let Some(tls) = tls else { return Some(ConnectionStream::Left(stream)) };
    let handshake = tls.acceptor.accept(stream);
    tokio::select! {
        shaken = tokio::time::timeout(HTTP_HANDSHAKE_TIMEOUT, handshake) => match shaken {
            Ok(Ok(stream)) => Some(ConnectionStream::Right(Box::new(stream))),
            Ok(Err(_)) | Err(_) => None,
        },
        () = place.activity.wait_until_evicted() => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;
    use crate::TrustedProxies;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends an HTTP/1.1 request, and reads its short response.
    async fn ask(stream: &mut TcpStream) {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 1024];
        let bytes = stream.read(&mut answer).await.unwrap();
        assert!(answer[..bytes].starts_with(b"HTTP/1.1 200"), "{:?}", &answer[..bytes]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unused_connection_is_kept_as_long_as_the_settings_say() {
        for keep_alive in [2 * SECOND, 75 * SECOND, 620 * SECOND] {
            let (connections_max, per_peer_max, trusted) = (8, 8, TrustedProxies::default());
            let limits = ConnectionLimits { connections_max, per_peer_max, keep_alive, trusted };
            let address = "127.0.0.1:0".parse().unwrap();
            let server = Server::bind(address, None, limits).await.unwrap();
            let (address, stop) = (server.address(), CancellationToken::new());
            let answer = |_, _| async { Response::new(Full::new(Bytes::from_static(b"ok"))) };
            let serving = tokio::spawn(server.serve(answer, stop.clone()));
            let mut stream = TcpStream::connect(address).await.unwrap();
            for _ in 0..3 {
                ask(&mut stream).await;
                tokio::time::sleep(keep_alive - SECOND).await;
            }
            let started = Instant::now();
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "it is closed in order");
            let took = started.elapsed();
            assert!(took <= 3 * SECOND, "{keep_alive:?} and {took:?}");
            stop.cancel();
            serving.await.unwrap();
        }
    }
}
