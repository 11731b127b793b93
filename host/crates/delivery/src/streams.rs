//! All delivery streams of a run and their tasks. Starts and retires streams, limits dynamic
//! streams, and admits batches to memory or disk, so that a slow stream does not delay others.
//!
//! # Why nothing waits for ever
//!
//! Memory is released when records are settled, spilled to disk or given up. Three rules make sure
//! that this always happens:
//!
//! 1. A batch in memory needs no additional memory to be sent: batches on disk do not block it
//!    (`SendQueue::next` passes over them), and the rest of a request keeps its memory.
//! 2. A stream with nothing in memory gets its next batch there as soon as any memory is free, even
//!    if the batch is larger ([`Sharing::Evenly`]).
//! 3. A batch behind a batch on disk also goes to disk, or waits outside (`Delivery::place_batch`).
//!    So the memory of a stream with batches on disk becomes empty, and the first of these is then
//!    its next batch.
//!
//! By rule 1, memory becomes free without waiting for memory once streams accept records. By rules
//! 2 and 3, the first batch on disk of each stream is then read back, in turn. A stream needs the
//! memory of another stream only while the other's records are in flight. A held stream keeps
//! nothing in memory as long as the disk accepts its batches.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::aggregation_watcher::AggregationWatcher;
use super::lane::Lane;
use super::log_limit::{LogKind, LogLimit};
use super::overflow::Overflow;
use super::request_runner::RequestRunner;
use super::retired_streams::RetiredStreams;
use super::send_queue::{Attempts, PendingBatch, QueuedBatch, SendQueue};
use super::sender::{Sender, SenderEnd};
use super::stream::{DeliveryStream, StreamLease, StreamReport};
use super::{Aggregation, Batch, FirehoseClients, Identity, StartRate, StreamSettings};
use crate::dead_letters::DeadLetterWriter;
use crate::limits;
use standpipe_core::event::StreamName;
use standpipe_core::memory_budget::{MemoryBudget, Sharing};

/// How records are delivered.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// Settings of streams without their own settings.
    pub stream: StreamSettings,
    /// Settings of streams by name.
    pub streams: HashMap<StreamName, StreamSettings>,
    /// How long a stream may be missing before its records become dead letters.
    pub missing_stream_grace: Duration,
    /// The rate of a stream before the pacer learns something about it.
    pub start_rate: StartRate,
    /// How long an event may wait in an open batch.
    pub max_delay: Duration,
    /// Bytes of closed batches that stay in memory until their records are settled.
    pub in_flight_bytes_max: usize,
    /// Payload bytes at which a batch is sent without waiting for more.
    pub request_bytes_enough: usize,
    /// The directory for records of held or slow streams, which keeps them from delaying other
    /// streams.
    pub overflow_directory: PathBuf,
    /// Maximum bytes in this directory.
    pub overflow_bytes_max: u64,
    /// Maximum number of dynamic streams in use at once.
    pub dynamic_streams_max: usize,
    /// How long a stream stays in use without records.
    pub stream_idle_timeout: Duration,
}

/// Who named a stream. This determines whether the number of such streams is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The settings or the plugin's declaration, with a fixed number of streams.
    Operator,
    /// The contents of an event. The number of such streams in use is limited.
    Event,
}

/// The maximum number of dynamic streams is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the event chooses a further delivery stream, and the limit of {streams_max} is reached: raise max_dynamic_streams under [delivery], or have the plugin choose fewer"
)]
pub struct TooManyStreams {
    /// The maximum number.
    pub streams_max: usize,
}

/// All delivery streams of a run, and the tasks that write to them.
#[derive(Clone)]
pub struct Delivery(Arc<SharedDelivery>);

/// A weak reference to a [`Delivery`]. It does not keep the clients of the delivery alive.
#[derive(Debug, Clone)]
pub struct WeakDelivery(Weak<SharedDelivery>);

