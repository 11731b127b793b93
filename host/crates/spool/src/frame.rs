//! The layout of a segment: a file header, then frames, each a header and the bytes of an entry.
//! All numbers are little-endian.
//!
//! The checksum of a header also covers the number of its segment and its position in the segment.
//! So a header is valid in one position only: bytes in a client's payload, or left on the disk by
//! an earlier file, are never mistaken for a header.

use crate::limits;

/// Segment numbers to try for finding the original name of a renamed file: those of the first 64
/// TiB of a spool. This takes some milliseconds.
const SPOOL_NUMBERS_TRIED: u64 = 1 << 20;

/// The first bytes of a frame. Reading resumes at them after corrupt bytes. They are not UTF-8, so
/// text never contains them.
pub(super) const FRAME_MAGIC: [u8; 8] = *b"\xf5spo\xffol\xfa";
pub(super) const FRAME_HEADER_BYTES: usize = 28;

const FILE_MAGIC: [u8; 8] = *b"\xf5spool\r\n";
pub(super) const FILE_HEADER_BYTES: usize = 16;
const VERSION: u32 = 1;

/// The header of an entry's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// The size of the entry in bytes.
    pub(super) length: u32,
    pub(super) items: u32,
    /// The number of the entry's first item within the segment.
    pub(super) first: u32,
    /// The checksum of the entry's bytes.
    pub(super) checksum: u32,
}

impl FrameHeader {
    pub(super) fn encode(&self, segment: u64, offset: u64) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..8].copy_from_slice(&FRAME_MAGIC);
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.items.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.first.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.checksum.to_le_bytes());
        let own = header_checksum(&bytes[..24], segment, offset);
        bytes[24..].copy_from_slice(&own.to_le_bytes());
        bytes
    }

    /// The header at this position, if it is valid.
    pub(super) fn parse(bytes: &[u8], segment: u64, offset: u64) -> Option<Self> {
        let is_valid = bytes.len() == FRAME_HEADER_BYTES
            && bytes[..8] == FRAME_MAGIC
            && read_u32(bytes, 24) == header_checksum(&bytes[..24], segment, offset);
        let header = Self {
            length: is_valid.then(|| read_u32(bytes, 8))?,
            items: read_u32(bytes, 12),
            first: read_u32(bytes, 16),
            checksum: read_u32(bytes, 20),
        };
        let items_end = u64::from(header.first) + u64::from(header.items);
        let is_possible = header.length as usize <= limits::SPOOL_ENTRY_BYTES_MAX
            && header.items > 0
            && items_end <= u64::from(limits::SPOOL_SEGMENT_ITEMS_MAX);
        is_possible.then_some(header)
    }

    /// The size of the whole frame.
    pub(super) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.length as usize)
    }

    /// The number after the entry's last item.
    pub(super) fn items_end(&self) -> u32 {
        self.first + self.items
    }
}

/// The size of the frame for an entry of this size.
pub(super) fn frame_bytes(entry: usize) -> u64 {
    (FRAME_HEADER_BYTES + entry) as u64
}

/// The result of parsing a file header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileHeader {
    Valid,
    /// The header of a spool file of another version.
    Version(u32),
    Corrupt,
}

pub(super) fn encode_file_header(segment: u64) -> [u8; FILE_HEADER_BYTES] {
    let mut bytes = [0; FILE_HEADER_BYTES];
    bytes[..8].copy_from_slice(&FILE_MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let checksum = header_checksum(&bytes[..12], segment, 0);
    bytes[12..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

pub(super) fn parse_file_header(bytes: &[u8], segment: u64) -> FileHeader {
    let is_valid = bytes.len() == FILE_HEADER_BYTES
        && bytes[..8] == FILE_MAGIC
        && read_u32(bytes, 12) == header_checksum(&bytes[..12], segment, 0);
    match is_valid.then(|| read_u32(bytes, 8)) {
        Some(VERSION) => FileHeader::Valid,
        Some(other) => FileHeader::Version(other),
        None => FileHeader::Corrupt,
    }
}

/// The segment number of a file that starts with these bytes, regardless of its current name.
/// `None` if that cannot be determined.
pub(super) fn original_number(bytes: &[u8]) -> Option<u64> {
    let (file_header, rest) = bytes.split_at_checked(FILE_HEADER_BYTES)?;
    let frame_header = &rest[..rest.len().min(FRAME_HEADER_BYTES)];
    let has_file_magic = file_header.starts_with(&FILE_MAGIC);
    let has_frame_magic =
        frame_header.len() == FRAME_HEADER_BYTES && frame_header.starts_with(&FRAME_MAGIC);
    if !has_file_magic && !has_frame_magic {
        return None;
    }
    let offset = FILE_HEADER_BYTES as u64;
    (1..=SPOOL_NUMBERS_TRIED).find(|number| {
        let has_file_header = parse_file_header(file_header, *number) != FileHeader::Corrupt;
        // The magic bytes or the header may be damaged beyond recognition, but not both.
        (!has_file_magic || has_file_header)
            && (!has_frame_magic || FrameHeader::parse(frame_header, *number, offset).is_some())
    })
}

/// The number at this position. The bytes must be long enough.
pub(super) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn header_checksum(header: &[u8], segment: u64, offset: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(&segment.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: FrameHeader = FrameHeader { length: 300, items: 7, first: 70_000, checksum: 9 };

    #[test]
    fn a_header_is_valid_in_its_place_only() {
        let bytes = HEADER.encode(3, 16);
        assert_eq!(FrameHeader::parse(&bytes, 3, 16), Some(HEADER));
        assert_eq!(FrameHeader::parse(&bytes, 3, 17), None);
        assert_eq!(FrameHeader::parse(&bytes, 4, 16), None);
        assert_eq!(FrameHeader::parse(&bytes[1..], 3, 16), None);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = HEADER.encode(3, 16);
        for bit in 0..good.len() * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::parse(&bytes, 3, 16), None, "{bit}");
        }
    }

    #[test]
    fn an_impossible_header_is_none() {
        let none = |header: FrameHeader| {
            assert_eq!(FrameHeader::parse(&header.encode(1, 0), 1, 0), None, "{header:?}");
        };
        none(FrameHeader { length: u32::MAX, ..HEADER });
        none(FrameHeader { items: 0, ..HEADER });
        none(FrameHeader { items: u32::MAX, ..HEADER });
    }

    #[test]
    fn the_number_of_a_renamed_file_is_found() {
        let whole = [&encode_file_header(70_000)[..], &HEADER.encode(70_000, 16)].concat();
        for length in [16, 17, 43, 44] {
            assert_eq!(original_number(&whole[..length]), Some(70_000), "{length}");
        }
        let mut bytes = whole.clone();
        bytes[0] ^= 1;
        assert_eq!(original_number(&bytes), Some(70_000), "by its first frame");
        bytes[16] ^= 1;
        assert_eq!(original_number(&bytes), None);
        bytes[0] ^= 1;
        assert_eq!(original_number(&bytes), Some(70_000), "by its own header");
        assert_eq!(original_number(&whole[..15]), None);
    }

    #[test]
    fn another_version_is_told_from_corruption() {
        let mut bytes = encode_file_header(5);
        assert_eq!(parse_file_header(&bytes, 5), FileHeader::Valid);
        assert_eq!(parse_file_header(&bytes, 6), FileHeader::Corrupt);
        bytes[8] = 2;
        assert_eq!(parse_file_header(&bytes, 5), FileHeader::Corrupt);
        let checksum = header_checksum(&bytes[..12], 5, 0);
        bytes[12..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(parse_file_header(&bytes, 5), FileHeader::Version(2));
    }
}
