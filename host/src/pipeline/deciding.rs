//! One worker's share in a generation of the plugin: its mapper, and where its batches have the
//! declared streams. Failures within a batch are bounded by processor time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::SourceIdentities;
use super::places::Places;
use standpipe_core::event::Event;
use standpipe_plugin_host::{
    Admission, Decisions, Fault, Generation, Mapper, Patience, Unavailable,
};

/// One worker's part in a generation of the plugin: an instance of its own, and
/// where its accumulator has the streams that the plugin declares.
#[derive(Debug)]
pub(super) struct Deciding {
    pub(super) generation: Arc<Generation>,
    pub(super) places: Places,
    mapper: Mapper,
}

/// What came of asking about the first events of a batch.
#[derive(Debug)]
pub(super) enum Decided {
    /// So many of them are decided about, at least one: the plugin has decided, or
    /// failed, or is not to be asked.
    Now(Decisions, usize),
    /// None: their source has to wait for so long.
    Later(Duration),
    /// None, whatever their source: the plugin has no instance.
    Unavailable(Unavailable),
}

impl Deciding {
    pub(super) fn new(generation: Arc<Generation>, identities: Arc<SourceIdentities>) -> Self {
        let mut mapper = Mapper::new(generation.plugin().clone());
        mapper.ready();
        let places = Places::new(identities, mapper.plugin().declared().count());
        Deciding { generation, places, mapper }
    }

    /// Have the plugin decide about the first events of a batch, as many as it can at
    /// once and until so much processor time has been wasted.
    pub(super) fn decide(
        &mut self,
        source: &str,
        events: &[Event<'_>],
        wasted_max: Duration,
    ) -> Decided {
        let start = Instant::now();
        let patience = match self.generation.breaker().admit(source, start.into_std()) {
            Admission::Ask(patience) => patience,
            Admission::Wait(pause) => return Decided::Later(pause),
            Admission::Refuse => {
                return Decided::Now(Decisions::failed(events.len(), &Fault::Off), events.len());
            }
        };
        let patience = Patience { wasted_max: patience.wasted_max.min(wasted_max), ..patience };
        let decisions = match self.mapper.map_within(source, events, &patience) {
            Ok(decisions) => decisions,
            Err(unavailable) => return Decided::Unavailable(unavailable),
        };
        self.generation.count_call(start.elapsed(), self.mapper.memory_bytes());
        let decided = decisions.decided(events.len().min(patience.events_max));
        Decided::Now(decisions, decided)
    }

    /// Give way to another generation.
    pub(super) fn retire(self) {
        self.mapper.retire();
    }
}
