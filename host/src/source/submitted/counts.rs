//! Counters of events that a program handed in, and their report; what was accepted adds up.

use prometheus_client::metrics::counter::Counter;

use super::Refused;
use standpipe_core::event::EventOutcome;

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

/// What the report is made of. An event is counted before its result is sent.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: Counter,
    delivered: Counter,
    filtered: Counter,
    dead: Counter,
    pub(super) abandoned: Counter,
    refused_full: Counter,
    refused_closed: Counter,
}

impl Counts {
    /// The counter of events that ended so.
    pub(super) fn of_ended(&self, ended: EventOutcome) -> &Counter {
        match ended {
            EventOutcome::Delivered => &self.delivered,
            EventOutcome::Filtered => &self.filtered,
            EventOutcome::Dead(_) => &self.dead,
        }
    }

    /// The counter of events that were not accepted for this reason.
    pub(super) fn of_refused(&self, refused: &Refused) -> &Counter {
        match refused {
            Refused::Full(_) => &self.refused_full,
            Refused::Closed(_) => &self.refused_closed,
        }
    }

    pub(super) fn report(&self) -> SubmitReport {
        let mut report = SubmitReport {
            delivered: self.delivered.get(),
            filtered: self.filtered.get(),
            dead: self.dead.get(),
            abandoned: self.abandoned.get(),
            refused_full: self.refused_full.get(),
            refused_closed: self.refused_closed.get(),
            ..SubmitReport::default()
        };
        // Read last, so that no event is settled that has not been accepted.
        report.accepted = self.accepted.get();
        let settled = report.delivered + report.filtered + report.dead + report.abandoned;
        report.unsettled = report.accepted.saturating_sub(settled) as usize;
        report
    }
}
