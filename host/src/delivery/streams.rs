use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::attempt::Attempts;
use super::describer::Describer;
use super::lane::Lane;
use super::overflow::{Overflow, Stored};
use super::room::{Room, Share};
use super::sender::Sender;
use super::stream::{Stream, StreamReport};
use super::waiting::{Parcel, Pending, Tries, Waiting};
use super::{Batch, Identity, Outbox, Pack, Ports, StartRate, StreamSettings};
use crate::dead::Letters;
use crate::event::StreamName;
use crate::limits;

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
}

/// All delivery streams of a run, and the tasks that write to them.
#[derive(Clone)]
pub struct Delivery(Arc<Shared>);

struct Shared {
    attempts: Arc<Attempts>,
    ports: Ports,
    /// For each identity: quotas are the account's.
    describers: Vec<Describer>,
    settings: DeliverySettings,
    runtime: Handle,
    room: Arc<Room>,
    overflow: Arc<Overflow>,
    streams: Mutex<BTreeMap<(Identity, StreamName), Served>>,
}

/// How long a batch waits for memory before it goes to the disk: long enough
/// that a stream that keeps up with the others needs none.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where a batch is until its turn comes.
enum Place {
    Memory(Share),
    Disk(Stored),
}

/// A stream, and the task that writes to it.
struct Served {
    stream: Arc<Stream>,
    /// None once somebody waits for it.
    task: Option<JoinHandle<()>>,
}

impl Delivery {
    /// Deliver through these ports; the work is done on this runtime.
    pub fn new(
        ports: Ports,
        settings: DeliverySettings,
        letters: Arc<Letters>,
        runtime: Handle,
    ) -> Self {
        let describers = ports.each().map(|port| Describer::new(Arc::clone(port), runtime.clone()));
        let describers = describers.collect();
        let attempts = Arc::new(Attempts {
            letters,
            missing_stream_grace: settings.missing_stream_grace,
            give_up: watch::Sender::new(false),
        });
        let directory = settings.overflow_directory.clone();
        let overflow = Overflow::new(directory, settings.overflow_bytes_max);
        let room = Room::new(settings.in_flight_bytes_max);
        let streams = Mutex::default();
        Delivery(Arc::new(Shared {
            attempts,
            ports,
            describers,
            settings,
            runtime,
            room,
            overflow,
            streams,
        }))
    }

    pub(super) fn request_bytes_enough(&self) -> usize {
        self.0.settings.request_bytes_enough
    }

    /// An outbox for one worker.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.clone(), self.0.settings.max_delay)
    }

    /// Stop waiting: what is not delivered at this moment goes to the dead
    /// letters.
    pub fn give_up(&self) {
        self.0.attempts.give_up.send_replace(true);
    }

    /// Wait until everything has been delivered, or given up. No outbox may be
    /// in use any more.
    pub async fn drain(&self) {
        let tasks: Vec<_> = {
            let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams
                .values_mut()
                .filter_map(|served| {
                    served.stream.close();
                    served.task.take()
                })
                .collect()
        };
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!("a stream's task failed: {error}");
            }
        }
    }

    /// What has been delivered so far, by the stream's name; that of another
    /// identity than the default one stands behind it.
    pub fn report(&self) -> BTreeMap<String, StreamReport> {
        let streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let label = |identity, name: &StreamName| self.0.ports.label(identity, name.as_str());
        let reports = streams.iter();
        reports
            .map(|((identity, name), served)| (label(*identity, name), served.stream.report()))
            .collect()
    }

    pub(super) fn stream(&self, identity: Identity, name: &StreamName) -> Arc<Stream> {
        let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (identity, name.clone());
        if let Some(served) = streams.get(&key) {
            return Arc::clone(&served.stream);
        }
        let settings = self.0.settings.streams.get(name).copied().unwrap_or(self.0.settings.stream);
        let (parcels, queue) = unbounded_channel();
        let port = Arc::clone(self.0.ports.of(identity));
        let stream = Arc::new(Stream::new(name.clone(), port, settings, parcels));
        if settings.pack == Pack::Auto {
            self.0.describers[identity.place()].watch(name.clone(), Arc::clone(&stream.packing));
        }
        let sender = Sender {
            stream: Arc::clone(&stream),
            attempts: Arc::clone(&self.0.attempts),
            room: Arc::clone(&self.0.room),
            overflow: Arc::clone(&self.0.overflow),
            lane: Lane::new(self.0.settings.start_rate, settings.concurrency),
            waiting: Waiting::default(),
            under_way: JoinSet::new(),
            loading: None,
        };
        let task = sender.serve(queue);
        let task = Some(self.0.runtime.spawn(task));
        streams.insert(key, Served { stream: Arc::clone(&stream), task });
        stream
    }

    /// Hand a batch over, and block the thread while too much is in flight: not to
    /// be called on the runtime's threads.
    pub(super) fn submit_blocking(&self, stream: &Stream, batch: Batch) {
        let mut submission = pin!(self.submit(stream, batch));
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
    pub(super) async fn submit(&self, stream: &Stream, batch: Batch) {
        let tries = Tries::default();
        let parcel = match self.admit(stream, &batch).await {
            Some(Place::Memory(share)) => {
                Parcel::Held(Pending { batch: Arc::new(batch), share, tries })
            }
            Some(Place::Disk(stored)) => Parcel::Stored(stored, tries),
            None => return self.0.attempts.bury_given_up(stream, &batch, tries),
        };
        // Nobody serves the stream once the run has given up.
        match stream.send(parcel) {
            Ok(()) => {}
            Err(Parcel::Held(Pending { batch, .. })) => {
                self.0.attempts.bury_given_up(stream, &batch, tries);
            }
            Err(Parcel::Stored(stored, _)) => match stored.load() {
                Ok(batch) => self.0.attempts.bury_given_up(stream, &batch, tries),
                Err(error) => stream.mention_unread(&error),
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
    async fn admit(&self, stream: &Stream, batch: &Batch) -> Option<Place> {
        let Shared { room, overflow, attempts, .. } = &*self.0;
        if *attempts.give_up.borrow() {
            return None;
        }
        let is_behind = || stream.is_held() || !stream.backlog.is_empty();
        let bytes = batch.held_bytes();
        if !is_behind()
            && let Some(share) = room.try_take(&stream.taken, bytes)
        {
            return Some(Place::Memory(share));
        }
        let patient_until = Instant::now() + PATIENCE;
        let mut share = pin!(room.take(&stream.taken, bytes));
        let mut given_up = pin!(attempts.given_up());
        loop {
            let freed = overflow.freed();
            let is_patient = Instant::now() < patient_until;
            let may_store = is_behind() || !is_patient && !self.is_only_stream();
            if may_store && let Ok(stored) = overflow.store(&stream.backlog, batch) {
                stream.counts.overflowed.fetch_add(stored.events() as u64, Ordering::Relaxed);
                return Some(Place::Disk(stored));
            }
            let may_take = stream.backlog.is_empty();
            if !may_take {
                // One that is not waited for must not stay in line.
                share.set(room.take(&stream.taken, bytes));
            }
            let look_again = match is_patient {
                true => patient_until,
                false => Instant::now() + limits::OVERFLOW_RETRY,
            };
            tokio::select! {
                biased;
                () = &mut given_up => return None,
                share = &mut share, if may_take => return Some(Place::Memory(share)),
                () = freed, if may_store => {}
                () = sleep_until(look_again) => {}
            }
        }
    }

    fn is_only_stream(&self) -> bool {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner).len() == 1
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
