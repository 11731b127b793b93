//! The slots of a worker's batches for the streams that the plugin declares, by identity, so that a
//! declared stream is found by position and not by name.

use std::collections::HashMap;
use std::sync::Arc;

use standpipe_delivery::{Identity, StreamSlot};

/// The identities of sources with their own identity, by source name.
pub type SourceIdentities = HashMap<String, Identity>;

/// The slots of the plugin's declared streams, for each identity.
#[derive(Debug)]
pub(super) struct StreamSlots {
    identities: Arc<SourceIdentities>,
    declared: usize,
    of: Vec<(Identity, Vec<Option<StreamSlot>>)>,
    /// The identity in use.
    current: usize,
}

impl StreamSlots {
    pub(super) fn new(identities: Arc<SourceIdentities>, declared: usize) -> Self {
        let of = vec![(Identity::default(), vec![None; declared])];
        StreamSlots { identities, declared, of, current: 0 }
    }

    /// Selects the identity of a source for the following records.
    pub(super) fn select_source(&mut self, source: &str) {
        let identity = match self.identities.is_empty() {
            true => Identity::default(),
            false => self.identities.get(source).copied().unwrap_or_default(),
        };
        let known = self.of.iter().position(|(known, _)| *known == identity);
        self.current = known.unwrap_or_else(|| {
            self.of.push((identity, vec![None; self.declared]));
            self.of.len() - 1
        });
    }

    pub(super) fn identity(&self) -> Identity {
        self.of[self.current].0
    }

    /// The last known slot of a declared stream, by its position.
    pub(super) fn slot_of_declared(&mut self, position: usize) -> &mut Option<StreamSlot> {
        &mut self.of[self.current].1[position]
    }
}
