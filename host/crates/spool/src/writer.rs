//! The writer thread: it takes all waiting entries, writes them with as few calls as possible,
//! syncs once, and then responds to all callers.
//!
//! A failure leaves the log as it was before: a group that was not written completely is cut off.
//! After a failed sync, the state of the file's end on disk is unknown, and another sync would say
//! nothing. So the segment ends at its last durable position, and the next group starts another
//! segment.
//!
//! After a group was refused because the disk is full, the spool works again when a group as large has space, and not
//! when a smaller one has: otherwise its status would change with the size of each request.
//!
//! If disk space is scarce, the writer removes a segment that is no longer needed, and completes
//! one that is mostly unneeded, so that the janitor can release its space. While the disk fails,
//! the writer tests it every second: a caller that sends only if the spool's status is good may
//! send nothing until then.

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use crossbeam_channel::Receiver;

use super::acks::{Acks, acks_bytes};
use super::frame::{FILE_HEADER_BYTES, FrameHeader, encode_file_header, frame_bytes};
use super::log::SegmentLog;
use super::segment::{Segment, SegmentState};
use super::storage::{append_all, is_lack_of_room};
use super::waiting::{PendingEntry, WriterCommand};
use super::{AppendError, Durability};
use crate::limits;

/// Bytes of entries that are synced as one group, unless one entry alone is larger. The limit keeps
/// the first entry of a group from waiting long for the last one.
const SPOOL_GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of an acknowledgement file that are reserved at once, before the entries that need them
/// are stored. Then 30,000 items can be acknowledged without additional space on a full disk. It is
/// the usual block size of file systems.
const SPOOL_ACKS_RESERVED_BYTES: u64 = 4096;

/// Bytes with which the writer tests a disk that fails for another reason than lack of space: the usual block size of
/// file systems.
const SPOOL_PROBE_BYTES_MIN: u64 = 4096;

/// Writes segments.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    log: Arc<SegmentLog>,
    durability: Durability,
    segment_bytes: u64,
    next_number: u64,
    active: Option<ActiveSegment>,
    /// Bytes of the largest group that the disk had no space for, since it last had space for as many.
    refused_bytes: u64,
}

/// The segment that is being written.
#[derive(Debug)]
struct ActiveSegment {
    segment: Arc<Segment>,
    file: File,
    /// The position of its next frame.
    end: u64,
    items: u32,
    /// The size of its acknowledgement file in bytes.
    acks_reserved: u64,
    /// Whether the segment contains an entry and is published.
    is_known: bool,
}

impl SegmentWriter {
    pub(super) fn new(
        log: Arc<SegmentLog>,
        durability: Durability,
        segment_bytes: u64,
        next_number: u64,
    ) -> Self {
        Self { log, durability, segment_bytes, next_number, active: None, refused_bytes: 0 }
    }

    /// Runs until the spool is closed and nothing waits.
    pub(super) fn run(mut self, commands: &Receiver<WriterCommand>) {
        let mut is_closing = false;
        while let Some(command) = WriterCommand::next(commands, is_closing) {
            is_closing |= self.serve_commands(command, commands);
        }
        self.finish_log();
    }

    /// Executes the first command, and all waiting ones that fit into one group. Returns whether
    /// the spool must be closed.
    pub(super) fn serve_commands(
        &mut self,
        command: WriterCommand,
        commands: &Receiver<WriterCommand>,
    ) -> bool {
        let mut is_closing = false;
        let (mut group, mut bytes, mut command) = (Vec::new(), 0, Some(command));
        while let Some(next) = command {
            match next {
                WriterCommand::Append(waiting) => {
                    bytes += waiting.bytes.len();
                    group.push(waiting);
                }
                WriterCommand::Renew(done) => {
                    self.remove_unneeded();
                    let _ = done.send(());
                }
                WriterCommand::Tend => self.tend(),
                WriterCommand::Close => is_closing = true,
            }
            let has_room = bytes < SPOOL_GROUP_BYTES_MAX;
            command = has_room.then(|| commands.try_recv().ok()).flatten();
        }
        self.commit_group(group);
        is_closing
    }

