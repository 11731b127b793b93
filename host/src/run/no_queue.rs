//! Replaces `run/queue.rs` in a build without the feature `queue`. Its types have no values, so no run has a queue, and
//! other files need no `cfg`.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender};
use tokio::runtime::Handle;

use super::fleet::JoinedFleet;
use super::{QueueSummary, RunError};
use crate::config::QueueSettings;
use crate::source::Chunker;
use crate::stop::StopTokens;
use standpipe_aws::OnUnreachable;
use standpipe_core::event::{Chunk, SourceNames};
use standpipe_core::secret::SecretResolver;
use standpipe_delivery::dead_letters::DeadLetterWriter;

pub(super) enum ConnectedQueue {}

pub(super) type RunningQueue = ConnectedQueue;

#[expect(clippy::unused_async, reason = "they are awaited where there is a queue")]
impl ConnectedQueue {
    pub(super) async fn connect(
        settings: QueueSettings,
        _: &Arc<dyn SecretResolver>,
        _: OnUnreachable,
        _: &StopTokens,
        _: &Handle,
    ) -> Result<Self, RunError> {
        match settings {}
    }

    pub(super) fn wait_for_fleet(&mut self, _: &JoinedFleet) {
        match *self {}
    }

    pub(super) fn spawn_publishers(
        &self,
        _: usize,
        _: (Receiver<Chunk>, Sender<Vec<u8>>),
        _: &Arc<DeadLetterWriter>,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        match *self {}
    }

    pub(super) fn start(
        self,
        _: Option<Chunker>,
        _: Arc<ArcSwap<SourceNames>>,
        _: &StopTokens,
        _: &Handle,
    ) -> io::Result<(RunningQueue, Option<JoinHandle<()>>)> {
        match self {}
    }

    pub(super) fn summary(&self) -> QueueSummary {
        match *self {}
    }

    pub(super) async fn drain(&self) {
        match *self {}
    }

    pub(super) async fn finish(&mut self) {
        match *self {}
    }
}
