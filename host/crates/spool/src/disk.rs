//! A spool on disk: it connects its parts, and owns their threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::chore::JanitorTask;
use super::folder::SpoolDirectory;
use super::frame::frame_bytes;
use super::janitor::Janitor;
use super::log::SegmentLog;
use super::reader::SegmentReader;
use super::recover::recover_segments;
use super::storage::SpoolStorage;
use super::waiting::{PendingEntry, WriterCommand};
use super::writer::SegmentWriter;
use super::{AppendError, Recovered, SpoolOpenError, SpoolSettings};
use crate::limits;

/// Memory of a waiting entry besides its bytes.
const WAITING_OVERHEAD_BYTES: usize = 256;

/// The side of a spool on disk that accepts entries.
#[derive(Debug)]
pub(super) struct DiskSpool {
    pub(super) log: Arc<SegmentLog>,
    commands: Sender<WriterCommand>,
    chores: Sender<JanitorTask>,
    /// Permits for the memory of waiting entries.
    memory: Arc<Semaphore>,
    is_closed: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The parts of a spool with their own threads, and the queues of their work.
#[derive(Debug)]
pub(super) struct SpoolWorkers {
    pub(super) writer: SegmentWriter,
    pub(super) janitor: Janitor,
    pub(super) commands: Receiver<WriterCommand>,
    pub(super) chores: Receiver<JanitorTask>,
}

impl DiskSpool {
    pub(super) fn open(
        settings: SpoolSettings,
        segment_bytes: u64,
        storage: Box<dyn SpoolStorage>,
    ) -> Result<(Self, SegmentReader, Recovered), SpoolOpenError> {
        let (disk, reader, recovered, SpoolWorkers { writer, janitor, commands, chores }) =
            Self::assemble_parts(settings, segment_bytes, storage)?;
        disk.spawn_thread("spool-writer", move || writer.run(&commands))?;
        disk.spawn_thread("spool-janitor", move || janitor.run(&chores))?;
        Ok((disk, reader, recovered))
    }

    /// Connects the parts without starting a thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "a semaphore bounds entries that wait, and the number of segments chores"
    )]
    pub(super) fn assemble_parts(
        settings: SpoolSettings,
        segment_bytes: u64,
        storage: Box<dyn SpoolStorage>,
    ) -> Result<(Self, SegmentReader, Recovered, SpoolWorkers), SpoolOpenError> {
        let (commands, receive_commands) = unbounded();
        let (chores, receive_chores) = unbounded();
        let folder = SpoolDirectory::open(settings.directory)?;
        let log = Arc::new(SegmentLog::new(folder, storage, settings.bytes_max, chores.clone()));
        let (recovered, next_number) = recover_segments(&log)?;
        let writer =
            SegmentWriter::new(Arc::clone(&log), settings.durability, segment_bytes, next_number);
        let janitor = Janitor::new(Arc::clone(&log), commands.clone());
        let memory = limits::SPOOL_WAITING_BYTES_MAX;
        let disk = Self {
            log: Arc::clone(&log),
            commands,
            chores,
            memory: Arc::new(Semaphore::new(memory)),
            is_closed: AtomicBool::new(false),
            threads: Mutex::default(),
        };
        let tenders =
            SpoolWorkers { writer, janitor, commands: receive_commands, chores: receive_chores };
        Ok((disk, SegmentReader::new(log), recovered, tenders))
    }

    fn spawn_thread(
        &self,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), SpoolOpenError> {
        let thread: io::Result<_> = Builder::new().name(name.to_owned()).spawn(run);
        let mut threads = self.threads.lock();
        threads.push(thread.map_err(SpoolOpenError::Thread)?);
        Ok(())
    }

    pub(super) async fn append(&self, items: u32, bytes: Vec<u8>) -> Result<(), AppendError> {
        let frame = frame_bytes(bytes.len());
        if bytes.len() > limits::SPOOL_ENTRY_BYTES_MAX
            || items > limits::SPOOL_SEGMENT_ITEMS_MAX
            || frame > self.log.bytes_max
        {
            return Err(AppendError::TooLarge { bytes: bytes.len(), items });
        }
        let memory = (bytes.len() + WAITING_OVERHEAD_BYTES) as u32;
        let permit = Arc::clone(&self.memory).acquire_many_owned(memory).await;
        let permit = permit.map_err(|_| AppendError::Closed)?;
        self.reserve_room(frame).await?;
        let (answer, answered) = oneshot::channel();
        let checksum = crc32fast::hash(&bytes);
        let waiting = PendingEntry { items, bytes, checksum, answer, _permit: permit };
        if self.commands.send(WriterCommand::Append(waiting)).is_err() {
            self.log.used.subtract(frame);
            return Err(AppendError::Closed);
        }
        // The writer drops waiting entries when it ends.
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Reserves disk space for a frame.
    async fn reserve_room(&self, frame: u64) -> Result<(), AppendError> {
        let try_reserve = || self.log.used.try_add(frame, self.log.bytes_max);
        if try_reserve() {
            return Ok(());
        }
        // The current segment is not removed automatically.
        if self.log.is_newest_unneeded() {
            let (done, is_done) = oneshot::channel();
            let asked = self.commands.send(WriterCommand::Renew(done)).is_ok();
            if asked && is_done.await.is_ok() && try_reserve() {
                return Ok(());
            }
        }
        Err(AppendError::Full)
    }

    pub(super) fn close(&self) {
        if !self.is_closed.swap(true, Ordering::Relaxed) {
            self.memory.close();
            // Without a writer, there is nothing to close.
            let _ = self.commands.send(WriterCommand::Close);
        }
    }
}

impl Drop for DiskSpool {
    fn drop(&mut self) {
        self.close();
        let mut threads = std::mem::take(self.threads.get_mut()).into_iter();
        // The writer is joined first, because it may still queue work for the janitor. A thread
        // that panicked has already reported it.
        let _ = threads.next().map(JoinHandle::join);
        let _ = self.chores.send(JanitorTask::Stop);
        let _ = threads.next().map(JoinHandle::join);
    }
}
