//! A reverse proxy with Pingora and a host inside: forwarded requests become events, and the
//! collector handles requests of SDKs under `/v1/`.
//!
//! ```text
//! cargo run --release -p pingora-gateway -- 127.0.0.1:8000 127.0.0.1:3000 settings.toml
//! ```
//!
//! Without settings, it only forwards, as a baseline for comparisons. If `settings.toml` contains
//! `[[sources]]`, it needs `listen = "off"`. The plugin is swapped when its file or its settings
//! change, or through the admin API of `[admin] listen`. After SIGTERM, requests in progress have
//! [`GRACE_SECONDS`] to end, and then accepted events are delivered. Pingora must not run as a
//! daemon: the host's threads would not exist in the new process.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::USER_AGENT;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};
use standpipe::{Builder, Exchange, Host, RequestCapture};

/// Maximum bytes of a request body that is copied for Standpipe. A longer body is not passed on.
const BODY_BYTES_MAX: usize = 4_096_000;

/// Time for clients to finish their requests after the proxy gets the signal to stop.
const GRACE_SECONDS: u64 = 1;

struct Gateway {
    upstream: String,
    host: Option<Host>,
    capture: RequestCapture,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Option<Exchange>;

    fn new_ctx(&self) -> Self::CTX {
        None
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        exchange: &mut Self::CTX,
    ) -> pingora_core::Result<bool> {
        let Some(host) = &self.host else { return Ok(false) };
        let head = session.req_header();
        if head.uri.path().starts_with("/v1/") {
            return handle(host, session).await;
        }
        *exchange = self.capture.begin(host, &head.method, &head.uri, &head.headers);
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        _: &mut Self::CTX,
    ) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&self.upstream, false, String::new())))
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        exchange: &mut Self::CTX,
    ) -> pingora_core::Result<()> {
        if let (Some(exchange), Some(piece)) = (exchange, body) {
            exchange.add_request_body(piece);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Self::CTX,
    ) -> pingora_core::Result<()> {
        if let Some(exchange) = exchange {
            exchange.set_response(response.status, &response.headers);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        exchange: &mut Self::CTX,
    ) -> pingora_core::Result<Option<Duration>> {
        if let (Some(exchange), Some(piece)) = (exchange, body) {
            exchange.add_response_body(piece);
        }
        Ok(None)
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&pingora_core::Error>,
        exchange: &mut Self::CTX,
    ) {
        let Some(mut exchange) = exchange.take() else { return };
        // Responses that Pingora creates itself pass no filter.
        if let (Some(_), Some(response)) = (error, session.response_written()) {
            exchange.set_response(response.status, &response.headers);
        }
    }
}

/// Passes a request to the collector. Responds with 404 if the settings have no sources.
async fn handle(host: &Host, session: &mut Session) -> pingora_core::Result<bool> {
    let client = session.client_addr().and_then(|address| Some(address.as_inet()?.ip()));
    let client = client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let Some(body) = whole_body(session).await? else {
        session.respond_error(413).await?;
        return Ok(true);
    };
    let request = request(session.req_header(), body);
    let Some(response) = host.handle(request, client).await else {
        session.respond_error(404).await?;
        return Ok(true);
    };
    respond(session, response).await?;
    Ok(true)
}

/// Reads the whole body. Returns `None` if it is too large.
async fn whole_body(session: &mut Session) -> pingora_core::Result<Option<Bytes>> {
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_request_body().await? {
        if body.len() + piece.len() > BODY_BYTES_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body.freeze()))
}

fn request(head: &RequestHeader, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    request.method_mut().clone_from(&head.method);
    request.uri_mut().clone_from(&head.uri);
    request.headers_mut().clone_from(&head.headers);
    request
}

async fn respond(
    session: &mut Session,
    response: Response<Full<Bytes>>,
) -> pingora_core::Result<()> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
    let mut head = ResponseHeader::from(parts);
    head.set_content_length(body.len())?;
    session.write_response_header(Box::new(head), false).await?;
    session.write_response_body(Some(body), true).await
}

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().context("LISTEN UPSTREAM [SETTINGS]");
    let (listen, upstream) = (argument()?, argument()?);
    let host = argument().ok().map(|settings| start(&settings)).transpose()?;
    let capture = RequestCapture::all_paths().request_headers([USER_AGENT]);
    let gateway = Gateway { upstream, host: host.clone(), capture };
    serve(&listen, gateway)?;
    if let Some(host) = host {
        let summary = host.runtime().block_on(host.stop());
        println!("{summary}{:?}", host.stats());
    }
    Ok(())
}

/// Starts the host on its own runtime, because Pingora's runtimes do not last.
fn start(settings: &str) -> Result<Host> {
    let mut builder = Builder::from_file(settings)?;
    if let Some(records) = env::var_os("RECORDS") {
        builder = builder.local_directory(records);
    }
    Ok(builder.start_with_own_runtime()?)
}

/// Serves until a signal stops the server.
fn serve(listen: &str, gateway: Gateway) -> Result<()> {
    let configuration = ServerConf {
        threads: thread::available_parallelism()?.get(),
        grace_period_seconds: Some(GRACE_SECONDS),
        graceful_shutdown_timeout_seconds: Some(GRACE_SECONDS),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, gateway);
    service.add_tcp(listen);
    server.add_service(service);
    server.run(RunArgs::default());
    Ok(())
}
