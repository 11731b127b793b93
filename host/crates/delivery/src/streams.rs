//! All delivery streams of a run and their tasks: begins and retires them, bounds those that events
//! choose, and admits batches to memory or disk so that a slow stream delays no other.
//!
//! # Why nothing waits for ever
//!
//! Memory is given back when records are answered for, put on disk or given up. So
//! that this always happens,
//!
//! 1. a batch in memory needs no more memory to leave it: it can be sent, whatever
//!    stands before it on disk (`SendQueue::next` passes over batches on disk), and what
//!    is left of a request keeps its part of the memory;
//! 2. a stream that has nothing in memory gets its next batch there as soon as
//!    anything at all is free, however large the batch is ([`Sharing::Evenly`]);
//! 3. what comes behind a batch on disk goes there too, or waits outside
//!    (`Delivery::place_batch`), so that the memory of a stream with batches on disk runs
//!    empty, and then the first of these is its next batch.
//!
//! By 1, once streams accept records, memory becomes free without any wait for memory;
//! by 2 and 3 the first batch on disk of each stream is then read back, in turn. No
//! stream needs what another one holds but while that one's records are under way. A
//! stream that is held keeps nothing in memory as long as the disk takes it.

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
    /// For streams without settings of their own.
    pub stream: StreamSettings,
    /// For streams by name.
    pub streams: HashMap<StreamName, StreamSettings>,
    /// How long a stream may not exist before its records go to the dead
    /// letters.
    pub missing_stream_grace: Duration,
    /// How fast a stream is written to before anything is learnt about it.
    pub start_rate: StartRate,
    /// How long an event may wait in an open batch.
    pub max_delay: Duration,
    /// Bytes of closed batches that are held in memory until they are answered for.
    pub in_flight_bytes_max: usize,
    /// Payload bytes from which a batch is sent without waiting for more.
    pub request_bytes_enough: usize,
    /// Where records of streams that are held or slow are kept on disk, so that
    /// they hold up no others.
    pub overflow_directory: PathBuf,
    /// Bytes that may be kept there.
    pub overflow_bytes_max: u64,
    /// Streams that events choose and that may be in use at once.
    pub dynamic_streams_max: usize,
    /// How long a stream stays in use without records.
    pub stream_idle_timeout: Duration,
}

/// Who has named a stream, which says whether there can be any number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The settings or the plugin's declaration: there are as many as stand there.
    Operator,
    /// An event, by what is in it. Of these only so many may be in use at once.
    Event,
}

/// So many streams are in use that events have chosen that there may be no further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the event chooses a further delivery stream, and the limit of {streams_max} is reached: raise max_dynamic_streams under [delivery], or have the plugin choose fewer"
)]
pub struct TooManyStreams {
    /// As many as there may be.
    pub streams_max: usize,
}

/// All delivery streams of a run, and the tasks that write to them.
#[derive(Clone)]
pub struct Delivery(Arc<SharedDelivery>);

/// A [`Delivery`] that does not keep it alive: what it writes to is released with the
/// last of the others.
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
    /// For each identity: quotas are the account's.
    aggregation_watchers: Vec<Arc<AggregationWatcher>>,
    settings: DeliverySettings,
    runtime: Handle,
    /// What all streams together may hold of records that are not answered for.
    memory: MemoryBudget,
    overflow: Arc<Overflow>,
    log: Arc<LogLimit>,
    streams: Mutex<StreamTable>,
}

type StreamKey = (Identity, StreamName);

struct StreamTable {
    settings: StreamSettingsTable,
    in_use: BTreeMap<StreamKey, ActiveStream>,
    /// Streams that others of the same name have taken the place of, until their last
    /// records are delivered.
    superseded: Vec<(StreamKey, ActiveStream)>,
    /// How many of those in use events have chosen.
    dynamic: usize,
    retired: RetiredStreams,
}

impl StreamTable {
    /// All that are served: those of before first.
    fn all_streams(&self) -> impl Iterator<Item = (&StreamKey, &ActiveStream)> {
        self.superseded.iter().map(|(key, served)| (key, served)).chain(&self.in_use)
    }

