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

/// The body of a request, on its way to the wrapped service.
#[derive(Debug)]
pub struct RequestBody<B>(Watched<B>);

/// The body of a response: one of the wrapped service's, or the collector's.
#[derive(Debug)]
pub struct AnswerBody<B>(Answer<B>);

#[derive(Debug)]
enum Answer<B> {
    Own(Full<Bytes>),
    Passed(Watched<B>),
}

/// A body that an exchange is told of, as far as it is read.
struct Watched<B> {
    body: B,
    told: Option<Told>,
}

struct Told {
    /// The request's body and the response's may be under way at once.
    exchange: Arc<Mutex<Exchange>>,
    tell: fn(&mut Exchange, &[u8]),
}

impl<B> RequestBody<B> {
    /// It tells the exchange, if there is one that wants it.
    pub(super) fn new(body: B, exchange: Option<Arc<Mutex<Exchange>>>) -> Self {
        RequestBody(Watched::new(body, exchange, Exchange::request_body))
    }

    /// The body as it came. What is read of it from now on is not told.
    pub fn into_inner(self) -> B {
        self.0.body
    }
}

impl<B> AnswerBody<B> {
    pub(super) fn own(body: Full<Bytes>) -> Self {
        AnswerBody(Answer::Own(body))
    }

    pub(super) fn passed(body: B, exchange: Option<Arc<Mutex<Exchange>>>) -> Self {
        AnswerBody(Answer::Passed(Watched::new(body, exchange, Exchange::response_body)))
    }
}

impl<B> Watched<B> {
    fn new(
        body: B,
        exchange: Option<Arc<Mutex<Exchange>>>,
        tell: fn(&mut Exchange, &[u8]),
    ) -> Self {
        Watched { body, told: exchange.map(|exchange| Told { exchange, tell }) }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.0.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.body.size_hint()
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
            Answer::Own(body) => {
                let frame = Pin::new(body).poll_frame(context);
                frame.map_err(|never| match never {})
            }
            Answer::Passed(watched) => watched.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Answer::Own(body) => body.is_end_stream(),
            Answer::Passed(watched) => watched.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Answer::Own(body) => body.size_hint(),
            Answer::Passed(watched) => watched.body.size_hint(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Watched<B> {
    fn poll_frame(
        &mut self,
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
}

impl<B> fmt::Debug for Watched<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("is_told", &self.told.is_some()).finish_non_exhaustive()
    }
}
