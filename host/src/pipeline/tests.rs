//! Tests a worker between a scripted plugin and a Firehose client that fails on purpose, on one
//! thread under paused time.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::*;
use standpipe_core::event::{EventSource, Lines, Settled, StreamName};
use standpipe_core::test_deadline::run_with_deadline;
use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
use standpipe_delivery::{
    Aggregation, Delivery, DeliverySettings, FirehoseClients, RetryClass, StartRate, StreamSettings,
};
use standpipe_plugin_host::scripted::{PluginScript, ScriptedAct, ScriptedEnd};
use standpipe_plugin_host::{
    AdmittedPlugin, CanarySettings, CircuitBreakerSettings, ConfigureError, Generation, Plugin,
    Unavailable,
};

const SECOND: Duration = Duration::from_secs(1);

/// The interface through which the simulation and these tests drive a worker.
impl Worker {
    /// The batches that wait for more records.
    pub(crate) fn accumulator(&mut self) -> &mut RecordAccumulator {
        &mut self.applier.accumulator
    }

    /// Does the work that is due, besides new chunks.
    pub(crate) fn do_due_work(&mut self) {
        let now = Instant::now();
        self.resume_held_chunk(now);
        self.applier.accumulator.close_due(now.into_std());
    }

    /// The time of the next work besides new chunks.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        [self.applier.accumulator.next_due().map(Instant::from_std), self.held.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the worker accepts more chunks. It does not after it has set aside as many as it
    /// may.
    pub(crate) fn takes_more(&self) -> bool {
        !self.held.is_full()
    }

    /// Whether the worker has set chunks aside.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }
}

/// Treats each event as its text says.
#[derive(Default)]
struct Scripted {
    /// The stream of events whose text names none.
    stream: &'static str,
    has_no_instance: AtomicBool,
    has_redeclared: AtomicBool,
    asked: AtomicUsize,
}

impl Scripted {
    fn to(stream: &'static str) -> Arc<Self> {
        Arc::new(Scripted { stream, ..Scripted::default() })
    }

