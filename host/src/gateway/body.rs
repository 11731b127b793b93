//! Bodies of requests and responses that copy their contents into an exchange. They neither wait
//! nor buffer for it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use parking_lot::Mutex;

use super::Exchange;

/// The body of a request that is passed to the wrapped service. Its start is copied into the
/// request's [`Exchange`] as the service reads it.
pub struct CapturedBody<B> {
    body: B,
    capture: Option<BodyCapture>,
}

/// The body of a response, either of the wrapped service or of the collector.
#[derive(Debug)]
pub struct ResponseBody<B>(BodySource<B>);

#[derive(Debug)]
enum BodySource<B> {
    Collector(Full<Bytes>),
    Service(CapturedBody<B>),
}

struct BodyCapture {
    /// Shared, because the bodies of the request and of the response can be in progress at the same
    /// time.
    exchange: Arc<Mutex<Exchange>>,
    add: fn(&mut Exchange, &[u8]),
}

impl<B> CapturedBody<B> {
    /// Wraps a request's body. Without an exchange, nothing is copied.
    pub(super) fn new(body: B, exchange: Option<Arc<Mutex<Exchange>>>) -> Self {
        let add = Exchange::add_request_body;
        CapturedBody { body, capture: exchange.map(|exchange| BodyCapture { exchange, add }) }
    }

    /// Returns the wrapped body. Later reads are not copied.
    pub fn into_inner(self) -> B {
        self.body
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn of_collector(body: Full<Bytes>) -> Self {
        ResponseBody(BodySource::Collector(body))
    }

    pub(super) fn of_service(body: B, exchange: Option<Arc<Mutex<Exchange>>>) -> Self {
        let add = Exchange::add_response_body;
        let capture = exchange.map(|exchange| BodyCapture { exchange, add });
        ResponseBody(BodySource::Service(CapturedBody { body, capture }))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for CapturedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(capture), Some(Ok(frame))) = (&self.capture, &frame)
            && let Some(data) = frame.data_ref()
        {
            let mut exchange = capture.exchange.lock();
            (capture.add)(&mut exchange, data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.0 {
            BodySource::Collector(body) => {
                Pin::new(body).poll_frame(context).map_err(|never| match never {})
            }
            BodySource::Service(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            BodySource::Collector(body) => body.is_end_stream(),
            BodySource::Service(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            BodySource::Collector(body) => body.size_hint(),
            BodySource::Service(body) => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for CapturedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedBody")
            .field("is_captured", &self.capture.is_some())
            .finish_non_exhaustive()
    }
}
