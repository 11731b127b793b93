//! What the swapper remembers between swaps: terms, the previous plugin, what was
//! withdrawn, and counts.

use std::sync::Arc;
use std::time::SystemTime;

use super::report::RefusalReport;
use super::{Refused, Terms};
use crate::{Generation, Plugin, PluginSettings};

/// What a report tells, and what is needed to go on from it.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) terms: Terms,
    pub(super) previous: Option<Previous>,
    /// The settings that the canary was given, without its component's defaults.
    pub(super) canary_settings: PluginSettings,
    /// The generation that the plugin in use was gone back from, if it was.
    pub(super) withdrawn: Option<u64>,
    pub(super) last_number: u64,
    pub(super) last_refused: Option<RefusalReport>,
}

/// The plugin before, which can be gone back to.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) generation: Arc<Generation>,
    /// The plugin that is gone back to in place of the generation's, where secrets of its
    /// settings have changed since.
    pub(super) refreshed: Option<Plugin>,
    pub(super) terms: Terms,
}

impl Previous {
    pub(super) fn plugin(&self) -> &Plugin {
        self.refreshed.as_ref().unwrap_or_else(|| self.generation.plugin())
    }
}

impl Shelf {
    /// The number of the next generation.
    pub(super) fn next(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn note(&mut self, refused: &Refused) {
        self.last_refused = Some(RefusalReport::new(refused, SystemTime::now()));
        tracing::error!("a plugin is not taken, and the one in use stays: {refused}");
    }
}
