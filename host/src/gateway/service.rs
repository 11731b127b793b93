//! The service that the layer makes of a service: routes each request to the collector or the inner
//! service, and begins an exchange for copied ones.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use parking_lot::Mutex;
use tower_service::Service;

use super::rules::Rules;
use super::{AnswerBody, Exchange, Host, RequestBody, begins_with_any};

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

type Answer<B, E> =
    Pin<Box<dyn Future<Output = Result<Response<AnswerBody<B>>, E>> + Send + 'static>>;

impl<S> Gateway<S> {
    pub(super) fn new(inner: S, host: Host, rules: Arc<Rules>) -> Self {
        Gateway { inner, host, rules }
    }
}

impl<S, Q, A> Service<Request<Q>> for Gateway<S>
where
    S: Service<Request<RequestBody<Q>>, Response = Response<A>, Future: Send + 'static>,
    Q: Body<Data = Bytes, Error: Send> + Send + Unpin + 'static,
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
        if self.host.has_sources() && begins_with_any(path, &self.rules.answered) {
            let host = self.host.clone();
            return Box::pin(async move { Ok(answer(&host, request).await) });
        }
        let copy = self.copy(&request);
        let of_request = copy.as_ref().filter(|copy| copy.with_request_body);
        let of_request = of_request.map(|copy| Arc::clone(&copy.exchange));
        let response = self.inner.call(request.map(|body| RequestBody::new(body, of_request)));
        Box::pin(async move {
            let response = response.await?;
            let of_response = copy.and_then(|copy| copy.responded(&response));
            Ok(response.map(|body| AnswerBody::passed(body, of_response)))
        })
    }
}

/// A request under way of which an event is made, once nobody tells of it any more.
struct Copy {
    exchange: Arc<Mutex<Exchange>>,
    with_request_body: bool,
    with_response_body: bool,
}

impl<S> Gateway<S> {
    fn copy<B>(&self, request: &Request<B>) -> Option<Copy> {
        let copies = self.rules.copies.as_ref()?;
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        Some(Copy {
            exchange: Arc::new(Mutex::new(copies.begin(&self.host, method, uri, headers)?)),
            with_request_body: copies.tell_request_bodies(),
            with_response_body: copies.tell_response_bodies(),
        })
    }
}

impl Copy {
    /// The exchange, where the response's body is to be told too.
    fn responded<B>(self, response: &Response<B>) -> Option<Arc<Mutex<Exchange>>> {
        let mut exchange = self.exchange.lock();
        exchange.responded(response.status(), response.headers());
        drop(exchange);
        self.with_response_body.then_some(self.exchange)
    }
}

async fn answer<Q: Body, A>(host: &Host, request: Request<Q>) -> Response<AnswerBody<A>> {
    let client = request.extensions().get().copied();
    let Client(client) = client.unwrap_or(Client(Ipv4Addr::UNSPECIFIED.into()));
    let answer = host.answer(request, client).await.unwrap_or_default();
    answer.map(AnswerBody::own)
}
