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

    /// Have the plugin decide about a batch, unless it is switched off.
    pub(super) fn decide(&mut self, source: &str, events: &[Event<'_>]) -> Decisions {
        let start = Instant::now();
        if !self.generation.breaker().admits(start) {
            return Decisions::off(events.len());
        }
        let decisions = self.mapper.map(source, events);
        self.generation.count_call(start.elapsed(), self.mapper.memory_bytes());
        decisions
    }

    /// Give way to another generation.
    pub(super) fn retire(self) {
        self.mapper.retire();
    }
}
