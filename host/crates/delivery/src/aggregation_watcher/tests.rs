//! Tests automatic aggregation whose decision changes while events are sent, under paused time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{DESCRIBE_AGAIN, DESCRIBES_AT_ONCE_MAX};
use crate::dead_letters::DeadLetterWriter;
use crate::faulty_client::{FaultyClient, InjectedFault};
use crate::limits;
use crate::{
    Aggregation, AggregationChoice, Delivery, DeliverySettings, FirehoseClient, FirehoseClients,
    Identity, NamedBy, Provenance, Record, RecordAccumulator, RequestError, RetryClass, StartRate,
    StreamSettings,
};
use standpipe_aws::{Destination, DestinationKind, Processor, StreamDescription};
use standpipe_core::event::{Ack, StreamName};

const SECOND: Duration = Duration::from_secs(1);

type PutResponse = Result<StreamDescription, RequestError>;

/// Streams whose aggregation follows their descriptions.
struct Scene {
    port: Arc<FaultyClient>,
    delivery: Delivery,
    accumulator: Option<RecordAccumulator>,
}

impl Scene {
    fn new(script: impl Fn(&StreamName, usize) -> PutResponse + Send + Sync + 'static) -> Self {
        Self::slow(SECOND, script)
    }

    /// Delays a response, so that it does not arrive while a test pushes events: time stands still
    /// then.
    fn slow(
        pause: Duration,
        script: impl Fn(&StreamName, usize) -> PutResponse + Send + Sync + 'static,
    ) -> Self {
        let script = move |stream: &StreamName, before| (pause, script(stream, before));
        let port =
            Arc::new(FaultyClient::new(|_, _, _| InjectedFault::None).with_descriptions(script));
        let settings = DeliverySettings {
            stream: StreamSettings {
                newline: true,
                concurrency: 2,
                aggregation: Aggregation::Auto,
            },
            streams: HashMap::new(),
            missing_stream_grace: SECOND,
            start_rate: StartRate::Unbounded,
            max_delay: SECOND,
            in_flight_bytes_max: limits::IN_FLIGHT_BYTES_MAX,
            request_bytes_enough: limits::REQUEST_BYTES_ENOUGH,
            overflow_directory: std::env::temp_dir(),
            overflow_bytes_max: 0,
            dynamic_streams_max: 100,
            stream_idle_timeout: Duration::from_secs(30 * 24 * 3600),
        };
        let dead_letters = Arc::new(DeadLetterWriter::new("unused".into()));
        let (own, runtime) = (Arc::clone(&port) as Arc<dyn FirehoseClient>, Handle::current());
        let delivery = Delivery::new(
            FirehoseClients::new(own),
            settings,
            dead_letters,
            runtime,
            CancellationToken::new(),
        );
        let accumulator = Some(RecordAccumulator::new(&delivery));
        Scene { port, delivery, accumulator }
    }

    /// Sends ten events to a stream. Returns whether they were aggregated.
    async fn is_aggregated(&mut self, stream: &str) -> bool {
        let stream = name(stream);
        let records = || self.port.accepted().get(&stream).map_or(0, Vec::len);
        let before = records();
        let mut accumulator = self.accumulator.take().unwrap();
        let place = accumulator.place(Identity::default(), &stream, NamedBy::Event).unwrap();
        let push = move || {
            let provenance = Provenance {
                ack: Ack::new("test".into(), 10, |_| ()),
                plugin: "".into(),
                generation: 0,
            };
            for event in 0..10 {
                let record = Record { event, line: 1, text: b"{}", payload: None };
                accumulator.push(place, &provenance, record).unwrap();
            }
            accumulator.close_all();
            accumulator
        };
        let accumulator = tokio::task::spawn_blocking(push).await.unwrap();
        sleep(Duration::from_millis(10)).await;
        let count = records() - before;
        self.accumulator = Some(accumulator);
        assert!(count == 1 || count == 10, "{count} records of 10 events");
        count == 1
    }

    fn why(&self, stream: &str) -> (AggregationChoice, String) {
        let decision = self.delivery.report()[stream].aggregation.clone().unwrap();
        (decision.decision, decision.why.into_owned())
    }

    fn describe_count(&self, stream: &str) -> usize {
        self.port.describe_count(&name(stream))
    }
}

fn name(stream: &str) -> StreamName {
    StreamName::parse(stream).unwrap()
}

/// The description of a stream with these processors that writes to S3.
fn s3(processors: &[&str]) -> PutResponse {
    let processors = processors.iter().map(|&kind| Processor {
        kind: kind.to_owned(),
        lambda: None,
        splits_at: None,
    });
    let destination = Destination {
        processors: processors.collect(),
        ..Destination::stand_in(DestinationKind::S3)
    };
    Ok(StreamDescription::stand_in("s", vec![destination]))
}

fn failure(retry_class: RetryClass, code: &str) -> PutResponse {
    Err(RequestError { retry_class, code: code.to_owned(), message: "injected".to_owned() })
}

