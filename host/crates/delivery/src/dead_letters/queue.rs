//! The queue of dead letters that wait to be written, and the thread that writes them.

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

/// Bytes of dead letters that are synced as one group, unless one alone is larger. The limit keeps
/// the first one of a group from waiting long for the last one.
const DEAD_GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The minimum time between two syncs of dead letters, unless a whole group waits. A few dead
/// letters should not occupy a disk that also syncs the spool.
const DEAD_SYNC_INTERVAL: Duration = Duration::from_millis(20);

/// The pauses before another attempt to write dead letters. The longest one is the maximum delay
/// until new disk space is noticed.
const DEAD_RETRY_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5), Jitter::None);

/// Dead letters that wait to be written to disk.
///
/// One thread writes all waiting dead letters together, and settles their events once they are
/// durable. While a write fails, it retries after pauses, and the dead letters wait here with
/// unsettled events. The memory for them is limited: above the limit, a worker with another dead
/// letter waits.
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
    /// Notifies tasks when memory becomes free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    dead_letters: VecDeque<QueuedDeadLetter>,
    /// The number of waiting dead letters and their bytes, including those that are being written.
    count: usize,
    bytes: usize,
    /// No more dead letters will arrive.
    is_closed: bool,
    /// Dead letters that cannot be written are refused instead of waiting.
    is_overdue: bool,
    /// The writer has ended.
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

    /// Adds a dead letter even if the memory limit is exceeded. Returns the dead letter if the
    /// writer has ended.
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

    /// Waits until there is memory for another dead letter. Must not be called on the runtime's
    /// threads.
    pub(super) fn wait_for_room_blocking(&self) {
        let is_full = |waiting: &mut QueueState| !waiting.has_room();
        self.shared.changed.wait_while(&mut self.shared.waiting.lock(), is_full);
    }

    /// Waits until there is memory for another dead letter.
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

    /// The number of waiting dead letters.
    pub(super) fn count(&self) -> usize {
        self.shared.waiting.lock().count
    }

    /// Refuses dead letters that cannot be written, from now on.
    pub(super) fn stop_waiting(&self) {
        self.shared.change_state(|waiting| waiting.is_overdue = true);
    }

    /// Waits until every dead letter is written or refused. No more may arrive.
    pub(super) fn finish(&self) {
        self.shared.change_state(|waiting| waiting.is_closed = true);
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("failed to write dead letters: this is a bug");
        }
    }
}

/// The writer tries the waiting dead letters once more, but the drop does not wait for that.
impl Drop for DeadLetterQueue {
    fn drop(&mut self) {
        self.shared.change_state(|waiting| (waiting.is_closed, waiting.is_overdue) = (true, true));
    }
}

impl QueueState {
    /// Whether there is memory for another dead letter. One that is larger than the limit is
    /// accepted alone.
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

    /// Returns the next dead letters to write together, or `None` once no more will arrive.
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

    /// Waits some time for more dead letters, unless there are enough of them.
    fn wait_for_group(&self, patience: Duration) {
        let is_early =
            |waiting: &mut QueueState| !waiting.is_closed && waiting.bytes < DEAD_GROUP_BYTES_MAX;
        self.changed.wait_while_for(&mut self.waiting.lock(), is_early, patience);
    }

    /// Releases the memory of these dead letters.
    fn release_memory(&self, dead_letters: &[QueuedDeadLetter]) {
        let bytes: usize = dead_letters.iter().map(QueuedDeadLetter::bytes).sum();
        self.change_state(|waiting| {
            waiting.count -= dead_letters.len();
            waiting.bytes -= bytes;
        });
    }

    /// Waits before a retry, unless waiting has been stopped.
    fn pause(&self, pause: Duration) {
        let is_early = |waiting: &mut QueueState| !waiting.is_overdue;
        self.changed.wait_while_for(&mut self.waiting.lock(), is_early, pause);
    }
}

/// The code that runs on the thread.
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

    /// Writes these dead letters with any number of retries, or refuses them.
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

    /// Tries to write these dead letters once. Those that failed stay in the group. Returns the
    /// reason if they should be retried; otherwise they are refused.
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

/// The work of the thread, for a simulation that calls it.
#[cfg(any(test, feature = "testing"))]
pub struct DeadLetterSteps(QueueWriter);

#[cfg(any(test, feature = "testing"))]
impl DeadLetterQueue {
    /// Creates a queue without a thread.
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
    /// Tries each waiting dead letter once. Those that cannot be written continue to wait.
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

/// Releases all waiting threads, however the writer thread ends.
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
