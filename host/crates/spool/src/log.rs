//! The segments of a spool on disk, as shared by the writer, the reader, the janitor and the
//! callers that acknowledge.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};

use super::ack_files::AckFiles;
use super::chore::JanitorTask;
use super::folder::SpoolDirectory;
use super::frame::FILE_HEADER_BYTES;
use super::segment::{Segment, SegmentState};
use super::status::{Counter, Counters, SpoolStatus};
use super::storage::{SpoolStorage, append_all, for_each_piece};
use super::walk::Gap;
use super::{EntryPosition, NextEntry};
use crate::limits;
use standpipe_core::log_interval::LogInterval;

/// The shared part of a spool on disk.
#[derive(Debug)]
pub(super) struct SegmentLog {
    pub(super) folder: SpoolDirectory,
    pub(super) storage: Box<dyn SpoolStorage>,
    pub(super) counters: Counters,
    /// Bytes on disk, and of entries that are being written.
    pub(super) used: Counter,
    pub(super) bytes_max: u64,
    /// Whether the writer has been asked to release disk space, and has not done so yet.
    pub(super) is_tend_asked: AtomicBool,
    ack_files: AckFiles,
    chores: Sender<JanitorTask>,
    index: Mutex<SegmentIndex>,
    news: Condvar,
    log_interval: LogInterval,
}

/// The existing segments.
#[derive(Debug, Default)]
pub(super) struct SegmentIndex {
    segments: BTreeMap<u64, Arc<Segment>>,
    /// Whether no more entries will arrive.
    has_ended: bool,
}

impl SegmentLog {
    pub(super) fn new(
        folder: SpoolDirectory,
        storage: Box<dyn SpoolStorage>,
        bytes_max: u64,
        chores: Sender<JanitorTask>,
    ) -> Self {
        Self {
            folder,
            storage,
            counters: Counters::default(),
            used: Counter::default(),
            bytes_max,
            is_tend_asked: AtomicBool::new(false),
            ack_files: AckFiles::default(),
            chores,
            index: Mutex::default(),
            news: Condvar::new(),
            log_interval: LogInterval::new(limits::SPOOL_LOG_STEP),
        }
    }

    /// Adds a segment with at least one entry.
    pub(super) fn insert_segment(&self, segment: Arc<Segment>) {
        self.index.lock().segments.insert(segment.number, segment);
    }

    /// Wakes the reader: there are more entries, or there will be no more.
    pub(super) fn wake_reader(&self, has_ended: bool) {
        self.index.lock().has_ended |= has_ended;
        self.news.notify_all();
    }

