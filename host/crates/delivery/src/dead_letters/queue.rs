//! Dead letters that wait to be written, and the thread that writes them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::log::DeadLetterLog;
use super::queued_dead_letter::{DeadLetterDurability, QueuedDeadLetter};
use super::writer::is_too_large;
use crate::limits;
use standpipe_core::backoff::{Backoff, Jitter};
use standpipe_core::event::OutputOutcome;

/// Bytes of dead letters that are synced as one group, unless one alone is larger, so
/// that the first of a group does not wait long for the last.
const DEAD_GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The least time from one sync of dead letters to the next, unless a whole group waits:
/// a disk that syncs for the spool at the same time is not to be busy with a few dead letters.
const DEAD_SYNC_INTERVAL: Duration = Duration::from_millis(20);

/// The pauses before dead letters are tried again that could not be written. The longest is
/// how long it takes at most until it is noticed that there is room.
const DEAD_RETRY_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5), Jitter::None);

/// Dead letters on their way to the disk.
///
/// One thread writes them, as many at a time as wait, and settles their events
/// once they are durable. While they cannot be written it tries again after
/// pauses, and they wait here with their events unsettled: the memory for that is
/// bounded, and beyond the bound a worker that has another one waits.
#[derive(Debug)]
pub(super) struct DeadLetterQueue {
    shared: Arc<SharedQueue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct SharedQueue {
    waiting: Mutex<QueueState>,
    /// Notified whenever [`QueueState`] changes.
    changed: Condvar,
    /// The same for tasks, when there is room.
    freed: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    dead_letters: VecDeque<QueuedDeadLetter>,
    /// Dead letters and bytes that wait, those that are being written among them.
    count: usize,
    bytes: usize,
    /// No more will come.
    is_closed: bool,
    /// What cannot be written is to be refused, and not to wait.
    is_overdue: bool,
    /// Nobody writes any more.
    is_over: bool,
}

impl DeadLetterQueue {
    pub(super) fn start(
        log: Arc<DeadLetterLog>,
        durability: DeadLetterDurability,
    ) -> io::Result<Self> {
        let shared = Arc::<SharedQueue>::default();
        let writing = QueueWriter { log, durability, shared: Arc::clone(&shared) };
        let thread = thread::Builder::new().name("dead-letters".to_owned());
        let thread = thread.spawn(move || writing.run())?;
        Ok(DeadLetterQueue { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Add a dead letter, whether there is room or not. It comes back if nobody would
    /// write it.
    pub(super) fn push(&self, dead_letter: QueuedDeadLetter) -> Result<(), QueuedDeadLetter> {
        let mut waiting = self.shared.waiting.lock();
        if waiting.is_over {
            return Err(dead_letter);
        }
        waiting.count += 1;
        waiting.bytes += dead_letter.bytes();
        waiting.dead_letters.push_back(dead_letter);
        drop(waiting);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Wait until there is room for another dead letter. Not for the runtime's threads.
    pub(super) fn wait_for_room_blocking(&self) {
        let is_full = |waiting: &mut QueueState| !waiting.has_room();
        self.shared.changed.wait_while(&mut self.shared.waiting.lock(), is_full);
    }

    /// Wait until there is room for another dead letter.
    pub(super) async fn wait_for_room(&self) {
        loop {
            let mut freed = std::pin::pin!(self.shared.freed.notified());
            freed.as_mut().enable();
            if self.shared.waiting.lock().has_room() {
                return;
            }
            freed.await;
        }
    }

    /// How many dead letters wait.
    pub(super) fn count(&self) -> usize {
        self.shared.waiting.lock().count
    }

    /// From now on dead letters that cannot be written are refused.
    pub(super) fn stop_waiting(&self) {
        self.shared.change_state(|waiting| waiting.is_overdue = true);
    }

    /// Wait until every dead letter is written, or refused. No more may come.
    pub(super) fn finish(&self) {
        self.shared.change_state(|waiting| waiting.is_closed = true);
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("failed to write dead letters: this is a bug");
        }
    }
}

/// What waits is tried once more, and nobody waits for that.
impl Drop for DeadLetterQueue {
    fn drop(&mut self) {
        self.shared.change_state(|waiting| (waiting.is_closed, waiting.is_overdue) = (true, true));
    }
}

impl QueueState {
    /// A dead letter that is larger than the bound gets through alone.
    fn has_room(&self) -> bool {
        self.is_over || self.bytes < limits::DEAD_QUEUE_BYTES_MAX
    }
}

impl SharedQueue {
    fn change_state(&self, change: impl FnOnce(&mut QueueState)) {
        change(&mut self.waiting.lock());
        self.changed.notify_all();
        self.freed.notify_waiters();
    }

    /// The next dead letters, to be written together; none once no more will come.
    fn take_group(&self) -> Option<VecDeque<QueuedDeadLetter>> {
        let is_idle =
            |waiting: &mut QueueState| waiting.dead_letters.is_empty() && !waiting.is_closed;
        let mut waiting = self.waiting.lock();
        self.changed.wait_while(&mut waiting, is_idle);
        let (mut group, mut bytes) = (VecDeque::new(), 0);
        while let Some(dead_letter) =
            waiting.dead_letters.pop_front_if(|_| bytes < DEAD_GROUP_BYTES_MAX)
        {
            bytes += dead_letter.bytes();
            group.push_back(dead_letter);
        }
        (!group.is_empty()).then_some(group)
    }

    /// Let dead letters come together for a while, unless there are enough of them.
    fn wait_for_group(&self, patience: Duration) {
        let is_early =
            |waiting: &mut QueueState| !waiting.is_closed && waiting.bytes < DEAD_GROUP_BYTES_MAX;
        self.changed.wait_while_for(&mut self.waiting.lock(), is_early, patience);
    }

    /// Give the room of these dead letters back.
    fn release_memory(&self, dead_letters: &[QueuedDeadLetter]) {
        let bytes: usize = dead_letters.iter().map(QueuedDeadLetter::bytes).sum();
        self.change_state(|waiting| {
            waiting.count -= dead_letters.len();
            waiting.bytes -= bytes;
        });
    }

    /// Wait before a dead letter is tried again, unless nobody is to wait any longer.
    fn pause(&self, pause: Duration) {
        let is_early = |waiting: &mut QueueState| !waiting.is_overdue;
        self.changed.wait_while_for(&mut self.waiting.lock(), is_early, pause);
    }
}

/// What runs on the thread.
struct QueueWriter {
    log: Arc<DeadLetterLog>,
    durability: DeadLetterDurability,
    shared: Arc<SharedQueue>,
}

impl QueueWriter {
    fn run(self) {
        while let Some(group) = self.shared.take_group() {
            self.write(group);
            if self.durability == DeadLetterDurability::Synced {
                self.shared.wait_for_group(DEAD_SYNC_INTERVAL);
            }
        }
    }

    /// Write these dead letters, however often that takes, or refuse them.
    fn write(&self, mut group: VecDeque<QueuedDeadLetter>) {
        let mut failures = 0;
        while !group.is_empty() {
            let dead_letters = group.len();
            let error = self.try_group(&mut group);
            if group.len() < dead_letters {
                failures = 0;
            }
            if let Some(error) = error {
                self.log.mention_trouble(&error, self.shared.waiting.lock().count);
                failures += 1;
                self.shared.pause(DEAD_RETRY_BACKOFF.pause_after(failures));
            }
        }
    }

    /// Try to write these dead letters once. What cannot be written stays in the group, and
    /// comes with the reason if it is to be tried again; what is not is refused.
    fn try_group(&self, group: &mut VecDeque<QueuedDeadLetter>) -> Option<io::Error> {
        let (written, error) = self.log.write_group(group);
        let written: Vec<_> = group.drain(..written).collect();
        if !written.is_empty() {
            self.shared.release_memory(&written);
            settle_events(written);
        }
        let error = error?;
        if !self.shared.waiting.lock().is_overdue && !is_too_large(&error) {
            return Some(error);
        }
        let refused: Vec<_> = group.pop_front().into_iter().collect();
        self.log.count_refused(&error, refused.len());
        self.shared.release_memory(&refused);
        None
    }
}

/// The work of the thread, where a simulation says when it is done.
#[cfg(any(test, feature = "testing"))]
pub struct DeadLetterSteps(QueueWriter);

#[cfg(any(test, feature = "testing"))]
impl DeadLetterQueue {
    /// A queue without a thread.
    pub(super) fn stepped(
        log: Arc<DeadLetterLog>,
        durability: DeadLetterDurability,
    ) -> (Self, DeadLetterSteps) {
        let shared = Arc::<SharedQueue>::default();
        let writing = QueueWriter { log, durability, shared: Arc::clone(&shared) };
        (DeadLetterQueue { shared, thread: Mutex::default() }, DeadLetterSteps(writing))
    }
}

#[cfg(any(test, feature = "testing"))]
impl DeadLetterSteps {
    /// Tries each waiting dead letter once; what cannot be written waits on.
    pub fn write(&self) {
        let waiting = &self.0.shared.waiting;
        loop {
            let mut group = std::mem::take(&mut waiting.lock().dead_letters);
            if group.is_empty() {
                return;
            }
            let error = self.0.try_group(&mut group);
            let mut waiting = waiting.lock();
            group.append(&mut waiting.dead_letters);
            waiting.dead_letters = group;
            if error.is_some() {
                return;
            }
        }
    }
}

/// However the thread ends, nobody waits for it after that.
impl Drop for QueueWriter {
    fn drop(&mut self) {
        self.shared.change_state(|waiting| waiting.is_over = true);
    }
}

/// Settles events as dead. Their sources then save a checkpoint: one for consecutive dead
/// letters of the same chunk.
fn settle_events(dead_letters: Vec<QueuedDeadLetter>) {
    let mut dead_letters = dead_letters.into_iter().peekable();
    while let Some(QueuedDeadLetter { reason, ack, event, .. }) = dead_letters.next() {
        ack.settle(event, OutputOutcome::Dead(reason));
        if dead_letters.peek().is_none_or(|next| !next.ack.is(&ack)) {
            ack.checkpoint();
        }
    }
}
