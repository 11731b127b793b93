//! Recovers the spool of an earlier process.
//!
//! A complete segment has a summary in its acknowledgement file, and is only read when its entries
//! are. Of the segment that was being written when a process died, the headers are read, and
//! everything after the last frame is cut off.
//!
//! Bytes that no interrupted write can explain are damaged, and may belong to stored entries: they
//! are counted as corrupt, and saved in a separate file. A file that this version cannot read, or
//! that was renamed, is rejected before anything is changed.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use super::acks::{ACKS_BYTES_MAX, Acks};
use super::frame::{
    FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, FileHeader, FrameHeader, original_number,
    parse_file_header,
};
use super::log::SegmentLog;
use super::segment::{Segment, SegmentState};
use super::storage::for_each_piece;
use super::walk::FrameWalk;
use super::{Recovered, SpoolOpenError};
use crate::limits;
use standpipe_core::private;

/// Maximum bytes of an interrupted write: those of all waiting entries.
const TORN_BYTES_MAX: u64 = limits::SPOOL_WAITING_BYTES_MAX as u64;

/// Recovers all segments of the folder. Returns the number of the next segment.
pub(super) fn recover_segments(log: &SegmentLog) -> Result<(Recovered, u64), SpoolOpenError> {
    let failed =
        |error| SpoolOpenError::Directory { directory: log.folder.path().to_owned(), error };
    let listing = log.folder.list_segments().map_err(failed)?;
    let mut recovered = Recovered::default();
    for number in &listing.logs {
        check_file(log, *number)?;
    }
    log.counters.set_aside_bytes.add(log.folder.set_aside_bytes().map_err(failed)?);
    for number in listing.acks.difference(&listing.logs) {
        log.folder.remove_segment(*number).map_err(failed)?;
    }
    let last = listing.logs.last().copied();
    for number in &listing.logs {
        let segment = recover_segment(log, *number, &mut recovered)
            .map_err(|error| SpoolOpenError::File { file: log.folder.log_path(*number), error })?;
        let (bytes, unacked) = {
            let state = segment.state();
            (state.bytes(), u64::from(state.acks.unacked()))
        };
        log.used.add(bytes);
        log.counters.items_waiting.add(unacked);
        let segment = Arc::new(segment);
        log.insert_segment(Arc::clone(&segment));
        if unacked == 0 {
            log.queue_removal(segment);
            continue;
        }
        recovered.segments += 1;
        recovered.bytes += bytes;
        recovered.items_waiting += unacked;
    }
    let highest = last.max(listing.acks.last().copied()).unwrap_or(0);
    Ok((recovered, highest + 1))
}

fn recover_segment(
    log: &SegmentLog,
    number: u64,
    recovered: &mut Recovered,
) -> io::Result<Segment> {
    let file = private::file_options().read(true).write(true).open(log.folder.log_path(number))?;
    let metadata = file.metadata()?;
    let begun = metadata.modified().unwrap_or_else(|_| SystemTime::now());
    let (acks, corrupt) = load_acks(log, number);
    if corrupt > 0 {
        recovered.acks_corrupt += corrupt;
        let file = log.folder.acks_path(number);
        tracing::error!(file = %file.display(), blocks = corrupt, "acknowledgements in the spool are corrupt; their events are delivered again");
    }
    let mut state = SegmentState::new(metadata.len(), acks);
    match state.acks.summary() {
        Some(summary) => {
            state.end = metadata.len().min(summary.end);
            state.punched = summary.punched.min(state.end);
            state.acks.set_items(summary.items);
        }
        None => {
            recovered.torn_bytes += find_end(log, number, file, &mut state);
            state.write_summary();
        }
    }
    state.mark_complete();
    log.write_acks(number, &mut state);
    Ok(Segment::new(number, begun, state))
}

