//! The service that a layer creates: it routes each request to the collector or to the inner
//! service, and begins an exchange for each captured request.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use parking_lot::Mutex;
use tower_service::Service;

use super::{CapturedBody, Exchange, Host, RequestCapture, ResponseBody, has_any_prefix};

/// A service wrapped by a [`GatewayLayer`](super::GatewayLayer).
#[derive(Debug, Clone)]
pub struct Gateway<S> {
    inner: S,
    host: Host,
    rules: Arc<LayerRules>,
}

/// Which paths a layer sends to the collector, and which it captures.
#[derive(Debug, Clone, Default)]
pub(super) struct LayerRules {
    /// Prefixes of the paths that the collector handles.
    pub(super) collected_paths: Vec<String>,
    pub(super) capture: Option<RequestCapture>,
}

/// The address of the client that sent a request.
///
/// Set it as an extension of the request where the connection is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

type ResponseFuture<B, E> =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody<B>>, E>> + Send + 'static>>;

impl<S> Gateway<S> {
    pub(super) fn new(inner: S, host: Host, rules: Arc<LayerRules>) -> Self {
        Gateway { inner, host, rules }
    }
}

impl<S, Q, A> Service<Request<Q>> for Gateway<S>
where
    S: Service<Request<CapturedBody<Q>>, Response = Response<A>, Future: Send + 'static>,
    Q: Body<Data = Bytes, Error: Send> + Send + Unpin + 'static,
    A: Body<Data = Bytes> + Unpin,
{
    type Response = Response<ResponseBody<A>>;
    type Error = S::Error;
    type Future = ResponseFuture<A, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let path = request.uri().path();
        if self.host.has_sources() && has_any_prefix(path, &self.rules.collected_paths) {
            let host = self.host.clone();
            return Box::pin(async move { Ok(collect_request(&host, request).await) });
        }
        // The event of a captured request is created when the last part of the exchange is dropped.
        let exchange = self.rules.capture.as_ref().and_then(|capture| {
            capture.begin(&self.host, request.method(), request.uri(), request.headers())
        });
        let with_request_body = exchange.as_ref().is_some_and(Exchange::captures_request_body);
        let exchange = exchange.map(Mutex::new).map(Arc::new);
        let of_request = exchange.as_ref().filter(|_| with_request_body).cloned();
        let response = self.inner.call(request.map(|body| CapturedBody::new(body, of_request)));
        Box::pin(async move {
            let response = response.await?;
            let of_response = exchange.filter(|exchange| {
                let mut exchange = exchange.lock();
                exchange.set_response(response.status(), response.headers());
                exchange.captures_response_body()
            });
            Ok(response.map(|body| ResponseBody::of_service(body, of_response)))
        })
    }
}

async fn collect_request<Q: Body, A>(
    host: &Host,
    request: Request<Q>,
) -> Response<ResponseBody<A>> {
    let client = request.extensions().get().copied();
    let ClientAddress(client) = client.unwrap_or(ClientAddress(Ipv4Addr::UNSPECIFIED.into()));
    let response = host.handle(request, client).await.unwrap_or_default();
    response.map(ResponseBody::of_collector)
}