    /// Completes the last segment. Nothing is written afterwards.
    pub(super) fn finish_log(&mut self) {
        self.complete_segment();
        self.log.segments().iter().for_each(|segment| self.keep_acks(segment));
        self.log.wake_reader(true);
    }

    /// Stores a group, in parts if it needs several segments.
    fn commit_group(&mut self, mut group: Vec<PendingEntry>) {
        while !group.is_empty() {
            let fitting = self.count_fitting(&group);
            if fitting == 0 {
                self.complete_segment();
                continue;
            }
            let rest = group.split_off(fitting);
            let stored = self.store_group(&group).or_else(|error| match self.make_room(&error) {
                true => self.store_group(&group),
                false => Err(error),
            });
            let frames = group.iter().map(|waiting| frame_bytes(waiting.bytes.len())).sum();
            self.note_result(&stored, frames);
            if stored.is_err() {
                self.log.counters.write_errors.add(1);
                self.log.used.subtract(frames);
            }
            let answer = stored.map_err(AppendError::from);
            for waiting in group {
                // A caller that no longer waits does not need the result.
                let _ = waiting.answer.send(answer.clone());
            }
            group = rest;
        }
    }

    /// The number of these entries that fit into the current segment.
    fn count_fitting(&self, group: &[PendingEntry]) -> usize {
        let start = (FILE_HEADER_BYTES as u64, 0);
        let (mut end, mut items) =
            self.active.as_ref().map_or(start, |active| (active.end, active.items));
        let fits = |waiting: &&PendingEntry| {
            let is_first = items == 0;
            end += frame_bytes(waiting.bytes.len());
            items = items.saturating_add(waiting.items);
            is_first || end <= self.segment_bytes && items <= limits::SPOOL_SEGMENT_ITEMS_MAX
        };
        group.iter().take_while(fits).count()
    }

    /// Writes and syncs entries that fit into one segment, and publishes them.
    fn store_group(&mut self, group: &[PendingEntry]) -> io::Result<()> {
        let mut active = self.take_active()?;
        let number = active.segment.number;
        let (mut end, mut items) = (active.end, active.items);
        let headers: Vec<_> = group
            .iter()
            .map(|waiting| {
                let header = FrameHeader {
                    length: waiting.bytes.len() as u32,
                    items: waiting.items,
                    first: items,
                    checksum: waiting.checksum,
                };
                let encoded = header.encode(number, end);
                (end, items) = (end + header.frame_bytes(), header.items_end());
                encoded
            })
            .collect();
        let mut parts = Vec::with_capacity(2 * group.len());
        for (header, waiting) in headers.iter().zip(group) {
            parts.extend([IoSlice::new(header), IoSlice::new(&waiting.bytes)]);
        }
        let storage = &self.log.storage;
        let appended = self
            .reserve_acks(&mut active, items)
            .and_then(|()| append_all(&**storage, &active.file, active.end, &mut parts));
        if let Err(error) = appended {
            self.cut_off(active);
            return Err(error);
        }
        if let Err(error) = self.sync_segment(&active) {
            self.abandon_segment(active);
            return Err(error);
        }
        (active.end, active.items) = (end, items);
        self.publish_group(&mut active, group);
        self.active = Some(active);
        Ok(())
    }

    /// Makes sure that this number of items of a segment can be acknowledged on a full disk.
    fn reserve_acks(&self, active: &mut ActiveSegment, items: u32) -> io::Result<()> {
        let needed = acks_bytes(items).next_multiple_of(SPOOL_ACKS_RESERVED_BYTES);
        if needed > active.acks_reserved {
            self.log.reserve_acks(active.segment.number, active.acks_reserved..needed)?;
            active.acks_reserved = needed;
        }
        Ok(())
    }

    /// Cuts off everything after the last entry, and continues there.
    fn cut_off(&mut self, active: ActiveSegment) {
        match self.log.storage.truncate(&active.file, active.end) {
            Ok(()) => self.active = Some(active),
            Err(_) => self.abandon_segment(active),
        }
    }

