//! Replaces `run/collector.rs` in a build without the feature `collector`. Its type has no
//! values, so no run has a collector, and other files need no `cfg`.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;

use super::functions::SourceFunctions;
use super::plugin_secrets::PluginSecrets;
use super::{Addresses, CollectorSummary, RunError};
use crate::config::{CollectSettings, Settings};
use crate::source::Chunker;
use crate::stop::StopTokens;
use standpipe_aws::OnUnreachable;
use standpipe_core::event::SourceNames;
use standpipe_core::secret::SecretResolver;
use standpipe_delivery::dead_letters::DeadLetterDurability;
use standpipe_http::{ConnectionStats, Tls};
use standpipe_spool::Spool;

#[derive(Debug, Clone)]
pub(super) enum RunningCollector {}

pub(super) type BoundCollector = RunningCollector;

impl RunningCollector {
    #[expect(clippy::unused_async, reason = "it is awaited where there is a collector")]
    pub(super) async fn bind(
        settings: CollectSettings,
        _: SourceFunctions,
        _: Option<Tls>,
        _: Arc<dyn SecretResolver>,
        _: OnUnreachable,
        _: &Handle,
    ) -> Result<Self, RunError> {
        match settings {}
    }

    pub(super) fn addresses(&self) -> Addresses {
        match *self {}
    }

    pub(super) fn start(
        self,
        _: Chunker,
        _: Arc<ArcSwap<SourceNames>>,
        _: &StopTokens,
        _: &Handle,
    ) -> io::Result<(RunningCollector, JoinHandle<()>)> {
        match self {}
    }

    pub(super) fn spool(&self) -> &Spool {
        match *self {}
    }

    pub(super) fn connections(&self) -> Option<&ConnectionStats> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "it is awaited where there is a collector")]
    pub(super) async fn set_sources(
        &self,
        _: &CollectSettings,
        _: &SourceNames,
    ) -> Result<(), RunError> {
        match *self {}
    }

    pub(super) fn functions(&self) -> &SourceFunctions {
        match *self {}
    }

    pub(super) fn reload_functions(&self, _: &Settings, _: &PluginSecrets) {
        match *self {}
    }

    pub(super) fn set_certificate(&self, _: &CollectSettings) -> Result<(), RunError> {
        match *self {}
    }

    pub(super) fn summary(&self) -> CollectorSummary {
        match *self {}
    }
}

pub(super) fn dead_letter_durability(settings: Option<&CollectSettings>) -> DeadLetterDurability {
    match settings {
        Some(settings) => match *settings {},
        None => DeadLetterDurability::Written,
    }
}
