//! Finds the distribution's Chromium.

use std::path::PathBuf;

use crate::install;

/// What distributions call it.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// The Chromium of the distribution.
pub(super) fn path() -> PathBuf {
    install::needs("chromium", || install::find(NAMES))
}
