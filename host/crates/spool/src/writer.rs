//! The thread that writes: it takes all entries that wait, writes them with as
//! few calls as possible, syncs once, and then answers all.
//!
//! What fails leaves the log as it was before: a group that was not written is
//! cut off again. After a sync that failed nobody knows what the disk has of the
//! file's end, and syncing again would say nothing; the segment ends where it was
//! last durable, and the next group begins another one.
//!
//! Where there is no room, a segment of which nobody needs anything is removed, and
//! one that is needed little is ended, so that the janitor gives the rest of it back.
//! While the disk fails it is tried every second: a caller that decides by the spool's
//! status whether to send more may send nothing until it works.

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

/// Bytes of entries that are synced as one group, unless one alone is larger, so
/// that the first of a group does not wait long for the last.
const SPOOL_GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a file of acknowledgements that are reserved at a time, before entries
/// that need them are stored: marking 30,000 items as delivered then needs no more
/// room on a disk that has become full. The usual size of a file system's block.
const SPOOL_ACKS_RESERVED_BYTES: u64 = 4096;

/// Writes segments.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    log: Arc<SegmentLog>,
    durability: Durability,
    segment_bytes: u64,
    next_number: u64,
    active: Option<ActiveSegment>,
    /// Bytes of the group that was refused last.
    refused_bytes: u64,
}

/// The segment that is being written.
#[derive(Debug)]
struct ActiveSegment {
    segment: Arc<Segment>,
    file: File,
    /// Where its next frame goes.
    end: u64,
    items: u32,
    /// Bytes that the file of its acknowledgements has.
    acks_reserved: u64,
    /// Whether others know of it: it holds an entry.
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

    /// Write what comes, until the spool is closed and nothing waits.
    pub(super) fn run(mut self, commands: &Receiver<WriterCommand>) {
        let mut is_closing = false;
        while let Some(command) = WriterCommand::next(commands, is_closing) {
            is_closing |= self.serve_commands(command, commands);
        }
        self.finish_log();
    }

    /// Does what is asked first, and all that waits behind it as far as it goes into
    /// one group. Returns whether the spool is to be closed.
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

    /// Ends the last segment: nothing more will be written.
    pub(super) fn finish_log(&mut self) {
        self.complete_segment();
        self.log.segments().iter().for_each(|segment| self.keep_acks(segment));
        self.log.wake_reader(true);
    }

