//! Serves one connection until it ends, is idle for too long, makes room for others, or the server
//! shuts down. A response in progress is completed within a time limit.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;

use super::connections::{BodyWait, ConnectionSlot, RequestInProgress};
use super::{Peer, Request, RequestBody, Response};
use crate::limits;

/// Concurrent requests on an HTTP/2 connection.
const HTTP_STREAMS_MAX: u32 = 64;

/// Requests that an HTTP/2 client may start and reset before they are processed, and requests with
/// errors that are remembered.
const HTTP_RESET_STREAMS_MAX: usize = 20;

/// Bytes of bodies that an HTTP/2 client may send before they are read: enough for 5 MB per second
/// with a latency of 50 ms.
const HTTP_WINDOW_BYTES: u32 = 256 * 1024;

/// Bytes of a response that wait on an HTTP/2 request until its client reads them. Responses are
/// short.
const HTTP_SEND_BUFFER_BYTES: usize = 16 * 1024;

/// Time to inform the client of a connection that is closed because it is idle or makes room for
/// others.
const HTTP_CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// A client's connection, with or without TLS.
pub(super) type ConnectionStream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Serves the requests of a connection until it ends, is idle for too long, makes room for others,
/// or `stop` is cancelled.
pub(super) async fn serve_connection<H, F>(
    stream: ConnectionStream,
    peer: Peer,
    place: &ConnectionSlot,
    handle: H,
    stop: &CancellationToken,
) where
    H: Fn(Request, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let activity = &place.activity;
    let service = service_fn({
        let activity = Arc::clone(activity);
        move |request: hyper::Request<Incoming>| {
            let under_way = RequestInProgress::new(&activity);
            let wait = BodyWait::new(Arc::clone(&activity));
            let response = handle(request.map(|body| RequestBody::new(body, wait)), peer);
            async move {
                let response = response.await;
                drop(under_way);
                Ok::<_, Infallible>(response)
            }
        }
    });
    let reader = Arc::clone(activity);
    let stream = InspectReader::new(stream, move |bytes: &[u8]| reader.count_read(bytes));
    let builder = connection_builder(activity.keep_alive);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let patience = tokio::select! {
        ended = connection.as_mut() => {
            let error = ended.err();
            let error = error.as_ref().and_then(|error| error.downcast_ref::<hyper::Error>());
            if let Some(error) = error.filter(|error| error.is_parse()) {
                place.connections.count_malformed(error);
            }
            return;
        }
        () = stop.cancelled() => limits::HTTP_SHUTDOWN_TIMEOUT,
        () = activity.wait_until_overdue() => HTTP_CLOSE_TIMEOUT,
        // Another connection waits for the slot.
        () = activity.wait_until_evicted() => match activity.needs_farewell() {
            true => HTTP_CLOSE_TIMEOUT,
            false => return,
        },
    };
    connection.as_mut().graceful_shutdown();
    // The response is being sent. A client that does not read it is disconnected.
    let _ = tokio::time::timeout(patience, connection).await;
}

fn connection_builder(keep_alive: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // With HTTP/1.1, the time starts when the connection waits for a request, so it must not be
    // shorter than the idle timeout. `Activity::overdue` is stricter about headers that have
    // started.
    let header_timeout =
        limits::HTTP_HEADER_TIMEOUT.max(keep_alive + 2 * limits::HTTP_WATCH_INTERVAL);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(limits::HTTP_HEADER_BYTES_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits::HTTP_HEADER_BYTES_MAX).expect("it is small"))
        .max_concurrent_streams(HTTP_STREAMS_MAX)
        .max_pending_accept_reset_streams(Some(HTTP_RESET_STREAMS_MAX))
        .max_local_error_reset_streams(Some(HTTP_RESET_STREAMS_MAX))
        .initial_connection_window_size(HTTP_WINDOW_BYTES)
        .initial_stream_window_size(HTTP_WINDOW_BYTES)
        .max_send_buf_size(HTTP_SEND_BUFFER_BYTES)
        .keep_alive_interval(limits::HTTP_HEADER_TIMEOUT)
        .keep_alive_timeout(limits::HTTP_HEADER_TIMEOUT);
    builder
}
