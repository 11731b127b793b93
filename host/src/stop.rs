//! How a run ends: tokens that are made once for it and handed down.
//!
//! | token | cancelled | ends |
//! |---|---|---|
//! | [`StopTokens::intake_stop`] | by a signal, the embedder, or the run itself where it ends early | taking in: listeners close, inputs are read no further, and what was taken in is drained |
//! | [`StopTokens::delivery_abort`] | `drain_timeout` after the intake was stopped | waiting for delivery: attempts are given up, and what is left is dead-lettered or stays with a source that keeps it |
//! | [`StopTokens::mapping_abort`], a child of it | where the run ends early, too | waiting for the plugin, and handing out what a durable spool keeps |
//! | [`StopTokens::mapping_halt`] | by an event that the plugin fails on under `on_failure = "halt"` | deciding: events that no worker has decided about stay unsettled |
//!
//! A part that can end alone gets a child token. Threads poll a token once for each chunk
//! or batch, never for each event: a poll takes a lock.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// The tokens of one run, and why it ended early if it did. Clones are the same tokens.
#[derive(Debug, Clone)]
pub struct StopTokens {
    /// Take in no more, and drain what is there.
    pub intake_stop: CancellationToken,
    /// The time for draining is over.
    pub delivery_abort: CancellationToken,
    /// Wait for the plugin no longer.
    pub mapping_abort: CancellationToken,
    /// Decide about no more events.
    pub mapping_halt: CancellationToken,
    why_early: Arc<OnceLock<String>>,
}

impl StopTokens {
    /// Tokens of a run that begins.
    pub fn new() -> Self {
        let delivery_abort = CancellationToken::new();
        StopTokens {
            intake_stop: CancellationToken::new(),
            mapping_abort: delivery_abort.child_token(),
            delivery_abort,
            mapping_halt: CancellationToken::new(),
            why_early: Arc::default(),
        }
    }

    /// Ends the run before its input does, since its settings ask for that. What was handed
    /// over for delivery is still delivered. Only the first reason is logged and kept.
    pub fn end_early(&self, why: String) {
        if self.why_early.set(why).is_ok() {
            tracing::error!("{}", self.why_early().unwrap_or_default());
        }
        self.mapping_abort.cancel();
        self.intake_stop.cancel();
    }

    /// Ends the run early, at an event that the plugin fails on: no worker decides about
    /// another event.
    pub fn halt(&self, why: impl FnOnce() -> String) {
        if !self.mapping_halt.is_cancelled() {
            self.mapping_halt.cancel();
            self.end_early(why());
        }
    }

    /// Why the run ended early, if it did.
    pub fn why_early(&self) -> Option<&str> {
        self.why_early.get().map(String::as_str)
    }
}

impl Default for StopTokens {
    fn default() -> Self {
        Self::new()
    }
}

/// Does something when it is dropped: a task that owns it has done so once it ends, also
/// where its runtime is shut down before anything asked for a stop. The runtime then waits
/// for the threads of the run, and they wait for what is done here.
pub(crate) struct OnDrop<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which tokens are cancelled, in the order of the table above.
    fn cancelled(tokens: &StopTokens) -> [bool; 4] {
        let StopTokens { intake_stop, delivery_abort, mapping_abort, mapping_halt, .. } = tokens;
        [intake_stop, delivery_abort, mapping_abort, mapping_halt]
            .map(CancellationToken::is_cancelled)
    }

    #[test]
    fn each_end_cancels_what_it_is_about_and_nothing_else() {
        let tokens = StopTokens::new();
        assert_eq!(cancelled(&tokens), [false; 4]);
        tokens.intake_stop.cancel();
        assert_eq!(cancelled(&tokens), [true, false, false, false]);
        tokens.delivery_abort.cancel();
        assert_eq!(cancelled(&tokens), [true, true, true, false]);

        let tokens = StopTokens::new();
        tokens.end_early("a stream is held".to_owned());
        assert_eq!(cancelled(&tokens), [true, false, true, false]);

        let tokens = StopTokens::new();
        tokens.clone().halt(|| "the plugin failed".to_owned());
        assert_eq!(cancelled(&tokens), [true, false, true, true]);
        assert_eq!(tokens.why_early(), Some("the plugin failed"));
    }

    #[test]
    fn the_first_reason_for_an_early_end_stays() {
        let tokens = StopTokens::new();
        assert_eq!(tokens.why_early(), None);
        tokens.end_early("the first".to_owned());
        tokens.halt(|| "the second".to_owned());
        tokens.halt(|| unreachable!("a run that is halted needs no other reason"));
        assert_eq!(tokens.why_early(), Some("the first"));
    }
}
