//! When the next request to a stream may go out: the pacer while it is healthy, single probes with
//! growing pauses while it is held.

use std::time::Duration;

use tokio::time::Instant;

use super::Batch;
use super::pacer::{Answered, Pacer, StartRate};
use crate::limits;

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

/// The place of a request that has gone out, used up by its answer.
#[derive(Debug)]
pub(super) struct Passage {
    sent: Duration,
}

#[expect(clippy::needless_pass_by_value, reason = "a passage is used up by its answer")]
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

    /// A request goes out. It must be answered for by one of the other functions.
    pub(super) fn sent(&mut self, now: Instant, batch: &Batch) -> Passage {
        let sent = now - self.started;
        self.pacer.sent(sent, batch.len(), batch.payload_bytes());
        if let Some(hold) = &mut self.hold {
            hold.is_probed = true;
        }
        Passage { sent }
    }

    /// The request was answered, perhaps with some of its records throttled.
    pub(super) fn answered(
        &mut self,
        passage: Passage,
        bytes: usize,
        throttled_bytes: usize,
        accepted_bytes: usize,
    ) {
        let (now, sent) = (self.started.elapsed(), passage.sent);
        self.pacer.answered(now, Answered { sent, bytes, throttled_bytes, accepted_bytes });
        self.hold = None;
    }

    /// The request was refused since it was invalid or too large, which tells nothing of
    /// the pace. A stream that is held stays so.
    pub(super) fn refused(&mut self, passage: Passage, bytes: usize) {
        if self.hold.is_some() {
            return self.hold(passage);
        }
        self.answered(passage, bytes, 0, 0);
    }

    /// The request failed as a whole.
    pub(super) fn failed(&mut self, passage: Passage) {
        self.pacer.failed(self.started.elapsed(), passage.sent);
        if let Some(hold) = &mut self.hold {
            hold.is_probed = false;
        }
    }

    /// The request failed in a way that the next one will too.
    pub(super) fn hold(&mut self, passage: Passage) {
        self.failed(passage);
        // Requests that were already under way tell nothing new.
        let now = Instant::now();
        if self.hold.is_none_or(|hold| hold.until <= now) {
            let attempts = self.hold.map_or(1, |hold| hold.attempts.saturating_add(1));
            let until = now + limits::RETRY_BACKOFF.pause(attempts);
            self.hold = Some(Hold { attempts, until, is_probed: false });
        }
    }

    /// The request's record was refused by name, on a stream that accepts none. It was
    /// looked at, so the next one may be sent soon.
    pub(super) fn hold_briefly(&mut self, passage: Passage) {
        if let Some(hold) = &mut self.hold {
            hold.attempts = hold.attempts.min(limits::REFUSED_BY_NAME_ATTEMPTS);
        }
        self.hold(passage);
    }

    /// Nobody knows what became of a request.
    pub(super) fn lost(&mut self) {
        self.failed(Passage { sent: self.started.elapsed() });
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
