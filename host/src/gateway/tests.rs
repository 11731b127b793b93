//! Tests a host inside a program, between a scripted plugin and a client that fails on purpose: the
//! outcomes that submitters get, the state after a stop, and the behavior of a layer around a
//! failing service.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tower_layer::Layer as _;
use tower_service::Service;

use super::{Exchange, GatewayLayer, Host, RequestCapture, SwapError};
use crate::config::{Overrides, parse};
use crate::limits;
use crate::run::tests::embedded;
use crate::source::{SubmissionLimits, SubmitError, TrySubmitError};
use standpipe_core::event::{EventOutcome, Reason};
use standpipe_delivery::RetryClass;
use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
use standpipe_plugin_host::scripted::{ScriptedAct, ScriptedEnd};
use standpipe_plugin_host::swap::Swapped;

/// Timeout for everything that a test waits for.
const DEADLINE: Duration = Duration::from_secs(60);

/// A host and its surroundings.
struct Scene {
    host: Host,
    client: Arc<FaultyClient>,
    _directory: TempDir,
}

impl Scene {
    async fn new(client: FaultyClient) -> Self {
        Self::with("", client, SubmissionLimits::default()).await
    }

    async fn with(settings: &str, client: FaultyClient, room: SubmissionLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!("workers = 1\n[delivery]\nmax_delay = \"1ms\"\n{settings}\n");
        let settings = parse(&text).unwrap();
        let mut settings = settings.check(directory.path(), Overrides::default()).unwrap();
        settings.inputs.clear();
        let client = Arc::new(client);
        let (kept, own) = (settings.clone(), Arc::clone(&client));
        let (run, submitter) = embedded(settings, act, own, room);
        let reloader = run.watch(None, move || Ok(kept.clone())).await;
        let host = Host::new(run, reloader, submitter, Handle::current());
        Scene { host, client, _directory: directory }
    }

    /// The records that were accepted, as JSON.
    fn records(&self) -> Vec<Value> {
        let accepted = self.client.accepted().into_values().flatten();
        accepted.map(|record| serde_json::from_slice(&record).expect("a record is JSON")).collect()
    }
}

/// Treats an event as its name says.
fn act(_source: &str, text: &str) -> ScriptedAct {
    let says = |word| text.contains(word);
    let end = match () {
        () if says("\"trap\"") => ScriptedEnd::Trap,
        () if says("\"reject\"") => ScriptedEnd::Reject("not wanted"),
        () if says("\"filter\"") => ScriptedEnd::Deliver(Vec::new()),
        () => ScriptedEnd::Deliver(vec!["all".to_owned()]),
    };
    ScriptedAct { cpu: Duration::ZERO, end }
}

fn accepts_all() -> FaultyClient {
    FaultyClient::new(|_, _, _| InjectedFault::None)
}

fn hangs() -> FaultyClient {
    FaultyClient::new(|_, _, _| InjectedFault::Hang)
}

fn event(name: &str) -> String {
    format!("{{\"event\":\"{name}\"}}")
}

/// Waits for a future, and fails after a timeout.
async fn soon<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, coming).await.expect("it did not come within the deadline")
}

