//! A reverse proxy with a host inside: each forwarded request becomes an event, and the collector
//! handles requests of SDKs under `/v1/`.
//!
//! ```text
//! cargo run --release --example gateway -- 127.0.0.1:8000 127.0.0.1:3000 settings.toml
//! ```
//!
//! Without settings it only forwards, for comparison. Set `listen = "off"` in `settings.toml`
//! if it has `[[sources]]`. SIGINT drains the host.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::env;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use standpipe::{Builder, ClientAddress, GatewayLayer, Host, RequestCapture};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tower_layer::Layer as _;
use tower_service::Service;

/// Forwards requests with any bodies.
struct Proxy<B> {
    client: legacy::Client<HttpConnector, B>,
    upstream: String,
}

impl<B> Service<Request<B>> for Proxy<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, legacy::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), legacy::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = Uri::builder().scheme("http").authority(&*self.upstream).path_and_query(path);
        *request.uri_mut() = uri.build().expect("its parts are good");
        Box::pin(self.client.request(request))
    }
}

impl<B: Body<Data: Send> + Send> Proxy<B> {
    fn to(upstream: String) -> Self {
        Proxy { client: legacy::Client::builder(TokioExecutor::new()).build_http(), upstream }
    }
}

/// Does not require `B: Clone`.
impl<B> Clone for Proxy<B> {
    fn clone(&self) -> Self {
        Proxy { client: self.client.clone(), upstream: self.upstream.clone() }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().context("LISTEN UPSTREAM [SETTINGS]");
    let (listen, upstream) = (argument()?, argument()?);
    let settings = argument().ok();
    let listener = TcpListener::bind(listen).await?;
    let Some(settings) = settings else { return serve(listener, Proxy::to(upstream)).await };
    let host = start(settings).await?;
    let layer = GatewayLayer::new(host.clone())
        .collect_paths(["/v1/"])
        .capture_paths(RequestCapture::all_paths().request_headers([USER_AGENT]));
    serve(listener, layer.layer(Proxy::to(upstream))).await?;
    // Accepted events must still be delivered.
    let summary = host.stop().await;
    println!("{summary}{:?}", host.stats());
    Ok(())
}

async fn start(settings: String) -> Result<Host> {
    let mut builder = Builder::from_file(settings)?;
    if let Some(records) = env::var_os("RECORDS") {
        builder = builder.local_directory(records);
    }
    Ok(builder.start(&Handle::current()).await?)
}

/// Serves until SIGINT, and then ends the connections.
async fn serve<S, B>(listener: TcpListener, service: S) -> Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = legacy::Error, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => break,
        };
        connections.spawn(connection(stream, ClientAddress(peer.ip()), service.clone()));
    }
    connections.shutdown().await;
    Ok(())
}

async fn connection<S, B>(stream: TcpStream, client: ClientAddress, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = legacy::Error> + Clone,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + 'static,
{
    let _ = stream.set_nodelay(true);
    let handler = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(client);
        service.clone().call(request)
    });
    // A failed connection only affects its client.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await;
}
