//! One worker's use of a generation of the plugin: its mapper, and the slots of the declared
//! streams. The CPU time of failures within a batch is limited.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::SourceIdentities;
use super::stream_slots::StreamSlots;
use standpipe_core::event::Event;
use standpipe_plugin_host::{
    Admission, Decisions, Fault, Generation, Mapper, Patience, Unavailable,
};

/// One worker's use of a generation of the plugin: its own instance, and the slots of the streams
/// that the plugin declares.
#[derive(Debug)]
pub(super) struct PluginSession {
    pub(super) generation: Arc<Generation>,
    pub(super) slots: StreamSlots,
    mapper: Mapper,
}

/// The outcome of mapping the first events of a batch.
#[derive(Debug)]
pub(super) enum SessionOutcome {
    /// Decisions, and the number of decided events, at least one: the plugin has decided, failed,
    /// or was not called.
    Decided(Decisions, usize),
    /// No event is decided: the source must wait for this time.
    MustWait(Duration),
    /// No event of any source is decided: the plugin has no instance.
    Unavailable(Unavailable),
}

impl PluginSession {
    pub(super) fn new(generation: Arc<Generation>, identities: Arc<SourceIdentities>) -> Self {
        let mut mapper = Mapper::with_requests(generation.plugin().clone());
        mapper.start_instance();
        let slots = StreamSlots::new(identities, mapper.plugin().declared().count());
        PluginSession { generation, slots, mapper }
    }

    /// Maps the first events of a batch, as many as fit into one call, until the limit of wasted
    /// CPU time is reached.
    pub(super) fn map_events(
        &mut self,
        source: &str,
        events: &[Event<'_>],
        wasted_max: Duration,
    ) -> SessionOutcome {
        let start = Instant::now();
        let patience = match self.generation.breaker().admit(source, start.into_std()) {
            Admission::Ask(patience) => patience,
            Admission::Wait(pause) => return SessionOutcome::MustWait(pause),
            Admission::Refuse => {
                return SessionOutcome::Decided(
                    Decisions::all_failed(events.len(), &Fault::Skipped),
                    events.len(),
                );
            }
        };
        let patience = Patience { wasted_max: patience.wasted_max.min(wasted_max), ..patience };
        let decisions = match self.mapper.map_within(source, events, &patience) {
            Ok(decisions) => decisions,
            Err(unavailable) => return SessionOutcome::Unavailable(unavailable),
        };
        self.generation.count_call(start.elapsed(), self.mapper.memory_bytes());
        let decided = decisions.decided_events(events.len().min(patience.events_max));
        SessionOutcome::Decided(decisions, decided)
    }

    /// Ends the session, and returns the instance to the plugin.
    pub(super) fn retire(self) {
        self.mapper.retire();
    }
}