    fn set_instance(&self, has_instance: bool) {
        self.has_no_instance.store(!has_instance, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl PluginScript for Scripted {
    fn act(&self, _source: &str, text: &str) -> ScriptedAct {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let says = |word: &str| text.contains(word);
        let deliver =
            |streams: &[&str]| ScriptedEnd::Deliver(streams.iter().map(|s| (*s).into()).collect());
        let (cpu, end) = match () {
            () if says("trap") => (Duration::ZERO, ScriptedEnd::Trap),
            () if says("loop") => (3600 * SECOND, ScriptedEnd::Trap),
            () if says("reject") => (Duration::ZERO, ScriptedEnd::Reject("no consent")),
            () if says("filter") => (Duration::ZERO, deliver(&[])),
            () if says("both") => (Duration::ZERO, deliver(&["a", "b"])),
            () if says("other") => (Duration::ZERO, deliver(&["b"])),
            () => (Duration::ZERO, deliver(&[self.stream])),
        };
        ScriptedAct { cpu, end }
    }

    fn spend(&self, _cpu: Duration) {}

    fn unavailable(&self) -> Option<Unavailable> {
        let fault = Fault::Configure(ConfigureError::Refused("scripted".to_owned()));
        let is_missing = self.has_no_instance.load(Ordering::Relaxed);
        is_missing.then_some(Unavailable { fault, pause: SECOND })
    }

    fn has_redeclared(&self) -> bool {
        self.has_redeclared.load(Ordering::Relaxed)
    }
}

/// The parts of a scene.
struct Scene {
    on_failure: OnFailure,
    breaker: CircuitBreakerSettings,
    client: FaultyClient,
    dynamic_streams_max: usize,
    canary: Option<Arc<Scripted>>,
}

impl Default for Scene {
    fn default() -> Self {
        Scene {
            on_failure: OnFailure::default(),
            breaker: CircuitBreakerSettings::default(),
            client: FaultyClient::new(|_, _, _| InjectedFault::None),
            dynamic_streams_max: 100,
            canary: None,
        }
    }
}

/// A running scene, whose worker is driven by the test.
struct Driven {
    _directory: TempDir,
    plugin: Arc<Scripted>,
    client: Arc<FaultyClient>,
    dead_letters: Arc<DeadLetterWriter>,
    delivery: Delivery,
    stop: StopTokens,
    roles: Arc<PublishedRoles>,
    renewals: Arc<AtomicUsize>,
    worker: Worker,
    settled: Arc<Mutex<Settled>>,
    chunk_buffers: Receiver<Vec<u8>>,
}

/// The outcome of a scene.
#[derive(Debug)]
struct Outcome {
    settled: Settled,
    /// Records by stream, each without its newline.
    accepted: BTreeMap<String, Vec<String>>,
    dead_letters: Vec<Value>,
}

impl Scene {
    fn begin(self) -> Driven {
        let directory = tempfile::tempdir().unwrap();
        let dead_letters = Arc::new(DeadLetterWriter::new(directory.path().join("dead")));
        let (client, stop) = (Arc::new(self.client), StopTokens::default());
        let settings = DeliverySettings {
            stream: StreamSettings { newline: true, concurrency: 1, aggregation: Aggregation::Off },
            streams: HashMap::new(),
            missing_stream_grace: 10 * SECOND,
            start_rate: StartRate::Unbounded,
            overflow_directory: directory.path().join("overflow"),
            overflow_bytes_max: 1 << 30,
            dynamic_streams_max: self.dynamic_streams_max,
            stream_idle_timeout: 600 * SECOND,
            max_delay: SECOND,
            in_flight_bytes_max: 1 << 24,
            request_bytes_enough: 1 << 20,
        };
        let (ports, abort) =
            (FirehoseClients::new(client.clone()), stop.delivery_abort.child_token());
        let delivery =
            Delivery::new(ports, settings, Arc::clone(&dead_letters), Handle::current(), abort);
        let plugin = Scripted::to("a");
        let active = generation(1, plugin.clone(), self.breaker);
        let canary = self.canary.map(|script| {
            let everybody = CanarySettings { percent: 100.0, ..CanarySettings::default() };
            Arc::new(Canary::new(generation(2, script, self.breaker), everybody))
        });
        let roles = Arc::new(PublishedRoles::new(PluginRoles { active, canary, shadow: None }));
        let (buffers, chunk_buffers) = crossbeam_channel::bounded(8);
        let renewals = Arc::<AtomicUsize>::default();
        let renewed = Arc::clone(&renewals);
        let renew = move || {
            renewed.fetch_add(1, Ordering::Relaxed);
        };
        let shared = WorkerContext {
            chunks: crossbeam_channel::never(),
            buffers,
            roles: Arc::clone(&roles),
            dead_letters: Arc::clone(&dead_letters),
            identities: Arc::default(),
            on_failure: self.on_failure,
            renew_plugin: Arc::new(renew),
            stop: stop.clone(),
        };
        let worker = Worker::new(shared, RecordAccumulator::new(&delivery).with_deferred_flush());
        Driven {
            _directory: directory,
            plugin,
            client,
            dead_letters,
            delivery,
            stop,
            roles,
            renewals,
            worker,
            settled: Arc::default(),
            chunk_buffers,
        }
    }
}

fn generation(
    number: u64,
    script: Arc<Scripted>,
    breaker: CircuitBreakerSettings,
) -> Arc<Generation> {
    let admitted = AdmittedPlugin::without_component(Plugin::scripted(script)).unwrap();
    Arc::new(Generation::new(number, admitted, breaker, NonZero::<usize>::MIN))
}

impl Driven {
    /// Passes a chunk of events to the worker. Each event is a text with these words.
    fn take(&mut self, source: impl Into<EventSource>, events: &[&str]) {
        let texts: Vec<_> =
            events.iter().map(|words| format!("{{\"event\":\"{words}\"}}")).collect();
        let texts: Vec<_> = texts.iter().map(String::as_bytes).collect();
        self.take_lines(source, lines(&texts));
    }

    fn take_lines(&mut self, source: impl Into<EventSource>, lines: Lines) {
        let settled = Arc::clone(&self.settled);
        let ack = Ack::new(source.into(), lines.len(), move |chunk| {
            let mut all = settled.lock();
            all.delivered += chunk.delivered;
            all.filtered += chunk.filtered;
            all.dead += chunk.dead;
            all.undelivered += chunk.undelivered;
        });
        self.worker.process_chunk(lines.into_chunk(ack));
    }

    /// Waits for this time, then lets the worker do the work that is due.
    async fn wait(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        self.worker.do_due_work();
        self.worker.accumulator().flush().await;
    }

    /// Ends as a worker does when its queue is closed.
    async fn finish(mut self) -> Outcome {
        for _ in 0..1000 {
            if !self.worker.is_holding() {
                break;
            }
            self.wait(SECOND).await;
        }
        assert!(!self.worker.is_holding(), "chunks that were set aside never end");
        self.worker.accumulator().close_all();
        self.worker.accumulator().flush().await;
        drop(self.worker);
        let drained = tokio::time::timeout(3600 * SECOND, self.delivery.drain()).await;
        drained.expect("delivery comes to an end");
        let file = self.dead_letters.report().file;
        let dead_letters =
            file.map(|file| std::fs::read_to_string(file).unwrap()).unwrap_or_default();
        let text = |record: Vec<u8>| String::from_utf8(record).unwrap().trim_end().to_owned();
        let accepted =
            self.client.accepted().into_iter().filter(|(_, records)| !records.is_empty());
        Outcome {
            settled: *self.settled.lock(),
            accepted: accepted
                .map(|(stream, records)| {
                    (stream.to_string(), records.into_iter().map(text).collect())
                })
                .collect(),
            dead_letters: dead_letters
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
        }
    }
}

impl Outcome {
    /// Delivered, filtered, dead and undelivered events.
    fn counts(&self) -> [u64; 4] {
        let Settled { delivered, filtered, dead, undelivered } = self.settled;
        [delivered, filtered, dead, undelivered]
    }

    /// The number of records of a stream.
    fn records(&self, stream: &str) -> usize {
        self.accepted.get(stream).map_or(0, Vec::len)
    }

    /// The line and the reason of each dead letter.
    fn dead(&self) -> Vec<(u64, &str)> {
        let dead_letters = self.dead_letters.iter();
        let line_and_reason = |dead_letter| (letter_line(dead_letter), letter_reason(dead_letter));
        dead_letters.map(line_and_reason).collect()
    }

    /// The detail of the only dead letter.
    fn detail(&self) -> &str {
        assert_eq!(self.dead_letters.len(), 1, "{:?}", self.dead_letters);
        self.dead_letters[0]["detail"].as_str().unwrap()
    }
}

fn letter_line(dead_letter: &Value) -> u64 {
    dead_letter["line"].as_u64().unwrap()
}

fn letter_reason(dead_letter: &Value) -> &str {
    dead_letter["reason"].as_str().unwrap()
}

/// Lines with these texts, from line 1 on.
fn lines(texts: &[&[u8]]) -> Lines {
    let mut lines = Lines::in_buffer(Vec::new(), 1);
    for (offset, text) in (0..).zip(texts) {
        let start = lines.bytes.len();
        lines.bytes.extend_from_slice(text);
        lines.push(start..lines.bytes.len(), offset);
    }
    lines
}

fn durable() -> EventSource {
    EventSource::durable("web")
}

#[tokio::test(start_paused = true)]
async fn each_event_ends_as_the_plugin_decides() {
    let mut scene = Scene::default().begin();
    scene.take("file", &["one", "filter", "both", "other", "reject"]);
    let outcome = scene.finish().await;
    assert_eq!(outcome.counts(), [3, 1, 1, 0]);
    assert_eq!((outcome.records("a"), outcome.records("b")), (2, 2));
    assert_eq!(outcome.accepted["a"][0], r#"{"event":"one"}"#);
    assert_eq!(outcome.dead(), [(5, "plugin_rejected")]);
    assert_eq!(outcome.detail(), "no consent");
}

#[tokio::test(start_paused = true)]
async fn the_buffer_of_a_finished_chunk_goes_back() {
    let mut scene = Scene::default().begin();
    scene.take("file", &["one"]);
    assert_eq!(scene.chunk_buffers.try_recv().unwrap(), br#"{"event":"one"}"#);
    scene.plugin.set_instance(false);
    scene.take("file", &["two"]);
    assert!(scene.chunk_buffers.try_recv().is_err(), "a chunk that waits keeps its buffer");
    scene.plugin.set_instance(true);
    scene.wait(SECOND).await;
    assert_eq!(scene.chunk_buffers.try_recv().unwrap(), br#"{"event":"two"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_fault_costs_the_event_alone_that_caused_it() {
    let mut scene = Scene::default().begin();
    scene.take("file", &["one", "two", "trap", "four", "loop", "six"]);
    scene.take("file", &["seven"]);
    let outcome = scene.finish().await;
    assert_eq!((outcome.counts(), outcome.records("a")), ([5, 0, 2, 0], 5));
    assert_eq!(outcome.dead(), [(3, "plugin_trapped"), (5, "plugin_deadline")]);
}

#[tokio::test(start_paused = true)]
async fn the_settings_say_what_becomes_of_an_event_that_the_plugin_fails_on() {
    let rest = StreamName::parse("rest").unwrap();
    let ways = [
        (OnFailure::DeadLetter, [2, 0, 1, 0], 1, 0),
        (OnFailure::Drop, [2, 1, 0, 0], 0, 0),
        (OnFailure::PassThrough(rest), [3, 0, 0, 0], 0, 1),
    ];
    for (on_failure, counts, dead_letters, passed) in ways {
        let mut scene = Scene { on_failure: on_failure.clone(), ..Scene::default() }.begin();
        scene.take("file", &["one", "trap", "three"]);
        let outcome = scene.finish().await;
        assert_eq!(outcome.counts(), counts, "{on_failure:?}");
        assert_eq!((outcome.dead_letters.len(), outcome.records("rest")), (dead_letters, passed));
        assert_eq!(outcome.records("a"), 2, "{on_failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_can_halt_the_run_and_no_event_is_decided_about_after_it() {
    let mut scene = Scene { on_failure: OnFailure::Halt, ..Scene::default() }.begin();
    scene.take("file", &["one"]);
    scene.take("file", &["two", "trap"]);
    let asked = scene.plugin.asked();
    assert!(scene.stop.mapping_halt.is_cancelled() && scene.stop.intake_stop.is_cancelled());
    assert!(!scene.stop.delivery_abort.is_cancelled(), "what was handed over is delivered");
    let why = scene.stop.early_end_reason().unwrap_or_default().to_owned();
    assert!(why.contains("line 2 of file") && why.contains("\"halt\""), "{why}");
    scene.take("file", &["four", "five"]);
    assert_eq!(scene.plugin.asked(), asked);
    let outcome = scene.finish().await;
    assert_eq!((outcome.counts(), outcome.records("a")), ([2, 0, 0, 3], 2));
    assert_eq!(outcome.dead_letters, [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn events_wait_while_the_plugin_has_no_instance() {
    let mut scene = Scene::default().begin();
    scene.plugin.set_instance(false);
    scene.take("file", &["one", "two"]);
    scene.wait(SECOND / 2).await;
    assert!(scene.worker.is_holding() && scene.worker.takes_more());
    assert!(scene.worker.next_due().unwrap() <= Instant::now() + SECOND / 2);
    scene.wait(10 * SECOND).await;
    assert!(scene.worker.is_holding(), "it is still missing");
    scene.plugin.set_instance(true);
    let outcome = scene.finish().await;
    assert_eq!((outcome.counts(), outcome.records("a")), ([2, 0, 0, 0], 2));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_events_to_wait_has_them_treated_as_failed() {
    let breaker =
        CircuitBreakerSettings { when_off: WhenOff::Fail, ..CircuitBreakerSettings::default() };
    let mut scene = Scene { breaker, ..Scene::default() }.begin();
    scene.plugin.set_instance(false);
    scene.take(durable(), &["one"]);
    assert!(!scene.worker.is_holding());
    let outcome = scene.finish().await;
    assert_eq!((outcome.counts(), outcome.dead()), ([0, 0, 1, 0], vec![(1, "plugin_unavailable")]));

    let mut scene = Scene { on_failure: OnFailure::Halt, ..Scene::default() }.begin();
    scene.plugin.set_instance(false);
    scene.take(durable(), &["one"]);
    assert!(scene.stop.mapping_halt.is_cancelled());
    assert_eq!(scene.finish().await.counts(), [0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_waiting_and_events_stay_with_a_source_that_keeps_them() {
    for (source, counts, dead_letters) in
        [(durable(), [0, 0, 0, 2], 0), ("file".into(), [0, 0, 2, 0], 2)]
    {
        let mut scene = Scene::default().begin();
        scene.plugin.set_instance(false);
        scene.take(source.clone(), &["one", "two"]);
        scene.stop.intake_stop.cancel();
        scene.wait(10 * SECOND).await;
        assert!(scene.worker.is_holding(), "the stop timeout has not passed");
        scene.stop.delivery_abort.cancel();
        scene.wait(Duration::ZERO).await;
        assert!(!scene.worker.is_holding());
        let outcome = scene.finish().await;
        assert_eq!(
            (outcome.counts(), outcome.dead_letters.len()),
            (counts, dead_letters),
            "{source}"
        );
        assert!(outcome.dead().iter().all(|(_, reason)| *reason == "plugin_unavailable"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_events_that_need_not_wait_to_the_plugin() {
    let mut scene = Scene::default().begin();
    scene.stop.mapping_abort.cancel();
    scene.take(durable(), &["one", "trap"]);
    let outcome = scene.finish().await;
    assert_eq!((outcome.counts(), outcome.dead()), ([1, 0, 1, 0], vec![(2, "plugin_trapped")]));
}

#[tokio::test(start_paused = true)]
async fn another_plugin_takes_over_events_that_wait() {
    let mut scene = Scene::default().begin();
    scene.plugin.set_instance(false);
    scene.take("file", &["one"]);
    let active = generation(2, Scripted::to("b"), CircuitBreakerSettings::default());
    scene.roles.publish(PluginRoles { active, canary: None, shadow: None });
    // The time is shorter than the pause before the first event's next attempt.
    scene.wait(Duration::from_millis(1)).await;
    assert!(!scene.worker.is_holding());
    let outcome = scene.finish().await;
    assert_eq!((outcome.counts(), outcome.records("b")), ([1, 0, 0, 0], 1));
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_declares_other_streams_is_configured_anew() {
    let mut scene = Scene::default().begin();
    scene.plugin.set_instance(false);
    scene.take("file", &["one"]);
    assert_eq!(scene.renewals.load(Ordering::Relaxed), 0);
    scene.plugin.has_redeclared.store(true, Ordering::Relaxed);
    scene.wait(SECOND).await;
    assert_eq!(scene.renewals.load(Ordering::Relaxed), 1);
    scene.plugin.set_instance(true);
    assert_eq!(scene.finish().await.counts(), [1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_chooses_a_stream_too_many_is_dead() {
    let mut scene = Scene { dynamic_streams_max: 1, ..Scene::default() }.begin();
    scene.take("file", &["one", "both", "other"]);
    let outcome = scene.finish().await;
    assert_eq!(outcome.counts(), [1, 0, 2, 0]);
    assert_eq!(outcome.dead(), [(2, "too_many_streams"), (3, "too_many_streams")]);
    assert_eq!(outcome.dead_letters[0]["stream"], "b");
    assert_eq!(outcome.records("a"), 2, "the other output of an event goes its way");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_firehose_refuses_takes_no_other_with_it() {
    let client = FaultyClient::new(|_, batch, request| match request {
        0 => InjectedFault::Refuse(vec![batch.len() - 1], "ValidationException"),
        _ => InjectedFault::None,
    });
    let mut scene = Scene { client, ..Scene::default() }.begin();
    scene.take("file", &["one", "two", "three"]);
    let outcome = scene.finish().await;
    assert_eq!((outcome.counts(), outcome.dead()), ([2, 0, 1, 0], vec![(3, "record_refused")]));
    assert_eq!((outcome.records("a"), &outcome.dead_letters[0]["stream"]), (2, &Value::from("a")));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_large_is_dead_before_it_is_sent() {
    let mut scene = Scene::default().begin();
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(1_024_000));
    scene.take_lines("file", lines(&[large.as_bytes(), b"{}"]));
    let outcome = scene.finish().await;
    assert_eq!((outcome.counts(), outcome.dead()), ([1, 0, 1, 0], vec![(1, "record_too_large")]));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_delivered_by_the_stop_timeout_is_dead_or_stays_with_its_source() {
    for (source, counts, dead_letters) in
        [(durable(), [0, 0, 0, 1], 0), ("file".into(), [0, 0, 1, 0], 1)]
    {
        let client = FaultyClient::new(|_, _, _| {
            InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException")
        });
        let mut scene = Scene { client, ..Scene::default() }.begin();
        scene.take(source.clone(), &["one"]);
        scene.wait(2 * SECOND).await;
        scene.stop.delivery_abort.cancel();
        let outcome = scene.finish().await;
        assert_eq!(
            (outcome.counts(), outcome.dead_letters.len()),
            (counts, dead_letters),
            "{source}"
        );
        assert!(outcome.dead().iter().all(|(_, reason)| *reason == "given_up"));
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_no_events_are_dead_with_their_line_and_its_reason() {
    let mut scene = Scene::default().begin();
    let mut lines = lines(&[b"{}", b"{", b"[]", b"{\"a\":\"\xff\"}", b"{\"a\":\"\0\"}"]);
    lines.bytes.extend_from_slice(b"start");
    let start = lines.bytes.len() - 5..lines.bytes.len();
    lines.push_error(start.clone(), 5, LineError::TooLong { bytes: 9_000_000 });
    lines.push_error(start.clone(), 6, LineError::CutOff { detail: "broken pipe".to_owned() });
    lines.push_error(start, 7, LineError::Refused(EventRefusal::NoType));
    scene.take_lines("file", lines);
    let outcome = scene.finish().await;
    assert_eq!(outcome.counts(), [1, 0, 7, 0]);
    let expected = [
        (2, "not_json"),
        (3, "not_an_object"),
        (4, "invalid_utf8"),
        (5, "zero_byte"),
        (6, "event_too_long"),
        (7, "source_cut_off"),
        (8, "no_type"),
    ];
    assert_eq!(outcome.dead(), expected);
    assert_eq!(outcome.dead_letters[4]["bytes_total"], 9_000_000);
    assert!(outcome.dead_letters[5]["detail"].as_str().unwrap().ends_with("broken pipe"));
}

#[tokio::test(start_paused = true)]
async fn what_a_canary_fails_on_the_active_plugin_decides_about() {
    let canary = Scripted::to("canary");
    let mut scene = Scene { canary: Some(canary.clone()), ..Scene::default() }.begin();
    scene.take("file", &["one", "filter", "reject"]);
    scene.take("file", &["trap"]);
    canary.set_instance(false);
    scene.take("file", &["five"]);
    assert!(!scene.worker.is_holding(), "a canary delays nothing");
    let outcome = scene.finish().await;
    assert_eq!((outcome.records("canary"), outcome.records("a")), (1, 1));
    // The active plugin also traps on this event.
    assert_eq!(outcome.counts(), [2, 1, 2, 0]);
    let reasons: Vec<_> = outcome.dead().iter().map(|(_, reason)| *reason).collect();
    assert_eq!(reasons, ["plugin_rejected", "plugin_trapped"]);
}

#[tokio::test(start_paused = true)]
async fn a_halt_ends_the_deciding_of_a_canary_and_the_waiting_too() {
    let canary = Scripted::to("canary");
    let mut scene = Scene { canary: Some(canary.clone()), ..Scene::default() }.begin();
    canary.set_instance(false);
    scene.plugin.set_instance(false);
    scene.take(durable(), &["one"]);
    assert!(scene.worker.is_holding());
    canary.set_instance(true);
    scene.stop.halt(|| "a test".to_owned());
    scene.take(durable(), &["two"]);
    scene.wait(Duration::from_millis(1)).await;
    assert!(!scene.worker.is_holding());
    assert_eq!((canary.asked(), scene.plugin.asked()), (0, 0));
    assert_eq!(scene.finish().await.counts(), [0, 0, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_failures_in_one_source_holds_up_no_other() {
    let mut scene = Scene::default().begin();
    let flood: Vec<_> = (0..100).map(|_| "loop").collect();
    for _ in 0..3 {
        scene.take("bad", &flood);
    }
    assert!(scene.worker.is_holding());
    scene.take("good", &["one"]);
    scene.worker.accumulator().close_all();
    scene.worker.accumulator().flush().await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(scene.client.accepted().values().map(Vec::len).sum::<usize>(), 1);
    assert!(scene.worker.is_holding(), "the flood is not through");
}

#[test]
fn a_worker_on_its_own_thread_ends_with_its_queue_and_has_handed_everything_over() {
    run_with_deadline(end_a_worker_with_its_queue);
}

fn end_a_worker_with_its_queue() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let scene = Scene::default().begin();
    let (chunks_in, chunks) = crossbeam_channel::bounded(1);
    let shared = WorkerContext {
        chunks,
        buffers: crossbeam_channel::bounded(1).0,
        roles: Arc::clone(&scene.roles),
        dead_letters: Arc::clone(&scene.dead_letters),
        identities: Arc::default(),
        on_failure: OnFailure::DeadLetter,
        renew_plugin: Arc::new(|| ()),
        stop: scene.stop.clone(),
    };
    let worker = Worker::new(shared, RecordAccumulator::new(&scene.delivery));
    let worker = thread::spawn(move || worker.run());
    let settled = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..20 {
        let all = Arc::clone(&settled);
        let ack = Ack::new("file".into(), 2, move |chunk| all.lock().push(chunk));
        chunks_in
            .send(lines(&[b"{\"event\":\"one\"}", b"{\"event\":\"trap\"}"]).into_chunk(ack))
            .unwrap();
    }
    drop(chunks_in);
    worker.join().unwrap();
    runtime.block_on(scene.delivery.drain());
    let settled = settled.lock();
    assert_eq!(settled.len(), 20);
    assert!(
        settled.iter().all(|chunk| (chunk.delivered, chunk.dead, chunk.undelivered) == (1, 1, 0))
    );
}
