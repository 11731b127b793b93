//! How a run ends: by tokens that are created once and passed to its parts.
//!
//! | token | cancelled | ends |
//! |---|---|---|
//! | [`StopTokens::intake_stop`] | by a signal, the embedder, or a run that ends early | the intake: listeners close, inputs are not read further, and accepted events are drained |
//! | [`StopTokens::delivery_abort`] | `drain_timeout` after the intake was stopped | delivery: attempts are aborted, and the remaining events are dead-lettered or stay in a durable source |
//! | [`StopTokens::mapping_abort`], its child | also by a run that ends early | waiting for the plugin, and reading a durable spool |
//! | [`StopTokens::mapping_halt`] | by an event that the plugin fails on with `on_failure = "halt"` | mapping: events without a decision stay unsettled |
//!
//! A part that can end separately gets a child token. Threads poll a token once for each chunk or
//! batch and not for each event, because a poll takes a lock.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// The tokens of one run, and the reason of an early end. Clones share the tokens.
#[derive(Debug, Clone)]
pub struct StopTokens {
    /// Stops the intake; accepted events are drained.
    pub intake_stop: CancellationToken,
    /// Aborts delivery: the time for draining is over.
    pub delivery_abort: CancellationToken,
    /// Stops waiting for the plugin.
    pub mapping_abort: CancellationToken,
    /// Stops mapping.
    pub mapping_halt: CancellationToken,
    early_end_reason: Arc<OnceLock<String>>,
}

impl Default for StopTokens {
    /// Tokens that are not cancelled.
    fn default() -> Self {
        let delivery_abort = CancellationToken::new();
        StopTokens {
            intake_stop: CancellationToken::new(),
            mapping_abort: delivery_abort.child_token(),
            delivery_abort,
            mapping_halt: CancellationToken::new(),
            early_end_reason: Arc::default(),
        }
    }
}

impl StopTokens {
    /// Ends the run before the end of its input. Submitted records are still delivered. Only the
    /// first reason is logged and kept.
    pub fn end_early(&self, why: String) {
        if self.early_end_reason.set(why).is_ok() {
            tracing::error!("{}", self.early_end_reason().unwrap_or_default());
        }
        self.mapping_abort.cancel();
        self.intake_stop.cancel();
    }

    /// Ends the run early at an event that the plugin fails on. No other event is mapped.
    pub fn halt(&self, why: impl FnOnce() -> String) {
        if !self.mapping_halt.is_cancelled() {
            self.mapping_halt.cancel();
            self.end_early(why());
        }
    }

    /// Returns why the run ended early, if it did.
    pub fn early_end_reason(&self) -> Option<&str> {
        self.early_end_reason.get().map(String::as_str)
    }
}

/// Calls a function when it is dropped. A task that owns it calls the function at its end, also
/// if its runtime is shut down without a stop. The runtime then waits for the run's threads,
/// and they wait for this call.
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
    fn each_end_cancels_its_tokens_and_no_others() {
        let tokens = StopTokens::default();
        assert_eq!(cancelled(&tokens), [false; 4]);
        tokens.intake_stop.cancel();
        assert_eq!(cancelled(&tokens), [true, false, false, false]);
        tokens.delivery_abort.cancel();
        assert_eq!(cancelled(&tokens), [true, true, true, false]);

        let tokens = StopTokens::default();
        tokens.end_early("a stream is held".to_owned());
        assert_eq!(cancelled(&tokens), [true, false, true, false]);

        let tokens = StopTokens::default();
        tokens.clone().halt(|| "the plugin failed".to_owned());
        assert_eq!(cancelled(&tokens), [true, false, true, true]);
        assert_eq!(tokens.early_end_reason(), Some("the plugin failed"));
    }

    #[test]
    fn the_first_reason_for_an_early_end_stays() {
        let tokens = StopTokens::default();
        assert_eq!(tokens.early_end_reason(), None);
        tokens.end_early("the first".to_owned());
        tokens.halt(|| "the second".to_owned());
        tokens.halt(|| unreachable!("a run that is halted needs no other reason"));
        assert_eq!(tokens.early_end_reason(), Some("the first"));
    }
}
