//! Stands in for `collecting` in a build without the feature `collector`: there is no value
//! of these types, so no run has a collector, and the rest of a run need not ask.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Handle;

use super::{Collected, StartError};
use crate::config::CollectSettings;
use crate::source::Chunker;
use crate::stop::StopTokens;
use standpipe_aws::OnUnreachable;
use standpipe_core::event::SourceNames;
use standpipe_core::secret::SecretResolver;
use standpipe_delivery::dead_letters::DeadLetterDurability;
use standpipe_http::{ConnectionStats, Tls};
use standpipe_spool::Spool;

pub(super) enum Listening {}

#[derive(Debug)]
pub(super) enum Collecting {}

#[derive(Debug, Clone)]
pub(super) enum Replaceable {}

pub(super) enum Remaining {}

impl Listening {
    #[expect(clippy::unused_async, reason = "it is awaited where there is a collector")]
    pub(super) async fn start(
        settings: CollectSettings,
        _: Option<Tls>,
        _: Arc<dyn SecretResolver>,
        _: OnUnreachable,
        _: &Handle,
    ) -> Result<Self, StartError> {
        match settings {}
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        match *self {}
    }

    pub(super) fn is_encrypted(&self) -> bool {
        match *self {}
    }

    pub(super) fn collect(
        self,
        _: Chunker,
        _: SourceNames,
        _: &StopTokens,
        _: &Handle,
    ) -> io::Result<Collecting> {
        match self {}
    }
}

impl Collecting {
    pub(super) fn spool(&self) -> &Spool {
        match *self {}
    }

    pub(super) fn connections(&self) -> Option<&ConnectionStats> {
        match *self {}
    }

    pub(super) fn replaceable(&self) -> Replaceable {
        match *self {}
    }

    pub(super) fn part(self) -> (JoinHandle<()>, Remaining) {
        match self {}
    }
}

impl Replaceable {
    #[expect(clippy::unused_async, reason = "it is awaited where there is a collector")]
    pub(super) async fn set_sources(
        &self,
        _: &CollectSettings,
        _: &SourceNames,
    ) -> Result<(), StartError> {
        match *self {}
    }

    pub(super) fn set_certificate(
        &self,
        settings: &CollectSettings,
    ) -> Option<Result<(), StartError>> {
        match *settings {}
    }
}

impl Remaining {
    pub(super) fn collected(&self) -> Collected {
        match *self {}
    }
}

pub(super) fn dead_letter_durability(settings: Option<&CollectSettings>) -> DeadLetterDurability {
    match settings {
        Some(settings) => match *settings {},
        None => DeadLetterDurability::Written,
    }
}
