use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tower_service::Service;

use super::Host;
use super::copy::Copy;
use super::layer::Rules;

/// A service in a [`Layer`](super::Layer).
#[derive(Debug, Clone)]
pub struct Gateway<S> {
    inner: S,
    host: Host,
    rules: Arc<Rules>,
}

/// Who sent a request: an extension of it, from whoever accepted the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub IpAddr);

/// The body of a response: one of the wrapped service's, or the collector's.
#[derive(Debug)]
pub struct AnswerBody<B>(Kind<B>);

#[derive(Debug)]
enum Kind<B> {
    Own(Full<Bytes>),
    Passed(B),
    Copied(B, Box<Copying>),
}

/// A body that is copied on its way; the event is made when it ends.
struct Copying {
    copy: Option<Copy>,
    start: Vec<u8>,
    bytes: u64,
}

type Answer<B, E> =
    Pin<Box<dyn Future<Output = Result<Response<AnswerBody<B>>, E>> + Send + 'static>>;

impl<S> Gateway<S> {
    pub(super) fn new(inner: S, host: Host, rules: Arc<Rules>) -> Self {
        Gateway { inner, host, rules }
    }
}

impl<S, Q, A> Service<Request<Q>> for Gateway<S>
where
    S: Service<Request<Q>, Response = Response<A>, Future: Send + 'static>,
    Q: Body<Data: Send, Error: Send> + Send + 'static,
    A: Body<Data = Bytes> + Unpin,
{
    type Response = Response<AnswerBody<A>>;
    type Error = S::Error;
    type Future = Answer<A, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let path = request.uri().path();
        if self.host.has_sources() && Rules::is_among(path, &self.rules.answered) {
            let host = self.host.clone();
            return Box::pin(async move { Ok(answer(&host, request).await) });
        }
        let copies = self.rules.copies.as_ref();
        let copy = copies.and_then(|copies| copies.begin(&request, &self.host));
        let response = self.inner.call(request);
        Box::pin(async move {
            match (response.await, copy) {
                (Ok(response), None) => Ok(response.map(|body| AnswerBody(Kind::Passed(body)))),
                (Ok(response), Some(copy)) => Ok(copied(response, copy)),
                (Err(error), copy) => {
                    if let Some(mut copy) = copy {
                        copy.respond(None);
                        copy.submit();
                    }
                    Err(error)
                }
            }
        })
    }
}

async fn answer<Q: Body, A>(host: &Host, request: Request<Q>) -> Response<AnswerBody<A>> {
    let client = request.extensions().get().copied();
    let Client(client) = client.unwrap_or(Client(Ipv4Addr::UNSPECIFIED.into()));
    let answer = host.answer(request, client).await.unwrap_or_default();
    answer.map(|body| AnswerBody(Kind::Own(body)))
}

fn copied<A>(response: Response<A>, mut copy: Copy) -> Response<AnswerBody<A>> {
    copy.respond(Some((response.status(), response.headers())));
    if copy.body_bytes_max() == 0 {
        copy.submit();
        return response.map(|body| AnswerBody(Kind::Passed(body)));
    }
    let copying = Copying { copy: Some(copy), start: Vec::new(), bytes: 0 };
    response.map(|body| AnswerBody(Kind::Copied(body, Box::new(copying))))
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.0 {
            Kind::Own(body) => {
                let frame = Pin::new(body).poll_frame(context);
                frame.map_err(|never| match never {})
            }
            Kind::Passed(body) => Pin::new(body).poll_frame(context),
            Kind::Copied(body, copying) => {
                let frame = Pin::new(body).poll_frame(context);
                if let Poll::Ready(Some(Ok(frame))) = &frame {
                    copying.see(frame);
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Own(body) => body.is_end_stream(),
            Kind::Passed(body) | Kind::Copied(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Own(body) => body.size_hint(),
            Kind::Passed(body) | Kind::Copied(body, _) => body.size_hint(),
        }
    }
}

impl Copying {
    fn see(&mut self, frame: &Frame<Bytes>) {
        let (Some(data), Some(copy)) = (frame.data_ref(), &self.copy) else { return };
        self.bytes += data.len() as u64;
        let room = copy.body_bytes_max() - self.start.len();
        self.start.extend_from_slice(&data[..room.min(data.len())]);
    }
}

/// A server drops a body once it has sent it, or cannot.
impl Drop for Copying {
    fn drop(&mut self) {
        if let Some(mut copy) = self.copy.take() {
            copy.tell_body(&self.start, self.bytes);
            copy.submit();
        }
    }
}

impl fmt::Debug for Copying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copying").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
