//! A `tower` layer that handles SDK calls in place of a service and captures other requests.

use std::sync::Arc;

use super::service::LayerRules;
use super::{Gateway, Host, RequestCapture};

/// Wraps a `tower` service: handles requests of analytics SDKs in place of the service, and creates
/// an event from each other request and its response.
///
/// [`collect_paths`](Self::collect_paths) and [`capture_paths`](Self::capture_paths) select the
/// requests; without them the layer passes everything through. It never delays the wrapped
/// service: an event that does not fit into the host's limits is dropped and counted in
/// [`SubmissionStats::refused_full`](crate::SubmissionStats::refused_full). The service receives
/// bodies as [`CapturedBody`](super::CapturedBody).
///
/// ```
/// # use std::convert::Infallible;
/// use bytes::Bytes;
/// use standpipe::{Builder, RequestCapture, GatewayLayer};
/// use http::header::USER_AGENT;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower_layer::Layer as _;
/// use tower_service::Service as _;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let settings = r#"
///     listen = "off"
///     sources = [{ name = "web", dialect = "segment", write_keys = ["key"] }]
///     [plugin.settings]
///     mappings = [{ event = "*", stream = "all" }]
/// "#;
/// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
/// let host = builder.start(&tokio::runtime::Handle::current()).await?;
/// let layer = GatewayLayer::new(host.clone())
///     .collect_paths(["/v1/"])
///     .capture_paths(RequestCapture::new(["/shop/"]).request_headers([USER_AGENT]));
/// // Shop stands for any service.
/// # #[derive(Clone)]
/// # struct Shop;
/// # impl<B> tower_service::Service<Request<B>> for Shop {
/// #     type Response = Response<Full<Bytes>>;
/// #     type Error = Infallible;
/// #     type Future = std::future::Ready<Result<Self::Response, Infallible>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
/// #         std::task::Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, _: Request<B>) -> Self::Future {
/// #         std::future::ready(Ok(Response::new(Full::from("welcome"))))
/// #     }
/// # }
/// let mut service = layer.layer(Shop);
/// service.call(Request::get("/shop/1").body(Full::default())?).await?;
/// let body = r#"{"writeKey":"key","event":"Signed Up","userId":"u"}"#;
/// let response = service.call(Request::post("/v1/track").body(Full::from(body))?).await?;
/// assert_eq!(response.status(), 200);
/// assert_eq!(host.stop().await.delivered, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct GatewayLayer {
    host: Host,
    rules: Arc<LayerRules>,
}

impl GatewayLayer {
    /// Creates a layer that passes everything through.
    pub fn new(host: Host) -> Self {
        GatewayLayer { host, rules: Arc::default() }
    }

    /// Handles requests whose path has one of these prefixes with [`Host::handle`]. If the
    /// host's settings have no sources, the wrapped service receives them.
    ///
    /// The request's extension [`ClientAddress`](super::ClientAddress) is the client's address.
    /// If it is missing or a trusted proxy, the address is read from `X-Forwarded-For` or
    /// `Forwarded`.
    pub fn collect_paths<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        Arc::make_mut(&mut self.rules).collected_paths.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Creates an event from each request that `capture` selects, and its response.
    pub fn capture_paths(mut self, capture: RequestCapture) -> Self {
        Arc::make_mut(&mut self.rules).capture = Some(capture);
        self
    }
}

impl<S> tower_layer::Layer<S> for GatewayLayer {
    type Service = Gateway<S>;

    fn layer(&self, inner: S) -> Gateway<S> {
        Gateway::new(inner, self.host.clone(), Arc::clone(&self.rules))
    }
}
