//! Counters of submitted events, and a consistent snapshot of them.

use prometheus_client::metrics::counter::Counter;

use super::TrySubmitError;
use standpipe_core::event::EventOutcome;

/// The numbers of submitted events, and their outcomes.
///
/// `accepted` is the sum of `delivered`, `filtered`, `dead`, `abandoned` and
/// `unsettled`. Once an event's [`OutcomeFuture`](super::OutcomeFuture) resolves,
/// the event is counted under that outcome and no longer as unsettled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SubmissionStats {
    /// Events accepted.
    pub accepted: u64,
    /// Events whose records were all accepted by their delivery streams.
    pub delivered: u64,
    /// Events without an output of the plugin.
    pub filtered: u64,
    /// Events that became dead letters.
    pub dead: u64,
    /// Events that were abandoned without a dead letter.
    pub abandoned: u64,
    /// Events that were not accepted because the limits were reached.
    pub refused_full: u64,
    /// Events that were not accepted because the host drained or had stopped.
    pub refused_closed: u64,
    /// Events that wait for a worker.
    pub queued: usize,
    /// Bytes of events that wait for a worker, including those reserved for the next event.
    pub queued_bytes: usize,
    /// Accepted events that are not settled, including those that wait for a worker.
    pub unsettled: usize,
    /// Dead letters of the host that wait to be written, including those of events from SDKs.
    pub dead_letters_waiting: u64,
    /// Whether writing dead letters fails now. Writing is retried, and the events wait. If too many
    /// wait, delivery pauses. The log contains the reason.
    pub dead_letters_failing: bool,
}

/// Counts submitted events. An event is counted before its outcome is sent.
#[derive(Debug, Default)]
pub(super) struct SubmissionCounters {
    pub(super) accepted: Counter,
    delivered: Counter,
    filtered: Counter,
    dead: Counter,
    pub(super) abandoned: Counter,
    refused_full: Counter,
    refused_closed: Counter,
}

impl SubmissionCounters {
    /// Returns the counter of events with this outcome.
    pub(super) fn of_outcome(&self, outcome: EventOutcome) -> &Counter {
        match outcome {
            EventOutcome::Delivered => &self.delivered,
            EventOutcome::Filtered => &self.filtered,
            EventOutcome::DeadLettered(_) => &self.dead,
        }
    }

    /// Returns the counter of events that were not accepted for this reason.
    pub(super) fn of_refused(&self, refused: &TrySubmitError) -> &Counter {
        match refused {
            TrySubmitError::Full(_) => &self.refused_full,
            TrySubmitError::Closed(_) => &self.refused_closed,
        }
    }

    pub(super) fn snapshot(&self) -> SubmissionStats {
        let mut stats = SubmissionStats {
            delivered: self.delivered.get(),
            filtered: self.filtered.get(),
            dead: self.dead.get(),
            abandoned: self.abandoned.get(),
            refused_full: self.refused_full.get(),
            refused_closed: self.refused_closed.get(),
            ..SubmissionStats::default()
        };
        // Read last, so that every settled event also counts as accepted.
        stats.accepted = self.accepted.get();
        let settled = stats.delivered + stats.filtered + stats.dead + stats.abandoned;
        stats.unsettled = stats.accepted.saturating_sub(settled) as usize;
        stats
    }
}
