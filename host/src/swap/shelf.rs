use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::report::RefusalReport;
use super::{Refused, Step, Terms};
use crate::limits;
use crate::plugin::Generation;

/// What a report tells, and what is needed to go on from it.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) terms: Terms,
    /// Where the plugins of the switch and of `previous` are from.
    pub(super) origins: BTreeMap<u64, String>,
    pub(super) previous: Option<Previous>,
    pub(super) last_number: u64,
    pub(super) swaps: u64,
    pub(super) refused: [u64; Step::ALL.len()],
    pub(super) last_refused: Option<RefusalReport>,
}

#[derive(Debug)]
pub(super) struct Previous {
    pub(super) generation: Arc<Generation>,
    pub(super) terms: Terms,
}

impl Shelf {
    /// The number of the next generation, which is from there.
    pub(super) fn next(&mut self, origin: String) -> u64 {
        self.last_number += 1;
        self.origins.insert(self.last_number, origin);
        self.last_number
    }

    /// Where a generation is from.
    pub(super) fn origin(&self, number: u64) -> String {
        self.origins.get(&number).cloned().unwrap_or_default()
    }

    /// Only the last few generations can still be told of.
    pub(super) fn forget_origins(&mut self) {
        while self.origins.len() > limits::PLUGIN_ORIGINS_KEPT {
            let _ = self.origins.pop_first();
        }
    }

    pub(super) fn count(&mut self, refused: &Refused) {
        self.refused[refused.step as usize] += 1;
        self.last_refused = Some(RefusalReport::new(refused, SystemTime::now()));
        tracing::error!("a plugin is not taken, and the one in use stays: {refused}");
    }
}
