//! Counters of events that a program handed in, and their report; what was accepted adds up.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Refused;
use standpipe_core::event::Ended;

/// What became of the events that were handed in.
///
/// `accepted` is the sum of `delivered`, `filtered`, `dead`, `abandoned` and
/// `unsettled`. Once the result of an event is known to whoever submitted it, the event is
/// counted under that result and no longer as unsettled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SubmitReport {
    /// Events accepted.
    pub accepted: u64,
    /// Events of which every record was accepted by its stream.
    pub delivered: u64,
    /// Events that the plugin had no output for.
    pub filtered: u64,
    /// Events in the dead letters.
    pub dead: u64,
    /// Events given up without a trace.
    pub abandoned: u64,
    /// Events that were not accepted for want of room.
    pub refused_full: u64,
    /// Events that were not accepted since the host was draining or had stopped.
    pub refused_closed: u64,
    /// Events that wait for a worker.
    pub queued: usize,
    /// The room that is taken by events that wait for a worker, or is kept for one
    /// whose turn it is to be let in, in bytes.
    pub queued_bytes: usize,
    /// Events that have been accepted and are not settled; those that wait for a
    /// worker are among them.
    pub unsettled: usize,
    /// Dead letters of the host that wait to be written; those of events that SDKs sent
    /// are among them.
    pub dead_letters_waiting: u64,
    /// Whether dead letters cannot be written at present. They are tried again, and
    /// their events wait; once too many wait, nothing goes on. The log says why.
    pub dead_letters_failing: bool,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    accepted: AtomicU64,
    delivered: AtomicU64,
    filtered: AtomicU64,
    dead: AtomicU64,
    abandoned: AtomicU64,
    refused_full: AtomicU64,
    refused_closed: AtomicU64,
}

impl Counts {
    pub(super) fn add_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_abandoned(&self, events: usize) {
        self.abandoned.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(super) fn add_ended(&self, ended: Ended) {
        let count = match ended {
            Ended::Delivered => &self.delivered,
            Ended::Filtered => &self.filtered,
            Ended::Dead(_) => &self.dead,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_refused(&self, refused: &Refused) {
        let count = match refused {
            Refused::Full(_) => &self.refused_full,
            Refused::Closed(_) => &self.refused_closed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self) -> SubmitReport {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let delivered = load(&self.delivered);
        let filtered = load(&self.filtered);
        let dead = load(&self.dead);
        let abandoned = load(&self.abandoned);
        // Read last, so that no event is settled that has not been accepted.
        let accepted = load(&self.accepted);
        let unsettled = accepted.saturating_sub(delivered + filtered + dead + abandoned);
        SubmitReport {
            accepted,
            delivered,
            filtered,
            dead,
            abandoned,
            unsettled: usize::try_from(unsettled).unwrap_or(usize::MAX),
            refused_full: load(&self.refused_full),
            refused_closed: load(&self.refused_closed),
            ..SubmitReport::default()
        }
    }
}
