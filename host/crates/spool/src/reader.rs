//! The single reader of a spool on disk.
//!
//! It keeps no entries, only a window of one file in memory. It reports, releases and skips corrupt
//! regions.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::frame::{FILE_HEADER_BYTES, FileHeader, parse_file_header};
use super::log::SegmentLog;
use super::segment::Segment;
use super::walk::{FoundFrame, FrameWalk, Gap};
use super::{EntryPosition, NextEntry, SpoolEntry};

/// The pause of the spool's reader after a segment that could not be opened.
const SPOOL_OPEN_AGAIN: Duration = Duration::from_millis(100);

/// Reads the segments one after the other.
#[derive(Debug)]
pub(super) struct SegmentReader {
    log: Arc<SegmentLog>,
    current: Option<CurrentSegment>,
    /// The number of the last completely read segment.
    passed: u64,
}

/// The current segment.
#[derive(Debug)]
struct CurrentSegment {
    segment: Arc<Segment>,
    walk: FrameWalk,
}

impl SegmentReader {
    pub(super) fn new(log: Arc<SegmentLog>) -> Self {
        Self { log, current: None, passed: 0 }
    }

    /// Returns the next entry, if it arrives before this time.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing signals when a disk works again, and the pause is bounded by `until`"
    )]
    pub(super) fn next(&mut self, until: Instant) -> NextEntry {
        loop {
            match self.next_ready_entry() {
                Ok(Some(entry)) => return NextEntry::Entry(entry),
                Ok(None) => {}
                Err(error) => {
                    self.log.tend_failed("open a segment", &error);
                    let left = until.saturating_duration_since(Instant::now());
                    thread::sleep(left.min(SPOOL_OPEN_AGAIN));
                    return NextEntry::Nothing;
                }
            }
            let at =
                self.current.as_ref().map(|current| (&*current.segment, current.walk.offset()));
            if let Err(nothing) = self.log.wait_for_entry(at, self.passed, until) {
                return nothing;
            }
        }
    }

    /// Returns the next available entry.
    fn next_ready_entry(&mut self) -> io::Result<Option<SpoolEntry>> {
        loop {
            let Some(current) = &mut self.current else {
                match self.open_next()? {
                    true => continue,
                    false => return Ok(None),
                }
            };
            let (segment, walk) = (&current.segment, &mut current.walk);
            let (end, items, is_complete, is_spent) = {
                let state = segment.state();
                (state.end, state.acks.items(), state.is_complete, state.is_spent())
            };
            if is_spent {
                self.current = None;
            } else if let Some(mut found) = walk.next_frame(end, items) {
                self.log.lose_gap(segment, std::mem::take(&mut found.gap));
                if let Some(entry) = current.read_entry(&self.log, &found, end) {
                    return Ok(Some(entry));
                }
            } else if is_complete {
                self.log.lose_gap(segment, walk.pass_over(end, items));
                self.current = None;
            } else if walk.offset() < end {
                self.log.lose_gap(segment, walk.pass_over(end, items));
            } else {
                return Ok(None);
            }
        }
    }

    /// Opens the next segment, if there is one.
    fn open_next(&mut self) -> io::Result<bool> {
        let Some(segment) = self.log.segment_after(self.passed) else {
            return Ok(false);
        };
        let (number, end, items) = {
            let state = segment.state();
            (segment.number, state.end, state.acks.items())
        };
        match self.log.open_segment(number) {
            Ok(file) => {
                let mut header = [0; FILE_HEADER_BYTES];
                let read = file.read_exact_at(&mut header, 0);
                if read.is_ok() && parse_file_header(&header, number) == FileHeader::Corrupt {
                    self.log.report_corrupt_header(number);
                }
                self.current = Some(CurrentSegment { segment, walk: FrameWalk::new(number, file) });
            }
            // All of its items were acknowledged meanwhile, or someone removed the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let gap = Gap { bytes: 0..end, items: 0..items, is_unreadable: false };
                self.log.lose_gap(&segment, gap);
            }
            Err(error) => return Err(error),
        }
        self.passed = number;
        Ok(true)
    }
}

impl CurrentSegment {
    /// Reads the entry of a frame, if it is valid and still needed.
    fn read_entry(&mut self, log: &SegmentLog, found: &FoundFrame, end: u64) -> Option<SpoolEntry> {
        let header = found.header;
        let items = header.first..header.items_end();
        let acked = self.segment.state().acks.acked_in(items.clone());
        if acked.len() == header.items as usize {
            return None;
        }
        let read = self.walk.read_entry(found, end);
        let is_unreadable = read.is_err();
        if let Some(bytes) = read.ok().filter(|bytes| crc32fast::hash(bytes) == header.checksum) {
            let place = EntryPosition {
                segment: self.segment.number,
                first: header.first,
                items: header.items,
            };
            return Some(SpoolEntry { bytes, items: header.items, place, acked });
        }
        let bytes = found.offset..found.offset + header.frame_bytes();
        log.lose_gap(&self.segment, Gap { bytes, items, is_unreadable });
        None
    }
}

/// The end of this waiting time, which may be infinite.
pub(super) fn deadline_after(patience: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(86_400);
    Instant::now() + patience.min(LONG)
}
