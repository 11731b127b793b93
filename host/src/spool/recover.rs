//! Finding what an earlier process left.
//!
//! A complete segment has a summary beside its acknowledgements, and is not read
//! before its entries are. Of the one that was being written when a process died,
//! the headers are read, and what is behind the last frame is cut off.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use super::acks::{ACKS_BYTES_MAX, Acks};
use super::frame::{FILE_HEADER_BYTES, FileHeader, parse_file_header};
use super::log::Log;
use super::segment::{Segment, SegmentState};
use super::walk::Walk;
use super::{OpenError, Recovered};
use crate::limits;

/// Take in all segments of the folder, and say which number the next one gets.
pub(super) fn recover(log: &Log) -> Result<(Recovered, u64), OpenError> {
    let failed = |error| OpenError::Directory { directory: log.folder.path().to_owned(), error };
    let listing = log.folder.list().map_err(failed)?;
    let mut recovered = Recovered::default();
    for number in listing.acks.difference(&listing.logs) {
        log.folder.remove(*number).map_err(failed)?;
    }
    let last = listing.logs.last().copied();
    for number in &listing.logs {
        let segment = recover_segment(log, *number, last == Some(*number), &mut recovered)
            .map_err(|error| error.of(log, *number))?;
        let (bytes, unacked) = {
            let state = segment.state();
            (state.bytes(), u64::from(state.acks.unacked()))
        };
        log.used.add(bytes);
        log.counters.items_waiting.add(unacked);
        let segment = Arc::new(segment);
        log.insert(Arc::clone(&segment));
        if unacked == 0 {
            log.spent(segment);
            continue;
        }
        recovered.segments += 1;
        recovered.bytes += bytes;
        recovered.items_waiting += unacked;
    }
    let highest = last.max(listing.acks.last().copied()).unwrap_or(0);
    Ok((recovered, highest + 1))
}

/// Why a segment cannot be taken in.
#[derive(Debug)]
enum Unusable {
    Io(io::Error),
    Version(u32),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Unusable {
    fn of(self, log: &Log, number: u64) -> OpenError {
        let file = log.folder.log(number);
        match self {
            Self::Io(error) => OpenError::File { file, error },
            Self::Version(version) => OpenError::Version { file, version },
        }
    }
}

fn recover_segment(
    log: &Log,
    number: u64,
    is_last: bool,
    recovered: &mut Recovered,
) -> Result<Segment, Unusable> {
    let file = File::options().read(true).write(true).open(log.folder.log(number))?;
    let metadata = file.metadata()?;
    let begun = metadata.modified().unwrap_or_else(|_| SystemTime::now());
    check_version(&file, number)?;
    let (acks, corrupt) = load_acks(log, number);
    if corrupt > 0 {
        recovered.acks_corrupt += corrupt;
        let file = log.folder.acks(number);
        let file = file.display();
        tracing::error!(%file, blocks = corrupt, "acknowledgements in the spool are corrupt: their items are delivered again");
    }
    let mut state = SegmentState::new(metadata.len(), acks);
    match state.acks.summary() {
        Some(summary) => {
            state.end = metadata.len().min(summary.end);
            state.punched = summary.punched.min(state.end);
            state.acks.set_items(summary.items);
        }
        None => {
            recovered.torn_bytes += find_end(log, number, file, is_last, &mut state);
            state.summarize();
        }
    }
    state.complete();
    log.write_acks(number, &mut state);
    Ok(Segment::new(number, begun, state))
}

/// Find where the frames of a segment end, and cut off what a crash left behind
/// the last one. Returns the bytes cut off.
fn find_end(log: &Log, number: u64, file: File, is_last: bool, state: &mut SegmentState) -> u64 {
    let length = state.end;
    let mut walk = Walk::new(number, file);
    while walk.next_frame(length, limits::SPOOL_SEGMENT_ITEMS_MAX).is_some() {}
    let (end, items) = (walk.offset().min(length), walk.expected());
    let tail = walk.pass(length, items);
    state.acks.set_items(items);
    // The reader comes to what is there, and reports it.
    if tail.is_unreadable || end == length {
        return 0;
    }
    state.end = end;
    if !is_last {
        log.report_corrupt(number, end, length - end, 0);
        return 0;
    }
    let cut = log.storage.truncate(walk.file(), end).and_then(|()| log.storage.sync(walk.file()));
    if let Err(error) = cut {
        log.tend_failed("cut off a torn segment", &error);
    }
    length - end
}

fn check_version(file: &File, number: u64) -> Result<(), Unusable> {
    let mut header = [0; FILE_HEADER_BYTES];
    if file.read_exact_at(&mut header, 0).is_err() {
        return Ok(());
    }
    match parse_file_header(&header, number) {
        FileHeader::Version(version) => Err(Unusable::Version(version)),
        FileHeader::Valid | FileHeader::Corrupt => Ok(()),
    }
}

/// The acknowledgements of a segment, and how much of them is corrupt. A file that
/// is missing or cannot be read is so.
fn load_acks(log: &Log, number: u64) -> (Acks, u64) {
    let mut image = Vec::new();
    let read = File::open(log.folder.acks(number))
        .and_then(|file| file.take(ACKS_BYTES_MAX as u64).read_to_end(&mut image));
    match read {
        Ok(_) => Acks::load(number, image),
        Err(_) => (Acks::new(number), 1),
    }
}