/// Waits until the description was requested again, and the response arrived.
async fn until_asked_again() {
    sleep(DESCRIBE_AGAIN + 2 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn events_go_unaggregated_until_the_stream_is_described() {
    let mut scene = Scene::slow(10 * SECOND, |_, _| s3(&[]));
    assert!(!scene.is_aggregated("s").await);
    assert_eq!(scene.why("s").0, AggregationChoice::Off);
    assert!(scene.why("s").1.contains("not been described yet"), "{:?}", scene.why("s"));
    sleep(10 * SECOND).await;
    assert!(scene.is_aggregated("s").await);
    let (choice, why) = scene.why("s");
    assert!(choice == AggregationChoice::Aggregated && why.contains("S3"), "{why}");
    assert_eq!(scene.describe_count("s"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_depends_on_single_events_stays_unaggregated() {
    let mut scene = Scene::new(|stream, _| match stream.as_str() {
        "lambda" => s3(&["Lambda"]),
        _ => s3(&[]),
    });
    for stream in ["lambda", "plain"] {
        scene.is_aggregated(stream).await;
    }
    sleep(3 * SECOND).await;
    assert!(!scene.is_aggregated("lambda").await);
    assert!(scene.why("lambda").1.contains("Lambda"), "{:?}", scene.why("lambda"));
    assert!(scene.is_aggregated("plain").await);
}

#[tokio::test(start_paused = true)]
async fn without_the_permission_events_go_unaggregated_until_it_is_granted() {
    let mut scene = Scene::new(|_, before| match before {
        0 => failure(RetryClass::Hold, "AccessDeniedException"),
        _ => s3(&[]),
    });
    scene.is_aggregated("s").await;
    sleep(DESCRIBE_AGAIN / 2).await;
    assert!(!scene.is_aggregated("s").await);
    assert_eq!(scene.describe_count("s"), 1);
    let why = scene.why("s").1;
    assert!(why.contains("permission firehose:DescribeDeliveryStream is missing"), "{why}");
    until_asked_again().await;
    assert!(scene.is_aggregated("s").await);
}

#[tokio::test(start_paused = true)]
async fn a_description_that_fails_is_asked_for_again_and_ever_more_rarely() {
    for (retry_class, code) in [
        (RetryClass::Retry, "ThrottlingException"),
        (RetryClass::Hold, "CannotConnect"),
        (RetryClass::Missing, "ResourceNotFoundException"),
    ] {
        let began = Instant::now();
        let mut scene = Scene::new(move |_, _| match began.elapsed() {
            elapsed if elapsed < 3600 * SECOND => failure(retry_class, code),
            _ => s3(&[]),
        });
        for _ in 0..60 {
            assert!(!scene.is_aggregated("s").await, "{code}");
            sleep(60 * SECOND).await;
        }
        let describes = scene.describe_count("s");
        // The pauses are random, and so is their number.
        assert!((10..60).contains(&describes), "{describes} times in an hour");
        scene.is_aggregated("s").await;
        until_asked_again().await;
        assert!(scene.is_aggregated("s").await, "{code}: {:?}", scene.why("s"));
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_that_ends_soon_delays_the_decision_by_seconds() {
    let mut scene = Scene::new(|_, before| match before {
        0..3 => failure(RetryClass::Retry, "ThrottlingException"),
        _ => s3(&[]),
    });
    for _ in 0..12 {
        scene.is_aggregated("s").await;
        sleep(SECOND).await;
    }
    assert!(scene.is_aggregated("s").await);
}

#[tokio::test(start_paused = true)]
async fn the_newest_description_counts() {
    let mut scene = Scene::new(|_, before| match before {
        0 | 4 => s3(&[]),
        1 => failure(RetryClass::Hold, "CannotConnect"),
        2 => s3(&["Lambda"]),
        3 => s3(&["AppendDelimiterToRecord"]),
        _ => failure(RetryClass::Missing, "ResourceNotFoundException"),
    });
    scene.is_aggregated("s").await;
    sleep(2 * SECOND).await;
    // A connection problem says nothing about the stream, so aggregation continues.
    assert!(scene.is_aggregated("s").await);
    sleep(DESCRIBE_AGAIN).await;
    assert!(scene.is_aggregated("s").await);
    assert!(scene.describe_count("s") >= 2);
    sleep(5 * SECOND).await;
    assert!(!scene.is_aggregated("s").await, "a function was added");
    until_asked_again().await;
    assert!(scene.is_aggregated("s").await, "the function was removed");
    until_asked_again().await;
    assert!(scene.is_aggregated("s").await);
    until_asked_again().await;
    assert!(!scene.is_aggregated("s").await, "the stream is gone, and may come back as another");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_used_is_not_asked_about() {
    let mut scene = Scene::new(|_, _| s3(&[]));
    scene.is_aggregated("s").await;
    sleep(2 * SECOND).await;
    scene.is_aggregated("s").await;
    for _ in 0..20 {
        until_asked_again().await;
    }
    assert_eq!(scene.describe_count("s"), 2);
    scene.is_aggregated("s").await;
    sleep(2 * SECOND).await;
    assert_eq!(scene.describe_count("s"), 3);
}

#[tokio::test(start_paused = true)]
async fn requests_are_few_at_once_and_few_in_a_second() {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&starts);
    let mut scene = Scene::slow(3 * SECOND, move |_, _| {
        own.lock().push(Instant::now());
        s3(&[])
    });
    for number in 0..40 {
        scene.is_aggregated(&format!("s{number}")).await;
    }
    sleep(60 * SECOND).await;
    let starts = std::mem::take(&mut *starts.lock());
    assert_eq!(starts.len(), 40);
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= limits::DESCRIBE_STEP));
    let at_once = DESCRIBES_AT_ONCE_MAX + 1;
    assert!(starts.windows(at_once).all(|some| some[at_once - 1] - some[0] >= 3 * SECOND));
    for number in 0..40 {
        assert!(scene.is_aggregated(&format!("s{number}")).await);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_asks_any_more_once_the_delivery_is_gone() {
    let mut scene = Scene::slow(3600 * SECOND, |_, _| s3(&[]));
    scene.is_aggregated("s").await;
    let Scene { port, delivery, accumulator } = scene;
    drop(accumulator);
    delivery.drain().await;
    drop(delivery);
    sleep(SECOND).await;
    assert_eq!(Arc::strong_count(&port), 1);
}
