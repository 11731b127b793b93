//! The state of the swapper between swaps: the policy, the previous plugin, and what was withdrawn
//! or rejected.

use std::sync::Arc;
use std::time::SystemTime;

use super::report::RejectionReport;
use super::{LoadPolicy, RejectedCandidate};
use crate::{Generation, Plugin, PluginSettings};

/// The state of a swapper between swaps.
#[derive(Debug)]
pub(super) struct SwapState {
    pub(super) policy: LoadPolicy,
    pub(super) previous: Option<Previous>,
    /// The settings of the canary, without its component's defaults.
    pub(super) canary_settings: PluginSettings,
    /// The generation that the last rollback withdrew, until the next swap.
    pub(super) withdrawn: Option<u64>,
    pub(super) last_number: u64,
    pub(super) control: PluginControl,
    pub(super) last_refused: Option<RejectionReport>,
}

/// Who decides which plugin is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PluginControl {
    /// The settings and the admin API of this host.
    Local,
    /// The fleet that this host is a part of.
    Fleet,
}

/// The previous plugin, for a rollback.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) generation: Arc<Generation>,
    /// The plugin that replaces that of the generation, if secrets in its settings have changed
    /// since.
    pub(super) refreshed: Option<Plugin>,
    pub(super) policy: LoadPolicy,
}

impl Previous {
    pub(super) fn plugin(&self) -> &Plugin {
        self.refreshed.as_ref().unwrap_or_else(|| self.generation.plugin())
    }
}

impl SwapState {
    /// The number of the next generation.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn record_rejection(&mut self, refused: &RejectedCandidate) {
        self.last_refused = Some(RejectionReport::new(refused, SystemTime::now()));
        tracing::error!("plugin rejected; the active plugin stays in use: {refused}");
    }
}