    /// Syncs appended data, and the name of a new segment.
    fn sync_segment(&self, active: &ActiveSegment) -> io::Result<()> {
        if self.durability != Durability::Fsync {
            return Ok(());
        }
        self.log.counters.syncs.add(1);
        self.log.storage.sync(&active.file)?;
        if active.is_known { Ok(()) } else { self.log.storage.sync_folder(self.log.folder.path()) }
    }

    /// Lets the reader see the durable entries.
    fn publish_group(&self, active: &mut ActiveSegment, group: &[PendingEntry]) {
        let counters = &self.log.counters;
        let items = group.iter().map(|waiting| u64::from(waiting.items)).sum();
        counters.groups.add(1);
        counters.group_entries_max.raise_to(group.len() as u64);
        counters.entries_appended.add(group.len() as u64);
        counters.items_waiting.add(items);
        let mut state = active.segment.state();
        state.end = active.end;
        state.acks.set_items(active.items);
        drop(state);
        if !active.is_known {
            active.is_known = true;
            self.log.insert_segment(Arc::clone(&active.segment));
        }
        self.log.wake_reader(false);
    }

    /// Takes the current segment, or starts one.
    fn take_active(&mut self) -> io::Result<ActiveSegment> {
        self.active.take().map_or_else(|| self.begin_segment(), Ok)
    }

    /// Starts a segment.
    fn begin_segment(&mut self) -> io::Result<ActiveSegment> {
        // A number is never used again, regardless of what happens to its files.
        let number = self.next_number;
        self.next_number += 1;
        let (log, storage) = (&self.log, &self.log.storage);
        let end = FILE_HEADER_BYTES as u64;
        let header = encode_file_header(number);
        // The frame file is created last: a frame file without an acknowledgement file means that
        // acknowledgements were lost.
        let begun = storage.create(&log.folder.acks_path(number)).and_then(|_| {
            let file = storage.create(&log.folder.log_path(number))?;
            append_all(&**storage, &file, 0, &mut [IoSlice::new(&header)])?;
            log.reserve_acks(number, 0..SPOOL_ACKS_RESERVED_BYTES)?;
            Ok(file)
        });
        let file = begun.inspect_err(|_| log.discard_files(number))?;
        self.log.used.add(end);
        let state = SegmentState::new(end, Acks::new(number));
        let segment = Arc::new(Segment::new(number, SystemTime::now(), state));
        let acks_reserved = SPOOL_ACKS_RESERVED_BYTES;
        Ok(ActiveSegment { segment, file, end, items: 0, acks_reserved, is_known: false })
    }

    /// Completes the current segment, if there is one.
    fn complete_segment(&mut self) {
        match self.active.take() {
            Some(active) if active.is_known => self.end_segment(active.segment),
            Some(active) => self.abandon_segment(active),
            None => {}
        }
    }

    /// Ends a segment at its last durable position after its end failed.
    fn abandon_segment(&mut self, active: ActiveSegment) {
        if !active.is_known {
            self.log.used.subtract(active.end);
            self.log.discard_files(active.segment.number);
            return;
        }
        if let Err(error) = self.log.storage.truncate(&active.file, active.end) {
            self.log.tend_failed("cut off a segment", &error);
        }
        self.end_segment(active.segment);
    }

    fn end_segment(&self, segment: Arc<Segment>) {
        let mut state = segment.state();
        state.mark_complete();
        state.write_summary();
        drop(state);
        self.keep_acks(&segment);
        // A reader that waits for more of this segment should continue with the next one.
        self.log.wake_reader(false);
        if segment.state().is_spent() {
            self.log.queue_removal(segment);
        }
    }

    /// Writes a segment's acknowledgements, and syncs them if entries are synced.
    fn keep_acks(&self, segment: &Segment) {
        match self.durability {
            Durability::Fsync => {
                if let Err(error) = self.log.sync_acks(segment) {
                    self.log.tend_failed("sync acknowledgements", &error);
                }
            }
            Durability::Os | Durability::Memory | Durability::Acknowledged => {
                self.log.write_acks(segment.number, &mut segment.state());
            }
        }
    }

