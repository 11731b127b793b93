//! Going through a segment's frames, past what is corrupt.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memchr::memmem;

use super::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader};
use super::window::ReadAhead;
use crate::limits;

/// How much is passed over where the disk cannot read, in bytes: a page.
const UNREADABLE_STEP: u64 = 4096;

/// A frame's header, and what was passed over on the way to it.
#[derive(Debug)]
pub(super) struct FoundFrame {
    pub(super) offset: u64,
    pub(super) header: FrameHeader,
    pub(super) gap: Gap,
}

/// What lies between two frames where one of them does not follow the other.
#[derive(Debug, Default, Clone)]
pub(super) struct Gap {
    pub(super) bytes: Range<u64>,
    /// The items of the frames that must have been there.
    pub(super) items: Range<u32>,
    /// Some of it could not be read, so nobody knows what is there.
    pub(super) is_unreadable: bool,
}

/// Goes through the frames of one segment. What is between two frames that it
/// finds is a gap, whose items are known from the frame behind it.
#[derive(Debug)]
pub(super) struct FrameWalk {
    segment: u64,
    pub(super) file: File,
    window: ReadAhead,
    offset: u64,
    /// The number that the next item should have.
    pub(super) expected: u32,
    /// Something since the last frame could not be read.
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

    /// The next frame of those that end before `end` with items below `items`.
    ///
    /// None leaves the place as it is.
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

    /// Go to this place and this item, over what there is until then.
    pub(super) fn pass_over(&mut self, offset: u64, item: u32) -> Gap {
        let bytes = self.offset..offset.max(self.offset);
        let items = self.expected..item.max(self.expected);
        let is_unreadable = std::mem::take(&mut self.is_unreadable);
        (self.offset, self.expected) = (bytes.end, items.end);
        Gap { bytes, items, is_unreadable }
    }

    /// The place behind the last frame.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes of the entry in this frame, whatever they are.
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

    /// The first valid header from here on. An error says where.
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

    /// The next place where a header may begin, or the end.
    fn next_magic(&mut self, from: u64, end: u64) -> Result<u64, UnreadableAt> {
        let mut offset = from;
        while offset + FRAME_HEADER_BYTES as u64 <= end {
            let bytes = self.window.at_least(&self.file, offset, FRAME_HEADER_BYTES, end);
            let bytes = bytes.map_err(|_| UnreadableAt(offset))?;
            if let Some(at) = memmem::find(bytes, &FRAME_MAGIC) {
                return Ok(offset + at as u64);
            }
            // It may be cut by the end of what is in memory.
            offset += (bytes.len() - (FRAME_MAGIC.len() - 1)) as u64;
        }
        Ok(end)
    }
}

/// Where something could not be read.
#[derive(Debug)]
struct UnreadableAt(u64);
