//! Tests the layer around a service of plain hyper, over real connections: which requests it
//! handles itself, and what it copies.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::Path;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use standpipe::{GatewayLayer, RequestCapture};
use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
use standpipe_tests::client::Client;
use tokio::net::TcpListener;
use tower_layer::Layer as _;
use tower_service::Service;

use super::{BUSY, Embedded};

const SOURCES: &str = "listen = 'off'\n\
    sources = [{ name = 'web', dialect = 'segment', write_keys = ['key'] }]\n\
    [plugin.settings]\n\
    mappings = [{ event = 'Signed Up', stream = 'accounts' }, { event = '*', stream = 'requests' }]\n\
    [spool]\ndurability = 'memory'\n";

/// Responds with the request that it received, or fails if the path says so.
#[derive(Clone, Default)]
struct Echo(Arc<AtomicUsize>);

impl<B> Service<Request<B>> for Echo
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = String;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, String>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            if parts.uri.path() == "/broken" {
                return Err("it is broken".to_owned());
            }
            let body = body.collect().await.expect("a whole body").to_bytes();
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = StatusCode::CREATED;
            let text = HeaderValue::from_static("text/plain");
            response.headers_mut().insert(CONTENT_TYPE, text);
            Ok(response)
        })
    }
}

fn get_request(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

fn post_request(path: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::post(path).header(AUTHORIZATION, "Bearer hush");
    request.body(Full::from(body.to_owned())).unwrap()
}

/// The records of a stream as JSON.
fn read_records(port: &FaultyClient, stream: &str) -> Vec<Value> {
    let accepted = port.accepted();
    let of_stream = accepted.iter().filter(|(name, _)| name.as_str() == stream);
    let records = of_stream.flat_map(|(_, records)| records);
    records.map(|record| serde_json::from_slice(record).unwrap()).collect()
}

async fn start_host(settings: &str) -> (Embedded, Arc<FaultyClient>) {
    let port = Arc::new(FaultyClient::new(|_, _, _| InjectedFault::None));
    let own = port.clone();
    (Embedded::start_host(settings, |builder| builder.firehose_client(own)).await, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_copied_as_configured() {
    let (embedded, port) = start_host(SOURCES).await;
    let copies = RequestCapture::new(["/shop", "/broken"])
        .event_name("Requested")
        .request_headers([CONTENT_TYPE])
        .response_headers([CONTENT_TYPE])
        .with_response_body(4);
    let mut service =
        GatewayLayer::new(embedded.host.clone()).capture_paths(copies).layer(Echo::default());
    let answer = service.call(post_request("/shop/1?secret=x", "wörld")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "wörld");
    assert_eq!(service.call(get_request("/broken")).await.unwrap_err(), "it is broken");
    drop(service.call(get_request("/other")).await.unwrap());
    let copies = finish_and_read_copies(&embedded, &port).await;
    let shop = json!({
        "method": "POST", "path": "/shop/1", "status": 201,
        "response_headers": {"content-type": "text/plain"},
        "response_body": "wör", "response_body_bytes": 6,
    });
    let broken = json!({"method": "GET", "path": "/broken", "status": null});
    assert_eq!(copies, [broken, shop]);
    let mut ids = HashSet::new();
    for event in read_records(&port, "requests") {
        assert_eq!((&event["event"], &event["type"]), (&json!("Requested"), &json!("track")));
        assert!(event["timestamp"].as_str().unwrap().ends_with('Z'));
        assert!(ids.insert(event["messageId"].as_str().unwrap().to_owned()));
    }
}

/// Stops the host and returns the layer's copies, without their times.
async fn finish_and_read_copies(embedded: &Embedded, port: &FaultyClient) -> Vec<Value> {
    embedded.host.stop().await;
    let mut copies: Vec<_> = read_records(port, "requests")
        .into_iter()
        .map(|mut event| event["properties"].take())
        .collect();
    for properties in &mut copies {
        let latency = properties.as_object_mut().unwrap().remove("latency_ms");
        assert!((0.0..10_000.0).contains(&latency.unwrap().as_f64().unwrap()));
    }
    copies.sort_by_key(|properties| properties["path"].to_string());
    copies
}

#[tokio::test(flavor = "multi_thread")]
async fn request_bodies_are_copied_as_far_as_they_are_read() {
    let (embedded, port) = start_host(SOURCES).await;
    let copies = RequestCapture::all_paths().with_request_body(4).with_response_body(usize::MAX);
    let layer = GatewayLayer::new(embedded.host.clone()).capture_paths(copies);
    let address = serve_http(layer.layer(Echo::default())).await;
    let large = vec![0xff; 3_000_000];
    let sent = move || {
        let mut client = Client::connect(&format!("http://{address}"));
        let large = client.post("/large", &[], &large).unwrap();
        assert_eq!((large.status, large.body.len()), (201, 3_000_000));
        assert_eq!(client.post("/none", &[], b"").unwrap().status, 201);
        // The service never reads this body.
        assert!(client.post("/broken", &[], b"unread").is_err());
    };
    tokio::task::spawn_blocking(sent).await.unwrap();
    let copies = finish_and_read_copies(&embedded, &port).await;
    let [broken, large, none] = &copies[..] else { panic!("one for each: {}", copies.len()) };
    let unread = json!({
        "method": "POST", "path": "/broken", "status": null,
        "request_body": "", "request_body_bytes": 0,
    });
    assert_eq!(broken, &unread);
    // Bytes that are not UTF-8 are replaced, and Firehose still accepts the record.
    assert_eq!(large["request_body"], "\u{fffd}".repeat(4));
    let text = large["response_body"].as_str().unwrap();
    assert_eq!(text.chars().count(), standpipe::limits::COPIED_BODY_BYTES_MAX);
    assert_eq!((&large["request_body_bytes"], &large["status"]), (&json!(3_000_000), &json!(201)));
    assert_eq!(large["response_body_bytes"], 3_000_000);
    assert_eq!((&none["request_body"], &none["request_body_bytes"]), (&json!(""), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn escaped_bodies_still_fit_into_a_record() {
    let (embedded, port) = start_host(SOURCES).await;
    let copies =
        RequestCapture::all_paths().with_request_body(usize::MAX).with_response_body(usize::MAX);
    let mut service =
        GatewayLayer::new(embedded.host.clone()).capture_paths(copies).layer(Echo::default());
    let worst = "\u{1}".repeat(2 * standpipe::limits::COPIED_BODY_BYTES_MAX);
    let answer = service.call(post_request("/worst", &worst)).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), worst.len());
    let copies = finish_and_read_copies(&embedded, &port).await;
    assert_eq!(copies[0]["request_body"], worst[..standpipe::limits::COPIED_BODY_BYTES_MAX]);
    assert_eq!(copies[0]["response_body"], worst[..standpipe::limits::COPIED_BODY_BYTES_MAX]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_client_disconnects_is_recorded_without_a_status() {
    let (embedded, port) = start_host(SOURCES).await;
    let copies = RequestCapture::all_paths().with_request_body(4);
    let mut service =
        GatewayLayer::new(embedded.host.clone()).capture_paths(copies).layer(Echo::default());
    drop(service.call(post_request("/left", "body")));
    let copies = finish_and_read_copies(&embedded, &port).await;
    assert_eq!((copies.len(), &copies[0]["status"]), (1, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layer_works_with_an_axum_router() {
    let (embedded, port) = start_host(SOURCES).await;
    let copies = RequestCapture::new(["/shop/"]).with_request_body(64).with_response_body(64);
    let layer =
        GatewayLayer::new(embedded.host.clone()).collect_paths(["/v1/"]).capture_paths(copies);
    let shop = |Path(item): Path<u32>, body: String| async move { format!("{item}: {body}") };
    let router = axum::Router::new().route("/shop/{item}", axum::routing::post(shop));
    // The layer surrounds the whole router, because the router has no routes for requests of SDKs.
    let service = axum::Router::new().fallback_service(layer.layer(router));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, service).await });
    let sent = move || {
        let mut client = Client::connect(&url);
        let shop = client.post("/shop/7", &[], b"two").unwrap();
        assert_eq!((shop.status, shop.text()), (200, "7: two".to_owned()));
        assert_eq!(client.post("/shop/none", &[], b"two").unwrap().status, 400);
        // A client that receives the response before the server has read the body may find the
        // connection closed.
        let mut client = Client::connect(&url);
        assert_eq!(client.get("/elsewhere").unwrap().status, 404);
        let body = br#"{"writeKey":"key","event":"Signed Up","userId":"u"}"#;
        assert_eq!(client.post("/v1/track", &[], body).unwrap().status, 200);
    };
    tokio::task::spawn_blocking(sent).await.unwrap();
    let copies = finish_and_read_copies(&embedded, &port).await;
    let [seven, none] = &copies[..] else { panic!("two of the shop: {}", copies.len()) };
    assert_eq!(
        (&seven["request_body"], &seven["response_body"]),
        (&json!("two"), &json!("7: two"))
    );
    assert_eq!((&seven["status"], &none["status"]), (&json!(200), &json!(400)));
    assert_eq!(read_records(&port, "accounts").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_sdks_are_answered_in_place_of_the_service() {
    let (embedded, port) = start_host(SOURCES).await;
    let echo = Echo::default();
    let layer = GatewayLayer::new(embedded.host.clone())
        .collect_paths(["/v1/"])
        .capture_paths(RequestCapture::all_paths());
    let address = serve_http(layer.layer(echo.clone())).await;
    let body = r#"{"writeKey":"key","event":"Signed Up","userId":"u"}"#;
    let url = format!("http://{address}");
    let send = |path: &'static str, body: &'static str| {
        let url = url.clone();
        let sent = move || {
            Client::connect(&url)
                .post(path, &[("Origin", "https://a.example")], body.as_bytes())
                .unwrap()
        };
        async { tokio::task::spawn_blocking(sent).await.unwrap() }
    };
    assert_eq!(send("/v1/track", body).await.status, 200);
    let unknown = r#"{"writeKey":"none","event":"a","userId":"u"}"#;
    assert_eq!(send("/v1/track", unknown).await.status, 401);
    let passed = send("/shop", "body").await;
    assert_eq!((passed.status, &*passed.body), (201, &b"body"[..]));
    assert_eq!(echo.0.load(Ordering::Relaxed), 1);
    embedded.host.stop().await;
    let accounts = read_records(&port, "accounts");
    assert_eq!((accounts.len(), &accounts[0]["userId"]), (1, &json!("u")));
    // The server that accepted the connection sets the client's address.
    assert_eq!(accounts[0]["context"]["ip"], "192.0.2.7");
    assert_eq!(read_records(&port, "requests").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sources_all_calls_reach_the_service() {
    let (embedded, _) = start_host(&super::mapping_settings(&["kept"])).await;
    let mut service =
        GatewayLayer::new(embedded.host.clone()).collect_paths(["/v1/"]).layer(Echo::default());
    let answer = service.call(post_request("/v1/track", "mine")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(embedded.host.stats().accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_host_does_not_slow_the_service_down() {
    const REQUESTS: u64 = 20_000;
    let port = Arc::new(FaultyClient::new(|_, _, _| {
        InjectedFault::FailBefore(standpipe_delivery::RetryClass::Retry, BUSY)
    }));
    let settings = SOURCES.to_owned() + "[delivery]\ndrain_timeout = '10ms'\n";
    let embedded =
        Embedded::start_host(&settings, |builder| builder.firehose_client(port).events_max(100))
            .await;
    let mut service = GatewayLayer::new(embedded.host.clone())
        .capture_paths(RequestCapture::all_paths())
        .layer(Echo::default());
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let start = Instant::now();
        drop(service.call(get_request("/shop")).await.unwrap());
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let most = times[times.len() * 99 / 100];
    assert!(most < Duration::from_millis(1), "p99 {most:?}");
    let stats = embedded.host.stats();
    assert_eq!((stats.accepted, stats.refused_full), (100, REQUESTS - 100));
    assert_eq!(embedded.host.stop().await.dead, 100);
}

/// Serves HTTP/1.1 on a free port.
async fn serve_http<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = String, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            let answer = service_fn(move |mut request: Request<Incoming>| {
                let client: IpAddr = "192.0.2.7".parse().unwrap();
                request.extensions_mut().insert(standpipe::ClientAddress(client));
                service.clone().call(request)
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
        }
    });
    address
}
