//! The components that run scripts: the one in this program, and those that settings name.
//!
//! An engine knows runners by their SHA-256, which a bundle of scripts contains. So the hash of a
//! bundle also covers the component that runs it. A runner is compiled when the first script needs
//! it, and its file's bytes are then dropped. The engine keeps the last few runners; a script whose
//! runner it does not know is refused.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::bindings::PluginPre;
use super::sandbox::Sandbox;
use super::script::{embedded_runner, script_runner_sha256};
use super::sha256_hex;

/// Runners that an engine keeps: that of the program, and those of the active plugin, the canary
/// and the shadow.
const SCRIPT_RUNNERS_KEPT: usize = 4;

/// The file of a component that runs scripts.
#[derive(Clone)]
pub struct ScriptRunner {
    bytes: Arc<[u8]>,
    digest: Arc<str>,
}

/// The runners that an engine knows, the latest last.
#[derive(Default)]
pub(super) struct ScriptRunners(Mutex<VecDeque<KnownRunner>>);

struct KnownRunner {
    digest: Arc<str>,
    state: RunnerState,
}

enum RunnerState {
    /// No script has needed it yet.
    Read(Arc<[u8]>),
    Prepared(PluginPre<Sandbox>),
}

impl ScriptRunner {
    /// Creates a runner from the bytes of its file.
    pub fn new(bytes: Vec<u8>) -> Self {
        let digest = sha256_hex(&bytes).into();
        ScriptRunner { bytes: bytes.into(), digest }
    }

    /// The SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }
}

impl ScriptRunners {
    /// Adds a runner, unless it is known.
    pub(super) fn add(&self, runner: &ScriptRunner) {
        let mut known = self.0.lock();
        if !known.iter().any(|known| known.digest == runner.digest) {
            remember(&mut known, &runner.digest, RunnerState::Read(Arc::clone(&runner.bytes)));
        }
    }

    /// The compiled runner with this SHA-256, which the first call prepares; others wait for that.
    /// Returns `None` if it is not known.
    pub(super) fn prepared<E>(
        &self,
        digest: &str,
        prepare: impl FnOnce(&[u8]) -> Result<PluginPre<Sandbox>, E>,
    ) -> Result<Option<PluginPre<Sandbox>>, E> {
        let mut known = self.0.lock();
        let bytes = match known.iter().find(|known| *known.digest == *digest) {
            Some(KnownRunner { state: RunnerState::Prepared(pre), .. }) => {
                return Ok(Some(pre.clone()));
            }
            Some(KnownRunner { state: RunnerState::Read(bytes), .. }) => Arc::clone(bytes),
            None if digest == script_runner_sha256() => embedded_runner().into(),
            None => return Ok(None),
        };
        let pre = prepare(&bytes)?;
        known.retain(|known| *known.digest != *digest);
        remember(&mut known, &digest.into(), RunnerState::Prepared(pre.clone()));
        Ok(Some(pre))
    }
}

fn remember(known: &mut VecDeque<KnownRunner>, digest: &Arc<str>, state: RunnerState) {
    if known.len() == SCRIPT_RUNNERS_KEPT {
        known.pop_front();
    }
    known.push_back(KnownRunner { digest: Arc::clone(digest), state });
}

impl std::fmt::Debug for ScriptRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptRunner").field("digest", &self.digest).finish_non_exhaustive()
    }
}