impl WeakDelivery {
    /// The delivery, if anything still uses it.
    pub fn upgrade(&self) -> Option<Delivery> {
        self.0.upgrade().map(Delivery)
    }
}

struct SharedDelivery {
    runner: Arc<RequestRunner>,
    ports: FirehoseClients,
    /// One watcher for each identity, because quotas apply to an account.
    aggregation_watchers: Vec<Arc<AggregationWatcher>>,
    settings: DeliverySettings,
    runtime: Handle,
    /// The memory of all streams together for records that are not settled.
    memory: MemoryBudget,
    overflow: Arc<Overflow>,
    log: Arc<LogLimit>,
    streams: Mutex<StreamTable>,
}

type StreamKey = (Identity, StreamName);

struct StreamTable {
    settings: StreamSettingsTable,
    in_use: BTreeMap<StreamKey, ActiveStream>,
    /// Streams that were replaced by another one of the same name, until their last records are
    /// delivered.
    superseded: Vec<(StreamKey, ActiveStream)>,
    /// The number of dynamic streams in use.
    dynamic: usize,
    retired: RetiredStreams,
}

impl StreamTable {
    /// All streams with a task, replaced ones first.
    fn all_streams(&self) -> impl Iterator<Item = (&StreamKey, &ActiveStream)> {
        self.superseded.iter().map(|(key, served)| (key, served)).chain(&self.in_use)
    }

    /// Takes a stream out of use.
    fn remove(&mut self, key: &StreamKey) -> Option<ActiveStream> {
        let served = self.in_use.remove(key)?;
        self.dynamic -= usize::from(served.is_dynamic);
        Some(served)
    }
}

/// Settings that differ between streams and can change at run time.
#[derive(Debug)]
struct StreamSettingsTable {
    default: StreamSettings,
    by_name: HashMap<StreamName, StreamSettings>,
}

impl StreamSettingsTable {
    fn of(&self, name: &StreamName) -> StreamSettings {
        self.by_name.get(name).copied().unwrap_or(self.default)
    }
}

/// How long a batch waits for memory before it goes to disk. A stream that keeps up with the others
/// needs no disk within this time.
const PATIENCE: Duration = Duration::from_millis(100);

/// A stream, and the task that writes to it.
struct ActiveStream {
    stream: Arc<DeliveryStream>,
    /// `None` once a caller waits for it.
    task: Option<JoinHandle<()>>,
    /// The task that updates automatic aggregation. It ends with the stream.
    _aggregation_watch: JoinSet<()>,
    is_dynamic: bool,
}

impl Delivery {
    /// Creates a delivery with these clients. Its tasks run on this runtime. Once `abort` is
    /// cancelled, nothing waits any longer: undelivered records become dead letters.
    pub fn new(
        ports: FirehoseClients,
        settings: DeliverySettings,
        dead_letters: Arc<DeadLetterWriter>,
        runtime: Handle,
        abort: CancellationToken,
    ) -> Self {
        let log = Arc::<LogLimit>::default();
        let watcher = |port| Arc::new(AggregationWatcher::new(Arc::clone(port), Arc::clone(&log)));
        let aggregation_watchers = ports.iter().map(watcher).collect();
        let runner = Arc::new(RequestRunner {
            dead_letters,
            missing_stream_grace: settings.missing_stream_grace,
            abort,
            requests: Semaphore::new(standpipe_aws::limits::REQUESTS_AT_ONCE_MAX),
            on_held: OnceLock::new(),
        });
        let directory = settings.overflow_directory.clone();
        let overflow = Overflow::new(directory, settings.overflow_bytes_max);
        let memory = MemoryBudget::new(settings.in_flight_bytes_max, Sharing::Evenly);
        let of_streams =
            StreamSettingsTable { default: settings.stream, by_name: settings.streams.clone() };
        let streams = StreamTable {
            settings: of_streams,
            in_use: BTreeMap::new(),
            superseded: Vec::new(),
            dynamic: 0,
            retired: RetiredStreams::default(),
        };
        Delivery(Arc::new(SharedDelivery {
            runner,
            ports,
            aggregation_watchers,
            settings,
            runtime,
            memory,
            overflow,
            log,
            streams: Mutex::new(streams),
        }))
    }

