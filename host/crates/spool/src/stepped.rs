//! A spool without threads: a simulation determines when its writer and its janitor work.

use super::chore::JanitorTask;
use super::disk::{DiskSpool, SpoolWorkers};
use super::storage::SpoolStorage;
use super::{Consumer, ConsumerKind, Recovered, Spool, SpoolKind, SpoolOpenError, SpoolSettings};
use std::sync::Arc;

/// The work of a spool's threads, step by step.
#[derive(Debug)]
pub struct SpoolSteps {
    tenders: SpoolWorkers,
    is_closing: bool,
    has_ended: bool,
}

impl Spool {
    /// Opens a spool on disk whose threads are replaced by steps.
    pub fn open_stepped(
        settings: SpoolSettings,
        segment_bytes: u64,
        storage: Box<dyn SpoolStorage>,
    ) -> Result<(Self, Consumer, Recovered, SpoolSteps), SpoolOpenError> {
        let (disk, reader, recovered, tenders) =
            DiskSpool::assemble_parts(settings, segment_bytes, storage)?;
        let consumer = Consumer(ConsumerKind::Disk(Box::new(reader)));
        let steps = SpoolSteps { tenders, is_closing: false, has_ended: false };
        Ok((Spool(Arc::new(SpoolKind::Disk(disk))), consumer, recovered, steps))
    }
}

impl SpoolSteps {
    /// Writes waiting entries, and removes segments that are no longer needed.
    pub fn write(&mut self) {
        let SpoolWorkers { writer, janitor, commands, chores } = &mut self.tenders;
        while let Ok(command) = commands.try_recv() {
            self.is_closing |= writer.serve_commands(command, commands);
        }
        if self.is_closing && !self.has_ended {
            writer.finish_log();
            self.has_ended = true;
        }
        while let Ok(JanitorTask::Remove(segment)) = chores.try_recv() {
            janitor.remove_segment(segment);
        }
    }

    /// Does the work of the janitor at intervals.
    pub fn tend(&mut self) {
        self.tenders.janitor.tend();
    }
}