    /// Store a group, in parts where it goes into several segments.
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
            self.report_result(&stored);
            if stored.is_err() {
                self.log.counters.write_errors.add(1);
                let frames = group.iter().map(|waiting| frame_bytes(waiting.bytes.len())).sum();
                self.log.used.subtract(frames);
                self.refused_bytes = frames;
            }
            let answer = stored.map_err(AppendError::from);
            for waiting in group {
                // A caller that no longer waits does not need the result.
                let _ = waiting.answer.send(answer.clone());
            }
            group = rest;
        }
    }

    /// How many of these go into the segment that is being written.
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

    /// Write and sync entries that fit into one segment, and announce them.
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

    /// See that this many items of a segment can be acknowledged on a full disk.
    fn reserve_acks(&self, active: &mut ActiveSegment, items: u32) -> io::Result<()> {
        let needed = acks_bytes(items).next_multiple_of(SPOOL_ACKS_RESERVED_BYTES);
        if needed > active.acks_reserved {
            self.log.reserve_acks(active.segment.number, active.acks_reserved..needed)?;
            active.acks_reserved = needed;
        }
        Ok(())
    }

    /// Cut off what was written behind the last entry, and go on there.
    fn cut_off(&mut self, active: ActiveSegment) {
        match self.log.storage.truncate(&active.file, active.end) {
            Ok(()) => self.active = Some(active),
            Err(_) => self.abandon_segment(active),
        }
    }

    /// Make what was appended durable, and a new segment's name.
    fn sync_segment(&self, active: &ActiveSegment) -> io::Result<()> {
        if self.durability != Durability::Fsync {
            return Ok(());
        }
        self.log.counters.syncs.add(1);
        self.log.storage.sync(&active.file)?;
        if active.is_known { Ok(()) } else { self.log.storage.sync_folder(self.log.folder.path()) }
    }

    /// Let the reader see what is durable now.
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

    /// Takes the segment that is being written, or begins one.
    fn take_active(&mut self) -> io::Result<ActiveSegment> {
        self.active.take().map_or_else(|| self.begin_segment(), Ok)
    }

    /// Begin a segment.
    fn begin_segment(&mut self) -> io::Result<ActiveSegment> {
        // A number is never used again, whatever comes of its files.
        let number = self.next_number;
        self.next_number += 1;
        let (log, storage) = (&self.log, &self.log.storage);
        let end = FILE_HEADER_BYTES as u64;
        let header = encode_file_header(number);
        // The frames' file comes last: one without acknowledgements lost them.
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

    /// End the segment that is being written, if there is one.
    fn complete_segment(&mut self) {
        match self.active.take() {
            Some(active) if active.is_known => self.end_segment(active.segment),
            Some(active) => self.abandon_segment(active),
            None => {}
        }
    }

    /// End a segment whose end failed, where it was last durable.
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
        // Who waits for more of it should go on to the next.
        self.log.wake_reader(false);
        if segment.state().is_spent() {
            self.log.queue_removal(segment);
        }
    }

    /// Write a segment's acknowledgements, and sync them where entries are.
    fn keep_acks(&self, segment: &Segment) {
        match self.durability {
            Durability::Fsync => {
                if let Err(error) = self.log.sync_acks(segment) {
                    self.log.tend_failed("sync acknowledgements", &error);
                }
            }
            Durability::Os | Durability::Memory => {
                self.log.write_acks(segment.number, &mut segment.state());
            }
        }
    }

    /// Remove the segment that is being written, if nobody needs any of it. Says
    /// whether that gave room back.
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

    /// End the segment that is being written, if the janitor can give back much of
    /// it: if it is not small, and half of it is not needed.
    fn end_if_half_empty(&mut self) {
        let size_min = (self.segment_bytes / 2).min(limits::SPOOL_SEGMENT_BYTES_MIN);
        let is_worth_it = self.active.as_ref().is_some_and(|active| {
            active.end >= size_min && active.segment.state().acks.unacked() <= active.items / 2
        });
        if is_worth_it {
            self.complete_segment();
        }
    }

    /// Give back what can be after a write failed for want of room. Says whether
    /// the same write may succeed now.
    fn make_room(&mut self, error: &io::Error) -> bool {
        if !is_lack_of_room(error) {
            return false;
        }
        // The disk may have room, but not in this file.
        if error.kind() == io::ErrorKind::FileTooLarge {
            let has_entries = self.active.as_ref().is_some_and(|active| active.is_known);
            self.complete_segment();
            return has_entries;
        }
        let has_removed = self.remove_unneeded();
        self.end_if_half_empty();
        has_removed
    }

    /// Give room back where it is scarce, and find out whether a disk that failed
    /// works again.
    fn tend(&mut self) {
        self.log.is_tend_asked.store(false, Ordering::Relaxed);
        if self.log.is_room_scarce() {
            self.remove_unneeded();
            self.end_if_half_empty();
        }
        if self.log.counters.is_failing.load(Ordering::Relaxed) && self.probe_disk().is_ok() {
            self.report_result(&Ok(()));
        }
    }

    /// Write as much as was refused last, and take it back. A crash in between
    /// leaves zeros, which recovery cuts off.
    fn probe_disk(&mut self) -> io::Result<()> {
        let active = self.take_active()?;
        let zeros = vec![0; self.refused_bytes.min(SPOOL_GROUP_BYTES_MAX as u64) as usize];
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

    /// Count what failed, and say when it begins and ends.
    fn report_result(&self, stored: &io::Result<()>) {
        let counters = &self.log.counters;
        let was_failing = counters.is_failing.swap(stored.is_err(), Ordering::Relaxed);
        let directory = self.log.folder.path().display();
        match stored {
            Err(error) if !was_failing => {
                tracing::error!(%directory, "failed to store entries in the spool; refusing requests until it can: {error}");
            }
            Err(_) => {}
            Ok(()) if was_failing => tracing::info!(%directory, "the spool stores entries again"),
            Ok(()) => {}
        }
    }
}