    /// A handle that does not keep the delivery alive.
    pub fn downgrade(&self) -> WeakDelivery {
        WeakDelivery(Arc::downgrade(&self.0))
    }

    pub(super) fn settings(&self) -> &DeliverySettings {
        &self.0.settings
    }

    /// Changes the settings of streams from their next batch on. Open and waiting batches keep
    /// their settings.
    pub fn set_stream_settings(
        &self,
        default: StreamSettings,
        by_name: HashMap<StreamName, StreamSettings>,
    ) {
        let mut streams = self.0.streams.lock();
        let before =
            std::mem::replace(&mut streams.settings, StreamSettingsTable { default, by_name });
        let is_changed = |(_, name): &StreamKey| before.of(name) != streams.settings.of(name);
        let changed: Vec<_> =
            streams.in_use.keys().filter(|key| is_changed(key)).cloned().collect();
        for key in changed {
            self.0.supersede(&mut streams, &key);
        }
    }

    /// Cancels the abort token as soon as a stream is held, and calls `on_held` with the reason. If
    /// several streams are held at once, each may call it.
    pub fn fail_fast(&self, on_held: impl Fn(String) + Send + Sync + 'static) {
        let _ = self.0.runner.on_held.set(Box::new(on_held));
    }

    /// Waits until all records are delivered or given up. No accumulator may be in use any more.
    pub async fn drain(&self) {
        let tasks: Vec<_> = {
            let mut streams = self.0.streams.lock();
            let StreamTable { in_use, superseded, .. } = &mut *streams;
            let superseded = superseded.iter_mut().map(|(_, served)| served);
            let close = |served: &mut ActiveStream| {
                served.stream.close();
                served.task.take()
            };
            in_use.values_mut().chain(superseded).filter_map(close).collect()
        };
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!("a stream's task failed: {error}");
            }
        }
    }

    /// The results so far, by stream name. The name of another identity follows the stream's name.
    /// For streams that are no longer in use, a limited number is reported by name, and the others
    /// together.
    pub fn report(&self) -> BTreeMap<String, StreamReport> {
        let streams = self.0.streams.lock();
        let report = |(key, served): (&StreamKey, &ActiveStream)| {
            (self.0.label(key), served.stream.report())
        };
        streams.retired.with(streams.all_streams().map(report))
    }

    /// The held streams, and the reason for each.
    pub fn held_streams(&self) -> BTreeMap<String, Option<String>> {
        let streams = self.0.streams.lock();
        let held = streams.all_streams().filter(|(_, served)| served.stream.is_held());
        held.map(|(key, served)| (self.0.label(key), served.stream.problem())).collect()
    }

    /// The number of streams in use.
    pub fn streams_in_use(&self) -> usize {
        self.0.streams.lock().in_use.len()
    }

    /// Returns a stream. Starts its task if the stream is not in use yet.
    pub(super) fn stream(
        &self,
        identity: Identity,
        name: &StreamName,
        named_by: NamedBy,
    ) -> Result<StreamLease, TooManyStreams> {
        let mut streams = self.0.streams.lock();
        let key = (identity, name.clone());
        if let Some(served) = streams.in_use.get(&key) {
            if let Some(in_use) = StreamLease::begin(&served.stream) {
                return Ok(in_use);
            }
            // The stream has just been retired.
            self.0.take_out(&mut streams, &key);
        }
        let settings = &self.0.settings;
        let is_dynamic = named_by == NamedBy::Event && !streams.settings.by_name.contains_key(name);
        let streams_max = settings.dynamic_streams_max;
        if is_dynamic && streams.dynamic >= streams_max {
            drop(streams);
            let too_many = TooManyStreams { streams_max };
            if self.0.log.admits(LogKind::Refused) {
                tracing::warn!(stream = %name, "an event becomes a dead letter: {too_many}");
            }
            return Err(too_many);
        }
        let served = self.start_stream(&key, streams.settings.of(name), is_dynamic);
        let in_use = StreamLease::begin(&served.stream).expect("it is new");
        streams.dynamic += usize::from(is_dynamic);
        streams.in_use.insert(key, served);
        Ok(in_use)
    }

    /// Starts the task of a stream. It runs until the stream is closed or has been idle for long
    /// enough.
    #[expect(
        clippy::disallowed_methods,
        reason = "the memory of batches bounds those in the queue"
    )]
    fn start_stream(
        &self,
        key: &StreamKey,
        of_stream: StreamSettings,
        is_dynamic: bool,
    ) -> ActiveStream {
        let (SharedDelivery { settings, runtime, .. }, (identity, name)) = (&*self.0, key);
        let (batches, queue) = unbounded_channel();
        let port = Arc::clone(self.0.ports.of(*identity));
        let log = Arc::clone(&self.0.log);
        let stream = Arc::new(DeliveryStream::new(name.clone(), port, of_stream, batches, log));
        let mut describing = JoinSet::new();
        if of_stream.aggregation.needs_description() {
            let watcher = Arc::clone(&self.0.aggregation_watchers[identity.0]);
            let watch = watcher.watch_stream(name.clone(), Arc::clone(&stream.aggregation));
            describing.spawn_on(watch, runtime);
        }
        let sender = Sender {
            stream: Arc::clone(&stream),
            runner: Arc::clone(&self.0.runner),
            memory: self.0.memory.clone(),
            overflow: Arc::clone(&self.0.overflow),
            lane: Lane::new(settings.start_rate, of_stream.concurrency),
            send_queue: SendQueue::default(),
            under_way: JoinSet::new(),
            loading: None,
            idle_timeout: settings.stream_idle_timeout,
            is_open: true,
        };
        let (shared, own, key) = (Arc::downgrade(&self.0), Arc::clone(&stream), key.clone());
        let task = runtime.spawn(async move {
            let ended = sender.serve(queue).await;
            if let (SenderEnd::Retired, Some(shared)) = (ended, shared.upgrade()) {
                shared.retire(&key, &own);
            }
        });
        ActiveStream { stream, task: Some(task), _aggregation_watch: describing, is_dynamic }
    }

    /// Submits a batch, and blocks the thread while too much is in flight. It must not be called on
    /// the runtime's threads.
    pub(super) fn submit_blocking(&self, stream: &DeliveryStream, batch: Batch) {
        let mut submission = pin!(self.submit_batch(stream, batch));
        // Usually memory is free and no wait is necessary.
        let is_done = {
            let _timers = self.0.runtime.enter();
            submission.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        if !is_done {
            self.0.runtime.block_on(submission);
        }
    }

    /// Submits a batch once there is room for it. Blocks only for writing a file.
    pub(super) async fn submit_batch(&self, stream: &DeliveryStream, batch: Batch) {
        let runner = &self.0.runner;
        let batch = Arc::new(batch);
        let Some(queued) = self.place_batch(stream, &batch).await else {
            return runner.dead_letter_given_up(stream, &batch);
        };
        drop(batch);
        // The stream has no task after the run has given up.
        match stream.send(queued) {
            Ok(()) => {}
            Err(QueuedBatch::InMemory(PendingBatch { batch, .. })) => {
                runner.dead_letter_given_up(stream, &batch);
            }
            Err(QueuedBatch::Spilled(stored, _)) => match stored.load() {
                Ok(batch) => runner.dead_letter_given_up(stream, &batch),
                Err((events, error)) => stream.add_unread(events, &error),
            },
        }
    }

    /// Finds a place for a batch. Returns `None` once the run has given up.
    ///
    /// The input waits for a slow stream as long as no other stream waits with it. Otherwise, the
    /// batches of the slow stream go to disk. A batch that follows a batch on disk also goes there,
    /// because it is sent even later. If the disk accepts nothing, it waits outside: in memory it
    /// would block the batch before it.
    async fn place_batch(
        &self,
        stream: &DeliveryStream,
        batch: &Arc<Batch>,
    ) -> Option<QueuedBatch> {
        let attempts = Attempts::default();
        let held = |memory| {
            QueuedBatch::InMemory(PendingBatch { batch: Arc::clone(batch), memory, attempts })
        };
        let SharedDelivery { memory, overflow, runner, .. } = &*self.0;
        if runner.abort.is_cancelled() {
            return None;
        }
        let is_behind = || stream.is_held() || !stream.backlog.is_empty();
        let bytes = batch.held_bytes();
        let mut reservation = memory.reservation_of(&stream.memory);
        if !is_behind() && reservation.try_grow(bytes) {
            return Some(held(reservation));
        }
        let patient_until = Instant::now() + PATIENCE;
        let reserve = || memory.reservation_of(&stream.memory).grown(bytes);
        let mut reserved = pin!(reserve());
        let mut aborted = pin!(runner.abort.cancelled());
        loop {
            let freed = overflow.space_freed();
            let is_patient = Instant::now() < patient_until;
            let may_store = is_behind() || !is_patient && !self.is_only_stream();
            if may_store && let Ok(stored) = overflow.store_batch(&stream.backlog, batch) {
                stream.counts.overflowed.inc_by(stored.events as u64);
                return Some(QueuedBatch::Spilled(stored, attempts));
            }
            let may_take = stream.backlog.is_empty();
            if !may_take {
                // A reservation that nobody waits for must leave the queue.
                reserved.set(reserve());
            }
            let look_again = match is_patient {
                true => patient_until,
                false => Instant::now() + limits::OVERFLOW_RETRY,
            };
            tokio::select! {
                biased;
                () = &mut aborted => return None,
                reservation = &mut reserved, if may_take => return Some(held(reservation)),
                () = freed, if may_store => {}
                () = sleep_until(look_again) => {}
            }
        }
    }

    fn is_only_stream(&self) -> bool {
        let streams = self.0.streams.lock();
        streams.in_use.len() == 1 && streams.superseded.is_empty()
    }
}

