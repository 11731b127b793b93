use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::sender::Sender;
use super::stream::{Parcel, SHARE_BYTES, Stream, StreamReport, shares};
use super::{Batch, Firehose, Outbox, StartRate, StreamSettings};
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
}

/// All delivery streams of a run, and the tasks that write to them.
#[derive(Clone)]
pub struct Delivery(Arc<Shared>);

struct Shared {
    sender: Arc<Sender>,
    settings: DeliverySettings,
    runtime: Handle,
    in_flight: Arc<Semaphore>,
    streams: Mutex<BTreeMap<StreamName, Served>>,
}

/// A stream, and the task that writes to it.
struct Served {
    stream: Arc<Stream>,
    /// None once somebody waits for it.
    task: Option<JoinHandle<()>>,
}

impl Delivery {
    /// Deliver through this port; the work is done on this runtime.
    pub fn new(
        port: Arc<dyn Firehose>,
        settings: DeliverySettings,
        letters: Arc<Letters>,
        runtime: Handle,
    ) -> Self {
        let in_flight = Arc::new(Semaphore::new(limits::IN_FLIGHT_BYTES_MAX / SHARE_BYTES));
        let sender = Arc::new(Sender {
            port,
            letters,
            missing_stream_grace: settings.missing_stream_grace,
            give_up: watch::Sender::new(false),
        });
        Delivery(Arc::new(Shared {
            sender,
            settings,
            runtime,
            in_flight,
            streams: Mutex::default(),
        }))
    }

    /// An outbox for one worker.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.clone(), self.0.settings.max_delay)
    }

    /// Stop waiting: what is not delivered at this moment is dropped, and counts
    /// as not delivered.
    pub fn give_up(&self) {
        self.0.sender.give_up.send_replace(true);
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
        let stream =
            Arc::new(Stream::new(name.clone(), settings, self.0.settings.start_rate, sender));
        let task = Arc::clone(&self.0.sender).serve(Arc::clone(&stream), receiver);
        let task = Some(self.0.runtime.spawn(task));
        streams.insert(name.clone(), Served { stream: Arc::clone(&stream), task });
        stream
    }

    /// Hand a batch over. Blocks while too much is in flight, so it must not be
    /// called on the runtime's threads.
    pub(super) fn submit(&self, stream: &Stream, batch: Batch) {
        let shares = u32::try_from(shares(&batch)).expect("a batch is smaller than the budget");
        let wanted = Arc::clone(&self.0.in_flight).acquire_many_owned(shares);
        let mut given_up = self.0.sender.give_up.subscribe();
        let share = self.0.runtime.block_on(async {
            tokio::select! {
                share = wanted => share.ok(),
                _ = given_up.wait_for(|&given_up| given_up) => None,
            }
        });
        if let Some(share) = share {
            stream.send(Parcel { batch, share });
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
