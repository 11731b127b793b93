//! Decides when the next request to a stream may be sent: by the pacer while the stream is healthy,
//! and by single tests with growing pauses while it is held.

use std::time::Duration;

use tokio::time::Instant;

use super::Batch;
use super::pacer::{Feedback, Pacer, StartRate};
use crate::limits;

/// Maximum number of attempts that count for the pause after Firehose has named a record as invalid
/// on a stream that accepts none. The pause is then 800 ms, so that a few faulty records do not
/// delay the others behind them for long.
const REFUSED_BY_NAME_ATTEMPTS: u32 = 3;

/// The requests to one stream: the pacer determines their rate, and only one is sent at a time
/// while the stream is held.
#[derive(Debug)]
pub(super) struct Lane {
    started: Instant,
    pacer: Pacer,
    hold: Option<Hold>,
}

/// Nothing can be written until an operator acts. The stream is tested from time to time.
#[derive(Debug, Clone, Copy)]
struct Hold {
    attempts: u32,
    until: Instant,
    /// Whether the request that tests the stream is in flight.
    is_probed: bool,
}

impl Lane {
    pub(super) fn new(start: StartRate, window_max: usize) -> Self {
        let pacer = Pacer::new(start, window_max, Duration::ZERO);
        Lane { started: Instant::now(), pacer, hold: None }
    }

    /// When the next request may be sent, or `None` if a response must arrive first.
    pub(super) fn next(&mut self, now: Instant) -> Option<Instant> {
        let held_until = match self.hold {
            Some(Hold { is_probed: true, .. }) => return None,
            Some(hold) => hold.until,
            None => now,
        };
        let paced = self.started + self.pacer.next_send(now - self.started)?;
        Some(paced.max(held_until))
    }

    /// Records that a request was sent. [`Lane::learn`] or [`Lane::request_lost`] must follow.
    pub(super) fn sent(&mut self, now: Instant, batch: &Batch) {
        self.pacer.sent(now - self.started, batch.len(), batch.payload_bytes());
        if let Some(hold) = &mut self.hold {
            hold.is_probed = true;
        }
    }

    /// Processes the outcome of the request that was sent at `sent`.
    pub(super) fn learn(&mut self, sent: Instant, feedback: Feedback) {
        let feedback = match feedback {
            // The request was not accepted, so a held stream stays held.
            Feedback::Refused { .. } if self.hold.is_some() => Feedback::Held,
            feedback => feedback,
        };
        self.pacer.learn(self.started.elapsed(), sent - self.started, feedback);
        match feedback {
            Feedback::Answered { .. } | Feedback::Refused { .. } => self.hold = None,
            Feedback::Failed => self.end_probe(),
            Feedback::HeldBriefly => {
                if let Some(hold) = &mut self.hold {
                    hold.attempts = hold.attempts.min(REFUSED_BY_NAME_ATTEMPTS);
                }
                self.hold_stream();
            }
            Feedback::Held => self.hold_stream(),
        }
    }

    /// Records that the request that tested a held stream was not accepted.
    fn end_probe(&mut self) {
        if let Some(hold) = &mut self.hold {
            hold.is_probed = false;
        }
    }

    fn hold_stream(&mut self) {
        self.end_probe();
        // Requests that were already in flight show nothing new.
        let now = Instant::now();
        if self.hold.is_none_or(|hold| hold.until <= now) {
            let attempts = self.hold.map_or(1, |hold| hold.attempts.saturating_add(1));
            let until = now + limits::RETRY_BACKOFF.pause_after(attempts);
            self.hold = Some(Hold { attempts, until, is_probed: false });
        }
    }

    /// Records that the outcome of a request is unknown.
    pub(super) fn request_lost(&mut self) {
        self.learn(Instant::now(), Feedback::Failed);
    }

    /// The number of failed attempts while the stream is held.
    pub(super) fn attempts_while_held(&self) -> u32 {
        self.hold.map_or(0, |hold| hold.attempts)
    }

    /// Whether the stream is held.
    pub(super) fn is_held(&self) -> bool {
        self.hold.is_some()
    }
}