/// Limits with room for this number of events.
fn room(events: usize) -> SubmissionLimits {
    SubmissionLimits { events, ..SubmissionLimits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_submitter_is_told_how_its_own_event_ended() {
    let refused = |_: &_, batch: &standpipe_delivery::Batch, _| {
        let is_bad =
            |(_, record): &(usize, &[u8])| record.windows(5).any(|five| five == b"\"bad\"");
        let bad = batch.payloads().enumerate().filter(is_bad).map(|(at, _)| at).collect::<Vec<_>>();
        match bad.is_empty() {
            true => InjectedFault::None,
            false => InjectedFault::Refuse(bad, "InvalidArgumentException"),
        }
    };
    let scene = Scene::new(FaultyClient::new(refused)).await;
    let events = ["one", "filter", "reject", "trap"].map(event);
    let events = events.into_iter().chain(["no event".to_owned()]);
    let ended = soon(scene.host.submit_batch(events)).await;
    let dead = |reason| Ok(EventOutcome::DeadLettered(reason));
    assert_eq!(
        ended,
        [
            Ok(EventOutcome::Delivered),
            Ok(EventOutcome::Filtered),
            dead(Reason::PluginRejected),
            dead(Reason::PluginTrapped),
            dead(Reason::NotJson),
        ]
    );
    // Only records that are accepted later show that this record is faulty, and not the stream.
    let mut bad = std::pin::pin!(scene.host.submit(event("bad")));
    let ended = async {
        loop {
            tokio::select! {
                biased;
                ended = &mut bad => break ended,
                other = scene.host.submit(event("one")) => assert_eq!(other, Ok(EventOutcome::Delivered)),
            }
        }
    };
    assert_eq!(soon(ended).await, dead(Reason::RecordRefused));
    soon(scene.host.drain()).await;
    let stats = scene.host.stats();
    assert_eq!((stats.filtered, stats.dead, stats.unsettled), (1, 4, 0));
    assert_eq!(stats.accepted, stats.delivered + 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_submitted_is_told_once_however_often_a_record_is_sent() {
    let failing = FaultyClient::new(|_, _, request| match request {
        0 => InjectedFault::FailBefore(RetryClass::Retry, "ServiceUnavailableException"),
        1 => InjectedFault::FailAfter(RetryClass::RetryAmbiguous, "Timeout"),
        _ => InjectedFault::None,
    });
    let scene = Scene::new(failing).await;
    assert_eq!(soon(scene.host.submit(event("one"))).await, Ok(EventOutcome::Delivered));
    assert_eq!((scene.client.requests(), scene.records().len()), (3, 2));
    let summary = soon(scene.host.stop()).await;
    assert_eq!((summary.read, summary.delivered, summary.ambiguous), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_what_hangs_and_says_so_to_everybody() {
    let scene = Scene::with("drain_timeout = \"50ms\"", hangs(), SubmissionLimits::default()).await;
    let receipt = scene.host.try_submit(event("one")).unwrap();
    let stops = async { tokio::join!(scene.host.stop(), scene.host.stop()) };
    let (first, second) = soon(stops).await;
    assert!(Arc::ptr_eq(&first, &second), "a second stop is another one");
    assert_eq!(soon(receipt).await, Ok(EventOutcome::DeadLettered(Reason::GivenUp)));
    assert_eq!((first.read, first.dead, first.undelivered), (1, 1, 0));
    assert_eq!(soon(scene.host.wait_until_stopped()).await.dead, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_the_end_is_given_back() {
    let scene = Scene::new(accepts_all()).await;
    drop(scene.host.try_submit(event("one")).unwrap());
    soon(scene.host.drain()).await;
    assert_eq!((scene.host.stats().delivered, scene.host.stats().unsettled), (1, 0));
    let late = Bytes::from(event("late"));
    let Err(TrySubmitError::Closed(back)) = scene.host.try_submit(late.clone()) else {
        panic!("it was accepted");
    };
    assert_eq!(back, late);
    assert_eq!(scene.host.submit(late.clone()).await, Err(SubmitError::Closed(late.clone())));
    let ended = scene.host.submit_batch([late.clone()]).await;
    assert_eq!(ended, [Err(SubmitError::Closed(late))]);
    assert_eq!(scene.host.stats().accepted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_room_one_is_refused_and_another_waits() {
    let is_open = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&is_open);
    let client = FaultyClient::new(move |_, _, _| match own.load(Ordering::Acquire) {
        true => InjectedFault::None,
        false => InjectedFault::FailBefore(RetryClass::Retry, "ServiceUnavailableException"),
    });
    let scene = Scene::with("", client, room(1)).await;
    let first = scene.host.try_submit(event("one")).unwrap();
    assert!(matches!(scene.host.try_submit(event("two")), Err(TrySubmitError::Full(_))));
    let waiting = tokio::spawn(scene.host.submit(event("three")));
    let requested = async {
        while scene.client.requests() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon(requested).await;
    assert!(!waiting.is_finished());
    assert_eq!((scene.host.stats().refused_full, scene.host.stats().unsettled), (1, 1));
    is_open.store(true, Ordering::Release);
    assert_eq!(soon(first).await, Ok(EventOutcome::Delivered));
    assert_eq!(soon(waiting).await.unwrap(), Ok(EventOutcome::Delivered));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_stops_with_the_last_that_holds_it_and_delivers_what_it_has() {
    let late = FaultyClient::new(|_, _, _| InjectedFault::Late(Duration::from_millis(100)));
    let scene = Scene::new(late).await;
    let (other, mut summary) = (scene.host.clone(), scene.host.0.summary.clone());
    let receipt = scene.host.try_submit(event("one")).unwrap();
    let Scene { host, client, _directory } = scene;
    drop(host);
    assert!(summary.borrow().is_none(), "it ended while somebody held it");
    assert!(other.try_submit(event("two")).is_ok());
    drop(other);
    assert_eq!(soon(receipt).await, Ok(EventOutcome::Delivered));
    let ended = soon(summary.wait_for(Option::is_some)).await.unwrap().clone().unwrap();
    assert_eq!((ended.read, ended.delivered, ended.faults.len()), (2, 2, 0));
    assert_eq!(client.accepted().values().map(Vec::len).sum::<usize>(), 2);
}

#[test]
fn a_runtime_that_is_shut_down_waits_for_no_host() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    let scene = runtime.block_on(Scene::new(accepts_all()));
    // A task holds the host, as the service of a server does. Nothing calls stop.
    runtime.spawn(async move {
        std::future::pending::<()>().await;
        drop(scene);
    });
    let (ended, has_ended) = std::sync::mpsc::channel();
    let end = move || {
        drop(runtime);
        ended.send(()).unwrap();
    };
    std::thread::Builder::new().spawn(end).unwrap();
    has_ended.recv_timeout(DEADLINE).expect("the runtime waits for the host");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_is_refused_leaves_the_plugin_that_decides() {
    let scene = Scene::new(accepts_all()).await;
    let SwapError { step, .. } = scene.host.roll_back().await.unwrap_err();
    assert_eq!(step, "rollback");
    let SwapError { step, reason } = scene.host.roll_back_from(7).await.unwrap_err();
    assert_eq!((step, reason.contains("generation 7 is not in use")), ("rollback", true));
    let swapped = scene.host.swap(super::Plugin::new(b"\0asm".to_vec())).await;
    assert!(!matches!(swapped, Ok(Swapped::Taken(_))), "{swapped:?}");
    assert_eq!(soon(scene.host.submit(event("one"))).await, Ok(EventOutcome::Delivered));
}

/// A service that responds to every request, or to none.
#[derive(Clone)]
struct Shop {
    is_open: bool,
    is_ready: bool,
}

const OPEN: Shop = Shop { is_open: true, is_ready: true };

impl<B> Service<Request<B>> for Shop {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        if self.is_ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(if self.is_open { Ok(Response::new(Full::from("welcome"))) } else { Err("closed") })
    }
}

fn get(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(path).header(USER_AGENT, "curl").header(AUTHORIZATION, "secret");
    request.body(Full::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_fails_fails_and_its_request_is_told_without_a_status() {
    let scene = Scene::new(accepts_all()).await;
    let layer = GatewayLayer::new(scene.host.clone()).capture_paths(RequestCapture::all_paths());
    let mut shop = layer.layer(Shop { is_open: false, ..OPEN });
    assert_eq!(shop.call(get("/shop")).await.err(), Some("closed"));
    soon(scene.host.drain()).await;
    let [event] = &scene.records()[..] else { panic!("one request, one event") };
    assert_eq!(
        (&event["properties"]["path"], &event["properties"]["status"]),
        (&json!("/shop"), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_ready_when_its_service_is() {
    let scene = Scene::new(accepts_all()).await;
    let layer = GatewayLayer::new(scene.host.clone())
        .capture_paths(RequestCapture::all_paths())
        .collect_paths(["/v1/"]);
    let mut context = Context::from_waker(std::task::Waker::noop());
    let is_ready = |shop| {
        Service::<Request<Full<Bytes>>>::poll_ready(&mut layer.layer(shop), &mut context).is_ready()
    };
    assert_eq!([Shop { is_ready: false, ..OPEN }, OPEN].map(is_ready), [false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_tells_what_was_asked_for_and_nothing_else() {
    let scene = Scene::new(accepts_all()).await;
    let copies = RequestCapture::new(["/shop"]).request_headers([USER_AGENT, CONTENT_TYPE]);
    let layer = GatewayLayer::new(scene.host.clone()).capture_paths(copies.with_response_body(3));
    let mut shop = layer.layer(OPEN);
    // The service handles other paths, and requests of SDKs if the settings have no sources.
    for path in ["/shop/1?token=secret", "/other", "/v1/track"] {
        let response = shop.call(get(path)).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "welcome");
    }
    soon(scene.host.drain()).await;
    let [event] = &scene.records()[..] else { panic!("one request is copied") };
    let properties = &event["properties"];
    assert_eq!(properties["request_headers"], json!({"user-agent": "curl"}));
    assert_eq!(
        (&properties["response_body"], &properties["response_body_bytes"]),
        (&json!("wel"), &json!(7))
    );
    assert_eq!((&properties["path"], &properties["query"]), (&json!("/shop/1"), &Value::Null));
    assert!(!event.to_string().contains("secret"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_passes_by_becomes_one_event_of_bounded_size() {
    let scene = Scene::new(accepts_all()).await;
    let copies = RequestCapture::all_paths()
        .with_query()
        .request_headers([USER_AGENT])
        .response_headers([CONTENT_TYPE]);
    let copies = copies.with_request_body(usize::MAX).with_response_body(usize::MAX);
    let mut random = fastrand::Rng::with_seed(7);
    const EXCHANGES: usize = 100;
    for _ in 0..EXCHANGES {
        let mut bytes = |most| (0..random.usize(..most)).map(|_| random.u8(..)).collect::<Vec<_>>();
        let headers = |bytes: Vec<u8>, name| {
            let value = HeaderValue::from_bytes(&bytes);
            HeaderMap::from_iter(value.ok().map(|value| (name, value)))
        };
        let path = format!("/{}?{}", "p".repeat(bytes(6000).len()), "q".repeat(bytes(6000).len()));
        let sent = headers(bytes(20), USER_AGENT);
        let mut exchange: Exchange =
            copies.begin(&scene.host, &Method::POST, &path.parse().unwrap(), &sent).unwrap();
        exchange.add_request_body(&bytes(100_000));
        exchange.set_response(StatusCode::OK, &headers(bytes(20), CONTENT_TYPE));
        exchange.add_response_body(&bytes(100));
        exchange.add_response_body(&bytes(100_000));
    }
    soon(scene.host.drain()).await;
    let records = scene.records();
    assert_eq!(records.len(), EXCHANGES);
    for event in &records {
        let properties = &event["properties"];
        let text = |key: &str| properties[key].as_str().map_or(0, str::len);
        assert!(text("path") <= limits::COPIED_TEXT_BYTES_MAX);
        assert!(text("query") <= limits::COPIED_TEXT_BYTES_MAX);
        for key in ["request_body", "response_body"] {
            // Each byte that is not UTF-8 has become three bytes.
            assert!(text(key) <= 3 * limits::COPIED_BODY_BYTES_MAX);
            assert!(properties[format!("{key}_bytes")].as_u64().unwrap() < 100_200);
        }
    }
    assert_eq!(soon(scene.host.stop()).await.dead, 0);
}
