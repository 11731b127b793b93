//! When the next request to a stream may go out: the pacer while it is healthy, single probes with
//! growing pauses while it is held.

use std::time::Duration;

use tokio::time::Instant;

use super::Batch;
use super::pacer::{Feedback, Pacer, StartRate};
use crate::limits;

/// How many attempts the pause counts at most after a record that Firehose itself names as
/// invalid, on a stream that accepts none: 800 ms, so that records at fault alone do not
/// hold up the others behind them for long.
const REFUSED_BY_NAME_ATTEMPTS: u32 = 3;

/// The way to one stream: requests go out when the pacer lets them, and one at
/// a time while the stream is held.
#[derive(Debug)]
pub(super) struct Lane {
    started: Instant,
    pacer: Pacer,
    hold: Option<Hold>,
}

/// Nothing can be written until an operator acts: a request is tried now and
/// then.
#[derive(Debug, Clone, Copy)]
struct Hold {
    attempts: u32,
    until: Instant,
    /// Whether the request that tries is under way.
    is_probed: bool,
}

impl Lane {
    pub(super) fn new(start: StartRate, window_max: usize) -> Self {
        let pacer = Pacer::new(start, window_max, Duration::ZERO);
        Lane { started: Instant::now(), pacer, hold: None }
    }

    /// When the next request may go out; none if not before an answer.
    pub(super) fn next(&mut self, now: Instant) -> Option<Instant> {
        let held_until = match self.hold {
            Some(Hold { is_probed: true, .. }) => return None,
            Some(hold) => hold.until,
            None => now,
        };
        let paced = self.started + self.pacer.next_send(now - self.started)?;
        Some(paced.max(held_until))
    }

    /// A request goes out. It must be answered for by [`Lane::learn`] or [`Lane::request_lost`].
    pub(super) fn sent(&mut self, now: Instant, batch: &Batch) {
        self.pacer.sent(now - self.started, batch.len(), batch.payload_bytes());
        if let Some(hold) = &mut self.hold {
            hold.is_probed = true;
        }
    }

    /// Something has come of the request that went out at `sent`.
    pub(super) fn learn(&mut self, sent: Instant, feedback: Feedback) {
        let feedback = match feedback {
            // It was not accepted: a stream that is held stays so.
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

    /// The request that tries a stream that is held was not accepted.
    fn end_probe(&mut self) {
        if let Some(hold) = &mut self.hold {
            hold.is_probed = false;
        }
    }

    fn hold_stream(&mut self) {
        self.end_probe();
        // Requests that were already under way show nothing new.
        let now = Instant::now();
        if self.hold.is_none_or(|hold| hold.until <= now) {
            let attempts = self.hold.map_or(1, |hold| hold.attempts.saturating_add(1));
            let until = now + limits::RETRY_BACKOFF.pause_after(attempts);
            self.hold = Some(Hold { attempts, until, is_probed: false });
        }
    }

    /// Nobody knows what became of a request.
    pub(super) fn request_lost(&mut self) {
        self.learn(Instant::now(), Feedback::Failed);
    }

    /// How many attempts have failed while the stream is held.
    pub(super) fn attempts_while_held(&self) -> u32 {
        self.hold.map_or(0, |hold| hold.attempts)
    }

    /// Whether the stream is held.
    pub(super) fn is_held(&self) -> bool {
        self.hold.is_some()
    }
}
