//! Measures the cost of the layer for a call of the wrapped service, with and without capture.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Debug;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::Full;
use standpipe::{Builder, GatewayLayer, Host, RequestCapture};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower_layer::Layer as _;
use tower_service::Service;

/// Number of calls that are timed together, because entering the runtime would cost more than one
/// of them.
const CALLS: usize = 1000;

const SETTINGS: &str = "[plugin.settings]\nmappings = [{ event = '*', stream = 'requests' }]\n";

fn main() {
    divan::main();
}

/// A service that responds at once.
struct Empty;

impl<B> Service<Request<B>> for Empty {
    type Response = Response<Full<Bytes>>;
    type Error = String;
    type Future = Ready<Result<Self::Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::default())))
    }
}

/// A host that writes its records to a directory.
struct Embedded {
    runtime: Runtime,
    host: Host,
    _directory: TempDir,
}

impl Embedded {
    fn start_host() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let directory = TempDir::new().expect("a directory");
        let builder = Builder::from_toml(SETTINGS, directory.path()).expect("valid settings");
        let builder = builder.local_directory(directory.path().join("records"));
        let host = runtime.block_on(builder.start(runtime.handle())).expect("it starts");
        Embedded { runtime, host, _directory: directory }
    }

    fn bench_calls<S, B>(self, bencher: Bencher<'_, '_>, mut service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Debug>,
    {
        let mut call_all = async || {
            for _ in 0..CALLS {
                let request = Request::post("/shop").header(AUTHORIZATION, "Bearer hush");
                let request = request.body(Full::default()).expect("a request");
                drop(black_box(service.call(request).await.expect("a response")));
            }
        };
        bencher.counter(ItemsCount::new(CALLS)).bench_local(|| self.runtime.block_on(call_all()));
        self.runtime.block_on(self.host.stop());
    }
}

#[divan::bench]
fn without_the_layer(bencher: Bencher<'_, '_>) {
    Embedded::start_host().bench_calls(bencher, Empty);
}

#[divan::bench]
fn nothing_copied(bencher: Bencher<'_, '_>) {
    let embedded = Embedded::start_host();
    let service = GatewayLayer::new(embedded.host.clone()).layer(Empty);
    embedded.bench_calls(bencher, service);
}

#[divan::bench]
fn each_call_copied(bencher: Bencher<'_, '_>) {
    let embedded = Embedded::start_host();
    let copies = RequestCapture::all_paths().request_headers([AUTHORIZATION]);
    let service = GatewayLayer::new(embedded.host.clone()).capture_paths(copies).layer(Empty);
    embedded.bench_calls(bencher, service);
}