    /// Take a stream out of use.
    fn remove(&mut self, key: &StreamKey) -> Option<ActiveStream> {
        let served = self.in_use.remove(key)?;
        self.dynamic -= usize::from(served.is_dynamic);
        Some(served)
    }
}

/// What differs from stream to stream, and can change while records flow.
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

/// How long a batch waits for memory before it goes to the disk: long enough
/// that a stream that keeps up with the others needs none.
const PATIENCE: Duration = Duration::from_millis(100);

/// A stream, and the task that writes to it.
struct ActiveStream {
    stream: Arc<DeliveryStream>,
    /// None once somebody waits for it.
    task: Option<JoinHandle<()>>,
    /// What keeps its aggregation up to date, where that is automatic; it ends with this.
    _aggregation_watch: JoinSet<()>,
    is_dynamic: bool,
}

impl Delivery {
    /// Deliver through these clients; the work is done on this runtime. Once `abort` is
    /// cancelled nobody waits any longer: what is not delivered goes to the dead letters.
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

    /// Use other settings for streams from their next batch on. Open batches and those
    /// that wait are delivered as they were begun.
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

    /// Cancel the abort token as soon as a stream accepts nothing until somebody acts, and
    /// call this with the reason; of streams that are held at once, each can have it called.
    pub fn fail_fast(&self, on_held: impl Fn(String) + Send + Sync + 'static) {
        let _ = self.0.runner.on_held.set(Box::new(on_held));
    }

    /// Wait until everything has been delivered, or given up. No accumulator may be
    /// in use any more.
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

    /// What has been delivered so far, by the stream's name; that of another
    /// identity than the default one stands behind it. Of streams that are no longer in
    /// use, a bounded number is reported by name and the others together.
    pub fn report(&self) -> BTreeMap<String, StreamReport> {
        let streams = self.0.streams.lock();
        let report = |(key, served): (&StreamKey, &ActiveStream)| {
            (self.0.label(key), served.stream.report())
        };
        streams.retired.with(streams.all_streams().map(report))
    }

    /// The streams that accept nothing until somebody acts, and why.
    pub fn held_streams(&self) -> BTreeMap<String, Option<String>> {
        let streams = self.0.streams.lock();
        let held = streams.all_streams().filter(|(_, served)| served.stream.is_held());
        held.map(|(key, served)| (self.0.label(key), served.stream.problem())).collect()
    }

    /// How many streams are in use.
    pub fn streams_in_use(&self) -> usize {
        self.0.streams.lock().in_use.len()
    }

    /// Use a stream, which begins to be served if it is not yet.
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
            // It has just been retired.
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

    /// Begin to serve a stream, until it is closed or has been idle for long enough.
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
        if of_stream.aggregation == Aggregation::Auto {
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

    /// Hand a batch over, and block the thread while too much is in flight: not to
    /// be called on the runtime's threads.
    pub(super) fn submit_blocking(&self, stream: &DeliveryStream, batch: Batch) {
        let mut submission = pin!(self.submit_batch(stream, batch));
        // Mostly there is room, and nothing to wait for.
        let is_done = {
            let _timers = self.0.runtime.enter();
            submission.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        if !is_done {
            self.0.runtime.block_on(submission);
        }
    }

    /// Hand a batch over, once there is room for it. Blocks for no more than the
    /// writing of a file.
    pub(super) async fn submit_batch(&self, stream: &DeliveryStream, batch: Batch) {
        let runner = &self.0.runner;
        let batch = Arc::new(batch);
        let Some(queued) = self.place_batch(stream, &batch).await else {
            return runner.dead_letter_given_up(stream, &batch);
        };
        drop(batch);
        // Nobody serves the stream once the run has given up.
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

    /// Find a place for a batch; none once the run has given up.
    ///
    /// The input is what waits for a stream that is slow, as long as no other
    /// stream would have to wait with it; else the disk takes its batches. What
    /// follows a batch on disk goes there too, since its turn comes later still, and
    /// waits outside while the disk takes nothing: in memory it would be in the way of
    /// the one before it.
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
                // One that is not waited for must not stay in line.
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

    /// A stream has been retired by who served it.
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

    /// Have a stream end once its records are delivered. The next batch of its name
    /// begins another one.
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
