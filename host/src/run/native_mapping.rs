//! The default mapping as native code in place of the component, to measure the cost of the
//! component. Only `host bench` uses it.

use std::sync::Arc;

use super::RunError;
use super::plugins::{candidate, refused};
use crate::config::Settings;
use standpipe_plugin_host::swap::{RejectedCandidate, SwapStep};
use standpipe_plugin_host::{Plugin, Role, sha256_hex};

/// Loads native code in place of a component. It is part of the program, so only the pin in the
/// settings can reject it.
pub(super) fn load(settings: &Settings) -> Result<Plugin, RunError> {
    let candidate = candidate(&settings.plugin)?;
    let digest = Arc::<str>::from(sha256_hex(&candidate.bytes));
    let trust = &settings.hosting.trust;
    let checked = trust.check(Role::Active, &candidate.bytes, &digest, &candidate.signature);
    checked.map_err(|error| {
        refused(&candidate, "", RejectedCandidate::new(SwapStep::Trust, &digest, error))
    })?;
    Plugin::native(&settings.plugin_settings)
        .map_err(|error| RunError::Plugin { plugin: candidate.origin, error })
}
