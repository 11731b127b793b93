//! What a run shows of its queue: metrics, and problems for readiness.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::{EventDeduplicator, MessagePublisher, MessageReceiver, Queue, QueueStatus, limits};
use standpipe_core::metrics;

/// The queue of a run. Clones are the same monitor.
#[derive(Debug, Clone)]
pub struct QueueMonitor {
    /// Publishes events, if this process is a collector.
    pub publisher: Option<MessagePublisher>,
    /// Receives events, if this process is a mapper.
    pub receiver: Option<MessageReceiver>,
    /// Recognizes events that this process has processed, if the settings say so.
    pub deduplicator: Option<Arc<EventDeduplicator>>,
    queue: Arc<dyn Queue>,
    has_spool: bool,
    /// What the queue contained when it was last asked.
    status: Arc<Mutex<Option<QueueStatus>>>,
}

impl QueueMonitor {
    /// Creates a monitor. [`QueueMonitor::watch`] keeps its status current.
    pub fn new(
        queue: Arc<dyn Queue>,
        publisher: Option<MessagePublisher>,
        receiver: Option<MessageReceiver>,
        deduplicator: Option<Arc<EventDeduplicator>>,
        has_spool: bool,
    ) -> Self {
        QueueMonitor { publisher, receiver, deduplicator, queue, has_spool, status: Arc::default() }
    }

    /// Reads the status of the queue at intervals until `stop` is cancelled.
    pub async fn watch(self, stop: CancellationToken) {
        loop {
            // A failure shows in the requests that publish and receive.
            let status = self.queue.status().await.ok();
            *self.status.lock() = status;
            let pause = tokio::time::sleep(limits::STATUS_INTERVAL);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Returns why the process cannot work, if requests have failed for some time. A mapper without its queue has
    /// nothing to do, and a collector without a spool accepts no events.
    pub fn problem(&self) -> Option<String> {
        let receiving = self.receiver.as_ref().and_then(MessageReceiver::problem);
        receiving.or_else(|| self.publishing_problem().filter(|_| !self.has_spool))
    }

    /// Returns why events wait in the spool, if requests have failed for some time.
    pub fn spool_problem(&self) -> Option<String> {
        self.publishing_problem().filter(|_| self.has_spool)
    }

    fn publishing_problem(&self) -> Option<String> {
        self.publisher.as_ref().and_then(MessagePublisher::problem)
    }

    /// Registers the metrics of the queue.
    pub fn register_metrics(&self, registry: &mut Registry) {
        if let Some(publisher) = &self.publisher {
            publisher.register_metrics(registry);
        }
        if let Some(receiver) = &self.receiver {
            receiver.register_metrics(registry);
        }
        if let Some(deduplicator) = &self.deduplicator {
            Arc::clone(deduplicator).register_metrics(registry);
        }
        let (queue, status) = (Arc::clone(&self.queue), Arc::clone(&self.status));
        metrics::register(registry, move |page| {
            let requests = queue.requests();
            if !requests.is_empty() {
                let sent =
                    requests.iter().map(|(name, count)| ([("operation", *name)], count.sent));
                let help = "Requests to the queue, by operation";
                page.counters("queue_requests", help, sent)?;
                let billed = requests.iter();
                let billed = billed.map(|(name, count)| ([("operation", *name)], count.billed));
                let help = "Requests to the queue as they are billed, by operation";
                page.counters("queue_billed_requests", help, billed)?;
            }
            let Some(QueueStatus { waiting, unacknowledged, bytes, oldest_age }) = *status.lock()
            else {
                return Ok(());
            };
            let help = "Messages in the queue that no mapper has received";
            page.gauge("queue_waiting_messages", help, waiting as f64)?;
            let help = "Messages in the queue that mappers have received and not acknowledged";
            page.gauge("queue_unacknowledged_messages", help, unacknowledged as f64)?;
            if let Some(bytes) = bytes {
                let help = "Bytes of all messages in the queue";
                page.gauge("queue_bytes", help, bytes as f64)?;
            }
            if let Some(age) = oldest_age {
                let help = "Age of the oldest message in the queue";
                page.gauge("queue_oldest_message_seconds", help, age.as_secs_f64())?;
            }
            Ok(())
        });
    }
}
