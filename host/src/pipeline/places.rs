//! Where a worker's batches have the streams that the plugin declares, for each identity, so that a
//! known stream is found by position and not by name.

use std::collections::HashMap;
use std::sync::Arc;

use standpipe_delivery::{Identity, StreamSlot};

/// The identities of sources that do not use the default one, by their names.
pub type SourceIdentities = HashMap<String, Identity>;

/// Where an accumulator has the plugin's declared streams, for each identity.
#[derive(Debug)]
pub(super) struct Places {
    identities: Arc<SourceIdentities>,
    declared: usize,
    of: Vec<(Identity, Vec<Option<StreamSlot>>)>,
    /// Which of them is in use.
    current: usize,
}

impl Places {
    pub(super) fn new(identities: Arc<SourceIdentities>, declared: usize) -> Self {
        let of = vec![(Identity::default(), vec![None; declared])];
        Places { identities, declared, of, current: 0 }
    }

    /// From now on, records are written as this source.
    pub(super) fn turn_to(&mut self, source: &str) {
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

    /// Where a declared stream was last, by its position among them.
    pub(super) fn of_declared(&mut self, position: usize) -> &mut Option<StreamSlot> {
        &mut self.of[self.current].1[position]
    }
}
