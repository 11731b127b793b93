use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::backoff;
use super::port::{RequestError, verdict_of_code};
use super::stream::{Parcel, Stream};
use super::{Answer, Batch, Firehose, Outbox, Refusal, StreamSettings, Verdict};
use crate::dead::{Letter, Letters, Reason};
use crate::event::{Outcome, StreamName};
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
    /// How long an event may wait in an open batch.
    pub max_delay: Duration,
}

/// What went to a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// Events in accepted records.
    pub events: u64,
    /// Accepted records.
    pub records: u64,
    /// Bytes of accepted records, before base64.
    pub bytes: u64,
    /// Requests, answered or not.
    pub requests: u64,
    /// Records that were sent again, each time counted.
    pub retries: u64,
    /// Records that were sent again after a request whose answer was lost or
    /// was a fault of the service: what may have been written twice.
    pub ambiguous: u64,
    /// What is wrong with the stream, if it was at last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// All delivery streams of a run, and the tasks that write to them.
#[derive(Clone)]
pub struct Delivery(Arc<Shared>);

struct Shared {
    port: Arc<dyn Firehose>,
    settings: DeliverySettings,
    letters: Arc<Letters>,
    runtime: Handle,
    in_flight: Arc<Semaphore>,
    streams: Mutex<BTreeMap<StreamName, Served>>,
    give_up: watch::Sender<bool>,
}

/// A stream, and the task that writes to it.
struct Served {
    stream: Arc<Stream>,
    /// None once somebody waits for it.
    task: Option<JoinHandle<()>>,
}

/// Units of the in-flight budget, so that it fits a semaphore's `u32`.
const SHARE_BYTES: usize = 1024;

impl Delivery {
    /// Deliver through this port; the work is done on this runtime.
    pub fn new(
        port: Arc<dyn Firehose>,
        settings: DeliverySettings,
        letters: Arc<Letters>,
        runtime: Handle,
    ) -> Self {
        let in_flight = Arc::new(Semaphore::new(limits::IN_FLIGHT_BYTES_MAX / SHARE_BYTES));
        let (streams, give_up) = (Mutex::default(), watch::Sender::new(false));
        Delivery(Arc::new(Shared { port, settings, letters, runtime, in_flight, streams, give_up }))
    }

    /// An outbox for one worker.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.clone(), self.0.settings.max_delay)
    }

    /// Stop waiting: what is not delivered at this moment is dropped, and counts
    /// as not delivered.
    pub fn give_up(&self) {
        self.0.give_up.send_replace(true);
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

    /// What has been delivered so far.
    pub fn report(&self) -> BTreeMap<StreamName, StreamReport> {
        let streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.iter().map(|(name, served)| (name.clone(), served.stream.report())).collect()
    }

    pub(super) fn stream(&self, name: &StreamName) -> Arc<Stream> {
        let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(served) = streams.get(name) {
            return Arc::clone(&served.stream);
        }
        let settings = self.0.settings.streams.get(name).copied().unwrap_or(self.0.settings.stream);
        let (sender, receiver) = unbounded_channel();
        let stream = Arc::new(Stream::new(name.clone(), settings, sender));
        let task = Arc::clone(&self.0).serve(Arc::clone(&stream), receiver);
        let task = Some(self.0.runtime.spawn(task));
        streams.insert(name.clone(), Served { stream: Arc::clone(&stream), task });
        stream
    }

    /// Hand a batch over. Blocks while too much is in flight, so it must not be
    /// called on the runtime's threads.
    pub(super) fn submit(&self, stream: &Stream, batch: Batch) {
        let shares = batch.held_bytes().div_ceil(SHARE_BYTES);
        let shares = u32::try_from(shares).expect("a batch is smaller than the budget");
        let wanted = Arc::clone(&self.0.in_flight).acquire_many_owned(shares);
        let mut given_up = self.0.give_up.subscribe();
        let share = self.0.runtime.block_on(async {
            tokio::select! {
                share = wanted => share.ok(),
                _ = given_up.wait_for(|&given_up| given_up) => None,
            }
        });
        if let Some(share) = share {
            stream.send(Parcel { batch, _share: share });
        }
    }
}

impl Shared {
    /// Write a stream's batches, some at once, until its queue is closed and
    /// empty.
    async fn serve(self: Arc<Self>, stream: Arc<Stream>, mut queue: UnboundedReceiver<Parcel>) {
        let mut under_way = JoinSet::new();
        let mut open = true;
        while open || !under_way.is_empty() {
            tokio::select! {
                parcel = queue.recv(), if open && under_way.len() < stream.settings.concurrency => {
                    match parcel {
                        Some(parcel) => {
                            let deliver = Arc::clone(&self).deliver_or_give_up(Arc::clone(&stream), parcel);
                            under_way.spawn(deliver);
                        }
                        None => open = false,
                    }
                }
                Some(done) = under_way.join_next() => {
                    if let Err(error) = done {
                        tracing::error!(stream = %stream.name, "a delivery failed: {error}");
                    }
                }
            }
        }
    }

