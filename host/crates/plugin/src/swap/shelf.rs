//! What the swapper remembers between swaps: terms, origins, the previous plugin, what was
//! withdrawn, and counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::report::RefusalReport;
use super::{Refused, Terms};
use crate::{Admitted, Generation, Plugin, PluginRoles, PluginSettings, Role, Trust, Untrusted};

/// What a report tells, and what is needed to go on from it.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) terms: Terms,
    /// Where the plugins of the published roles and of `previous` are from.
    pub(super) origins: BTreeMap<u64, String>,
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

    /// Its plugin, if these settings let it decide.
    pub(super) fn admit(&self, trust: &Trust) -> Result<Admitted, Untrusted> {
        match &self.refreshed {
            Some(plugin) => self.generation.admit_anew(plugin.clone(), trust, Role::Active),
            None => self.generation.admit_again(trust, Role::Active),
        }
    }
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

    /// Forget where generations are from that neither have a role nor are kept for a
    /// return.
    pub(super) fn forget_origins(&mut self, roles: &PluginRoles) {
        let PluginRoles { active, canary, shadow } = roles;
        let previous = self.previous.as_ref().map(|previous| &previous.generation);
        let beside = [canary.as_ref().map(|canary| canary.generation()), previous];
        let beside = beside.into_iter().chain([shadow.as_ref().map(|shadow| shadow.generation())]);
        let kept: Vec<_> = beside.flatten().chain([active]).map(|kept| kept.number()).collect();
        self.origins.retain(|number, _| kept.contains(number));
    }

    pub(super) fn note(&mut self, refused: &Refused) {
        self.last_refused = Some(RefusalReport::new(refused, SystemTime::now()));
        tracing::error!("a plugin is not taken, and the one in use stays: {refused}");
    }
}
