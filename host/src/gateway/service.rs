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

use super::{AnswerBody, Copies, Exchange, Host, RequestBody, begins_with_any};

/// A service in a [`Layer`](super::Layer).
#[derive(Debug, Clone)]
pub struct Gateway<S> {
    inner: S,
    host: Host,
    rules: Arc<Rules>,
}

/// What a layer does with which paths.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// Paths that are answered here begin with one of these.
    pub(super) answered: Vec<String>,
    pub(super) copies: Option<Copies>,
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
        let exchange = self.exchange(&request);
        let with_request_body = exchange.as_ref().is_some_and(Exchange::copies_request_body);
        let exchange = exchange.map(Mutex::new).map(Arc::new);
        let of_request = exchange.as_ref().filter(|_| with_request_body).cloned();
        let response = self.inner.call(request.map(|body| RequestBody::new(body, of_request)));
        Box::pin(async move {
            let response = response.await?;
            let of_response = exchange.filter(|exchange| {
                let mut exchange = exchange.lock();
                exchange.responded(response.status(), response.headers());
                exchange.copies_response_body()
            });
            Ok(response.map(|body| AnswerBody::passed(body, of_response)))
        })
    }
}

impl<S> Gateway<S> {
    /// The exchange of a request of which an event is made, once nobody tells of it any more.
    fn exchange<B>(&self, request: &Request<B>) -> Option<Exchange> {
        let copies = self.rules.copies.as_ref()?;
        copies.begin(&self.host, request.method(), request.uri(), request.headers())
    }
}

async fn answer<Q: Body, A>(host: &Host, request: Request<Q>) -> Response<AnswerBody<A>> {
    let client = request.extensions().get().copied();
    let Client(client) = client.unwrap_or(Client(Ipv4Addr::UNSPECIFIED.into()));
    let answer = host.answer(request, client).await.unwrap_or_default();
    answer.map(AnswerBody::own)
}