/// Finds the end of a segment's frames, and cuts off everything after the last one. Returns the
/// number of removed bytes that an interrupted write left.
fn find_end(log: &SegmentLog, number: u64, file: File, state: &mut SegmentState) -> u64 {
    let length = state.end;
    let mut walk = FrameWalk::new(number, file);
    while walk.next_frame(length, limits::SPOOL_SEGMENT_ITEMS_MAX).is_some() {}
    let (end, items) = (walk.offset().min(length), walk.expected);
    let tail = walk.pass_over(length, items);
    state.acks.set_items(items);
    // The reader reports these bytes when it reaches them.
    if tail.is_unreadable || end == length {
        return 0;
    }
    state.end = end;
    let is_torn = is_torn(&walk.file, number, end..length, items).unwrap_or(false);
    if !is_torn && !log.report_corrupt_end(number, end..length) {
        // These bytes stay after the end for as long as the segment exists.
        return 0;
    }
    let cut = log.storage.truncate(&walk.file, end).and_then(|()| log.storage.sync(&walk.file));
    if let Err(error) = cut {
        log.tend_failed("cut off a torn segment", &error);
    }
    if is_torn { length - end } else { 0 }
}

/// Whether the bytes after the last frame can be the start of an interrupted write: a frame that is
/// longer than the file or, after a power failure, allocated space without data.
fn is_torn(file: &File, number: u64, tail: Range<u64>, items: u32) -> io::Result<bool> {
    let length = tail.end - tail.start;
    if length > TORN_BYTES_MAX {
        return Ok(false);
    }
    let mut header = [0; FRAME_HEADER_BYTES];
    let header = &mut header[..length.min(FRAME_HEADER_BYTES as u64) as usize];
    file.read_exact_at(header, tail.start)?;
    let is_frame = match header.len() < FRAME_HEADER_BYTES {
        true => header.iter().zip(&FRAME_MAGIC).all(|(found, expected)| found == expected),
        false => FrameHeader::parse(header, number, tail.start)
            .is_some_and(|header| header.first == items),
    };
    Ok(is_frame || are_zeros(file, tail)?)
}

fn are_zeros(file: &File, bytes: Range<u64>) -> io::Result<bool> {
    for_each_piece(file, bytes, |piece| Ok(piece.iter().all(|byte| *byte == 0)))
}

/// Rejects a file that this version cannot read, or that belongs to another segment.
fn check_file(log: &SegmentLog, number: u64) -> Result<(), SpoolOpenError> {
    let path = log.folder.log_path(number);
    let failed = |error| SpoolOpenError::File { file: path.clone(), error };
    let file = File::open(&path).map_err(failed)?;
    let mut start = Vec::new();
    let length = (FILE_HEADER_BYTES + FRAME_HEADER_BYTES) as u64;
    if file.take(length).read_to_end(&mut start).is_err() || start.len() < FILE_HEADER_BYTES {
        // The reader reports an invalid header. A file shorter than a header contains nothing.
        return Ok(());
    }
    let (header, frame) = start.split_at(FILE_HEADER_BYTES);
    match parse_file_header(header, number) {
        FileHeader::Valid => return Ok(()),
        FileHeader::Version(version) => {
            return Err(SpoolOpenError::Version { file: path, version });
        }
        FileHeader::Corrupt => {}
    }
    if FrameHeader::parse(frame, number, FILE_HEADER_BYTES as u64).is_some() {
        return Ok(());
    }
    match original_number(&start).filter(|original| *original != number) {
        Some(original) => {
            Err(SpoolOpenError::Renamed { original: log.folder.log_path(original), file: path })
        }
        None => Ok(()),
    }
}

/// Loads the acknowledgements of a segment. Also returns how many blocks are corrupt. A missing or
/// unreadable file counts as corrupt.
fn load_acks(log: &SegmentLog, number: u64) -> (Acks, u64) {
    let mut image = Vec::new();
    let read = File::open(log.folder.acks_path(number))
        .and_then(|file| file.take(ACKS_BYTES_MAX as u64).read_to_end(&mut image));
    match read {
        Ok(_) => Acks::load(number, image),
        Err(_) => (Acks::new(number), 1),
    }
}
