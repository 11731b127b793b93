//! Hands written dead letters on to their delivery stream through a bounded queue. A dead letter
//! never waits for its copy: what finds no room is counted as not copied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::limits;

/// Where letters are copied to once they are on their file.
///
/// Whoever writes a letter never waits for its copy, and never fails because of
/// it: a copy that finds no room is not made. Room is taken until the copy has
/// arrived or is dropped, wherever it is meanwhile.
#[derive(Debug)]
pub(super) struct Copies {
    /// None once no more are made.
    queue: Option<Sender<LetterCopy>>,
    bytes_max: usize,
    letters: u64,
    shared: Arc<Shared>,
    problem: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    arrived: AtomicU64,
}

/// A copy of a letter, on its way.
#[derive(Debug)]
pub struct LetterCopy {
    /// The letter's line, without its line ending.
    pub line: Vec<u8>,
    /// What is given up when the copy has arrived, or cannot.
    pub receipt: Receipt,
}

/// The room that a copy takes. It is given back when this is dropped; the copy
/// then counts as not made, unless it has arrived.
#[derive(Debug)]
pub struct Receipt {
    bytes: usize,
    shared: Arc<Shared>,
}

/// What became of the copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Letters of which a copy has arrived.
    pub copied: u64,
    /// Letters of which none has, so far.
    pub not_copied: u64,
    /// Why the first of them was given up, where that is known.
    pub problem: Option<String>,
}

impl Copies {
    /// Copies that come out at the other end, of which so many bytes may be on
    /// their way.
    #[expect(clippy::disallowed_methods, reason = "`bytes_max` bounds what is in the queue")]
    pub(super) fn new(bytes_max: usize) -> (Self, Receiver<LetterCopy>) {
        let (queue, copies) = unbounded();
        let (shared, problem) = (Arc::default(), None);
        (Copies { queue: Some(queue), bytes_max, letters: 0, shared, problem }, copies)
    }

    /// Copy a letter's line, which has its line ending, if there is room.
    pub(super) fn offer(&mut self, line: &[u8]) {
        self.letters += 1;
        let bytes = line.len();
        if bytes > limits::RECORD_BYTES_MAX {
            let most = limits::RECORD_BYTES_MAX;
            self.give_up(&format!("one has {bytes} bytes, and a record at most {most}"));
            return;
        }
        if self.shared.bytes.load(Ordering::Relaxed) + bytes > self.bytes_max {
            let most = self.bytes_max;
            self.give_up(&format!("{most} bytes of them were waiting for the stream already"));
            return;
        }
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        let receipt = Receipt { bytes, shared: Arc::clone(&self.shared) };
        let line = line.strip_suffix(b"\n").unwrap_or(line).to_owned();
        if let Some(queue) = &self.queue {
            // If nobody takes it, it is dropped, and counts as not made.
            let _ = queue.send(LetterCopy { line, receipt });
        }
    }

    /// A copy was given up for this reason. The first one is told, the others
    /// are only counted.
    pub(super) fn give_up(&mut self, problem: &str) {
        if self.problem.is_none() {
            tracing::warn!("a dead letter is not copied, as perhaps are others: {problem}");
            self.problem = Some(problem.to_owned());
        }
    }

    /// No more letters will come.
    pub(super) fn end(&mut self) {
        self.queue = None;
    }

    pub(super) fn report(&self) -> CopyReport {
        let copied = self.shared.arrived.load(Ordering::Relaxed);
        CopyReport { copied, not_copied: self.letters - copied, problem: self.problem.clone() }
    }
}

impl Receipt {
    /// The copy has arrived.
    pub fn arrived(self) {
        self.shared.arrived.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.shared.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_finds_no_room_is_counted_and_nobody_waits() {
        let (mut copies, queue) = Copies::new(10);
        for line in [b"1234\n", b"5678\n", b"9abc\n"] {
            copies.offer(line);
        }
        let first = queue.try_recv().unwrap();
        assert_eq!(first.line, b"1234");
        copies.offer(b"def0\n");
        let report = copies.report();
        assert_eq!((report.copied, report.not_copied, queue.len()), (0, 4, 1));
        assert!(report.problem.unwrap().contains("10 bytes"));

        first.receipt.arrived();
        copies.offer(b"abcd\n");
        copies.offer(b"\n");
        drop(queue.try_recv().unwrap());
        copies.offer(b"efgh\n");
        let lines: Vec<_> = queue.try_iter().map(|copy| copy.line).collect();
        assert_eq!(lines, [b"abcd", b"efgh"]);
        assert_eq!((copies.report().copied, copies.report().not_copied), (1, 6));
    }

    #[test]
    fn a_copy_larger_than_a_record_is_not_made() {
        let (mut copies, queue) = Copies::new(usize::MAX);
        let mut line = vec![b'x'; limits::RECORD_BYTES_MAX];
        copies.offer(&line);
        line.push(b'\n');
        copies.offer(&line);
        assert_eq!((copies.report().not_copied, queue.len()), (2, 1));
        assert!(copies.report().problem.unwrap().contains("one has 1024001 bytes"));
    }

    #[test]
    fn after_the_end_no_copies_are_made() {
        let (mut copies, queue) = Copies::new(100);
        copies.offer(b"a\n");
        copies.end();
        copies.offer(b"b\n");
        assert_eq!(queue.iter().count(), 1);
        assert_eq!(copies.report().not_copied, 2);
        assert_eq!(copies.shared.bytes.load(Ordering::Relaxed), 0);
    }
}
