use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::server::Shutdown;
use super::{Answer, Peer, Request};
use crate::limits;

/// A client's connection.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// Answer the requests of a connection until it ends, nobody uses it, or the
/// server shuts down.
pub(super) async fn serve<H, F>(stream: Stream, peer: Peer, handle: H, shutdown: &Shutdown)
where
    H: Fn(Request, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let usage = Arc::new(Usage::new());
    let service = service_fn({
        let usage = Arc::clone(&usage);
        move |request: Request| {
            let in_use = InUse::new(&usage);
            let answer = handle(request, peer);
            async move {
                let answer = answer.await;
                drop(in_use);
                Ok::<_, Infallible>(answer)
            }
        }
    });
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let is_over = tokio::select! {
        _ = connection.as_mut() => true,
        () = shutdown.requested() => false,
        () = usage.idle() => false,
    };
    if !is_over {
        connection.as_mut().graceful_shutdown();
        // The answer is on its way; a client that does not take it is left.
        let _ = tokio::time::timeout(limits::HTTP_SHUTDOWN_TIMEOUT, connection).await;
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEADER_TIMEOUT)
        .max_buf_size(limits::HTTP_HEADER_BYTES_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits::HTTP_HEADER_BYTES_MAX).expect("it is small"))
        .max_concurrent_streams(limits::HTTP_STREAMS_MAX)
        .max_pending_accept_reset_streams(Some(limits::HTTP_RESET_STREAMS_MAX))
        .keep_alive_interval(limits::HTTP_HEADER_TIMEOUT)
        .keep_alive_timeout(limits::HTTP_HEADER_TIMEOUT);
    builder
}

/// Whether a connection is used for anything.
#[derive(Debug)]
struct Usage {
    started: Instant,
    requests: AtomicUsize,
    /// When the last request ended, in milliseconds since the start; 0 before.
    last_ms: AtomicU64,
}

/// A request under way.
struct InUse(Arc<Usage>);

impl Usage {
    fn new() -> Self {
        Usage { started: Instant::now(), requests: AtomicUsize::new(0), last_ms: AtomicU64::new(0) }
    }

    /// Wait until nothing has been asked for too long. HTTP/2 keeps a connection
    /// open for as long as the client answers pings, and nothing else limits how
    /// long a new client may keep to itself which version it speaks.
    async fn idle(&self) {
        loop {
            let patience = match self.last_ms.load(Ordering::Relaxed) {
                0 => limits::HTTP_HEADER_TIMEOUT,
                last => Duration::from_millis(last) + limits::HTTP_IDLE_TIMEOUT,
            };
            let due = self.started + patience;
            let is_used = self.requests.load(Ordering::Relaxed) > 0;
            if due <= Instant::now() && !is_used {
                return;
            }
            tokio::time::sleep_until(due.max(Instant::now() + Duration::from_secs(1))).await;
        }
    }
}

impl InUse {
    fn new(usage: &Arc<Usage>) -> Self {
        usage.requests.fetch_add(1, Ordering::Relaxed);
        InUse(Arc::clone(usage))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let since = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_ms.store(since.max(1), Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
