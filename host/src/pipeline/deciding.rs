use std::sync::Arc;
use std::time::Instant;

use super::SourceIdentities;
use super::places::Places;
use crate::event::Event;
use crate::plugin::{Decisions, Generation, Mapper};

/// One worker's part in a generation of the plugin: an instance of its own, and
/// where its outbox has the streams that the plugin declares.
#[derive(Debug)]
pub(super) struct Deciding {
    pub(super) generation: Arc<Generation>,
    pub(super) places: Places,
    mapper: Mapper,
}

impl Deciding {
    pub(super) fn new(generation: Arc<Generation>, identities: Arc<SourceIdentities>) -> Self {
        let mut mapper = Mapper::new(generation.plugin().clone());
        mapper.ready();
        let places = Places::new(identities, mapper.plugin().declared().count());
        Deciding { generation, places, mapper }
    }

    /// Have the plugin decide about the first events of a batch, as many as it can at
    /// once; tells how many that are. None are left undecided for good: where it is
    /// switched off, all of them fail.
    pub(super) fn decide(&mut self, source: &str, events: &[Event<'_>]) -> (Decisions, usize) {
        let start = Instant::now();
        let admitted = self.generation.breaker().admits(events.len(), start);
        if admitted == 0 {
            return (Decisions::off(events.len()), events.len());
        }
        let decisions = self.mapper.map(source, &events[..admitted]);
        self.generation.count_call(start.elapsed(), self.mapper.memory_bytes());
        let decided = decisions.decided(admitted);
        (decisions, decided)
    }

    /// Give way to another generation.
    pub(super) fn retire(self) {
        self.mapper.retire();
    }
}
