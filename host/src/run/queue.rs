//! The queue as a part of a run: threads publish chunks to it in place of the workers, and a source receives chunks
//! from it.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver as Chunks, Sender as Buffers};
use tokio::runtime::Handle;

use super::fleet::JoinedFleet;
use super::patience::patiently;
use super::{QueueSummary, RunError};
use crate::config::QueueSettings;
use crate::pipeline::ChunkPublisher;
use crate::source::{Chunker, QueueReader};
use crate::stop::StopTokens;
use standpipe_aws::OnUnreachable;
use standpipe_core::event::{Chunk, SourceNames};
use standpipe_core::secret::SecretResolver;
use standpipe_delivery::dead_letters::DeadLetterWriter;
use standpipe_queue::{
    EventDeduplicator, Gate, MessagePublisher, MessageReceiver, MessageReceiverStatus, Queue,
    QueueMonitor, ReceiverTasks, connect_queue,
};

/// The connection of a run to its queue.
pub(super) struct ConnectedQueue {
    queue: Arc<dyn Queue>,
    settings: QueueSettings,
    publisher: Option<MessagePublisher>,
    /// Closed while this host does not have the rules of its fleet.
    gate: Gate,
}

/// The queue of a run that has started.
pub(super) struct RunningQueue {
    pub(super) monitor: QueueMonitor,
    receiver_tasks: Option<ReceiverTasks>,
}

impl ConnectedQueue {
    /// Connects to the queue of the settings, which may not respond yet.
    pub(super) async fn connect(
        settings: QueueSettings,
        secrets: &Arc<dyn SecretResolver>,
        unreached: OnUnreachable,
        stop: &StopTokens,
        runtime: &Handle,
    ) -> Result<Self, RunError> {
        let name = format!("{:016x}", fastrand::u64(..));
        let connect = || connect_queue(&settings, &name, secrets, unreached);
        let queue = patiently!(unreached, connect().await.map_err(RunError::from));
        let publisher = match settings.is_collector() {
            true => {
                let abort = stop.delivery_abort.child_token();
                Some(MessagePublisher::start(Arc::clone(&queue), name, abort, runtime).await)
            }
            false => None,
        };
        Ok(ConnectedQueue { queue, settings, publisher, gate: Gate::open() })
    }

    /// Takes no messages while this host does not have the rules of its fleet.
    pub(super) fn wait_for_fleet(&mut self, fleet: &JoinedFleet) {
        self.gate = fleet.gate();
    }

    /// Spawns the threads that publish chunks. The process must be a collector.
    pub(super) fn spawn_publishers(
        &self,
        threads: usize,
        (chunks, buffers): (Chunks<Chunk>, Buffers<Vec<u8>>),
        dead_letters: &Arc<DeadLetterWriter>,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        let publisher = self.publisher.clone().expect("only a collector publishes");
        let (dead_letters, max_delay) = (Arc::clone(dead_letters), self.settings.max_delay);
        let chunk_publisher =
            ChunkPublisher { chunks, buffers, publisher, max_delay, dead_letters };
        let spawn = |number| {
            let chunk_publisher = chunk_publisher.clone();
            let thread = thread::Builder::new().name(format!("publisher-{number}"));
            thread.spawn(|| chunk_publisher.run())
        };
        (0..threads).map(spawn).collect()
    }

    /// Starts to receive, if there is a chunker for received chunks. Returns the thread that makes the chunks.
    pub(super) fn start(
        self,
        chunker: Option<Chunker>,
        sources: Arc<ArcSwap<SourceNames>>,
        stop: &StopTokens,
        runtime: &Handle,
    ) -> io::Result<(RunningQueue, Option<JoinHandle<()>>)> {
        let ConnectedQueue { queue, settings, publisher, gate } = self;
        let (mut receiver, mut receiver_tasks, mut reader, mut deduplicator) =
            (None, None, None, None);
        if let Some(chunker) = chunker {
            let intake_stop = stop.intake_stop.child_token();
            let (started, messages, tasks) = MessageReceiver::start(
                Arc::clone(&queue),
                settings.prefetch,
                gate,
                intake_stop.clone(),
                runtime,
            );
            let window = settings.deduplication_window;
            deduplicator = window.map(|window| Arc::new(EventDeduplicator::new(window)));
            let source = QueueReader::new(messages, sources, deduplicator.clone());
            reader = Some(chunker.spawn("queue-reader", source, intake_stop)?);
            (receiver, receiver_tasks) = (Some(started), Some(tasks));
        }
        let monitor =
            QueueMonitor::new(queue, publisher, receiver, deduplicator, settings.has_spool());
        runtime.spawn(monitor.clone().watch(stop.intake_stop.child_token()));
        Ok((RunningQueue { monitor, receiver_tasks }, reader))
    }
}

impl RunningQueue {
    pub(super) fn summary(&self) -> QueueSummary {
        let QueueMonitor { publisher, receiver, deduplicator, .. } = &self.monitor;
        let publisher = publisher.as_ref().map(MessagePublisher::status).unwrap_or_default();
        let MessageReceiverStatus { received, redelivered, duplicates, .. } =
            receiver.as_ref().map(MessageReceiver::status).unwrap_or_default();
        QueueSummary {
            is_mapper: receiver.is_some(),
            published: publisher.published,
            republished: publisher.republished,
            received,
            redelivered,
            duplicates,
            duplicate_events: deduplicator.as_ref().map_or(0, |events| events.duplicates()),
        }
    }

    /// Waits until all messages are published and confirmed, or the run is aborted.
    pub(super) async fn drain(&self) {
        if let Some(publisher) = &self.monitor.publisher {
            publisher.drain().await;
        }
    }

    /// Waits until all received messages are acknowledged or returned to the queue.
    pub(super) async fn finish(&mut self) {
        if let Some(tasks) = self.receiver_tasks.take() {
            tasks.finish().await;
        }
    }
}