    /// Waits for an entry after this position. If none arrives in time, or none will, returns that
    /// instead.
    pub(super) fn wait_for_entry(
        &self,
        at: Option<(&Segment, u64)>,
        passed: u64,
        until: Instant,
    ) -> Result<(), NextEntry> {
        let mut index = self.index.lock();
        loop {
            let has_more = at.is_some_and(|(segment, offset)| {
                let state = segment.state();
                state.end > offset || state.is_complete
            });
            if has_more || at.is_none() && index.segment_after(passed).is_some() {
                return Ok(());
            }
            if index.has_ended {
                return Err(NextEntry::End);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NextEntry::Nothing);
            }
            self.news.wait_for(&mut index, left);
        }
    }

    /// The first segment after this number.
    pub(super) fn segment_after(&self, passed: u64) -> Option<Arc<Segment>> {
        self.index.lock().segment_after(passed).cloned()
    }

    /// Whether the current segment contains nothing that is still needed.
    pub(super) fn is_newest_unneeded(&self) -> bool {
        let newest = self.index.lock().segments.values().next_back().cloned();
        newest.is_some_and(|newest| {
            let state = newest.state();
            !state.is_complete && state.acks.unacked() == 0
        })
    }

    /// Whether disk space is scarce: more than half of the limit is used, or the last write failed.
    pub(super) fn is_room_scarce(&self) -> bool {
        self.used.get() > self.bytes_max / 2 || self.counters.is_failing.load(Ordering::Relaxed)
    }

    /// All segments, oldest first.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.index.lock().segments.values().cloned().collect()
    }

    /// Acknowledges items of an entry, by their positions in the entry.
    pub(super) fn acknowledge(&self, place: EntryPosition, positions: impl Iterator<Item = u32>) {
        // If a segment was removed, all of its items are acknowledged.
        let segment = self.index.lock().segments.get(&place.segment).cloned();
        if let Some(segment) = segment {
            let within = positions.filter(|position| *position < place.items);
            self.let_go(&segment, within.map(|position| place.first + position));
        }
    }

    /// Marks items as no longer needed. Returns how many of them were needed before.
    pub(super) fn let_go(&self, segment: &Arc<Segment>, items: impl Iterator<Item = u32>) -> u32 {
        let mut state = segment.state();
        let newly = state.acks.acknowledge(items);
        if newly > 0 {
            self.counters.items_waiting.subtract(u64::from(newly));
            self.write_acks(segment.number, &mut state);
            if state.is_spent() {
                drop(state);
                self.queue_removal(Arc::clone(segment));
            }
        }
        newly
    }

    /// Removes files with the number of a segment that was never completed, now or later.
    pub(super) fn discard_files(&self, number: u64) {
        self.ack_files.close_file(number);
        if let Err(error) = self.folder.remove_segment(number) {
            self.tend_failed("remove a segment", &error);
            let _ = self.chores.send(JanitorTask::Discard(number));
        }
    }

    /// Asks the janitor to remove a segment that is no longer needed.
    pub(super) fn queue_removal(&self, segment: Arc<Segment>) {
        // The janitor is gone only while the spool is being dropped. The segment is then removed
        // when the spool is next opened.
        let _ = self.chores.send(JanitorTask::Remove(segment));
    }

    /// Writes the changed acknowledgements of a segment to their file.
    pub(super) fn write_acks(&self, segment: u64, state: &mut SegmentState) {
        if let Err(error) = self.try_write_acks(segment, state) {
            self.tend_failed("write acknowledgements", &error);
        }
    }

    fn try_write_acks(&self, segment: u64, state: &mut SegmentState) -> io::Result<()> {
        state.acks.write_dirty(|offset, bytes| {
            let file = self.ack_files.open_file(&self.folder, segment)?;
            self.storage.overwrite(&file, offset, bytes)
        })
    }

    /// Syncs a segment's acknowledgements.
    pub(super) fn sync_acks(&self, segment: &Segment) -> io::Result<()> {
        self.try_write_acks(segment.number, &mut segment.state())?;
        let file = self.ack_files.open_file(&self.folder, segment.number)?;
        self.storage.sync(&file)
    }

    /// Reserves space for a part of a segment's acknowledgements in advance, because they must be
    /// writable on a full disk. Zeros stand for acknowledgements that were never written.
    pub(super) fn reserve_acks(&self, segment: u64, bytes: Range<u64>) -> io::Result<()> {
        let file = self.ack_files.open_file(&self.folder, segment)?;
        let zeros = vec![0; (bytes.end - bytes.start) as usize];
        self.storage.overwrite(&file, bytes.start, &zeros)
    }

    /// Removes the files of a segment that is no longer needed, unless that was done. If the files
    /// cannot be removed, the segment stays.
    pub(super) fn remove_segment(&self, segment: &Arc<Segment>) -> io::Result<()> {
        let was_there = self.index.lock().segments.remove(&segment.number).is_some();
        if !was_there {
            return Ok(());
        }
        self.ack_files.close_file(segment.number);
        let removed = self.folder.remove_segment(segment.number);
        match removed {
            Ok(()) => self.used.subtract(segment.state().bytes()),
            Err(_) => self.insert_segment(Arc::clone(segment)),
        }
        removed
    }

    /// Opens a segment's frames for reading.
    pub(super) fn open_segment(&self, segment: u64) -> io::Result<File> {
        File::open(self.folder.log_path(segment))
    }

    /// Counts and reports a corrupt region, and releases its items. All of them are lost, except
    /// those that were acknowledged before. If all were acknowledged, the region is not corrupt but
    /// was released.
    pub(super) fn lose_gap(&self, segment: &Arc<Segment>, gap: Gap) {
        // A segment that is no longer needed is removed even while it is read.
        if gap.bytes.is_empty() && gap.items.is_empty() || segment.state().is_spent() {
            return;
        }
        if gap.is_unreadable {
            self.counters.read_errors.add(1);
            let Range { start, end } = gap.bytes;
            let file = self.folder.log_path(segment.number);
            tracing::error!(file = %file.display(), offset = start, bytes = end - start, "failed to read a region of the spool; its entries are read again after a restart");
            return;
        }
        let are_acked = segment.state().acks.are_acked(gap.items.clone());
        if are_acked && !gap.items.is_empty() {
            return;
        }
        // The segment's files may be removed after its last item is released.
        let kept = self.set_aside(segment.number, gap.bytes.clone());
        let items = u64::from(self.let_go(segment, gap.items));
        self.count_corrupt(&gap.bytes, items);
        let Range { start, end } = gap.bytes;
        let kept = describe_kept(&kept);
        let file = self.folder.log_path(segment.number);
        tracing::error!(file = %file.display(), offset = start, bytes = end - start, items, kept, "a region of the spool is corrupt; its events are lost");
    }

    /// Counts and reports a corrupt file header, which contains no items.
    pub(super) fn report_corrupt_header(&self, segment: u64) {
        self.count_corrupt(&(0..FILE_HEADER_BYTES as u64), 0);
        let file = self.folder.log_path(segment);
        tracing::error!(file = %file.display(), "the header of a segment of the spool is corrupt; its entries are still read");
    }

    /// Counts and reports bytes after the last frame of a segment that no crash can explain.
    /// Returns whether they were saved in another file.
    pub(super) fn report_corrupt_end(&self, segment: u64, region: Range<u64>) -> bool {
        self.count_corrupt(&region, 0);
        let kept = self.set_aside(segment, region.clone());
        let Range { start, end } = region;
        let file = self.folder.log_path(segment);
        let kept_where = describe_kept(&kept);
        tracing::error!(file = %file.display(), offset = start, bytes = end - start, kept = kept_where, "the end of a segment of the spool is corrupt; requests that were accepted may be lost");
        kept.is_ok()
    }

    fn count_corrupt(&self, region: &Range<u64>, items: u64) {
        self.counters.corrupt_regions.add(1);
        self.counters.corrupt_bytes.add(region.end - region.start);
        self.counters.corrupt_items.add(items);
    }

    /// Saves a corrupt region in a file next to the segment, within the limit for such files.
    fn set_aside(&self, segment: u64, region: Range<u64>) -> io::Result<PathBuf> {
        if region.is_empty() {
            return Err(io::Error::other("the file is shorter"));
        }
        let path = self.folder.set_aside_path(segment, region.start);
        let bytes = region.end - region.start;
        // An earlier run saved the region, but did not release it.
        if path.metadata().is_ok_and(|metadata| metadata.len() == bytes) {
            return Ok(path);
        }
        let bytes_max = limits::SPOOL_SET_ASIDE_BYTES_MAX;
        if !self.counters.set_aside_bytes.try_add(bytes, bytes_max) {
            let full = format!("the limit of kept regions is reached ({bytes_max} bytes)");
            return Err(io::Error::other(full));
        }
        let copied = self.copy_region(segment, region, &path);
        if copied.is_err() {
            self.counters.set_aside_bytes.subtract(bytes);
            // A partial copy uses space and has little value.
            let _ = fs::remove_file(&path);
        }
        copied.map(|()| path)
    }

    fn copy_region(&self, segment: u64, region: Range<u64>, to: &Path) -> io::Result<()> {
        let from = self.open_segment(segment)?;
        let _ = fs::remove_file(to);
        let file = self.storage.create(to)?;
        let mut written = 0;
        for_each_piece(&from, region, |piece| {
            append_all(&*self.storage, &file, written, &mut [IoSlice::new(piece)])?;
            written += piece.len() as u64;
            Ok(true)
        })?;
        self.storage.sync(&file)
    }

    /// Counts items that stay in the spool because this program cannot read them.
    pub(super) fn count_unreadable(&self, items: u32) {
        self.counters.items_unreadable.add(u64::from(items));
    }

    /// Counts a failed file operation that will be retried.
    pub(super) fn tend_failed(&self, what: &str, error: &io::Error) {
        self.counters.tend_errors.add(1);
        if self.log_interval.admit().is_some() {
            let directory = self.folder.path().display();
            tracing::warn!(%directory, "the spool failed to {what} and tries again: {error}");
        }
    }

    pub(super) fn status(&self) -> SpoolStatus {
        let segments = self.segments();
        let waits = |segment: &&Arc<Segment>| segment.state().acks.unacked() > 0;
        let age = |segment: &Arc<Segment>| -> Duration {
            SystemTime::now().duration_since(segment.begun).unwrap_or_default()
        };
        SpoolStatus {
            bytes: self.used.get(),
            bytes_max: self.bytes_max,
            segments: segments.len() as u64,
            oldest: segments.iter().find(waits).map(age),
            ..self.counters.status()
        }
    }
}

/// Describes where a corrupt region was saved, or why it was not.
fn describe_kept(kept: &io::Result<PathBuf>) -> String {
    match kept {
        Ok(path) => path.display().to_string(),
        Err(error) => format!("not kept: {error}"),
    }
}

impl SegmentIndex {
    fn segment_after(&self, passed: u64) -> Option<&Arc<Segment>> {
        self.segments.range(passed + 1..).next().map(|(_, segment)| segment)
    }
}
