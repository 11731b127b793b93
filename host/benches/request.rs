//! Measures the cost of a request: filling its batch, hashing its body, and all other work between
//! a batch and a connection.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::Path;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use standpipe::config::{Overrides, RawSettings};
use standpipe_aws::{AwsHttp, AwsSettings, OnUnreachable, StaticKeys, StreamDescription, connect};
use standpipe_core::event::{Ack, StreamName};
use standpipe_core::secret::{NoSecretManager, Secret, SecretResolver, SecretSetting};
use standpipe_delivery::dead_letters::DeadLetterWriter;
use standpipe_delivery::{
    AmazonClient, Batch, Delivery, DescribeFuture, FirehoseClient, FirehoseClients, Identity,
    NamedBy, Provenance, PutFuture, PutResponse, Record, RecordAccumulator,
};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const RECORDS: usize = standpipe_delivery::limits::REQUEST_RECORDS_MAX;

/// The mean size of an analytics event, in bytes.
const EVENT_BYTES: usize = 817;

fn main() {
    divan::main();
}

/// Adds records to a batch until it is full, and sends it to a client that accepts everything at
/// once.
#[divan::bench]
fn fill(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("a runtime");
    let delivery = start_delivery(Arc::default(), &runtime);
    let (mut accumulator, event) = (RecordAccumulator::new(&delivery), make_event());
    let records = bencher.counter(ItemsCount::new(RECORDS)).counter(record_bytes());
    records.bench_local(|| push_all(&mut accumulator, black_box(&event)));
    drop(accumulator);
    runtime.block_on(delivery.drain());
}

/// Hashes the body, as the signature does.
#[divan::bench]
fn sha256_of_body(bencher: Bencher<'_, '_>) {
    let body = vec![b'x'; RECORDS * (EVENT_BYTES + 1).div_ceil(3) * 4];
    bencher.counter(record_bytes()).bench(|| Sha256::digest(black_box(&body)));
}

/// Encodes records in base64, as in the body.
#[divan::bench]
fn base64_of_records(bencher: Bencher<'_, '_>) {
    let event = make_event();
    bencher.counter(record_bytes()).bench(|| {
        let mut body = Vec::with_capacity(RECORDS * EVENT_BYTES * 2);
        for _ in 0..RECORDS {
            base64_simd::STANDARD.encode_append(black_box(&event), &mut body);
        }
        body
    });
}

/// Creates the body and the signature, and reads the response, with the AWS SDK: everything except
/// the connection.
#[divan::bench]
fn amazon_without_connection(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("a runtime");
    let (batch, stream) = (full_batch(&runtime), stream_name());
    let amazon = runtime.block_on(amazon_client());
    bencher.counter(ItemsCount::new(RECORDS)).counter(record_bytes()).bench_local(|| {
        let put = amazon.put_record_batch(&stream, Arc::clone(&batch));
        assert_eq!(runtime.block_on(put), Ok(PutResponse::default()));
    });
}

fn record_bytes() -> BytesCount {
    BytesCount::new(RECORDS * (EVENT_BYTES + 1))
}

fn make_event() -> Vec<u8> {
    let head = r#"{"type":"track","event":"Order Completed","note":""#;
    format!("{head}{}\"}}", "x".repeat(EVENT_BYTES - head.len() - 2)).into_bytes()
}

fn stream_name() -> StreamName {
    StreamName::parse("bench").expect("a name")
}

fn push_all(accumulator: &mut RecordAccumulator, text: &[u8]) {
    let provenance = Provenance {
        ack: Ack::new("bench".into(), RECORDS, |_| ()),
        plugin: "bench".into(),
        generation: 0,
    };
    let place = accumulator.place(Identity::default(), &stream_name(), NamedBy::Operator);
    let place = place.expect("it is never refused");
    for event in (0..).take(RECORDS) {
        let record = Record { event, line: u64::from(event) + 1, text, payload: None };
        accumulator.push(place, &provenance, record).expect("a small record");
    }
}

fn full_batch(runtime: &Runtime) -> Arc<Batch> {
    let taken = Arc::<TakingClient>::default();
    let delivery = start_delivery(Arc::clone(&taken), runtime);
    push_all(&mut RecordAccumulator::new(&delivery), &make_event());
    runtime.block_on(delivery.drain());
    taken.last.lock().take().expect("a full batch is sent")
}

fn start_delivery(port: Arc<TakingClient>, runtime: &Runtime) -> Delivery {
    let overrides = Overrides { local: Some("unused".into()), ..Overrides::default() };
    let settings = RawSettings::default().check(Path::new(""), overrides).expect("good settings");
    let dead_letters = Arc::new(DeadLetterWriter::new("unused".into()));
    Delivery::new(
        FirehoseClients::new(port),
        settings.delivery,
        dead_letters,
        runtime.handle().clone(),
        CancellationToken::new(),
    )
}

/// Accepts everything, and keeps the last batch.
#[derive(Default)]
struct TakingClient {
    last: Mutex<Option<Arc<Batch>>>,
}

impl FirehoseClient for TakingClient {
    fn put_record_batch<'a>(&'a self, _: &'a StreamName, batch: Arc<Batch>) -> PutFuture<'a> {
        *self.last.lock() = Some(batch);
        Box::pin(async { Ok(PutResponse::default()) })
    }

    fn describe<'a>(&'a self, stream: &'a StreamName) -> DescribeFuture<'a> {
        Box::pin(async { Ok(StreamDescription::stand_in(stream.as_str(), Vec::new())) })
    }
}

async fn amazon_client() -> AmazonClient {
    let [access_key_id, secret_access_key] = ["AKIDOFNOUSEANYWHERE", "of-no-use-anywhere"]
        .map(|key| SecretSetting::Value(Secret::new(key.to_owned())));
    let keys = StaticKeys { access_key_id, secret_access_key, session_token: None };
    let region = Some("us-east-1".to_owned());
    let aws = AwsSettings { region, keys: Some(keys), ..AwsSettings::default() };
    let connector = SharedHttpConnector::new(AcceptingConnector::new());
    let http = AwsHttp::with_client(http_client_fn(move |_, _| connector.clone()));
    let nobody: Arc<dyn SecretResolver> = Arc::new(NoSecretManager);
    let access = connect(&aws, &http, &nobody, OnUnreachable::Fail).await;
    let access = access.expect("nothing is missing");
    AmazonClient::new(&access, Some("http://127.0.0.1"))
}

/// A connection to nowhere that responds to a full request.
#[derive(Debug)]
struct AcceptingConnector {
    answer: SdkBody,
}

impl AcceptingConnector {
    fn new() -> Self {
        let record = format!(r#"{{"RecordId":"{}"}}"#, "0a1B2c3D".repeat(28));
        let records = vec![record; RECORDS].join(",");
        let answer = format!(r#"{{"FailedPutCount":0,"RequestResponses":[{records}]}}"#);
        AcceptingConnector { answer: SdkBody::from(answer) }
    }
}

impl HttpConnector for AcceptingConnector {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let status = StatusCode::try_from(200).expect("a status");
        let body = self.answer.try_clone().expect("it is in memory");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
    }
}