impl SharedDelivery {
    fn label(&self, (identity, name): &StreamKey) -> String {
        self.ports.label(*identity, name.as_str())
    }

    /// Removes a stream that its task has retired.
    fn retire(&self, key: &StreamKey, stream: &Arc<DeliveryStream>) {
        let mut streams = self.streams.lock();
        let is_current = |served: &ActiveStream| Arc::ptr_eq(&served.stream, stream);
        if streams.in_use.get(key).is_some_and(is_current) {
            self.take_out(&mut streams, key);
        } else if let Some(at) =
            streams.superseded.iter().position(|(_, served)| is_current(served))
        {
            let (key, served) = streams.superseded.swap_remove(at);
            self.add_retired(&mut streams, &key, &served);
        }
    }

    /// Lets a stream end after its records are delivered. The next batch with its name starts
    /// another one.
    fn supersede(&self, streams: &mut StreamTable, key: &StreamKey) {
        if let Some(served) = streams.remove(key) {
            served.stream.supersede();
            streams.superseded.push((key.clone(), served));
        }
    }

    fn take_out(&self, streams: &mut StreamTable, key: &StreamKey) {
        if let Some(served) = streams.remove(key) {
            self.add_retired(streams, key, &served);
        }
    }

    fn add_retired(&self, streams: &mut StreamTable, key: &StreamKey, served: &ActiveStream) {
        streams.retired.add(self.label(key), served.stream.report(), served.is_dynamic);
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
