//! A spool without threads: a simulation says when its writer and its janitor work.

use super::chore::Chore;
use super::disk::{Disk, Tenders};
use super::storage::Storage;
use super::{Kind, OpenError, Outlet, OutletKind, Recovered, Spool, SpoolSettings};
use std::sync::Arc;

/// The work of a spool's threads, step by step.
#[derive(Debug)]
pub struct Steps {
    tenders: Tenders,
    is_closing: bool,
    has_ended: bool,
}

impl Spool {
    /// Opens a spool on disk whose threads are replaced by steps.
    pub fn open_stepped(
        settings: SpoolSettings,
        segment_bytes: u64,
        storage: Box<dyn Storage>,
    ) -> Result<(Self, Outlet, Recovered, Steps), OpenError> {
        let (disk, reader, recovered, tenders) = Disk::assemble(settings, segment_bytes, storage)?;
        let outlet = Outlet(OutletKind::Disk(Box::new(reader)));
        let steps = Steps { tenders, is_closing: false, has_ended: false };
        Ok((Spool(Arc::new(Kind::Disk(disk))), outlet, recovered, steps))
    }
}

impl Steps {
    /// Writes what waits, and removes what nobody needs.
    pub fn write(&mut self) {
        let Tenders { writer, janitor, commands, chores } = &mut self.tenders;
        while let Ok(command) = commands.try_recv() {
            self.is_closing |= writer.serve(command, commands);
        }
        if self.is_closing && !self.has_ended {
            writer.finish();
            self.has_ended = true;
        }
        while let Ok(Chore::Remove(segment)) = chores.try_recv() {
            janitor.remove(segment);
        }
    }

    /// Does what the janitor does at intervals.
    pub fn tend(&mut self) {
        self.tenders.janitor.tend();
    }
}
