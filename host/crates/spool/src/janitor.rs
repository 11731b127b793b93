//! The janitor thread does work that must not delay others: it removes segments that are no longer
//! needed, retries failed operations, and releases disk space of segments that only contain a few
//! needed items.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::chore::JanitorTask;
use super::frame::FILE_HEADER_BYTES;
use super::log::SegmentLog;
use super::segment::Segment;
use super::waiting::WriterCommand;
use super::walk::FrameWalk;
use crate::limits;
use standpipe_core::files::punch_hole;
use standpipe_core::private;

/// The unit in which file systems release space, in bytes.
const BLOCK: u64 = 4096;

/// Tends the files of a log.
#[derive(Debug)]
pub(super) struct Janitor {
    log: Arc<SegmentLog>,
    /// Segments that could not be removed.
    left: Vec<Arc<Segment>>,
    /// Segment numbers whose files could not be removed.
    left_files: Vec<u64>,
    can_punch: bool,
    /// The queue of the writer, which alone may complete the current segment.
    commands: Sender<WriterCommand>,
}

impl Janitor {
    pub(super) fn new(log: Arc<SegmentLog>, commands: Sender<WriterCommand>) -> Self {
        Self { log, left: Vec::new(), left_files: Vec::new(), can_punch: true, commands }
    }

    /// Executes tasks until it gets the command to stop.
    pub(super) fn run(mut self, chores: &Receiver<JanitorTask>) {
        let mut tend_at = Instant::now() + limits::SPOOL_TEND_INTERVAL;
        loop {
            match chores.recv_deadline(tend_at) {
                Ok(JanitorTask::Remove(segment)) => self.remove_segment(segment),
                Ok(JanitorTask::Discard(number)) => self.left_files.push(number),
                Ok(JanitorTask::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.tend();
                    tend_at = Instant::now() + limits::SPOOL_TEND_INTERVAL;
                }
            }
        }
    }

    pub(super) fn remove_segment(&mut self, segment: Arc<Segment>) {
        if let Err(error) = self.log.remove_segment(&segment) {
            self.log.tend_failed("remove a segment", &error);
            self.left.push(segment);
        }
    }

    /// Retries failed operations, and releases disk space if it becomes scarce.
    pub(super) fn tend(&mut self) {
        for segment in std::mem::take(&mut self.left) {
            self.remove_segment(segment);
        }
        // A repeated failure queues another task.
        for number in std::mem::take(&mut self.left_files) {
            self.log.discard_files(number);
        }
        let is_room_scarce = self.log.is_room_scarce();
        // One segment at a time, because a disk may take long for each.
        if is_room_scarce && !self.log.is_tend_asked.swap(true, Ordering::Relaxed) {
            let _ = self.commands.send(WriterCommand::Tend);
        }
        for segment in self.log.segments() {
            self.log.write_acks(segment.number, &mut segment.state());
            if is_room_scarce && self.can_punch && is_worth_it(&segment) {
                self.punch_segment(&segment);
            }
        }
    }

    fn punch_segment(&mut self, segment: &Segment) {
        match self.try_punch_segment(segment) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.can_punch = false,
            Err(error) => self.log.tend_failed("free disk space of a segment", &error),
        }
    }

    /// Releases whole blocks of acknowledged frames, including their headers. The reader skips an
    /// unreadable region if all missing items are acknowledged. Therefore, the acknowledgements
    /// must be durable first.
    fn try_punch_segment(&self, segment: &Segment) -> io::Result<()> {
        self.log.sync_acks(segment)?;
        let unacked = segment.state().acks.unacked();
        let file = private::file_options()
            .read(true)
            .write(true)
            .open(self.log.folder.log_path(segment.number))?;
        let mut punched = 0;
        for range in spent_ranges(segment, file.try_clone()?) {
            let blocks = range.start.next_multiple_of(BLOCK)..range.end / BLOCK * BLOCK;
            if !blocks.is_empty() {
                let length = blocks.end - blocks.start;
                punch_hole(&file, blocks.start, length)?;
                punched += length;
            }
        }
        let mut state = segment.state();
        self.log.used.subtract(punched.saturating_sub(state.punched));
        state.punched = punched.max(state.punched);
        state.unacked_when_punched = unacked;
        state.write_summary();
        self.log.write_acks(segment.number, &mut state);
        Ok(())
    }
}

/// Whether half of the items that were needed last time are no longer needed. So a segment is
/// scanned only a few times, however slowly it empties.
fn is_worth_it(segment: &Segment) -> bool {
    let state = segment.state();
    state.is_complete && !state.is_spent() && state.acks.unacked() <= state.unacked_when_punched / 2
}

/// The byte ranges of a segment that only contain acknowledged items.
fn spent_ranges(segment: &Segment, file: File) -> Vec<Range<u64>> {
    let (end, items) = {
        let state = segment.state();
        (state.end, state.acks.items())
    };
    let are_acked = |items: Range<u32>| segment.state().acks.are_acked(items);
    let (mut ranges, mut spent) = (Vec::new(), FILE_HEADER_BYTES as u64..FILE_HEADER_BYTES as u64);
    let mut walk = FrameWalk::new(segment.number, file);
    let mut add = |bytes: Range<u64>, is_spent: bool| {
        if is_spent {
            spent.end = bytes.end;
        } else {
            ranges.push(std::mem::replace(&mut spent, bytes.end..bytes.end));
        }
    };
    while let Some(found) = walk.next_frame(end, items) {
        let header = found.header;
        // A gap without items belongs to no frame. It stays, so that it is reported.
        let is_known = !found.gap.is_unreadable && !found.gap.items.is_empty();
        if !found.gap.bytes.is_empty() {
            add(found.gap.bytes, is_known && are_acked(found.gap.items));
        }
        add(found.offset..walk.offset(), are_acked(header.first..header.items_end()));
    }
    let tail = walk.pass_over(end, items);
    let is_known = !tail.is_unreadable && !tail.items.is_empty();
    add(tail.bytes, is_known && are_acked(tail.items));
    ranges.push(spent);
    ranges
}
