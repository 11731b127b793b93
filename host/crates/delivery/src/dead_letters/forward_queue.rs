//! Passes written dead letters to their delivery stream through a limited queue. A dead letter
//! never waits for its copy. A copy that does not fit is counted as not copied.

use crossbeam_channel::{Receiver, Sender, unbounded};
use prometheus_client::metrics::counter::Counter;

use crate::limits;
use standpipe_core::memory_budget::{MemoryBudget, Reservation, Sharing};

/// The queue for copies of dead letters that are in their file.
///
/// A thread that writes a dead letter never waits for its copy, and never fails because of it: a
/// copy without room is discarded. The memory of a copy is reserved until the copy is accepted or
/// dropped.
#[derive(Debug)]
pub(super) struct ForwardQueue {
    /// `None` after the end of forwarding.
    queue: Option<Sender<ForwardedLetter>>,
    bytes_max: usize,
    /// The memory budget of copies in the queue or in flight.
    memory: MemoryBudget,
    dead_letters: u64,
    arrived: Counter,
    problem: Option<String>,
}

/// A copy of a dead letter that is being forwarded.
#[derive(Debug)]
pub struct ForwardedLetter {
    /// The dead letter's line, without its line ending.
    pub line: Vec<u8>,
    /// Dropped or used when the copy is accepted or given up.
    pub receipt: ForwardingReceipt,
}

/// The memory reservation of a copy. Dropping it releases the memory. The copy then counts as not
/// copied, unless it was accepted.
#[derive(Debug)]
pub struct ForwardingReceipt {
    _memory: Reservation,
    arrived: Counter,
}

/// The counts of copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardingReport {
    /// Dead letters whose copy the stream has accepted.
    pub copied: u64,
    /// Dead letters whose copy the stream has not accepted so far.
    pub not_copied: u64,
    /// Why the first of them was given up, if that is known.
    pub problem: Option<String>,
}

impl ForwardQueue {
    /// Creates a queue for this number of bytes of copies. Also returns its receiver.
    #[expect(clippy::disallowed_methods, reason = "`bytes_max` bounds what is in the queue")]
    pub(super) fn new(bytes_max: usize) -> (Self, Receiver<ForwardedLetter>) {
        let (queue, received) = unbounded();
        let copies = ForwardQueue {
            queue: Some(queue),
            bytes_max,
            memory: MemoryBudget::new(bytes_max, Sharing::InOrder),
            dead_letters: 0,
            arrived: Counter::default(),
            problem: None,
        };
        (copies, received)
    }

    /// Copies the line of a dead letter, which includes its line ending, if there is room.
    pub(super) fn forward(&mut self, line: &[u8]) {
        self.dead_letters += 1;
        let bytes = line.len();
        if bytes > limits::RECORD_BYTES_MAX {
            let most = limits::RECORD_BYTES_MAX;
            self.give_up(&format!("its line has {bytes} bytes, and a record has at most {most}"));
            return;
        }
        let mut memory = self.memory.reservation();
        if !memory.try_grow(bytes) {
            let most = self.bytes_max;
            self.give_up(&format!("{most} bytes of dead letters already wait for the stream"));
            return;
        }
        let receipt = ForwardingReceipt { _memory: memory, arrived: self.arrived.clone() };
        let line = line.strip_suffix(b"\n").unwrap_or(line).to_owned();
        if let Some(queue) = &self.queue {
            // Without a receiver, the copy is dropped and counts as not copied.
            let _ = queue.send(ForwardedLetter { line, receipt });
        }
    }

    /// Counts a copy that was given up for this reason. The first one is logged.
    pub(super) fn give_up(&mut self, problem: &str) {
        if self.problem.is_none() {
            tracing::warn!(
                "failed to send a dead letter to its stream, and perhaps others: {problem}"
            );
            self.problem = Some(problem.to_owned());
        }
    }

    /// Closes the queue: no more dead letters will be written.
    pub(super) fn close_queue(&mut self) {
        self.queue = None;
    }

    pub(super) fn report(&self) -> ForwardingReport {
        let copied = self.arrived.get();
        ForwardingReport {
            copied,
            not_copied: self.dead_letters - copied,
            problem: self.problem.clone(),
        }
    }
}

impl ForwardingReceipt {
    /// Counts the copy as accepted.
    pub fn arrived(self) {
        self.arrived.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_finds_no_room_is_counted_and_nobody_waits() {
        let (mut copies, queue) = ForwardQueue::new(10);
        for line in [b"1234\n", b"5678\n", b"9abc\n"] {
            copies.forward(line);
        }
        let first = queue.try_recv().unwrap();
        assert_eq!(first.line, b"1234");
        copies.forward(b"def0\n");
        let report = copies.report();
        assert_eq!((report.copied, report.not_copied, queue.len()), (0, 4, 1));
        assert!(report.problem.unwrap().contains("10 bytes"));

        first.receipt.arrived();
        copies.forward(b"abcd\n");
        copies.forward(b"\n");
        drop(queue.try_recv().unwrap());
        copies.forward(b"efgh\n");
        let lines: Vec<_> = queue.try_iter().map(|copy| copy.line).collect();
        assert_eq!(lines, [b"abcd", b"efgh"]);
        assert_eq!((copies.report().copied, copies.report().not_copied), (1, 6));
    }

    #[test]
    fn a_copy_larger_than_a_record_is_not_made() {
        let (mut copies, queue) = ForwardQueue::new(3 * limits::RECORD_BYTES_MAX);
        let mut line = vec![b'x'; limits::RECORD_BYTES_MAX];
        copies.forward(&line);
        line.push(b'\n');
        copies.forward(&line);
        assert_eq!((copies.report().not_copied, queue.len()), (2, 1));
        assert!(copies.report().problem.unwrap().contains("has 1024001 bytes"));
    }

    #[test]
    fn after_the_end_no_copies_are_made() {
        let (mut copies, queue) = ForwardQueue::new(100);
        copies.forward(b"a\n");
        copies.close_queue();
        copies.forward(b"b\n");
        assert_eq!(queue.iter().count(), 1);
        assert_eq!(copies.report().not_copied, 2);
        assert_eq!(copies.memory.free_bytes(), 100);
    }
}