    async fn deliver_or_give_up(self: Arc<Self>, stream: Arc<Stream>, parcel: Parcel) {
        let mut given_up = self.give_up.subscribe();
        tokio::select! {
            () = self.deliver(&stream, parcel.batch) => {}
            _ = given_up.wait_for(|&given_up| given_up) => {}
        }
    }

    /// Send a batch, and what is left of it, until nothing is.
    async fn deliver(&self, stream: &Stream, batch: Batch) {
        let mut pending = vec![(Arc::new(batch), 0)];
        while let Some((batch, attempts)) = pending.pop() {
            if attempts > 0 {
                tokio::time::sleep(backoff::pause(attempts)).await;
                add(&stream.counts.retries, batch.len());
            }
            add(&stream.counts.requests, 1);
            let attempts = attempts + 1;
            match self.port.put_record_batch(&stream.name, Arc::clone(&batch)).await {
                Ok(answer) => {
                    stream.recovered();
                    if let Some(rest) = self.take_answer(stream, &batch, &answer, attempts) {
                        pending.push((Arc::new(rest), attempts));
                    }
                }
                Err(error) => pending.extend(self.take_error(stream, &batch, &error, attempts)),
            }
        }
    }

    /// Settle what was accepted; what was refused comes back, to be sent again.
    fn take_answer(
        &self,
        stream: &Stream,
        batch: &Batch,
        answer: &Answer,
        attempts: u32,
    ) -> Option<Batch> {
        let refused = &answer.refused;
        let is_refused = |record| refused.binary_search_by_key(&record, |(at, _)| *at).is_ok();
        let accepted = (0..batch.len()).filter(|&record| refused.is_empty() || !is_refused(record));
        let bytes = accepted.clone().map(|record| batch.payload(record).len()).sum();
        let records = batch.len() - refused.len();
        add(&stream.counts.events, records);
        add(&stream.counts.records, records);
        add(&stream.counts.bytes, bytes);
        if refused.is_empty() {
            batch.settle(|_| Some(Outcome::Delivered));
            return None;
        }
        batch.settle(|record| (!is_refused(record)).then_some(Outcome::Delivered));

        let is_final = |refusal: &Refusal| verdict_of_code(&refusal.code) == Verdict::Invalid;
        let (dead, again): (Vec<_>, Vec<_>) =
            refused.iter().partition(|(_, refusal)| is_final(refusal));
        for (record, refusal) in dead {
            let detail = format!("{}: {}", refusal.code, refusal.message);
            self.bury(stream, batch, *record, Reason::RecordRefused, &detail, attempts);
        }
        let again: Vec<usize> = again.iter().map(|(record, _)| *record).collect();
        (!again.is_empty()).then(|| batch.select(again))
    }

    /// What of a request that failed as a whole is to be sent again, and after
    /// how many attempts.
    fn take_error(
        &self,
        stream: &Stream,
        batch: &Arc<Batch>,
        error: &RequestError,
        attempts: u32,
    ) -> Vec<(Arc<Batch>, u32)> {
        match error.verdict {
            Verdict::Retry | Verdict::Hold => stream.mention(&error.to_string()),
            Verdict::RetryAmbiguous => {
                stream.mention(&error.to_string());
                add(&stream.counts.ambiguous, batch.len());
            }
            Verdict::Missing => {
                if stream.missing_for() >= self.settings.missing_stream_grace {
                    self.bury_all(stream, batch, Reason::StreamNotFound, error, attempts);
                    return Vec::new();
                }
                stream.mention(&error.to_string());
            }
            Verdict::Invalid if batch.len() == 1 => {
                self.bury_all(stream, batch, Reason::RecordRefused, error, attempts);
                return Vec::new();
            }
            Verdict::Invalid => {
                let middle = batch.len() / 2;
                let halves = [0..middle, middle..batch.len()];
                return halves.map(|half| (Arc::new(batch.select(half)), 0)).into();
            }
        }
        vec![(Arc::clone(batch), attempts)]
    }

    fn bury_all(
        &self,
        stream: &Stream,
        batch: &Batch,
        reason: Reason,
        error: &RequestError,
        attempts: u32,
    ) {
        let detail = error.to_string();
        for record in 0..batch.len() {
            self.bury(stream, batch, record, reason, &detail, attempts);
        }
    }

    /// Write a dead letter. An event whose letter cannot be written stays
    /// unsettled, and so counts as not delivered.
    fn bury(
        &self,
        stream: &Stream,
        batch: &Batch,
        record: usize,
        reason: Reason,
        detail: &str,
        attempts: u32,
    ) {
        let provenance = batch.provenance(record);
        let letter = Letter {
            stream: Some(stream.name.as_str()),
            plugin: &provenance.plugin,
            attempts,
            ..Letter::of_line(
                reason,
                detail,
                provenance.ack.source(),
                batch.line(record),
                batch.text(record),
            )
        };
        if self.letters.write(&letter).is_ok() {
            batch.settle(|other| (other == record).then_some(Outcome::Dead));
        }
    }
}

fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