    /// Removes the current segment if it is no longer needed. Returns whether that released disk
    /// space.
    fn remove_unneeded(&mut self) -> bool {
        let is_needed = |active: &mut ActiveSegment| active.segment.state().acks.unacked() > 0;
        let unneeded = self.active.take_if(|active| active.is_known && !is_needed(active));
        let Some(active) = unneeded else { return false };
        self.end_segment(Arc::clone(&active.segment));
        let removed = self.log.remove_segment(&active.segment);
        if let Err(error) = &removed {
            self.log.tend_failed("remove a segment", error);
            self.log.queue_removal(active.segment);
        }
        removed.is_ok()
    }

    /// Completes the current segment if the janitor can release much of it: if it is not small, and
    /// half of it is no longer needed.
    fn end_if_half_empty(&mut self) {
        let size_min = (self.segment_bytes / 2).min(limits::SPOOL_SEGMENT_BYTES_MIN);
        let is_worth_it = self.active.as_ref().is_some_and(|active| {
            active.end >= size_min && active.segment.state().acks.unacked() <= active.items / 2
        });
        if is_worth_it {
            self.complete_segment();
        }
    }

    /// Releases disk space after a write failed because the disk is full. Returns whether the same
    /// write may succeed now.
    fn make_room(&mut self, error: &io::Error) -> bool {
        if !is_lack_of_room(error) {
            return false;
        }
        // The disk may have space, but not for this file.
        if error.kind() == io::ErrorKind::FileTooLarge {
            let has_entries = self.active.as_ref().is_some_and(|active| active.is_known);
            self.complete_segment();
            return has_entries;
        }
        let has_removed = self.remove_unneeded();
        self.end_if_half_empty();
        has_removed
    }

    /// Releases scarce disk space, and tests whether a failed disk works again.
    fn tend(&mut self) {
        self.log.is_tend_asked.store(false, Ordering::Relaxed);
        if self.log.is_room_scarce() {
            self.remove_unneeded();
            self.end_if_half_empty();
        }
        let counters = &self.log.counters;
        if counters.is_failing.load(Ordering::Relaxed) {
            let has_waiting = counters.items_waiting.get() > 0;
            let bytes = self.refused_bytes.max(SPOOL_PROBE_BYTES_MIN);
            match self.probe_disk(bytes) {
                // A disk that is too small for the refused group even with an empty spool accepts smaller groups.
                Err(error) if is_lack_of_room(&error) && !has_waiting => self.refused_bytes /= 2,
                probed => self.note_result(&probed, bytes),
            }
        }
    }

    /// Takes note of whether a group of this size could be stored.
    fn note_result(&mut self, stored: &io::Result<()>, bytes: u64) {
        let bytes = bytes.min(SPOOL_GROUP_BYTES_MAX as u64);
        match stored {
            Ok(()) if bytes < self.refused_bytes => return,
            Ok(()) => self.refused_bytes = 0,
            Err(error) if is_lack_of_room(error) => {
                self.refused_bytes = self.refused_bytes.max(bytes);
            }
            Err(_) => {}
        }
        self.report_result(stored);
    }

    /// Writes this many bytes, and removes them. A crash in between leaves zeros, which recovery
    /// cuts off.
    fn probe_disk(&mut self, bytes: u64) -> io::Result<()> {
        let active = self.take_active()?;
        let zeros = vec![0; bytes as usize];
        let storage = &self.log.storage;
        let mut parts = [IoSlice::new(&zeros)];
        let written = append_all(&**storage, &active.file, active.end, &mut parts);
        let synced = if written.is_ok() { self.sync_segment(&active) } else { Ok(()) };
        match synced {
            Ok(()) => self.cut_off(active),
            Err(_) => self.abandon_segment(active),
        }
        written.and(synced)
    }

    /// Counts failures, and logs when they begin and end.
    fn report_result(&self, stored: &io::Result<()>) {
        let counters = &self.log.counters;
        let was_failing = counters.is_failing.swap(stored.is_err(), Ordering::Relaxed);
        let directory = self.log.folder.path().display();
        match stored {
            Err(error) if !was_failing => {
                tracing::error!(%directory, "failed to store entries in the spool; refusing \
                    requests until this succeeds: {error}");
            }
            Err(_) => {}
            Ok(()) if was_failing => tracing::info!(%directory, "the spool stores entries again"),
            Ok(()) => {}
        }
    }
}
