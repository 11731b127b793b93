use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::pacer::{Answered, Pacer, StartRate};
use super::{Batch, backoff};

/// The way to one stream: requests go out one after the other, when the pacer
/// lets them, and one at a time while the stream is held.
///
/// Batches that wait for their turn, or pause before they are sent again, hold
/// no place in the window.
#[derive(Debug)]
pub(super) struct Lane {
    started: Instant,
    state: Mutex<State>,
    /// Whoever holds it is next to go out; the others wait in their order.
    turn: tokio::sync::Mutex<()>,
    answered: Notify,
}

#[derive(Debug)]
struct State {
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

impl State {
    fn failed(&mut self, now: Duration, sent: Duration) {
        self.pacer.failed(now, sent);
        if let Some(hold) = &mut self.hold {
            hold.is_probed = false;
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a passage is used up by its answer")]
impl Lane {
    pub(super) fn new(start: StartRate, window_max: usize) -> Self {
        let pacer = Pacer::new(start, window_max, Duration::ZERO);
        Lane {
            started: Instant::now(),
            state: Mutex::new(State { pacer, hold: None }),
            turn: tokio::sync::Mutex::new(()),
            answered: Notify::new(),
        }
    }

    /// Wait until a batch may go out. It must be answered for by one of the other
    /// functions.
    pub(super) async fn pass(&self, batch: &Batch) -> Passage {
        let _turn = self.turn.lock().await;
        loop {
            let answered = self.answered.notified();
            let now = Instant::now();
            match self.next(now) {
                Some(at) if at <= now => {
                    let sent = now - self.started;
                    let mut state = self.state();
                    state.pacer.sent(sent, batch.len(), batch.payload_bytes());
                    if let Some(hold) = &mut state.hold {
                        hold.is_probed = true;
                    }
                    return Passage { sent };
                }
                Some(at) => tokio::time::sleep_until(at).await,
                None => answered.await,
            }
        }
    }

    /// The request was answered, perhaps with some of its records throttled.
    pub(super) fn answered(
        &self,
        passage: Passage,
        bytes: usize,
        throttled_bytes: usize,
        accepted_bytes: usize,
    ) {
        let Passage { sent } = passage;
        let now = self.started.elapsed();
        let mut state = self.state();
        state.pacer.answered(now, Answered { sent, bytes, throttled_bytes, accepted_bytes });
        state.hold = None;
        self.answered.notify_one();
    }

    /// The request failed as a whole.
    pub(super) fn failed(&self, passage: Passage) {
        self.state().failed(self.started.elapsed(), passage.sent);
        self.answered.notify_one();
    }

    /// The request failed in a way that the next one will too.
    pub(super) fn hold(&self, passage: Passage) {
        let mut state = self.state();
        state.failed(self.started.elapsed(), passage.sent);
        // Requests that were already under way tell nothing new.
        if state.hold.is_none_or(|hold| hold.until <= Instant::now()) {
            let attempts = state.hold.map_or(1, |hold| hold.attempts.saturating_add(1));
            let until = Instant::now() + backoff::pause(attempts);
            state.hold = Some(Hold { attempts, until, is_probed: false });
        }
        // Not before: whoever waits would go out on the old terms.
        self.answered.notify_one();
    }

    /// When the next request may go out; none if not before an answer.
    fn next(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let held_until = match state.hold {
            Some(Hold { is_probed: true, .. }) => return None,
            Some(hold) => hold.until,
            None => now,
        };
        let paced = self.started + state.pacer.next_send(now - self.started)?;
        Some(paced.max(held_until))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
