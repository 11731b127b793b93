//! A `tower` layer that answers SDK calls in a service's place and copies other requests. It does
//! nothing until it is told to.

use std::sync::Arc;

use super::service::Rules;
use super::{Copies, Gateway, Host};

/// Wraps a service: answers the calls of analytics SDKs in its place, and makes
/// events of what passes through. It does nothing until it is told to.
///
/// The wrapped service is never waited for longer, and never waits: what there is no
/// room for is not copied, and [`Stats::refused_full`](crate::Stats::refused_full)
/// counts it. It gets requests' bodies in a [`RequestBody`](super::RequestBody).
///
/// ```
/// # use std::convert::Infallible;
/// use bytes::Bytes;
/// use standpipe::{Builder, Copies, Layer};
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
/// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
/// let host = builder.start(&tokio::runtime::Handle::current()).await?;
/// let layer = Layer::new(host.clone())
///     .answering(["/v1/"])
///     .copying(Copies::of_paths(["/shop/"]).request_headers([USER_AGENT]));
/// // Any service will do.
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
/// let answer = service.call(Request::post("/v1/track").body(Full::from(body))?).await?;
/// assert_eq!(answer.status(), 200);
/// assert_eq!(host.stop().await.delivered, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Layer {
    host: Host,
    rules: Arc<Rules>,
}

impl Layer {
    /// A layer that does nothing.
    pub fn new(host: Host) -> Self {
        Layer { host, rules: Arc::default() }
    }

    /// Answer requests of paths that begin so as [`Host::answer`] does. Where the
    /// host's settings have no sources, the wrapped service gets them.
    ///
    /// An extension [`Client`](super::Client) of the request says who sent it; where it is
    /// a trusted proxy, or there is none, `X-Forwarded-For` or `Forwarded` does.
    pub fn answering<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        Arc::make_mut(&mut self.rules).answered.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Make events of other requests and their responses.
    pub fn copying(mut self, copies: Copies) -> Self {
        Arc::make_mut(&mut self.rules).copies = Some(copies);
        self
    }
}

impl<S> tower_layer::Layer<S> for Layer {
    type Service = Gateway<S>;

    fn layer(&self, inner: S) -> Gateway<S> {
        Gateway::new(inner, self.host.clone(), Arc::clone(&self.rules))
    }
}
