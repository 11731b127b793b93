use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::{self, Stream};
use super::{Answer, Request, Tls};
use crate::limits;

/// How long to wait before accepting again, when the system has no more files.
const NO_FILES_PAUSE: Duration = Duration::from_millis(100);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    connections: Arc<Semaphore>,
}

/// Who sent a request, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection.
    pub address: IpAddr,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
}

/// The address cannot be listened on.
#[derive(Debug, Error)]
#[error("listen on {address}: {error}: free the port, or choose another one")]
pub struct BindError {
    address: SocketAddr,
    error: io::Error,
}

/// A request to end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown(watch::Sender::new(false))
    }
}

impl Shutdown {
    /// Accept nothing more, and answer what has been read.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Wait until somebody asks.
    pub async fn requested(&self) {
        // The sender of the word is part of this, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|&requested| requested).await;
    }
}

impl Server {
    /// Listen on an address; port 0 is any free one. At most so many connections
    /// are open at once.
    ///
    /// # Errors
    ///
    /// The address is taken, or is not one of this machine.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Tls>,
        connections_max: usize,
    ) -> Result<Self, BindError> {
        let listen = async {
            let listener = TcpListener::bind(address).await?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = listen.await.map_err(|error| BindError { address, error })?;
        Ok(Server {
            listener,
            address,
            tls,
            connections: Arc::new(Semaphore::new(connections_max)),
        })
    }

    /// The address that is listened on, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answer requests until the shutdown. What has been read by then is still
    /// answered, for as long as [`limits::HTTP_SHUTDOWN_TIMEOUT`].
    pub async fn serve<H, F>(self, handle: H, shutdown: Shutdown)
    where
        H: Fn(Request, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let mut under_way = JoinSet::new();
        let mut requested = pin!(shutdown.requested());
        loop {
            let (stream, peer, permit) = tokio::select! {
                () = &mut requested => break,
                accepted = self.accept() => accepted,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => continue,
            };
            let (tls, handle, shutdown) = (self.tls.clone(), handle.clone(), shutdown.clone());
            under_way.spawn(async move {
                // A connection that fails concerns nobody but its client.
                let peer = Peer { address: peer, is_encrypted: tls.is_some() };
                if let Some(stream) = encrypted(stream, tls).await {
                    connection::serve(stream, peer, handle, &shutdown).await;
                }
                drop(permit);
            });
        }
        drop(self.listener);
        let all_done = async { while under_way.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limits::HTTP_SHUTDOWN_TIMEOUT, all_done).await;
    }

    /// The next connection, once there is room for one.
    async fn accept(&self) -> (TcpStream, IpAddr, OwnedSemaphorePermit) {
        let permit = Arc::clone(&self.connections).acquire_owned().await;
        let permit = permit.expect("it is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Answers are short, and somebody waits for them.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer.ip().to_canonical(), permit);
                }
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::warn!("accept connections: {error}: raise the limit of open files");
                    tokio::time::sleep(NO_FILES_PAUSE).await;
                }
            }
        }
    }
}

/// Whether only the one connection failed, and not accepting itself.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The stream behind the handshake, if there is to be one. None if it fails or
/// takes too long.
async fn encrypted(stream: TcpStream, tls: Option<Tls>) -> Option<Stream> {
    let Some(tls) = tls else { return Some(Stream::Plain(stream)) };
    let handshake = tls.acceptor().accept(stream);
    match tokio::time::timeout(limits::HTTP_HEADER_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Some(Stream::Encrypted(Box::new(stream))),
        Ok(Err(_)) | Err(_) => None,
    }
}
