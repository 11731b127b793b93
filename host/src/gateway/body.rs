//! Bodies of requests and responses that tell an exchange what passes through. They neither wait
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

/// The body of a request, on its way to the wrapped service: an exchange is told of it, as
/// far as it is read.
pub struct RequestBody<B> {
    body: B,
    told: Option<Told>,
}

/// The body of a response: one of the wrapped service's, or the collector's.
#[derive(Debug)]
pub struct AnswerBody<B>(Answer<B>);

#[derive(Debug)]
enum Answer<B> {
    Own(Full<Bytes>),
    Passed(RequestBody<B>),
}

struct Told {
    /// The request's body and the response's may be under way at once.
    exchange: Arc<Mutex<Exchange>>,
    tell: fn(&mut Exchange, &[u8]),
}

impl<B> RequestBody<B> {
    /// It tells the exchange, if there is one that wants it.
    pub(super) fn new(body: B, exchange: Option<Arc<Mutex<Exchange>>>) -> Self {
        let tell = Exchange::request_body;
        RequestBody { body, told: exchange.map(|exchange| Told { exchange, tell }) }
    }

    /// The body as it came. What is read of it from now on is not told.
    pub fn into_inner(self) -> B {
        self.body
    }
}

impl<B> AnswerBody<B> {
    pub(super) fn own(body: Full<Bytes>) -> Self {
        AnswerBody(Answer::Own(body))
    }

    pub(super) fn passed(body: B, exchange: Option<Arc<Mutex<Exchange>>>) -> Self {
        let tell = Exchange::response_body;
        let told = exchange.map(|exchange| Told { exchange, tell });
        AnswerBody(Answer::Passed(RequestBody { body, told }))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(told), Some(Ok(frame))) = (&self.told, &frame)
            && let Some(data) = frame.data_ref()
        {
            let mut exchange = told.exchange.lock();
            (told.tell)(&mut exchange, data);
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

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.0 {
            Answer::Own(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Answer::Passed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Answer::Own(body) => body.is_end_stream(),
            Answer::Passed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Answer::Own(body) => body.size_hint(),
            Answer::Passed(body) => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("is_told", &self.told.is_some()).finish_non_exhaustive()
    }
}
