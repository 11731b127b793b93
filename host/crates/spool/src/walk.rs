//! Iterates over the frames of a segment, and skips corrupt regions.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memchr::memmem;

use super::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader};
use super::window::ReadAhead;
use crate::limits;

/// The number of bytes to skip if the disk cannot read: a page.
const UNREADABLE_STEP: u64 = 4096;

/// A frame's header, and the region that was skipped before it.
#[derive(Debug)]
pub(super) struct FoundFrame {
    pub(super) offset: u64,
    pub(super) header: FrameHeader,
    pub(super) gap: Gap,
}

/// The region between two frames that do not follow each other.
#[derive(Debug, Default, Clone)]
pub(super) struct Gap {
    pub(super) bytes: Range<u64>,
    /// The items of the missing frames.
    pub(super) items: Range<u32>,
    /// Whether a part of the region could not be read, so that its contents are unknown.
    pub(super) is_unreadable: bool,
}

/// Iterates over the frames of a segment. The region between two found frames is a gap. The frame
/// after it determines the gap's items.
#[derive(Debug)]
pub(super) struct FrameWalk {
    segment: u64,
    pub(super) file: File,
    window: ReadAhead,
    offset: u64,
    /// The expected number of the next item.
    pub(super) expected: u32,
    /// Whether a part since the last frame could not be read.
    is_unreadable: bool,
}

impl FrameWalk {
    pub(super) fn new(segment: u64, file: File) -> Self {
        let offset = FILE_HEADER_BYTES as u64;
        Self {
            segment,
            file,
            window: ReadAhead::default(),
            offset,
            expected: 0,
            is_unreadable: false,
        }
    }

    /// Returns the next frame that ends before `end` and has items below `items`.
    ///
    /// If it returns `None`, the position does not change.
    pub(super) fn next_frame(&mut self, end: u64, items: u32) -> Option<FoundFrame> {
        let mut offset = self.offset;
        loop {
            match self.find_header(offset, end, items) {
                Ok(found) => {
                    let (found, header) = found?;
                    let gap = self.pass_over(found, header.first);
                    self.offset = found + header.frame_bytes();
                    self.expected = header.items_end();
                    return Some(FoundFrame { offset: found, header, gap });
                }
                Err(UnreadableAt(at)) => {
                    self.is_unreadable = true;
                    offset = (at / UNREADABLE_STEP + 1) * UNREADABLE_STEP;
                }
            }
        }
    }

    /// Moves to this position and this item. Returns the skipped gap.
    pub(super) fn pass_over(&mut self, offset: u64, item: u32) -> Gap {
        let bytes = self.offset..offset.max(self.offset);
        let items = self.expected..item.max(self.expected);
        let is_unreadable = std::mem::take(&mut self.is_unreadable);
        (self.offset, self.expected) = (bytes.end, items.end);
        Gap { bytes, items, is_unreadable }
    }

    /// The position after the last frame.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes of the entry in this frame, without a check.
    pub(super) fn read_entry(&mut self, found: &FoundFrame, end: u64) -> io::Result<Vec<u8>> {
        let offset = found.offset + FRAME_HEADER_BYTES as u64;
        let length = found.header.length as usize;
        if length <= limits::SPOOL_READ_BYTES {
            return self.window.get(&self.file, offset, length, end).map(<[u8]>::to_vec);
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// The first valid header from this position on. An error contains its position.
    fn find_header(
        &mut self,
        from: u64,
        end: u64,
        items: u32,
    ) -> Result<Option<(u64, FrameHeader)>, UnreadableAt> {
        let mut offset = from;
        while offset + FRAME_HEADER_BYTES as u64 <= end {
            if let Some(header) = self.read_header(offset, end, items)? {
                return Ok(Some((offset, header)));
            }
            offset = self.next_magic(offset + 1, end)?;
        }
        Ok(None)
    }

    fn read_header(
        &mut self,
        offset: u64,
        end: u64,
        items: u32,
    ) -> Result<Option<FrameHeader>, UnreadableAt> {
        let bytes = self.window.get(&self.file, offset, FRAME_HEADER_BYTES, end);
        let bytes = bytes.map_err(|_| UnreadableAt(offset))?;
        let header = FrameHeader::parse(bytes, self.segment, offset);
        Ok(header.filter(|header| {
            offset + header.frame_bytes() <= end
                && header.first >= self.expected
                && header.items_end() <= items
        }))
    }

    /// The next position where a header may start, or the end.
    fn next_magic(&mut self, from: u64, end: u64) -> Result<u64, UnreadableAt> {
        let mut offset = from;
        while offset + FRAME_HEADER_BYTES as u64 <= end {
            let bytes = self.window.at_least(&self.file, offset, FRAME_HEADER_BYTES, end);
            let bytes = bytes.map_err(|_| UnreadableAt(offset))?;
            if let Some(at) = memmem::find(bytes, &FRAME_MAGIC) {
                return Ok(offset + at as u64);
            }
            // The magic bytes may be split at the end of the window.
            offset += (bytes.len() - (FRAME_MAGIC.len() - 1)) as u64;
        }
        Ok(end)
    }
}

/// The position at which the disk could not be read.
#[derive(Debug)]
struct UnreadableAt(u64);
