//! The fleet as a part of a run: the swapper prepares and publishes the plugins that the fleet decides on.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::plugin_secrets::PluginSecrets;
use super::plugins::default_plugin_sha256;
use crate::config::FleetSettings;
use standpipe_core::blocking;
use standpipe_core::secret::SecretResolver;
use standpipe_plugin_host::swap::{
    Candidate, PreparedPlugin, RejectedCandidate, SignatureCheck, Swapper,
};
use standpipe_plugin_host::{DEFAULT_PLUGIN, PluginSettings, sha256_hex};
use standpipe_queue::Gate;
use standpipe_queue::fleet::{
    FleetMember, FleetMemberSettings, FleetMonitor, FleetRules, LoadFuture, Rejection, RuleHost,
    connect_fleet,
};

/// A fleet whose active rules this host has loaded.
pub(super) struct JoinedFleet {
    member: FleetMember<FleetSwapper>,
}

/// The fleet of a run that has started.
pub(super) struct RunningFleet {
    pub(super) monitor: FleetMonitor,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// The plugins of a host that a fleet decides about.
struct FleetSwapper {
    swapper: Swapper,
    secrets: Arc<dyn SecretResolver>,
}

impl JoinedFleet {
    /// Joins the fleet, and loads its active rules in place of the plugin of the settings. From then on, only the fleet
    /// changes the active plugin.
    pub(super) async fn join(
        settings: &FleetSettings,
        swapper: &Swapper,
        secrets: &Arc<dyn SecretResolver>,
    ) -> Result<Self, RunError> {
        swapper.leave_to_fleet();
        let store = connect_fleet(settings, &**secrets).await?;
        let host = FleetSwapper { swapper: swapper.clone(), secrets: Arc::clone(secrets) };
        let member = FleetMemberSettings {
            name: settings.name.clone(),
            instance: format!("{:016x}", fastrand::u64(..)),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let member = FleetMember::join(store, Arc::new(host), member).await?;
        Ok(JoinedFleet { member })
    }

    /// Returns the gate that is closed while this host does not have the rules of the fleet.
    pub(super) fn gate(&self) -> Gate {
        self.member.monitor().gate()
    }

    /// Follows the fleet until the end of the run.
    pub(super) fn start(self, runtime: &Handle) -> RunningFleet {
        let (monitor, stop) = (self.member.monitor(), CancellationToken::new());
        let task = Some(runtime.spawn(self.member.run(stop.clone())));
        RunningFleet { monitor, stop, task }
    }
}

impl RunningFleet {
    /// Leaves the fleet.
    pub(super) async fn leave(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // A panic was logged.
            let _ = task.await;
        }
    }
}

impl FleetSwapper {
    /// Replaces references in settings by secrets of this host.
    async fn resolve_settings(
        &self,
        settings: Option<&str>,
    ) -> Result<Option<PluginSettings>, RejectedCandidate> {
        let Some(settings) = settings else { return Ok(None) };
        let known = PluginSecrets::resolve([settings].into_iter(), &self.secrets).await;
        let known = known.map_err(|error| self.swapper.reject_unreadable(error))?;
        Ok(known.substitute(settings))
    }

    async fn prepare_rules(
        &self,
        rules: &FleetRules,
        component: Option<Bytes>,
    ) -> Result<PreparedPlugin, Rejection> {
        let settings =
            self.resolve_settings(rules.settings.as_deref()).await.map_err(to_rejection)?;
        let (swapper, rules) = (self.swapper.clone(), rules.clone());
        let prepare = move || {
            let (bytes, signature) = match component {
                None if is_built_in(&rules.sha256) => {
                    (Cow::Borrowed(DEFAULT_PLUGIN), SignatureCheck::BuiltIn)
                }
                None => return Err(to_rejection(swapper.reject_unreadable(MISSING_COMPONENT))),
                Some(component) => {
                    let checked = check_digest(&rules, &component);
                    checked.map_err(|error| to_rejection(swapper.reject_unreadable(error)))?;
                    let signature = rules.signature.map(SignatureCheck::Detached);
                    (Cow::Owned(component.into()), signature.unwrap_or(SignatureCheck::None))
                }
            };
            let origin = format!("the fleet: {}", rules.origin);
            let candidate = Candidate { bytes, signature, runner: None, settings, origin };
            swapper.prepare(&candidate).map_err(to_rejection)
        };
        // Compiling and plugin code would block the threads of the runtime.
        blocking::run(prepare).await
    }
}

impl RuleHost for FleetSwapper {
    type PreparedRules = PreparedPlugin;

    fn has_component(&self, sha256: &str) -> bool {
        is_built_in(sha256)
    }

    fn prepare<'a>(
        &'a self,
        rules: &'a FleetRules,
        component: Option<Bytes>,
    ) -> LoadFuture<'a, PreparedPlugin> {
        Box::pin(self.prepare_rules(rules, component))
    }

    fn activate<'a>(&'a self, prepared: &'a PreparedPlugin) -> LoadFuture<'a, ()> {
        let (swapper, prepared) = (self.swapper.clone(), prepared.clone());
        Box::pin(blocking::run(move || swapper.activate(&prepared).map(drop).map_err(to_rejection)))
    }
}

/// Why a component that the object store does not have is rejected.
const MISSING_COMPONENT: &str =
    "the object store of the fleet does not have the component: push it again";

fn is_built_in(sha256: &str) -> bool {
    *default_plugin_sha256() == *sha256
}

/// The object store is as open as the servers of NATS are.
fn check_digest(rules: &FleetRules, component: &[u8]) -> Result<(), String> {
    let found = sha256_hex(component);
    if found == rules.sha256 {
        return Ok(());
    }
    Err(format!(
        "the component in the object store of the fleet has the SHA-256 {found}, and not {}: delete it there, and push it again",
        rules.sha256
    ))
}

#[expect(clippy::needless_pass_by_value, reason = "it is an argument of map_err")]
fn to_rejection(rejected: RejectedCandidate) -> Rejection {
    let step = rejected.step.word().to_owned();
    Rejection { step, reason: rejected.cause.to_string() }
}
