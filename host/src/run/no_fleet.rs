//! Replaces `run/fleet.rs` in a build without the feature `queue`. Its types have no values, so no run has a fleet, and
//! other files need no `cfg`.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::RunError;
use crate::config::FleetSettings;
use standpipe_core::secret::SecretResolver;
use standpipe_plugin_host::swap::Swapper;

pub(super) enum JoinedFleet {}

pub(super) type RunningFleet = JoinedFleet;

#[expect(clippy::unused_async, reason = "they are awaited where there is a fleet")]
impl JoinedFleet {
    pub(super) async fn join(
        settings: &FleetSettings,
        _: &Swapper,
        _: &Arc<dyn SecretResolver>,
    ) -> Result<Self, RunError> {
        match *settings {}
    }

    pub(super) fn start(self, _: &Handle) -> RunningFleet {
        self
    }

    pub(super) async fn leave(&mut self) {
        match *self {}
    }
}
